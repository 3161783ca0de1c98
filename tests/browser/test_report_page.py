"""The report in a browser, as a person uses it: from file://, without network."""

from __future__ import annotations

import shutil
import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from seedpin.clip.clip import Clip
from seedpin.report.html import write_report
from seedpin.run.ledger import Run
from seedpin.trace.diff.divergence import Divergence
from support.report_runs import CPU, RunFolder, moving_shapes, speckled
from support.tabs import Tabs, until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

CHANGED, IMAGE, MISSING = "#/1", "#/2", "#/6"


def settled(page: Page, frame: int) -> None:
    """Waits until ``frame`` is drawn."""
    until(page, f"seedpin.player && seedpin.player.index === {frame}")


def pixels(locator: Locator) -> npt.NDArray[np.uint8]:
    """What is on the screen; a page from file:// cannot read its own canvases."""
    return np.asarray(Image.open(BytesIO(locator.screenshot())).convert("RGB"))


def frame_shown(page: Page) -> int:
    found: int = page.evaluate("seedpin.player.index")
    return found


def names(page: Page) -> list[str]:
    return page.locator("#checks > li:not([hidden]) .name").all_inner_texts()


def test_rule_7_opens_from_file_without_network(open_tab: Tabs, report: Path) -> None:
    """The page opens from file:// offline, shows the worst check, and asks nobody else for anything."""
    page = open_tab(report)
    assert page.locator("h1").inner_text() == "7 of 12 checks need a decision."
    assert page.locator("h2").first.inner_text().startswith("TestI2V::test_last_frame")
    assert page.locator("#checks > li").count() == 12
    assert "nothing" not in page.locator("canvas").first.get_attribute("aria-label")  # type: ignore[operator]


@pytest.mark.parametrize("way", ["moved", "zipped"])
def test_rule_7_opens_after_being_carried(open_tab: Tabs, report: Path, tmp_path: Path, way: str) -> None:
    """A report that was moved, or zipped and unzipped elsewhere, still shows its frames."""
    target = tmp_path / "else where #1"
    if way == "moved":
        shutil.copytree(report.parent, target)
    else:
        archive = shutil.make_archive(str(tmp_path / "report"), "zip", report.parent)
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(target)
    page = open_tab(target / "index.html", CHANGED)
    settled(page, 22)
    page.keyboard.press("1")
    assert page.locator(".golden canvas").evaluate("canvas => canvas.width") == 144


def test_answers_stand_first(open_tab: Tabs, report: Path) -> None:
    """What, how much, at which frame, whether the environment changed and the command are in one screen."""
    page = open_tab(report, CHANGED)
    answers = page.locator(".answers").inner_text()
    for words in (
        "17 of 24 frames",
        "0.94",
        "at least 0.980000 is declared",
        "First differing frame",
        "no difference found",
    ):
        assert words in answers
    command = page.locator(".decide code")
    assert "seedpin accept" in command.inner_text()
    box = command.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 860


def test_steps_and_jumps(open_tab: Tabs, report: Path) -> None:
    """Arrows step, f and w jump, home and end go to the ends; all sides show the same frame."""
    page = open_tab(report, CHANGED)
    settled(page, 22)
    for key, frame in (("f", 7), ("ArrowRight", 8), ("ArrowLeft", 7), ("Home", 0), ("End", 23), ("w", 22)):
        page.keyboard.press(key)
        settled(page, frame)
        labels = page.locator(".stage canvas").evaluate_all("all => all.map(one => one.ariaLabel)")
        assert [label.rpartition(" ")[2] for label in labels] == [str(frame)] * 3
    assert page.locator(".counter").inner_text() == "22 / 23"


