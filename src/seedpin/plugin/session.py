"""The session: attempts of tests, writing after a test has passed, results from workers, the summary."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest._code.code import TerminalRepr

from seedpin.checking.state import AttemptState
from seedpin.errors import DuplicateGoldenError, GoldenMismatch, SeedpinError, UsageError
from seedpin.plugin.attempts import Attempts
from seedpin.plugin.birth import Birth, release_memory
from seedpin.plugin.completeness import Completeness
from seedpin.plugin.nodes import asks_for_goldens, node_of, note_node
from seedpin.plugin.stash_keys import AGAINST, CONFIG, EARLIER, ITEM, REFUSED, RUN, UPDATE
from seedpin.process import RUN_VARIABLE
from seedpin.run.ledger import Run, RunMeta, new_run_id, write_retention
from seedpin.version import __version__

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

    from seedpin.run.result import CheckResult

_WORKER_KEY = "seedpin_run"


class SeedpinSession:
    """Registered once per process: in the controller, and in each xdist worker."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.settings = config.stash[CONFIG]
        self.results: list[CheckResult] = []
        self.not_kept = ""
        worker_input = getattr(config, "workerinput", None)
        self.is_worker = worker_input is not None
        if worker_input is not None:
            path = Path(worker_input[_WORKER_KEY])
        elif RUN_VARIABLE in os.environ:
            path = Path(os.environ[RUN_VARIABLE])
        else:
            path = self.settings.state_path / "runs" / new_run_id()
        self.run = config.stash[RUN] = Run(path)
        config.stash[EARLIER] = {}
        config.pluginmanager.register(Completeness(self), "seedpin-completeness")
        self.birth: Birth | None = None
        if not self.is_worker:
            self.birth = Birth(self)
            config.pluginmanager.register(self.birth, "seedpin-birth")
        self.attempts = Attempts(self)
        self._taken: dict[tuple[str, str, int], int] = {}
        # Registered last, so that its end of the session comes first: the others build on its exit status.
        # Nothing is born whose attempts do not agree, and a golden that is refused makes the run incomplete.
        config.pluginmanager.register(self.attempts, "seedpin-attempts")

    def pytest_report_header(self) -> str:
        settings = self.settings
        update = self.config.stash[UPDATE].mode
        parts = [
            f"seed {settings.seed}",
            f"level {settings.level}",
            f"cpu profile {settings.cpu_profile}",
            f"goldens {settings.golden_dir}" + (f" (updating: {update})" if update else ""),
        ]
        return f"seedpin {__version__}: {', '.join(parts)}"

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: WorkerController) -> None:
        node.workerinput[_WORKER_KEY] = str(self.run.path)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Tests that have no golden of their own are refused at their setup, before any write.

        To stop the session here would end a worker without a word.
        """
        owners: dict[str, pytest.Item] = {}
        for item in items:
            if not asks_for_goldens(item):
                continue
            if not item.path.is_relative_to(self.config.rootpath):
                item.stash[REFUSED] = UsageError(
                    f"{item.path} lies outside of pytest's root {self.config.rootpath}: "
                    "its tests have no names of their own there, and so no goldens",
                    hint=f"add --rootdir={item.path.parent}",
                )
                continue
            from seedpin.goldens.names import golden_folder

            folder = golden_folder(node_of(item))
            other = owners.setdefault(folder, item)
            if other is not item:
                item.stash[REFUSED] = other.stash[REFUSED] = DuplicateGoldenError(
                    f"two tests would share the goldens in {self.settings.golden_dir}/{folder}: "
                    f"{node_of(other)} (at {_where(other)}) and {node_of(item)} (at {_where(item)})",
                    hint="rename one of them",
                )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        pinning = sys.modules.get("seedpin.pinning.pin")
        before = pinning.last_pin() if pinning is not None else None
        item.stash[ITEM] = AttemptState(
            attempt=self.attempts.number(item), pin_before=before, keep=self.attempts.keep
        )
        refused = item.stash.get(REFUSED, None)
        if refused is not None:
            pytest.fail(str(refused), pytrace=False)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Fails the test once, with all of its failing checks, after all have run."""
        __tracebackhide__ = True
        outcome = yield
        state = item.stash.get(ITEM, None)
        failing = state.failing() if state is not None else []
        if failing:
            raise GoldenMismatch(_messages(failing))
        return outcome

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        if call.excinfo is not None and isinstance(call.excinfo.value, SeedpinError):
            _show_the_callers_line(call.excinfo)
        report = yield
        note_node(item, report)
        state = item.stash.get(ITEM, None)
        if state is None:
            return report
        self._explain(None if call.excinfo is None else call.excinfo.value, state, report)
        if report.outcome != "passed":
            state.failed = True
        if call.when == "call":
            state.ran = report.outcome == "passed"  # also one that was expected to fail, and did not
        if call.when == "teardown":
            if state.ran and not state.failed:
                self._find_unchecked(item, state, report)
            self._hand_over(state, report)
            for result in state.results:
                self.config.stash[EARLIER].setdefault(result.id, []).append(result)
        elif report.outcome == "failed":
            # A plugin for reruns may drop the reports that come after this one.
            self._hand_over(state, report)
        if state.results and (call.when == "teardown" or report.outcome == "failed"):
            from seedpin.records import as_plain

            report.seedpin = [  # type: ignore[attr-defined]
                as_plain(result) for result in state.results
            ]
        if call.when == "teardown":
            state.release()
        return report

    def _explain(self, error: BaseException | None, state: AttemptState, report: pytest.TestReport) -> None:
        """A failed gate is told by its message alone; no other failure, skip or teardown hides it."""
        failing = state.failing()
        if report.when == "setup" and report.outcome == "passed":
            return
        state.told = len(state.results)
        if report.outcome == "failed":
            if type(error) is GoldenMismatch:
                report.longrepr = error.what
            elif failing and isinstance(report.longrepr, TerminalRepr):
                report.longrepr.addsection("seedpin", _messages(failing), "-")  # type: ignore[attr-defined]
            elif failing:
                report.longrepr = f"{report.longrepr}\n\n{_messages(failing)}"
        elif failing and not hasattr(report, "wasxfail"):
            report.outcome = "failed"
            report.longrepr = _messages(failing)

    def _find_unchecked(self, item: pytest.Item, state: AttemptState, report: pytest.TestReport) -> None:
        """A passed test that has goldens which it did not check fails; an update only says so."""
        from seedpin.checking.unchecked import find_unchecked

        update = self.config.stash[UPDATE]
        if update.collect or AGAINST in self.config.stash:
            return
        updating = update.mode is not None
        unchecked = find_unchecked(node_of(item), _where(item), state, self.settings, updating=updating)
        state.results += unchecked
        failing = [result for result in unchecked if not result.passed]
        if failing:
            report.outcome = "failed"
            report.longrepr = _messages(failing)
            report.seedpin_unchecked = True  # type: ignore[attr-defined]
            state.failed = True

    def _hand_over(self, state: AttemptState, report: pytest.TestReport) -> None:
        """Staged goldens of a test that has passed whole wait for the session's end; no others are written.

        What is gathered for another run is no golden, and is written at once.
        """
        if not state.staged:
            return
        written = "staged"
        if state.failed:
            written = "refused"
        elif self.config.stash[UPDATE].collect:
            from seedpin.goldens.store import GoldenStore

            store = GoldenStore(self.settings.golden_path, self.settings.state_path)
            try:
                store.write_goldens([waiting.golden for waiting in state.staged])
            except (SeedpinError, OSError) as error:
                report.outcome = "failed"
                report.longrepr = str(error)
                written = "refused"
            else:
                written = "created"
        else:
            from seedpin.records import as_plain

            report.seedpin_waiting = [  # type: ignore[attr-defined]
                as_plain(waiting) for waiting in state.staged
            ]
        for index, result in enumerate(state.results):
            if result.written == "staged":
                state.results[index] = dataclasses.replace(result, written=written)

    def pytest_sessionfinish(self) -> None:
        if self.is_worker and self.config.stash[UPDATE].mode is not None:
            release_memory()  # the fresh process comes next, and may need it

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self.is_worker:
            return
        records = getattr(report, "seedpin", ())
        if not records or hasattr(report, "seedpin_taken"):
            return
        from seedpin.records import as_record
        from seedpin.run.result import CheckResult

        # Each report of an attempt brings all of its results so far.
        key = (getattr(report, "worker_id", ""), node_of(report), records[0]["attempt"])
        for data in records[self._taken.get(key, 0) :]:
            self.take(as_record(CheckResult, data))
        self._taken[key] = len(records)

    def take(self, result: CheckResult) -> None:
        """Keeps a result of this session, in memory and in the run's folder."""
        self.results.append(result)
        try:
            if len(self.results) == 1:
                self._begin_run()
            self.run.write_result(result)
        except (OSError, ValueError) as error:  # a number that JSON cannot hold must not end the session
            self.not_kept = str(error)

    def _begin_run(self) -> None:
        if self.run.path.parent == self.settings.state_path / "runs":
            write_retention(self.settings.state_path, self.settings.keep_runs - 1, current=self.run)
        self.run.write_meta(
            RunMeta(
                run=self.run.id,
                seedpin=__version__,
                arguments=tuple(map(str, self.config.invocation_params.args)),
                golden_dir=self.settings.golden_dir,
                update=self.config.stash[UPDATE].mode,
                against=self.config.stash[AGAINST].commit if AGAINST in self.config.stash else None,
            )
        )

    def latest(self) -> list[CheckResult]:
        """The last record of each check, in an order that does not depend on workers."""
        if not self.results:
            return []  # a session without checks loads no records' library
        from seedpin.run.attempts import last_of_each

        last = last_of_each(self.results)
        return [last[key] for key in sorted(last)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.results:
            return
        from seedpin.report.terminal import (
            format_shared_places,
            format_summary,
            format_tally,
            format_ways_to_look,
            format_written,
        )

        results = self.latest()
        written = [result for result in results if result.written in {"created", "updated"}]
        refused = [result for result in results if result.written == "refused"]
        rows = format_summary(
            [result for result in results if result not in written and result.written != "new"]
        )
        notes = self.attempts.notes()
        if not rows and not written and not notes:
            return
        terminalreporter.section("seedpin", sep="=")
        for line in (*rows, *format_shared_places(results), *notes):
            terminalreporter.write_line(line)
        if written:
            proof = "" if self.birth is None else self.birth.proof()
            terminalreporter.write_line(f"{len(written)} golden(s) written:{proof}")
            for result in written:
                terminalreporter.write_line(f"  {format_written(result)}")
        known = {} if self.birth is None else self.birth.why_refused
        groups: dict[str, list[str]] = {}
        for result in refused:
            groups.setdefault(known.get(result.id, "their test did not pass"), []).append(result.golden)
        for why, goldens in groups.items():
            terminalreporter.write_line(f"{len(goldens)} golden(s) not written, because {why}:", red=True)
            for golden in goldens:
                terminalreporter.write_line(f"  {golden}")
        kept = sum(result.written == "kept" for result in results)
        if kept:
            terminalreporter.write_line(
                f"{kept} golden(s) kept though no check asked for them: seedpin prune --unchecked"
            )
        terminalreporter.write_line(f"{len(results)} check(s): {format_tally(results)}")
        if any(result.obtained for result in results):
            folder = self.settings.shown(self.run.path)
            terminalreporter.write_line(f"obtained clips and results: {folder}")
        look = format_ways_to_look(results, reported=bool(self.config.getoption("golden_report", False)))
        if look:
            terminalreporter.write_line(look)
        root = self.config.rootpath
        if rows and self.config.invocation_params.dir.resolve() != root.resolve():
            # Messages are kept, and read elsewhere too; so they name all from the root.
            terminalreporter.write_line(f"commands and paths above are meant from {root}")
        if self.not_kept:
            terminalreporter.write_line(f"results could not be kept: {self.not_kept}", red=True)


def _show_the_callers_line(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """An error of seedpin's ends at the user's line; what lies below is of no use to the user."""
    own = str(Path(__file__).parents[1])
    for entry in excinfo.traceback:
        if str(entry.path).startswith(own):
            # pytest builds the traceback anew, so that only what the frames say counts.
            entry.frame.f_globals.setdefault("__tracebackhide__", _is_hidden)


def _is_hidden(excinfo: pytest.ExceptionInfo[BaseException] | None) -> bool:
    error = None if excinfo is None else excinfo.value
    return isinstance(error, SeedpinError) and error.__cause__ is None


def _messages(failing: list[CheckResult]) -> str:
    return "\n\n".join(result.message for result in failing)


def _where(item: pytest.Item) -> str:
    path, line, _ = item.location
    return f"{Path(path).as_posix()}:{(line or 0) + 1}"
