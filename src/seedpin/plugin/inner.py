"""The plugin of a pytest that seedpin starts: which tests run, what comes of them, and whose code it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seedpin.goldens.names import split_node_id
from seedpin.inner import InnerOutcome, InnerReport, InnerTree, read_request, write_report
from seedpin.plugin.nodes import asks_for_goldens, node_of
from seedpin.process import REQUEST_VARIABLE
from seedpin.revisions.import_paths import imported_from


class InnerSession:
    """Registered in the controller and in each xdist worker. ``path`` is the request's file."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self._folder = path.parent
        self._request = read_request(path)
        self._is_worker = hasattr(config, "workerinput")
        self._collected: tuple[str, ...] = ()
        self._outcomes: dict[str, InnerOutcome] = {}
        self._errors: dict[str, str] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        request, tree = self._request, self._request.tree
        selected = {node_of(item): item for item in items if tree is None or _is_selected(item, tree)}
        self._collected = tuple(selected)
        wanted = selected.keys() if request.wanted is None else selected.keys() & set(request.wanted)
        kept = [selected[node] for node in selected if node in wanted and node not in request.known]
        dropped = set(items) - set(kept)
        if dropped:
            config.hook.pytest_deselected(items=[item for item in items if item in dropped])
        items[:] = reversed(kept) if request.reverse else kept

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._errors[node_of(report)] = _last_line(report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._is_worker:
            return
        node = node_of(report)
        known = self._outcomes.setdefault(node, InnerOutcome("passed"))
        if report.outcome == "rerun" or (report.when == "setup" and report.passed):  # type: ignore[comparison-overlap]
            self._outcomes[node] = InnerOutcome("passed")
        elif report.failed and known.outcome != "failed":
            self._outcomes[node] = InnerOutcome("failed", _last_line(report.longreprtext))
        elif report.skipped and known.outcome == "passed":
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
            self._outcomes[node] = InnerOutcome("skipped", str(reason))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        tree = self._request.tree
        imports = {} if tree is None else imported_from(tree.here)
        outcomes = {} if self._is_worker else self._outcomes
        write_report(self._folder, InnerReport(self._collected, outcomes, self._errors, imports))


def register(config: pytest.Config) -> None:
    """Registers the plugin; the environment says where the request is."""
    config.pluginmanager.register(InnerSession(config, Path(os.environ[REQUEST_VARIABLE])), "seedpin-inner")


def _is_selected(item: pytest.Item, tree: InnerTree) -> bool:
    """Whether a test in another work tree has goldens, and is one of those that the arguments mean."""
    if not asks_for_goldens(item):
        return False
    path, top = item.path.resolve(), tree.tree
    if tree.selections is None or not path.is_relative_to(top):
        return True
    relative = path.relative_to(top).as_posix()
    # The file stands before the first "::"; only the names after it matter here.
    _, separator, rest = node_of(item).partition("::")
    names = split_node_id(f"x{separator}{rest}")[1:]
    return any(selection.holds(relative, names) for selection in tree.selections)


def _last_line(text: str) -> str:
    """The line of a traceback that says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line.removeprefix("E").strip() for line in lines if line.startswith("E  ")]
    return (said or lines or ["no reason was given"])[0 if said else -1]
