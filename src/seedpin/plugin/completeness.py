"""Whether a run covered everything: only then does it tell which goldens are unused."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seedpin.plugin.nodes import node_of
from seedpin.plugin.stash_keys import AGAINST, RUN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xdist.workermanage import WorkerController

    from seedpin.plugin.session import SeedpinSession

_KEY = "seedpin_partial"
_HIDING = {
    "lf": "--lf was given",
    "ignore": "--ignore was given",
    "ignore_glob": "--ignore-glob was given",
    "noconftest": "--noconftest was given",
    "confcutdir": "--confcutdir was given",
    "inifilename": "another configuration file was given (-c)",
}
# What a configuration says of which files and names are tests; on the command line it is not the project's.
_COLLECTING = frozenset(
    {
        *("python_files", "python_classes", "python_functions", "testpaths", "norecursedirs"),
        *("collect_imported_tests", "addopts"),
    }
)

# Options that are known to choose no parameters of tests; of others, a conftest's say, nobody knows.
_PLAIN = re.compile(
    r"-[qvsxrnpWoc].*|--(golden|seedpin|update-golden|cov|reruns|randomly|junit|html|durations|color|tb|show|log)"
    r"(-.*)?|--(junitxml|capture|maxfail|exitfirst|strict.*|no-header|no-summary|dist|numprocesses|tx|verbose"
    r"|quiet|verbosity|rootdir|config-file|override-ini|self-contained-html|report-log|basetemp|full-trace)"
)


class Completeness:
    """Adds what a run saw to ``run.json`` at a session's end; ``seedpin prune`` decides by it.

    ``complete`` and ``partial_because`` tell whether it covered everything. ``skipped`` holds node ids of
    tests, modules and folders that did not run; ``claimed`` the goldens that checks asked for, without
    extension and relative to the golden folder. Of files that have goldens, ``files`` are those that were
    collected, ``collected`` all tests in them, before any plugin dropped some, ``passed`` those that passed.
    ``own_options`` are given options of which nobody knows whether they choose parameters of tests.
    """

    def __init__(self, session: SeedpinSession) -> None:
        self._session = session
        self._config = session.config
        self._deselected = 0
        self._skipped: set[str] = set()
        self._files: set[str] = set()
        self._collected: set[str] = set()
        self._passed: set[str] = set()

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        self._collected.add(node_of(item))

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self._deselected += len(items)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._skipped.add(node_of(report))
        elif report.passed and node_of(report) and "::" not in node_of(report):
            self._files.add(node_of(report))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            self._skipped.add(node_of(report))
        elif report.passed and report.when == "call":
            self._passed.add(node_of(report))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerController, error: object) -> None:
        """What a worker saw while it collected; all workers collect the same."""
        seen: dict[str, Any] = (getattr(node, "workeroutput", None) or {}).get(_KEY, {})
        self._deselected = max(self._deselected, seen.get("deselected", 0))
        self._skipped.update(seen.get("skipped", ()))
        self._files.update(seen.get("files", ()))
        self._collected.update(seen.get("collected", ()))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._session.is_worker:
            output = self._config.workeroutput  # type: ignore[attr-defined]  # xdist's
            files, collected = self._with_goldens()
            output[_KEY] = {
                "deselected": self._deselected,
                "skipped": sorted(self._skipped),
                "files": sorted(files),
                "collected": sorted(collected),
            }
            return
        if not self._session.results:
            return
        reasons = self._reasons(int(session.exitstatus))
        from seedpin.goldens.names import check_stem, golden_folder

        claimed = set()
        for result in self._session.results:
            if result.verdict == "unchecked":
                continue
            claimed.add(f"{golden_folder(result.test)}/{check_stem(result.check, result.device_class)}")
            claimed.add(result.golden.removesuffix(".json"))
        files, collected = self._with_goldens()
        run = self._config.stash[RUN]
        meta = dataclasses.replace(
            run.read_meta(),
            complete=not reasons,
            partial_because=tuple(reasons),
            skipped=tuple(sorted(self._skipped)),
            claimed=tuple(sorted(claimed)),
            files=tuple(sorted(files)),
            collected=tuple(sorted(collected)),
            passed=tuple(sorted(self._passed & collected)),
            own_options=tuple(self._own_options()),
        )
        try:
            run.write_meta(meta)
        except OSError as error:
            self._session.not_kept = str(error)

    def _with_goldens(self) -> tuple[set[str], set[str]]:
        """Collected files that have goldens, and the tests in them."""
        from seedpin.goldens.names import golden_folder

        root = self._session.settings.golden_path
        files = {name for name in self._files if (root / golden_folder(name)).is_dir()}
        return files, {node for node in self._collected if node.partition("::")[0] in files}

    def _own_options(self) -> list[str]:
        given = [*self._config.invocation_params.args, *os.environ.get("PYTEST_ADDOPTS", "").split()]
        names = {str(one).partition("=")[0] for one in given if str(one).startswith("-")}
        return sorted(name for name in names if not _PLAIN.fullmatch(name))

    def _reasons(self, exitstatus: int) -> list[str]:
        config = self._config
        reasons = []
        if exitstatus != 0:
            reasons.append(f"it did not pass (exit status {exitstatus})")
        if self._deselected:
            reasons.append(f"{self._deselected} test(s) were deselected (-k, -m, --deselect or a plugin)")
        if AGAINST in config.stash:
            reasons.append("it was held against another revision, not against goldens")
        reasons += [text for name, text in _HIDING.items() if config.getoption(name, None)]
        overridden = {
            str(entry).partition("=")[0].strip() for entry in config.getoption("override_ini") or ()
        }
        reasons += [f"-o {name} was given" for name in sorted(overridden & _COLLECTING)]
        if config.getoption("rootdir", None) and config.rootpath.resolve() != _home(config):
            reasons.append("another --rootdir was given")
        if not self._covers_all():
            reasons.append(f"only {' '.join(map(str, config.args))} was asked for")
        return reasons

    def _covers_all(self) -> bool:
        """Whether pytest was started for the whole project: without paths, or with its root or testpaths."""
        config = self._config
        base = config.invocation_params.dir
        asked = {(base / Path(str(argument))).resolve() for argument in config.args}
        root = config.rootpath.resolve()
        whole = {(root / str(path)).resolve() for path in config.getini("testpaths")} or {root}
        return root in asked or whole <= asked


def _home(config: pytest.Config) -> Path:
    """Where pytest would have found its root by itself, as far as that is plain to see."""
    return config.inipath.parent.resolve() if config.inipath is not None else config.invocation_params.dir
