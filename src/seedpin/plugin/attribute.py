"""``--golden-attribute`` in a session: after the tests, each commit that minted a golden runs once."""

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
from seedpin.plugin.fresh_start import invocation_of
from seedpin.printing import printable
from seedpin.revisions.attribute import (
    RECORDED,
    MintingCommit,
    committing_commit,
    conclude,
    minting_commit,
)
from seedpin.revisions.cache import Index
from seedpin.revisions.divergences import divergence_between
from seedpin.revisions.results import RevisionContext, revision_context, run_missing
from seedpin.run.result import Attribution, CheckResult

if TYPE_CHECKING:
    from seedpin.plugin.session import SeedpinSession


class AttributeSession:
    """Registered in the controller only."""

    def __init__(self, config: pytest.Config, session: SeedpinSession, settings: Config) -> None:
        self.config = config
        self.session = session
        self.settings = settings
        self.attributed: list[CheckResult] = []

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
            context = revision_context(self.settings, invocation_of(self.config))
        except RevisionError as error:
            self._keep(questions, [Attribution("unknown", f"unknown: {error.what}")] * len(questions))
            return
        mintings = {result.id: self._minting(context, result) for result in questions}
        again = self._asked(context, mintings, questions)
        self._asked(context, again, [result for result in questions if result.id in again])

    def _asked(
        self,
        context: RevisionContext,
        mintings: Mapping[str, MintingCommit],
        questions: Sequence[CheckResult],
    ) -> dict[str, MintingCommit]:
        """Runs each commit once and keeps what follows; what remains unknown gets another commit to ask.

        The recorded commit may lack a test that was not yet committed when its golden was minted.
        """
        groups: dict[MintingCommit, list[CheckResult]] = {}
        for result in questions:
            groups.setdefault(mintings[result.id], []).append(result)
        again = {}
        for minting, results in groups.items():
            attributions = self._attributed(context, minting, results)
            final = []
            for result, attribution in zip(results, attributions, strict=True):
                if attribution.conclusion == "unknown" and minting.how == RECORDED:
                    path = (self.settings.golden_path / result.golden).resolve()
                    why = attribution.sentence.removeprefix("unknown: ")
                    again[result.id] = committing_commit(context.top, path, why)
                else:
                    final.append((result, attribution))
            self._keep([result for result, _ in final], [attribution for _, attribution in final])
        return again

    def _minting(self, context: RevisionContext, result: CheckResult) -> MintingCommit:
        path = self.settings.golden_path / result.golden
        try:
            golden = read_golden(path)
        except GoldenError as error:
            return MintingCommit("", error.what)
        if golden is None:
            return MintingCommit("", "the golden is gone")
        return minting_commit(context.top, path.resolve(), golden.manifest.updated)

    def _attributed(
        self, context: RevisionContext, minting: MintingCommit, results: Sequence[CheckResult]
    ) -> list[Attribution]:
        index, problem = Index(), ""
        if minting.commit:
            tests = list(dict.fromkeys(result.test for result in results))
            try:
                index = run_missing(
                    context, minting.commit, tests, lambda text: self._announce(minting, text), narrow=True
                )
            except SeedpinError as error:
                problem = error.what
        return [self._one(context, minting, index, result, problem) for result in results]

    def _one(
        self,
        context: RevisionContext,
        minting: MintingCommit,
        index: Index,
        result: CheckResult,
        problem: str,
    ) -> Attribution:
        known = index.tests.get(result.test)
        there = known.checks.get(result.check) if known is not None and known.outcome == "passed" else None
        if minting.commit and there is None and not problem:
            if known is None or known.outcome in ("absent", "passed"):
                problem = f"{short(minting.commit)} has no such check"
            else:
                word = "was skipped" if known.outcome == "skipped" else known.outcome
                problem = f"the test {word} at {short(minting.commit)}: {known.error}"
        attribution = conclude(
            minting, str(result.golden_digest), there, str(result.obtained_digest), problem
        )
        if there is None:
            return attribution
        golden = self.settings.golden_path / result.golden
        kept = context.cache(minting.commit) / "golden" / _beside(result)
        here = self.session.run.path / (result.obtained or "")
        places = []
        if attribution.conclusion != "code":
            places += _sentence("environment", golden, kept)
        if attribution.conclusion != "environment":
            places += _sentence("code", kept, here)
        return dataclasses.replace(attribution, places=tuple(places))

    def _keep(self, results: Sequence[CheckResult], attributions: Sequence[Attribution]) -> None:
        for result, attribution in zip(results, attributions, strict=True):
            whole = dataclasses.replace(result, attribution=attribution)
            self.attributed.append(whole)
            self.session.results.append(whole)
            self.session.run.write_result(whole)

    def _announce(self, minting: MintingCommit, text: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(f"seedpin: {short(minting.commit)}, where goldens were minted: {text}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.attributed:
            return
        terminalreporter.section("seedpin: code or environment", sep="-")
        for result in self.attributed:
            assert result.attribution is not None  # _keep adds it
            terminalreporter.write_line(printable(result.id))
            terminalreporter.write_line(printable(f"  {result.attribution.sentence}"))
            for place in result.attribution.places:
                terminalreporter.write_line(printable(f"  {place}"))


def _beside(result: CheckResult) -> Path:
    """The manifest's place under the cache; a fallback's golden has another device class in its name."""
    path = Path(result.golden)
    obtained = Path(result.obtained).name if result.obtained else path.name
    return path.parent / obtained


def _sentence(who: str, before: Path, after: Path) -> list[str]:
    divergence = divergence_between(before, after)
    return [] if divergence is None else [f"moved by the {who}: {divergence.sentence}"]
