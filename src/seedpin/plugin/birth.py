"""The session's end: what waits to become a golden is obtained once more by a fresh process, then written."""

from __future__ import annotations

import dataclasses
import gc
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

from seedpin.errors import SeedpinError, UnprovedError
from seedpin.plugin.nodes import node_of
from seedpin.plugin.stash_keys import AGAINST

if TYPE_CHECKING:
    from seedpin.checking.proof import Proof
    from seedpin.checking.waiting import Waiting
    from seedpin.plugin.session import SeedpinSession
    from seedpin.run.result import CheckResult

_INTERRUPTED = "the session was interrupted"


class Birth:
    """Registered in the controller only: under xdist, too, one fresh process serves the whole session.

    All goldens of a test are written, or none. One that is refused is a failure of its test's teardown, so
    that every reporter tells it and the session ends red.
    """

    def __init__(self, session: SeedpinSession) -> None:
        self._session = session
        self._config = session.config
        self._waiting: dict[str, list[Waiting]] = {}
        self._locations: dict[str, tuple[str, int | None, str]] = {}
        self._stopped = ""
        self._proved = False
        self.why_refused: dict[str, str] = {}
        """By the check's id, why a golden was refused though its test had passed."""

    def proof(self) -> str:
        """The end of the line that says how many goldens were written."""
        return " proved in a fresh process" if self._proved else ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "teardown":
            return
        waiting = getattr(report, "seedpin_waiting", None)
        self._waiting.pop(node_of(report), None)  # of an attempt before this one
        if waiting:
            from seedpin.checking.waiting import Waiting
            from seedpin.records import as_record

            self._waiting[node_of(report)] = [as_record(Waiting, data) for data in waiting]
            self._locations[node_of(report)] = report.location

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        # pytest ends a run in the same way after --stepwise, or after -x under xdist: that is no interrupt.
        if not isinstance(excinfo.value, pytest.Session.Interrupted):
            self._stopped = _INTERRUPTED

    def pytest_internalerror(self) -> None:
        self._stopped = "pytest ended with an internal error"

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if AGAINST in self._config.stash and self._session.settings.probe == "fresh" and not self._stopped:
            try:
                self._question_changes()
            except KeyboardInterrupt:
                session.exitstatus = pytest.ExitCode.INTERRUPTED
        if not self._waiting:
            return
        if self._stopped:
            self._refuse_all(self._stopped)
            return
        self._drop_what_did_not_pass()
        try:
            failed = self._bear()
        except KeyboardInterrupt:
            self._refuse_all(_INTERRUPTED)
            session.exitstatus = pytest.ExitCode.INTERRUPTED
            self._config.hook.pytest_keyboard_interrupt(excinfo=pytest.ExceptionInfo.from_current())
            return
        if failed and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _question_changes(self) -> None:
        """Where another revision gives other bits, a fresh process tells whether the code of here repeats."""
        from seedpin.checking.waiting import Waiting
        from seedpin.goldens.store import GoldenKey, StagedGolden

        changed: dict[str, list[tuple[CheckResult, Waiting]]] = {}
        for result in self._session.latest():
            if result.verdict == "changed" and result.obtained is not None:
                key = GoldenKey(result.test, result.check, result.device_class)
                kept = Waiting(StagedGolden(self._session.run.path / result.obtained, key, None))
                changed.setdefault(result.test, []).append((result, kept))
        if not changed:
            return
        count = sum(map(len, changed.values()))
        entries = {test: [kept for _, kept in pairs] for test, pairs in changed.items()}
        try:
            proofs = self._proofs(entries, f"{count} check(s) changed")
        except (SeedpinError, OSError) as error:
            self._announce(f"it is not known whether what changed repeats: {error}")
            return
        for test, pairs in changed.items():
            for (result, _), proof in zip(pairs, proofs[test], strict=True):
                if proof.differs:
                    self._session.take(self._unstable(result, proof))
                    self._announce(f"{result.id} is unstable, not changed: {' '.join(proof.reasons)}")

    def _drop_what_did_not_pass(self) -> None:
        """Tests of which another check failed, or whose attempts do not agree: that is told elsewhere."""
        failing = {result.test for result in self._session.latest() if not result.passed}
        for test in failing & self._waiting.keys():
            for result in self._results(test):
                self._session.take(dataclasses.replace(result, written="refused"))
            del self._waiting[test]

    def _bear(self) -> bool:
        """Proves and writes; whether anything was refused."""
        from seedpin.checking.proof import waits_for_a_fresh_process

        tests = dict(self._waiting)
        failed = False
        try:
            asked = {
                test: entries
                for test, entries in tests.items()
                if any(waits_for_a_fresh_process(entry) for entry in entries)
            }
            count = sum(map(len, asked.values()))
            proofs = self._proofs(asked, f"{count} golden(s) wait to be born") if asked else {}
            self._proved = bool(asked)
        except (SeedpinError, OSError) as error:
            for test, entries in tests.items():
                self._refuse(test, entries, str(error))
            return True
        for test, entries in tests.items():
            failed |= not self._one(test, entries, proofs.get(test, ()))
            self._waiting.pop(test, None)
        return failed

    def _proofs(self, tests: Mapping[str, Sequence[Waiting]], what: str) -> dict[str, list[Proof]]:
        """What one fresh process says of all of them; ``what`` says why. Raises ModelError, OSError."""
        from seedpin.checking.fresh import fresh_run
        from seedpin.checking.proof import prove
        from seedpin.plugin.fresh_start import same_start

        settings = self._session.settings
        self._announce(f"{what}: their {len(tests)} test(s) run again in a fresh process ...")
        release_memory()
        scratch = self._session.run.path / "fresh"
        scratch.mkdir(parents=True, exist_ok=True)
        files = dict.fromkeys(str(settings.root / test.partition("::")[0]) for test in tests)
        start = same_start(self._config, scratch)
        with fresh_run(settings, list(files), start=start, only=list(tests), scratch=scratch) as fresh:
            return {test: [prove(entry, fresh) for entry in entries] for test, entries in tests.items()}

    def _one(self, test: str, entries: Sequence[Waiting], proofs: Sequence[Proof]) -> bool:
        """Writes the goldens of one test, or refuses them all; whether they were written."""
        from seedpin.checking.proof import write_born
        from seedpin.goldens.store import GoldenStore

        if any(proof.reasons for proof in proofs):
            self._tell_unproved(test, entries, proofs)
            return False
        settings = self._session.settings
        try:
            for entry, proof in zip(entries, proofs, strict=False):  # none without a fresh process
                write_born(entry, proof.born)
            GoldenStore(settings.golden_path, settings.state_path).write_goldens(
                [entry.golden for entry in entries]
            )
        except (SeedpinError, OSError) as error:
            self._refuse(test, entries, str(error))
            return False
        self._keep_written(test)
        return True

    def _keep_written(self, test: str) -> None:
        for result in self._results(test):
            final = "created" if result.golden_digest is None else "updated"
            self._session.take(dataclasses.replace(result, written=final))

    def _tell_unproved(self, test: str, entries: Sequence[Waiting], proofs: Sequence[Proof]) -> None:
        from seedpin.plugin.fresh_start import typed_command

        proofs_by_check = {
            entry.golden.key.check: proof for entry, proof in zip(entries, proofs, strict=True)
        }
        told, records = [], []
        for result in self._results(test):
            proof = proofs_by_check[result.check]
            if not proof.reasons:
                records.append(self._unwritten(result))
                continue
            if not proof.differs:
                error = UnprovedError(
                    f"{result.id}: {proof.reasons[0]} No golden of this test was written.",
                    hint=f"{typed_command(self._config)} {shlex.quote(test)}, alone and in a new process, "
                    "must pass. There the tests ran in reverse order: if it needs one before it, make what "
                    "both need in a fixture, or prove its goldens in this process: --golden-probe=twice",
                )
                told.append(str(error))
                records.append(self._unwritten(result))
                continue
            records.append(self._unstable(result, proof))
            told.append(records[-1].message)
        self._fail(test, "\n\n".join(told), records)

    def _unstable(self, result: CheckResult, proof: Proof) -> CheckResult:
        from seedpin.run.message import format_failure

        settings = self._session.settings
        unstable = dataclasses.replace(
            result, verdict="unstable", written=None, reasons=proof.reasons, divergence=proof.divergence
        )
        message = format_failure(
            dataclasses.replace(unstable, divergence=None),  # it is among the reasons
            golden_dir=settings.golden_dir,
            run_folder=settings.shown(self._session.run.path),
            hint=f"seedpin probe {shlex.quote(result.test)}",
        )
        return dataclasses.replace(unstable, message=message)

    def _refuse(self, test: str, entries: Sequence[Waiting], why: str) -> None:
        records = [self._unwritten(result, "of the errors above") for result in self._results(test)]
        self._fail(test, why, records)

    def _unwritten(self, result: CheckResult, why: str = "it is not known that they repeat") -> CheckResult:
        self.why_refused[result.id] = why
        return dataclasses.replace(result, written="refused")

    def _refuse_all(self, why: str) -> None:
        """Nothing more is written, and that is said; what ended the session is told by pytest."""
        count = 0
        for test, entries in self._waiting.items():
            if self._are_written(entries):  # the interrupt came right after
                self._keep_written(test)
                continue
            for result in self._results(test):
                self._session.take(self._unwritten(result))
                count += 1
        self._waiting = {}
        if count:
            self._announce(f"{count} golden(s) not written: {why} before they were known to repeat")

    def _are_written(self, entries: Sequence[Waiting]) -> bool:
        from seedpin.goldens.store import digest_or_none

        for golden in (entry.golden for entry in entries):
            place = self._session.settings.golden_path / f"{golden.key.stem}.json"
            if digest_or_none(place) != digest_or_none(golden.staged):
                return False
        return True

    def _results(self, test: str) -> Iterable[CheckResult]:
        return [
            result for result in self._session.latest() if result.test == test and result.written == "staged"
        ]

    def _fail(self, test: str, message: str, records: Sequence[CheckResult]) -> None:
        """A report as of a teardown that failed: terminal, JUnit and ``--lf`` know what to do with it."""
        for record in records:
            self._session.take(record)
        from seedpin.records import as_plain

        report = pytest.TestReport(
            nodeid=test,
            location=self._locations[test],
            keywords={},
            outcome="failed",
            longrepr=message,
            when="teardown",
            seedpin=[as_plain(record) for record in records],
            seedpin_taken=True,
        )
        self._config.hook.pytest_runtest_logreport(report=report)

    def _announce(self, text: str) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            if reporter._tw.width_of_current_line:  # under xdist pytest does not know of its own dots
                reporter.line("")
            reporter.write_line(f"seedpin: {text}")


def release_memory() -> None:
    """Gives memory of accelerators that nothing uses any more back, for a process that needs it next."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    gc.collect()
    for name in ("cuda", "xpu"):
        backend = getattr(torch, name, None)
        if backend is not None and backend.is_available() and backend.is_initialized():
            backend.empty_cache()
