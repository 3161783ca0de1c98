"""One Chromium for all browser tests, and a report to open in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seedpin.report.html import write_report
from seedpin.run.ledger import Run
from support.report_runs import demo_run
from support.tabs import Tabs

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"


def _unavailable(why: str) -> None:
    if os.environ.get("SEEDPIN_REQUIRE_BROWSER"):
        pytest.fail(f"SEEDPIN_REQUIRE_BROWSER is set, but {why}")
    pytest.skip(why)


# Of a module: playwright keeps an event loop running, under which no other test could start its own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium, from $SEEDPIN_CHROMIUM or where distributions put it."""
    found = os.environ.get("SEEDPIN_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _unavailable("playwright is not installed: pip install 'seedpin[test]'")
    if not found or not Path(found).is_file():
        _unavailable("there is no chromium: apt-get install chromium, or set SEEDPIN_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with every verdict."""
    return demo_run(tmp_path_factory.mktemp("project") / ".seedpin")


@pytest.fixture(scope="session")
def report(run: Run) -> Path:
    """Its report's index.html."""
    return write_report(run)


@pytest.fixture
def open_tab(chromium: Browser) -> Iterator[Tabs]:
    """``open_tab(path or address, hash)``; afterwards no page may have had an error or asked elsewhere."""
    tabs = Tabs(chromium)
    yield tabs
    for context in tabs.contexts:
        context.close()
    assert not tabs.problems


@pytest.fixture
def axe() -> str:
    """The source of axe-core."""
    if not AXE.is_file():
        _unavailable("axe-core is not installed: npm ci --prefix tests/browser")
    return AXE.read_text(encoding="utf-8")