def test_scrubbing_the_curve(open_tab: Tabs, report: Path) -> None:
    """A click on the curve goes to the frame under it, and the value there is told."""
    page = open_tab(report, CHANGED)
    settled(page, 22)
    box = page.locator(".area").bounding_box()
    assert box is not None
    for frame in (0, 9, 23):
        page.mouse.click(box["x"] + box["width"] * (frame + 0.5) / 24, box["y"] + 50)
        settled(page, frame)
    slider = page.get_by_role("slider", name="Frame")
    assert "frame 23 of 24, SSIM 0.9" in (slider.get_attribute("aria-valuetext") or "")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    settled(page, 22)
    page.get_by_label("Metric", exact=True).select_option("max_abs")
    assert "levels" in page.locator(".transport .value").inner_text()


def test_plays_in_lockstep(open_tab: Tabs, report: Path) -> None:
    """Space plays and pauses; no frame is left out, and every frame is drawn on all sides."""
    page = open_tab(report, CHANGED)
    settled(page, 22)
    page.evaluate(
        """() => { window.seen = []; seedpin.player.rate = 60;
        seedpin.player.onframe((index) => window.seen.push(index)); }"""
    )
    page.keyboard.press("Space")
    until(page, "window.seen.length > 8")
    page.keyboard.press("Space")
    assert page.get_by_role("button", name="Play").count() == 1
    seen = page.evaluate("window.seen")
    assert seen == [(23 + step) % 24 for step in range(len(seen))]


def test_difference_shows_exactly_where_pixels_differ(open_tab: Tabs, report: Path) -> None:
    """In the heat map pixels that agree are black, and those that differ are bright."""
    page = open_tab(report, IMAGE, size=(1280, 1100))
    settled(page, 0)
    page.keyboard.press("4")
    until(page, "seedpin.player?.mode === 'difference' && seedpin.player.index === 0")
    shown = pixels(page.locator(".difference .port"))
    small = np.asarray(Image.fromarray(shown).resize((144, 96), Image.Resampling.NEAREST)).max(axis=2)
    expected = np.zeros((96, 144), bool)
    expected[20:32, 30:48] = True
    inner = np.zeros((96, 144), bool)
    inner[21:31, 31:47] = True
    assert (small[inner] > 200).all()
    grown = np.zeros((96, 144), bool)
    grown[19:33, 29:49] = True
    assert (small[~grown][:, None] < 10).all()
    assert (small[expected] > 200).mean() > 0.8


def test_one_level_shows_when_drawn_small(open_tab: Tabs, tmp_path: Path) -> None:
    """A single pixel that is off by one level is seen though the frame is drawn smaller than it is."""
    large = Clip(np.full((2, 720, 1280, 3), 90, np.uint8), 8.0)
    folder = RunFolder(tmp_path / ".seedpin")
    folder.add("t.py::test_large", large, speckled(large, 1, (301, 703, 302, 704)), "changed", device=CPU)
    page = open_tab(write_report(folder.run), "#/0", size=(1000, 800))
    settled(page, 1)
    assert pixels(page.locator(".difference .port"))[8:-8, 8:-8].max() > 150
    page.keyboard.press("ArrowLeft")
    settled(page, 0)
    assert pixels(page.locator(".difference .port"))[8:-8, 8:-8].max() < 10


def test_float_clips_show_their_exact_difference(open_tab: Tabs, report: Path) -> None:
    """A difference of 2e-5, invisible in 8 bits, is shown, and the page says that frames are previews."""
    page = open_tab(report, "#/3")
    settled(page, 6)
    assert "8-bit previews" in page.locator(".viewer").inner_text()
    shown = np.asarray(Image.fromarray(pixels(page.locator(".difference .port"))).resize((64, 48))).max(
        axis=2
    )
    assert shown[12:18, 12:28].min() > 150
    assert shown[24:44, 34:60].max() < 10


