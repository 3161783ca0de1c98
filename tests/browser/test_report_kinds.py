"""What the report shows of sounds and texts, in a browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seedpin.kinds.audio import AUDIO, wav_of
from seedpin.report.html import write_report
from seedpin.run.compared_inputs import compare_inputs, find_inputs, write_pair
from seedpin.run.ledger import Run, RunMeta
from support.tabs import Tabs, until

STORY = "Once upon a time\nthere was a <b>red</b> ball.\n"


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index.html of a report on two sounds and two texts."""
    folder = tmp_path_factory.mktemp("kinds")
    tone = np.sin(np.arange(8000) / 7).astype(np.float32) / 2
    for name, text, sound in (("a", STORY, tone), ("b", STORY.replace("red", "blue"), 0.9 * tone)):
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        (folder / f"{name}.wav").write_bytes(wav_of(AUDIO.adapt(sound, rate=8000)))
    run = Run(folder / "runs" / "compare")
    run.write_meta(RunMeta(run="compare", seedpin="0"))
    for number, suffix in enumerate(("wav", "txt")):
        sides = [find_inputs(str(folder / f"{name}.{suffix}"), folder)[""] for name in "ab"]
        write_pair(run, number, sides[0], sides[1], compare_inputs(sides[0], sides[1]))
    return write_report(run)


def test_sounds_play_and_are_seen(open_tab: Tabs, kinds: Path) -> None:
    """Both sides have a player that loads from file://, and spectrograms beside their difference."""
    page = open_tab(kinds, "#/0")
    assert page.locator("h2").first.inner_text().endswith("audio")
    players = page.locator("audio")
    labels = [players.nth(at).get_attribute("aria-label") for at in range(players.count())]
    assert labels == ["golden", "obtained"]
    players.first.evaluate("one => one.load()")
    until(page, "document.querySelector('audio').readyState >= 1")
    assert players.first.evaluate("one => one.duration") == pytest.approx(1, abs=0.01)
    pictures = page.locator(".panel img")
    assert pictures.count() == 3
    until(page, "[...document.querySelectorAll('.panel img')].every((one) => one.naturalWidth === 512)")


def test_a_text_s_difference_is_shown_line_by_line(open_tab: Tabs, kinds: Path) -> None:
    """Lines that left and came are marked; markup in them stays text."""
    page = open_tab(kinds, "#/1")
    assert page.locator(".panel .line.golden").all_inner_texts() == ["- there was a <b>red</b> ball."]
    assert page.locator(".panel .line.here").all_inner_texts() == ["+ there was a <b>blue</b> ball."]
    assert "The text differs from line 2" in page.locator(".answers").inner_text()


@pytest.mark.parametrize("view", ["#/0", "#/1"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_shown_is_accessible(open_tab: Tabs, kinds: Path, axe: str, view: str, scheme: str) -> None:
    """axe-core finds nothing serious in players, spectrograms and diffs."""
    page = open_tab(kinds, view, color_scheme=scheme)
    page.evaluate(axe)
    report = page.evaluate("axe.run(document, {preload: false})")
    assert len(report["passes"]) > 15
    assert [one["id"] for one in report["violations"] if one["impact"] in {"serious", "critical"}] == []
