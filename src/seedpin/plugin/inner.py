"""The plugin of a pytest in another work tree: which tests run, what comes of them, whose code it is."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from seedpin.goldens.names import split_node_id
from seedpin.plugin.nodes import asks_for_goldens, node_of
from seedpin.plugin.selected import last_line
from seedpin.revisions.import_paths import is_project_file
from seedpin.revisions.inner_request import InnerRequest, read_request


class InnerSession:
    """Registered in the controller and in each xdist worker."""

    def __init__(self, config: pytest.Config, request: InnerRequest) -> None:
        self.config = config
        self.request = request
        self.out = Path(request.out)
        self.is_worker = hasattr(config, "workerinput")
        self.outcomes: dict[str, dict[str, str]] = {}
        self.errors: dict[str, str] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        selected = [item for item in items if self._selected(item) and asks_for_goldens(item)]
        self._write("collected", [node_of(item) for item in selected])
        wanted, known = self.request.wanted, set(self.request.known)
        kept = {
            item
            for item in selected
            if node_of(item) not in known and (wanted is None or node_of(item) in set(wanted))
        }
        dropped = [item for item in items if item not in kept]
        if dropped:
            config.hook.pytest_deselected(items=dropped)
            items[:] = [item for item in items if item in kept]

    def _selected(self, item: pytest.Item) -> bool:
        if self.request.selections is None:
            return True
        path = item.path.resolve()
        tree = Path(self.request.tree)
        if not path.is_relative_to(tree):
            return True
        relative = path.relative_to(tree).as_posix()
        # The file stands before the first "::"; only the names after it matter here.
        _, separator, rest = node_of(item).partition("::")
        names = split_node_id(f"x{separator}{rest}")[1:]
        return any(selection.holds(relative, names) for selection in self.request.selections)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors[node_of(report)] = last_line(report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self.is_worker:
            return
        node = node_of(report)
        entry = self.outcomes.setdefault(node, {"outcome": "passed", "error": ""})
        if report.outcome == "rerun" or (report.when == "setup" and report.passed):  # type: ignore[comparison-overlap]
            self.outcomes[node] = {"outcome": "passed", "error": ""}
        elif report.failed and entry["outcome"] != "failed":
            self.outcomes[node] = {"outcome": "failed", "error": last_line(report.longreprtext)}
        elif report.skipped and entry["outcome"] == "passed":
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
            self.outcomes[node] = {"outcome": "skipped", "error": str(reason)}

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        self._write("imports", imported_from(Path(self.request.here)))
        if self.errors:
            self._write("errors", self.errors)
        if not self.is_worker:
            self._write("outcomes", self.outcomes)

    def _write(self, what: str, data: Any) -> None:
        path = self.out / f"{what}-{os.getpid()}.json"
        path.write_text(json.dumps(data), encoding="utf-8")


def register(config: pytest.Config) -> None:
    """Registers the plugin. The environment variable that names the request must be set."""
    config.pluginmanager.register(InnerSession(config, read_request()), "seedpin-inner")


def imported_from(top: Path) -> dict[str, str]:
    """Modules of this process whose file is project code of ``top``, with the file."""
    imported = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and is_project_file(Path(file).resolve(), top):
            imported[name] = file
    return imported