def test_modes(open_tab: Tabs, report: Path) -> None:
    """1 to 4 and m choose the mode; the slider moves the border, blink swaps the sides."""
    page = open_tab(report, CHANGED, reduced_motion="reduce")
    settled(page, 22)
    for key, mode in (("2", "slider"), ("3", "blink"), ("4", "difference"), ("1", "side"), ("m", "slider")):
        page.keyboard.press(key)
        assert page.locator(".stage").get_attribute("data-mode") == mode
        assert page.locator('.modes [aria-pressed="true"]').count() == 1
    at = page.locator(".golden .port")
    page.locator(".wipe").evaluate("one => { one.value = 0; one.dispatchEvent(new Event('input')) }")
    obtained = pixels(at)
    page.locator(".wipe").evaluate("one => { one.value = 100; one.dispatchEvent(new Event('input')) }")
    golden = pixels(at)
    assert np.abs(golden.astype(int) - obtained).max() > 60
    page.keyboard.press("3")
    page.wait_for_timeout(700)
    assert page.locator(".stage").get_attribute("data-side") == "golden", "blinks in spite of reduced motion"
    page.keyboard.press("b")
    assert page.locator(".stage").get_attribute("data-side") == "obtained"
    page.keyboard.press("1")


def test_zoom_is_the_same_on_all_sides_and_crisp(open_tab: Tabs, report: Path) -> None:
    """Zooming and panning moves all sides alike, and pixels stay pixels."""
    page = open_tab(report, CHANGED)
    settled(page, 22)
    page.keyboard.press("+")
    page.keyboard.press("+")
    page.keyboard.press("Shift+ArrowLeft")
    styles = page.locator(".stage canvas").evaluate_all(
        "all => all.map(one => [one.style.transform, getComputedStyle(one).imageRendering])"
    )
    assert styles[0][1] == "pixelated"
    assert "scale(4)" in styles[0][0]
    assert styles.count(styles[0]) == 3
    page.keyboard.press("0")
    assert page.locator(".zoom output").inner_text() == "fit"


def test_incomparable_clips_are_shown_as_they_are(open_tab: Tabs, report: Path) -> None:
    """Where the obtained clip has no such frame the page says so, and the golden's is shown."""
    page = open_tab(report, "#/0")
    page.keyboard.press("End")
    settled(page, 16)
    assert "There is no frame 16 here." in page.locator(".obtained").inner_text()
    assert page.locator(".golden canvas").is_visible()


def test_filters_and_search(open_tab: Tabs, report: Path) -> None:
    """Verdicts, device class and words narrow the list; clearing brings all back."""
    page = open_tab(report)
    page.get_by_role("button", name="missing 1").click()
    assert names(page) == ["test_new_prompt"]
    page.get_by_role("button", name="changed 4", exact=True).click()
    assert len(names(page)) == 5
    page.get_by_label("Device class").select_option(CPU)
    assert names(page) == ["test_still", "test_decoded_floats", "test_latents"]
    page.keyboard.press("/")
    page.keyboard.type("float")
    assert names(page) == ["test_decoded_floats"]
    page.keyboard.type(" nowhere")
    page.get_by_role("button", name="Clear the filters").click()
    assert len(names(page)) == 12
    page.get_by_label("Search checks").fill("cudnn")
    assert names(page) == ["test_rainy_street"]


def test_keys_move_through_the_filtered_list(open_tab: Tabs, report: Path) -> None:
    """j and k go to the next and previous check that is shown; ? opens the list of keys."""
    page = open_tab(report)
    page.get_by_role("button", name="changed 4", exact=True).click()
    heading = page.locator("main h2")
    for key, name in (("j", "test_red_ball"), ("j", "test_still"), ("k", "test_red_ball")):
        page.keyboard.press(key)
        heading.filter(has_text=name).wait_for()
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("j")
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()
    assert "test_red_ball" in heading.inner_text()


def test_copies_commands(open_tab: Tabs, report: Path, run: Run) -> None:
    """Copy buttons and the a key put the exact command on the clipboard."""
    page = open_tab(report, CHANGED, permissions=["clipboard-read", "clipboard-write"])
    page.locator("article").wait_for()
    page.keyboard.press("a")
    page.get_by_text("Copied", exact=True).wait_for()
    name = "'tests/test_text_to_video.py::test_red_ball[wan-480p]::video'"
    expected = f"seedpin accept {run.id} {name} --reason 'WHY'"
    assert page.evaluate("navigator.clipboard.readText()") == expected
    page.get_by_role("button", name="Copy: pytest").click()
    page.get_by_text("Copied: pytest").wait_for(state="attached")
    rerun = page.evaluate("navigator.clipboard.readText()")
    assert rerun == "pytest 'tests/test_text_to_video.py::test_red_ball[wan-480p]'"


