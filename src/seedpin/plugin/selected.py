"""The plugin of a process that runs chosen tests again: only these run, and why one did not pass is told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from seedpin.checking.fresh import PROBLEMS, WANTED
from seedpin.plugin.nodes import node_of
from seedpin.process import SELECTED_VARIABLE


class Selected:
    """Node ids come as a file: there may be more of them than a command line holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._wanted = frozenset(json.loads((folder / WANTED).read_text(encoding="utf-8")))
        self._problems: dict[str, str] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        dropped = [item for item in items if node_of(item) not in self._wanted]
        if dropped:
            config.hook.pytest_deselected(items=dropped)
        # In reverse: a test that needs what another one left in a shared model does not find it here.
        items[:] = [item for item in reversed(items) if node_of(item) in self._wanted]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._problems[node_of(report)] = last_line(report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._problems.setdefault(node_of(report), f"it failed: {last_line(report.longreprtext)}")
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
            self._problems.setdefault(node_of(report), f"it was skipped: {reason}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        text = json.dumps(self._problems)
        (self._folder / PROBLEMS).write_text(text, encoding="utf-8")


def register(config: pytest.Config) -> None:
    """Registers the plugin where the environment asks for it."""
    folder = os.environ.get(SELECTED_VARIABLE)
    if folder:
        config.pluginmanager.register(Selected(Path(folder)), "seedpin-selected")


def last_line(text: str) -> str:
    """The line of a traceback that says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line.removeprefix("E").strip() for line in lines if line.startswith("E  ")]
    return (said or lines or ["no reason was given"])[0 if said else -1]
