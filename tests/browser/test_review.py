"""The real review server driven in a browser: buttons change files, the picture for the docs is made here."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seedpin.run.decide import ProjectFolders
from seedpin.run.ledger import Run
from support.commands import files_below
from support.report_runs import demo_run
from support.tabs import Tabs

pytest.importorskip("starlette", reason="the review server's libraries: pip install 'seedpin[review]'")
pytest.importorskip("uvicorn", reason="the review server's libraries: pip install 'seedpin[review]'")

from seedpin.review.server import Review
from support.reviewing import serving

BALL = "tests/test_text_to_video.py::test_red_ball[wan-480p]::video"


@pytest.fixture
def folders(tmp_path: Path) -> ProjectFolders:
    """A project whose last run has every verdict, with the goldens that it was held against."""
    run = demo_run(tmp_path / ".seedpin")
    shutil.copytree(run.path / "golden", tmp_path / "golden")
    return ProjectFolders(tmp_path, tmp_path / "golden", tmp_path / ".seedpin")


@pytest.fixture
def review(folders: ProjectFolders) -> Iterator[Review]:
    run = Run(next((folders.state / "runs").iterdir()))
    with serving(run, folders) as server:
        yield server


def test_accept_and_undo_act_on_files(open_tab: Tabs, review: Review, folders: ProjectFolders) -> None:
    """From the printed address: accept with a reason writes the golden, undo restores every byte."""
    before = files_below(folders.golden_root)
    host = f"http://127.0.0.1:{review.guard.port}/"
    page = open_tab(host, review.guard.url.removeprefix(host))
    progress = page.locator("#progress-text")
    progress.filter(has_text="0 of 6 decided").wait_for()
    assert "token" not in page.url
    page.goto(f"{host}#/1")
    page.locator("main h2", has_text="test_red_ball").wait_for()
    page.keyboard.press("a")
    page.get_by_role("alert").filter(has_text="Say why").wait_for()
    page.keyboard.type("another sampler")
    page.keyboard.press("Enter")
    progress.filter(has_text="1 of 6 decided").wait_for()
    after = files_below(folders.golden_root)
    assert [name for name in after if after[name] != before.get(name)] != []
    assert b"another sampler" in b"".join(after.values())
    page.keyboard.press("u")
    progress.filter(has_text="0 of 6 decided").wait_for()
    assert files_below(folders.golden_root) == before


def first_check(open_tab: Tabs, review: Review) -> Any:
    """The page of the first check, undecided."""
    host = f"http://127.0.0.1:{review.guard.port}/"
    page = open_tab(host, review.guard.url.removeprefix(host))
    page.locator("#progress-text", has_text="0 of 6").wait_for()
    page.goto(f"{host}#/1")
    page.locator("main h2", has_text="test_red_ball").wait_for()
    return page


def test_reject_is_kept_with_the_run(open_tab: Tabs, review: Review, folders: ProjectFolders) -> None:
    """Reject changes no golden; after a reload the decision is still shown."""
    before = files_below(folders.golden_root)
    page = first_check(open_tab, review)
    page.keyboard.press("r")
    page.locator("#progress-text", has_text="1 of 6").wait_for()
    assert review.decisions.run.decisions()[BALL].decision == "reject"
    page.reload()
    page.locator("#decision", has_text="Rejected").wait_for()
    assert files_below(folders.golden_root) == before


def test_a_refusal_is_shown_with_both_digests(
    open_tab: Tabs, review: Review, folders: ProjectFolders
) -> None:
    """A golden that changed while somebody was looking is not replaced, and the page says so."""
    for manifest in folders.golden_root.rglob("*.json"):
        manifest.write_text(manifest.read_text() + "\n")
    before = files_below(folders.golden_root)
    page = first_check(open_tab, review)
    page.get_by_role("textbox", name="Reason").fill("meant")
    page.get_by_role("button", name="Accept", exact=True).click()
    alert = page.get_by_role("alert").filter(has_text="changed since the run")
    alert.wait_for()
    assert alert.inner_text().count("sha256:") == 2
    assert files_below(folders.golden_root) == before
    assert all("409" in problem for problem in open_tab.problems)
    open_tab.problems.clear()


def test_another_browser_is_refused(open_tab: Tabs, review: Review) -> None:
    """The address works for the browser that came first; another one sees why it is refused."""
    host = f"http://127.0.0.1:{review.guard.port}/"
    first = open_tab(host, review.guard.url.removeprefix(host))
    first.locator("#progress-text", has_text="0 of 6").wait_for()
    second = open_tab(host, review.guard.url.removeprefix(host))
    assert "used already" in second.locator("body").inner_text()
    assert all("403" in problem for problem in open_tab.problems)
    open_tab.problems.clear()
