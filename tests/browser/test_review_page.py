"""The same page, served by a review server: its buttons decide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fake_review import FakeReview, serving
from support.tabs import Tabs, until

BALL = "tests/test_text_to_video.py::test_red_ball[wan-480p]::video"


@pytest.fixture
def review(report: Path) -> Iterator[FakeReview]:
    with serving(report.parent, 6) as server:
        yield server


def test_accepting_needs_a_reason(open_tab: Tabs, review: FakeReview) -> None:
    """Accept without a reason asks for one; with one it is sent, shown, counted and can be undone."""
    page = open_tab(review.address, "#/1")
    progress = page.locator("#progress-text")
    progress.filter(has_text="0 of 6 decided").wait_for()
    page.keyboard.press("a")
    page.get_by_role("alert").filter(has_text="Say why").wait_for()
    assert review.posts == []
    page.keyboard.type("another <b>sampler</b> & it is meant")
    page.keyboard.press("Enter")
    progress.filter(has_text="1 of 6 decided").wait_for()
    assert review.posts == [
        {"id": BALL, "decision": "accept", "reason": "another <b>sampler</b> & it is meant"}
    ]
    assert "Accepted: another <b>sampler</b> & it is meant" in page.locator("#decision").inner_text()
    assert page.locator('li[data-number="1"] .decision').inner_text() == "accepted"
    page.keyboard.press("u")
    progress.filter(has_text="0 of 6 decided").wait_for()
    assert review.decided == {}
    assert page.get_by_role("button", name="Accept", exact=True).is_visible()


def test_rejecting_and_the_next(open_tab: Tabs, review: FakeReview) -> None:
    """r rejects without a reason, n leads to the next undecided check, a reload keeps what was decided."""
    page = open_tab(review.address, "#/1")
    page.locator("#progress-text", has_text="0 of 6").wait_for()
    page.keyboard.press("r")
    page.locator("#progress-text", has_text="1 of 6").wait_for()
    assert review.decided[BALL]["decision"] == "reject"
    page.keyboard.press("n")
    page.locator("main h2", has_text="test_still").wait_for()
    page.goto(f"{review.address}#/1")
    page.reload()
    page.locator("#decision", has_text="Rejected").wait_for()


def test_a_refusal_is_told(open_tab: Tabs, review: FakeReview) -> None:
    """What the server refuses is told with its hint, and the check stays undecided."""
    review.refusals[BALL] = "the golden changed since the run"
    page = open_tab(review.address, "#/1")
    page.get_by_role("textbox", name="Reason").fill("meant")
    page.get_by_role("button", name="Accept", exact=True).click()
    alert = page.get_by_role("alert").filter(has_text="the golden changed since the run")
    alert.wait_for()
    assert "run the test again" in alert.inner_text()
    assert page.get_by_role("button", name="Accept", exact=True).is_enabled()
    assert any("409" in problem for problem in open_tab.problems)
    open_tab.problems.clear()


def test_only_what_waits_can_be_decided(open_tab: Tabs, review: FakeReview) -> None:
    """A check that passed, or of which nothing was kept, has no buttons."""
    for number in (4, 8):
        page = open_tab(review.address, f"#/{number}")
        page.locator("article").wait_for()
        assert page.get_by_role("button", name="Accept", exact=True).count() == 0
        page.keyboard.press("a")
    assert review.posts == []


def test_pixel_values_are_told_where_they_can_be_read(open_tab: Tabs, review: FakeReview) -> None:
    """Served by http, the pointer tells the exact values of a pixel on both sides."""
    page = open_tab(review.address, "#/2")
    until(page, "seedpin.player && seedpin.player.index === 0")
    box = page.locator(".golden .port").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 38.5 / 144, box["y"] + box["height"] * 25.5 / 96)
    words = page.locator(".readout").inner_text().split()
    assert words[:4] == ["x", "38", "y", "25"]
    golden, obtained = [int(words[5 + 4 * side]) for side in (0, 1)]
    assert obtained - golden == 9
    assert words[6:8] == words[10:12]


def test_a_static_report_has_no_buttons(open_tab: Tabs, report: Path) -> None:
    """From file:// there is the command instead of buttons."""
    page = open_tab(report, "#/1")
    page.locator("article").wait_for()
    assert page.get_by_role("button", name="Accept", exact=True).count() == 0
    assert "seedpin accept" in page.locator(".decide").inner_text()