def test_evidence(open_tab: Tabs, report: Path) -> None:
    """Limits with their use, the divergence with its growth, and the environment's difference are told."""
    page = open_tab(report, CHANGED)
    body = page.locator("article")
    assert "inputs and weights agree, the output does not" in body.inner_text()
    assert page.locator(".growth .place").all_inner_texts()[-1] == "frames"
    widths = page.locator(".growth .bar-track i").evaluate_all("all => all.map(one => one.offsetWidth)")
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]
    assert page.locator("tr.broken th").all_inner_texts() == ["SSIM", "PSNR"]
    page = open_tab(report, "#/5")
    moved = page.locator(".moved tbody").inner_text().split()
    assert moved == ["torch", "2.9.1", "2.13.0", "cudnn", "90100", "91300"]


def test_theme(open_tab: Tabs, report: Path) -> None:
    """The system's scheme is followed; t overrides it, also after a reload."""
    page = open_tab(report, color_scheme="dark")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(ground)
    page.keyboard.press("t")
    light = page.evaluate(ground)
    assert dark != light
    assert sum(map(int, light[4:-1].split(","))) > 600
    page.reload()
    assert page.evaluate(ground) == light


def test_phone(open_tab: Tabs, report: Path) -> None:
    """At 360 px nothing scrolls sideways; the list leads to a check and back."""
    page = open_tab(report, size=(360, 780), has_touch=True)
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) == 360
    assert not page.locator("#detail").is_visible()
    for number in range(12):
        page.goto(f"{report.as_uri()}#/{number}")
        page.locator("article").wait_for()
        until(page, f"seedpin.check && seedpin.check.row.number === {number}")
        assert page.evaluate(width) == 360, number
    page.get_by_role("link", name="All checks").tap()
    page.locator("#checks").wait_for()


HOSTILE = (
    "tests/t.py::test_x[</script><script>window.hacked=1</script>"
    "<img src=x onerror=window.hacked=2>'\"&\u2028]"
)


def test_hostile_names(open_tab: Tabs, tmp_path: Path) -> None:
    """Markup in the name of a test, a check or a reason is shown as text."""
    folder = RunFolder(tmp_path / ".seedpin")
    still = moving_shapes(1, 32, 48)
    other = speckled(still, 0, (1, 1, 9, 9), 5)
    fields: dict[str, Any] = {
        "message": HOSTILE,
        "hints": (HOSTILE,),
        "divergence": Divergence("module", "conv", None, HOSTILE),
    }
    folder.add(HOSTILE, still, other, "changed", check="<b>bold</b>", device=CPU, **fields)
    page = open_tab(write_report(folder.run), "#/0")
    assert page.locator("main h2").inner_text().startswith("test_x[</script><script>")
    settled(page, 0)
    assert page.evaluate("window.hacked") is None
    assert page.locator("b", has_text="bold").count() == 0


def test_rule_7_two_hundred_checks_load_only_what_is_looked_at(open_tab: Tabs, tmp_path: Path) -> None:
    """With 200 checks only the one that is shown is loaded, and few frames are decoded."""
    folder = RunFolder(tmp_path / ".seedpin")
    clip, other = moving_shapes(9, 24, 32), moving_shapes(9, 24, 32, slip=0.1, since=3)
    for number in range(200):
        folder.add(f"tests/t.py::test_{number:03d}", clip, other, "changed", device=CPU)
    page = open_tab(write_report(folder.run))
    page.locator("article").wait_for()
    until(page, "seedpin.player?.index >= 0")
    assert len(names(page)) == 200
    assert sum("/data/" in one for one in open_tab.requests) == 2
    assert sum("/media/" in one for one in open_tab.requests) == 2
    page.keyboard.press("j")
    until(page, "seedpin.check?.row.number === 1")
