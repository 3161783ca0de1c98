"""Every attempt of every test of a session counts, across workers and their crashes.

A plugin for reruns may run a test again in the same process or, after a crash, in another one, and reports of
an attempt may be left out or lost with their process. So a worker puts each result into a file as soon as it
is there; the controller holds them all against each other once the session is at its end.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seedpin.plugin.nodes import node_of
from seedpin.printing import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpin.plugin.session import SeedpinSession
    from seedpin.run.result import CheckResult

FOLDER = "attempts"
_UNHEARD = "An attempt before ended before its check (error or crash): what it gave is not known."


class Attempts:
    """Registered once per process. ``keep`` is for a worker's results, None elsewhere."""

    def __init__(self, session: SeedpinSession) -> None:
        self._session = session
        self._made: dict[str, int] = {}
        self._blocks: list[str] = []
        self._unheard: list[CheckResult] = []
        self.keep: Callable[[CheckResult], None] | None = self._write if session.is_worker else None

    def number(self, item: pytest.Item) -> int:
        """Which attempt of ``item`` begins now; other processes' count where the plugin for reruns tells."""
        self._made[node_of(item)] = self._made.get(node_of(item), 0) + 1
        return max(self._made[node_of(item)], int(getattr(item, "execution_count", 1)))

    def _write(self, result: CheckResult) -> None:
        worker = self._session.config.workerinput["workerid"]  # type: ignore[attr-defined]  # xdist's
        from seedpin.records import as_plain

        path = self._session.run.path / FOLDER / f"{worker}.jsonl"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(as_plain(result), allow_nan=False) + "\n")
        except (OSError, ValueError) as error:
            self._session.not_kept = str(error)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Adds what was lost with its process, and a verdict for attempts that do not agree."""
        if self._session.is_worker:
            return
        for result in self._lost():
            self._session.take(result)
        if not self._session.results:
            return
        from seedpin.run.attempts import judged, unheard
        from seedpin.run.message import format_failure

        settings = self._session.settings
        for result in judged(self._session.results):
            message = format_failure(
                result,
                golden_dir=settings.golden_dir,
                run_folder=settings.shown(self._session.run.path),
            )
            self._session.take(dataclasses.replace(result, message=message))
            self._blocks.append(message)
        self._unheard = unheard(self._session.results)
        for result in self._unheard:
            self._session.take(dataclasses.replace(result, reasons=(*result.reasons, _UNHEARD)))
        if self._blocks and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._blocks:
            return
        terminalreporter.section("attempts that do not agree", sep="=", red=True)
        terminalreporter.write_line("\n\n".join(self._blocks))

    def notes(self) -> list[str]:
        """Lines of the summary on checks that passed after an attempt of which nothing is known."""
        if not self._unheard:
            return []
        tests = dict.fromkeys(f"{result.test} (attempt {result.attempt})" for result in self._unheard)
        head = f"{len(tests)} test(s) passed when run again. {_UNHEARD}"
        return [head, *(f"  {printable(test)}" for test in tests)]

    def _lost(self) -> list[CheckResult]:
        """Results in the workers' files that no report brought here."""
        folder = self._session.run.path / FOLDER
        if not folder.is_dir():
            return []
        from seedpin.run.ledger import read_results

        known = {(result.id, result.attempt) for result in self._session.results}
        lost = [
            dataclasses.replace(result, written="refused") if result.written == "staged" else result
            for path in sorted(Path(folder).glob("*.jsonl"))
            for result in read_results(path)
            if (result.id, result.attempt) not in known
        ]
        shutil.rmtree(folder, ignore_errors=True)
        return lost
