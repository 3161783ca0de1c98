"""The session's side of ``--golden-attribute``: after the tests, each minting commit runs once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seedpin.config import Config
from seedpin.errors import GoldenError, RevisionError, SeedpinError
from seedpin.git import short
from seedpin.goldens.store import read_golden
from seedpin.printing import printable
from seedpin.refs.attribute import (
    RECORDED,
    Attribution,
    Minting,
    committing_commit,
    conclude,
    minting_commit,
)
from seedpin.refs.cache import Index
from seedpin.refs.places import place_between
from seedpin.refs.reference import Session, run_missing, session_of
from seedpin.run.result import CheckResult

if TYPE_CHECKING:
    from seedpin.plugin.session import SeedpinSession


class AttributeSession:
    """Registered in the controller only."""

    def __init__(self, config: pytest.Config, session: SeedpinSession, settings: Config) -> None:
        self.config = config
        self.session = session
        self.settings = settings
        self.found: list[CheckResult] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Runs before the summary, so that the records are whole when they are shown."""
        questions = [
            result
            for result in self.session.latest()
            if result.verdict == "environment-changed" and result.golden_digest and not result.written
        ]
        if not questions:
            return
        try:
            other = session_of(self.config, self.settings)
        except RevisionError as error:
            self._keep(questions, [Attribution("unknown", f"unknown: {error.what}")] * len(questions))
            return
        again = self._asked(
            other, {result.id: self._minting(other, result) for result in questions}, questions
        )
        self._asked(other, again, [result for result in questions if result.id in again])

    def _asked(
        self, other: Session, mintings: Mapping[str, Minting], questions: Sequence[CheckResult]
    ) -> dict[str, Minting]:
        """Runs each commit once and keeps what follows; what remains unknown gets another commit to ask.

        The recorded commit may lack a test that was not yet committed when its golden was minted.
        """
        groups: dict[Minting, list[CheckResult]] = {}
        for result in questions:
            groups.setdefault(mintings[result.id], []).append(result)
        again = {}
        for minting, results in groups.items():
            attributions = self._attributed(other, minting, results)
            final = []
            for result, attribution in zip(results, attributions, strict=True):
                if attribution.conclusion == "unknown" and minting.how == RECORDED:
                    path = (self.settings.golden_path / result.golden).resolve()
                    why = attribution.sentence.removeprefix("unknown: ")
                    again[result.id] = committing_commit(other.top, path, why)
                else:
                    final.append((result, attribution))
            self._keep([result for result, _ in final], [attribution for _, attribution in final])
        return again

    def _minting(self, other: Session, result: CheckResult) -> Minting:
        path = self.settings.golden_path / result.golden
        try:
            golden = read_golden(path)
        except GoldenError as error:
            return Minting("", error.what)
        if golden is None:
            return Minting("", "the golden is gone")
        return minting_commit(other.top, path.resolve(), golden.manifest.updated)

    def _attributed(
        self, other: Session, minting: Minting, results: Sequence[CheckResult]
    ) -> list[Attribution]:
        index, problem = Index(), ""
        if minting.commit:
            tests = list(dict.fromkeys(result.test for result in results))
            try:
                index = run_missing(
                    other, minting.commit, tests, lambda text: self._announce(minting, text), narrow=True
                )
            except SeedpinError as error:
                problem = error.what
        return [self._one(other, minting, index, result, problem) for result in results]

    def _one(
        self, other: Session, minting: Minting, index: Index, result: CheckResult, problem: str
    ) -> Attribution:
        known = index.tests.get(result.test)
        there = known.checks.get(result.check) if known is not None and known.outcome == "passed" else None
        if minting.commit and there is None and not problem:
            if known is None or known.outcome in ("absent", "passed"):
                problem = f"{short(minting.commit)} has no such check"
            else:
                word = "was skipped" if known.outcome == "skipped" else known.outcome
                problem = f"the test {word} at {short(minting.commit)}: {known.error}"
        found = conclude(minting, str(result.golden_digest), there, str(result.obtained_digest), problem)
        if there is None:
            return found
        golden = self.settings.golden_path / result.golden
        kept = other.cache(minting.commit) / "golden" / _beside(result)
        here = self.session.run.path / (result.obtained or "")
        places = []
        if found.conclusion != "code":
            places += _sentence("environment", golden, kept)
        if found.conclusion != "environment":
            places += _sentence("code", kept, here)
        return dataclasses.replace(found, places=tuple(places))

    def _keep(self, results: Sequence[CheckResult], attributions: Sequence[Attribution]) -> None:
        for result, attribution in zip(results, attributions, strict=True):
            whole = dataclasses.replace(result, attribution=attribution.as_dict())
            self.found.append(whole)
            self.session.results.append(whole)
            self.session.run.write_result(whole)

    def _announce(self, minting: Minting, text: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(f"seedpin: {short(minting.commit)}, where goldens were minted: {text}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.found:
            return
        terminalreporter.section("seedpin: code or environment", sep="-")
        for result in self.found:
            attribution = result.attribution or {}
            terminalreporter.write_line(printable(result.id))
            terminalreporter.write_line(printable(f"  {attribution['sentence']}"))
            for place in attribution["places"]:
                terminalreporter.write_line(printable(f"  {place}"))


def _beside(result: CheckResult) -> Path:
    """The manifest's place under the cache; a fallback's golden has another device class in its name."""
    path = Path(result.golden)
    obtained = Path(result.obtained).name if result.obtained else path.name
    return path.parent / obtained


def _sentence(who: str, before: Path, after: Path) -> list[str]:
    found = place_between(before, after)
    return [] if found is None else [f"moved by the {who}: {found.sentence}"]
