"""Accessibility by axe-core, and the pictures for the docs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.fake_review import serving
from support.tabs import Tabs, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

PHONE = (360, 780)


def findings(page: Page, axe: str) -> list[str]:
    """Serious and critical findings, each with the element."""
    page.evaluate(axe)
    report: dict[str, Any] = page.evaluate("axe.run(document, {preload: false})")
    assert len(report["passes"]) > 15
    return [
        f"{one['id']}: {one['help']}: {json.dumps([node['html'] for node in one['nodes']])[:600]}"
        for one in report["violations"]
        if one["impact"] in {"serious", "critical"}
    ]


VIEWS: dict[str, tuple[str, dict[str, Any]]] = {
    "list": ("", {"size": PHONE}),
    "detail": ("#/1", {}),
    "dark": ("#/5", {"color_scheme": "dark"}),
    "phone": ("#/1", {"size": PHONE, "color_scheme": "dark"}),
    "tensors": ("#/4", {}),
}


@pytest.mark.parametrize("view", VIEWS)
def test_no_serious_findings(open_tab: Tabs, report: Path, axe: str, view: str) -> None:
    """axe-core finds nothing serious or critical in the list and the details, light and dark."""
    place, options = VIEWS[view]
    page = open_tab(report, place, **options)
    if place:
        page.locator("article").wait_for()
    for details in page.locator("details").all():
        details.evaluate("one => { one.open = true }")
    assert findings(page, axe) == []


def test_no_serious_findings_in_review_and_help(open_tab: Tabs, report: Path, axe: str) -> None:
    """axe-core finds nothing serious while reviewing, after a decision, and in the list of keys."""
    with serving(report.parent, 6) as review:
        page = open_tab(review.address, "#/1", color_scheme="dark")
        page.locator("#progress-text", has_text="0 of 6").wait_for()
        assert findings(page, axe) == []
        page.keyboard.press("r")
        page.locator("#progress-text", has_text="1 of 6").wait_for()
        assert findings(page, axe) == []
        page.keyboard.press("?")
        assert findings(page, axe) == []


def test_everything_is_reached_by_tab(open_tab: Tabs, report: Path) -> None:
    """The tab key reaches search, list, modes, time line and commands, and shows where it is."""
    page = open_tab(report, "#/1")
    page.locator("article").wait_for()
    reached = set()
    for _ in range(70):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """(() => { const one = document.activeElement, style = getComputedStyle(one);
            const ring = style.outlineStyle !== "none" || one.closest(".area") !== null;
            return [one.id || one.className || one.textContent, one === document.body || ring]; })()"""
        )
        reached.add(found[0])
        assert found[1], f"{found[0]} has no visible focus"
    page.get_by_role("slider", name="Frame").focus()
    assert {"search", "device", "theme", "Side by side", "play", "copy"} <= reached


@pytest.mark.skipif(
    not os.environ.get("SEEDPIN_SCREENSHOTS"), reason="SEEDPIN_SCREENSHOTS names no folder for pictures"
)
def test_screenshots(open_tab: Tabs, report: Path) -> None:
    """Writes the pictures of the docs."""
    folder = Path(os.environ["SEEDPIN_SCREENSHOTS"])
    folder.mkdir(parents=True, exist_ok=True)

    def shoot(name: str, where: Path | str, place: str, key: str = "", **options: Any) -> None:
        page = open_tab(where, place, **options)
        if place:
            until(page, "seedpin.player && (seedpin.player?.index >= 0 || !seedpin.player.element)")
        if key:
            page.keyboard.press(key)
        page.wait_for_timeout(400)
        page.screenshot(path=folder / f"{name}.png")

    wide = (1280, 900)
    shoot("report-light", report, "#/1", size=wide, color_scheme="light")
    shoot("report-dark", report, "#/5", size=wide, color_scheme="dark")
    shoot("report-evidence", report, "#/1", size=(1280, 1640), color_scheme="light")
    shoot("report-slider", report, "#/1", "2", size=wide, color_scheme="light")
    shoot("report-difference", report, "#/1", "4", size=wide, color_scheme="dark")
    shoot("report-keys", report, "#/1", "?", size=wide, color_scheme="light")
    shoot("report-phone-list", report, "", size=PHONE, color_scheme="light", device_scale_factor=2)
    shoot("report-phone", report, "#/1", size=PHONE, color_scheme="light", device_scale_factor=2)
    with serving(report.parent, 6) as review:
        page = open_tab(review.address, "#/5", size=wide, color_scheme="light")
        page.locator("#progress-text", has_text="0 of 6").wait_for()
        page.keyboard.press("r")
        page.locator("#progress-text", has_text="1 of 6").wait_for()
        page.goto(f"{review.address}#/1")
        page.locator("main h2", has_text="test_red_ball").wait_for()
        page.get_by_role("textbox", name="Reason").fill(
            "The new attention kernel is meant; looked at every frame."
        )
        until(page, "seedpin.player?.index >= 0")
        page.wait_for_timeout(300)
        page.screenshot(path=folder / "review.png")
