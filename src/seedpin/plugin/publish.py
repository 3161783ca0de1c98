"""The run's results for others: GitHub's summary and annotations, JUnit properties, pytest-html extras."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seedpin.errors import SeedpinError
from seedpin.plugin.stash_keys import CONFIG
from seedpin.printing import printable

if TYPE_CHECKING:
    from seedpin.run.ledger import Run
    from seedpin.run.result import CheckResult

CONTACT = "contact.png"


class Publisher:
    """Registered in the controller. ``results`` gives the last record of each check."""

    def __init__(self, config: pytest.Config, run: Run, results: Callable[[], list[CheckResult]]) -> None:
        self.run = run
        self.results = results
        self.report = bool(config.getoption("golden_report"))
        self.golden_root = config.stash[CONFIG].golden_path
        self.html = bool(getattr(config.option, "htmlpath", None))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "teardown" or not hasattr(report, "seedpin"):  # an earlier report is repeated there
            return
        from seedpin.records import as_record
        from seedpin.run.result import CheckResult

        results = [as_record(CheckResult, data) for data in report.seedpin]
        for result in results:
            report.user_properties += _properties(result)
        if self.html and results:
            extras: list[Any] = getattr(report, "extras", [])
            report.extras = [*extras, *_extras(self.run, results)]  # type: ignore[attr-defined]

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        results = self.results()
        if not results:
            return
        try:
            self._publish(results, terminalreporter)
        except (OSError, SeedpinError) as error:  # the verdicts above are worth more than their copies
            terminalreporter.write_line(f"results could not be published: {error}", red=True)

    def _publish(self, results: list[CheckResult], terminalreporter: pytest.TerminalReporter) -> None:
        if self.report:
            from seedpin.report.html import write_report

            terminalreporter.write_line(f"report: {write_report(self.run, golden_root=self.golden_root)}")
        from seedpin.report.github import summary, workflow_commands

        target = os.environ.get("GITHUB_STEP_SUMMARY")
        if target:
            failing = [result for result in results if not result.passed]
            contact = None
            sheet = _contact(self.run, failing)
            if sheet is not None:
                contact = f"{self.run.path.name}/{CONTACT}"
                (self.run.path / CONTACT).write_bytes(sheet)
            text = summary(results, run_folder=f".seedpin/runs/{self.run.id}", contact=contact)
            with Path(target).open("a", encoding="utf-8") as stream:
                stream.write(text)
        if os.environ.get("GITHUB_ACTIONS") == "true":
            for line in workflow_commands(results):
                terminalreporter.write_line(line)


def _properties(result: CheckResult) -> list[tuple[str, object]]:
    """JUnit properties; several checks of a test are told apart by the check's name."""
    name = f"seedpin.{printable(result.check)}"
    properties: list[tuple[str, object]] = [(f"{name}.verdict", result.verdict)]
    properties += [(f"{name}.device_class", printable(result.device_class)), (f"{name}.seed", result.seed)]
    worst = {} if result.metrics is None else result.metrics.worst
    return properties + [
        (f"{name}.worst_{printable(metric)}", entry.value) for metric, entry in sorted(worst.items())
    ]


def _extras(run: Run, results: list[CheckResult]) -> list[Any]:
    from pytest_html import extras

    failing = [result for result in results if not result.passed]
    shown = [
        extras.text(printable(result.message, lines=True), name=f"seedpin {printable(result.check)}")
        for result in failing
    ]
    sheet = _contact(run, failing)
    if sheet is not None:
        shown.append(extras.png(base64.b64encode(sheet).decode("ascii"), name="worst frames"))
    return shown


def _contact(run: Run, results: list[CheckResult]) -> bytes | None:
    """The contact sheet of these checks as PNG."""
    if not any(result.obtained for result in results):
        return None
    from seedpin.report.contact_sheet import contact_sheet

    sheet = contact_sheet(run, results)
    if sheet is None:
        return None
    stream = io.BytesIO()
    sheet.save(stream, format="PNG")
    return stream.getvalue()
