"""``--golden-against`` in a session: the run at the revision comes first, and the summary tells."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seedpin.config import Config
from seedpin.errors import SeedpinError, UpdateRefusedError, UsageError
from seedpin.git import is_dirty, merge_base, resolve_commit, short
from seedpin.plugin.fresh_start import invocation_of
from seedpin.plugin.nodes import asks_for_goldens, node_of
from seedpin.plugin.stash_keys import AGAINST
from seedpin.printing import printable
from seedpin.revisions.against import Against
from seedpin.revisions.cache import read_index
from seedpin.revisions.results import RevisionContext, revision_context, run_missing
from seedpin.revisions.worktree import describe
from seedpin.run.result import CheckResult

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

_KEY = "seedpin_against"


def compared_settings(config: pytest.Config, settings: Config) -> Config:
    """Sets up the comparison with ``--golden-against`` and returns the settings that hold in it.

    Raises UpdateRefusedError with ``--update-golden``, UsageError where there is nothing to compare,
    RevisionError for a revision that git does not know.
    """
    if config.getoption("update_golden") is not None:
        raise UpdateRefusedError(
            "--golden-against compares with a revision and --update-golden writes goldens: both at once "
            "would accept what was never compared",
            hint="leave one of them out",
        )
    if config.getoption("golden_attribute"):
        raise UsageError(
            "--golden-attribute asks about stored goldens, and --golden-against does not read them",
            hint="leave one of them out",
        )
    exact = dataclasses.replace(settings, trace="modules", tolerance={}, fallback={})
    worker_input = getattr(config, "workerinput", None)
    if worker_input is not None:
        label, commit, folder = worker_input[_KEY]
        against = Against(label, commit, Path(folder))
    else:
        context = revision_context(exact, invocation_of(config))
        label, commit = _revision(context.top, config.getoption("golden_against"))
        against = Against(label, commit, context.cache(commit))
        config.pluginmanager.register(AgainstSession(config, context, against), "seedpin-against")
    config.stash[AGAINST] = against
    golden = against.folder / "golden"
    return dataclasses.replace(exact, golden_dir=golden.relative_to(settings.root).as_posix())


def _revision(top: Path, ref: str) -> tuple[str, str]:
    """Label and commit of a revision; of the merge base with the main branch for the empty one."""
    if ref:
        commit = resolve_commit(top, ref)
        return describe(ref, commit), commit
    commit, branch = merge_base(top)
    if commit == resolve_commit(top, "HEAD") and not is_dirty(top):
        raise UsageError(
            f"HEAD is where it left {branch} ({short(commit)}) and nothing is uncommitted: "
            "there is nothing to compare",
            hint="name a revision: pytest --golden-against=HEAD~1",
        )
    return f"{branch} at {short(commit)}", commit


class AgainstSession:
    """Registered in the controller only."""

    def __init__(self, config: pytest.Config, context: RevisionContext, against: Against) -> None:
        self.config = config
        self.context = context
        self.against = against
        self.here: set[str] = set()
        self.passed: set[str] = set()
        self.cut_short = False

    def pytest_report_header(self) -> str:
        return f"seedpin: compared with {self.against.label} on this machine; stored goldens are not read"

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: WorkerController) -> None:
        node.workerinput[_KEY] = [self.against.label, self.against.commit, str(self.against.folder)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Under xdist only the workers know the tests, so the revision runs what the arguments select."""
        if self._is_distributed() and not self.config.option.collectonly:
            self._prepare(None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        if self._is_distributed() or self.config.option.collectonly or session.testsfailed:
            return
        self.here.update(node_of(item) for item in session.items)
        self._prepare([node_of(item) for item in session.items if asks_for_goldens(item)])

    def _is_distributed(self) -> bool:
        return self.config.pluginmanager.hasplugin("dsession")

    def _prepare(self, wanted: Sequence[str] | None) -> None:
        try:
            run_missing(self.context, self.against.commit, wanted, self._announce)
        except SeedpinError as error:
            raise pytest.UsageError(str(error)) from error

    def _announce(self, text: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(f"seedpin: {self.against.label}: {text}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.here.add(node_of(report))
        if report.when == "call" and report.passed:
            self.passed.add(node_of(report))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """A session that compared nothing does not end green."""
        self.cut_short = bool(session.shouldstop or session.shouldfail) or exitstatus not in (0, 1)
        if exitstatus == pytest.ExitCode.OK and not self.config.option.collectonly and not self._compared():
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED

    def _results(self) -> list[CheckResult]:
        plugin: Any = self.config.pluginmanager.get_plugin("seedpin-session")
        results: list[CheckResult] = plugin.latest()
        return results

    def _compared(self) -> list[CheckResult]:
        return [result for result in self._results() if result.verdict != "missing"]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.config.option.collectonly:
            return
        results = self._results()
        blind = [result for result in results if result.verdict == "missing" and result.written != "new"]
        new = [result.id for result in results if result.written == "new"]
        compared = self._compared()
        same = sum(result.verdict == "identical" for result in compared)
        terminalreporter.section("seedpin: against another revision", sep="-")
        write = terminalreporter.write_line
        if compared:
            write(f"{same} of {len(compared)} check(s) identical to {self.against.label} on this machine")
        else:
            write(f"nothing was compared with {self.against.label}", red=True)
        for title, names in (
            ("could not be compared", [f"{result.id}: {' '.join(result.reasons)}" for result in blind]),
            ("only here: new, nothing to compare", new),
            (f"only in {self.against.short}: gone", self._gone(results)),
        ):
            if names:
                write(f"{title} ({len(names)}):")
                for name in names:
                    write(printable(f"  {name}"))

    def _gone(self, results: Sequence[CheckResult]) -> list[str]:
        """Tests that the same arguments select there and not here, and checks of tests that pass here."""
        if self.cut_short:
            return []
        index = read_index(self.against.folder)
        tests = index.selections.get(self.context.selection_key(), ())
        gone = [name for name in tests if name not in self.here]
        checked = {result.id for result in results}
        for name in sorted(self.passed):
            known = index.tests.get(name)
            for check in known.checks if known is not None else ():
                if f"{name}::{check}" not in checked:
                    gone.append(f"{name}::{check}")
        return gone
