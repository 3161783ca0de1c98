"""The report's files."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seedpin.clip.clip import Clip
from seedpin.clip.codec import encode
from seedpin.errors import UsageError
from seedpin.report.html import with_review, write_report
from seedpin.run.ledger import Run
from support.project import frames_of
from support.report_runs import CPU, RunFolder, demo_run, moving_shapes, speckled

SMALL = moving_shapes(4, 16, 24)
OTHER = speckled(SMALL, 2, (1, 1, 5, 5), 3)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / ".seedpin")


def detail(page: Path, number: int) -> dict[str, object]:
    text = (page.parent / "data" / f"{number}.js").read_text(encoding="ascii")
    head, tail = f"seedpin.receive({number}, ", ");\n"
    assert text.startswith(head)
    assert text.endswith(tail)
    data: dict[str, object] = json.loads(text[len(head) : -len(tail)])
    return data


def media(page: Path, number: int) -> dict[str, list[str]]:
    found = detail(page, number)["media"]
    assert isinstance(found, dict)
    return found


def pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(path).convert("RGB"))


def test_frames_are_the_very_bytes(folder: RunFolder) -> None:
    """8-bit frames leave the archive as they are; frames equal on both sides are written once."""
    folder.add("t.py::test_a", SMALL, OTHER, "changed", device=CPU)
    page = write_report(folder.run)
    found = media(page, 0)
    for side, clip in (("golden", SMALL), ("obtained", OTHER)):
        for address, frame in zip(found[side], clip.frames, strict=True):
            assert (pixels(page.parent / address) == frame).all()
            still = encode(Clip(frame[None], None))[1]
            assert (page.parent / address).read_bytes() == still
    assert len(list((page.parent / "media").rglob("*.webp"))) == 5
    assert found["golden"][0] == found["obtained"][0]
    assert found["golden"][2] != found["obtained"][2]


def test_floats_get_previews_and_an_exact_difference(folder: RunFolder) -> None:
    """Float clips are shown in 8 bits, and a difference too small for these is still drawn."""
    floats = (SMALL.frames / 255).astype(np.float32)
    moved = floats.copy()
    moved[1, 3:6, 4:9] += np.float32(1e-6)
    golden, obtained = (Clip(frames, 8.0, (0.0, 1.0)) for frames in (floats, moved))
    folder.add("t.py::test_a", golden, obtained, "changed", device=CPU)
    page = write_report(folder.run)
    found = media(page, 0)
    assert (pixels(page.parent / found["golden"][1]) == SMALL.frames[1]).all()
    difference = pixels(page.parent / found["difference"][1])[..., 0]
    expected = np.zeros((16, 24), bool)
    expected[3:6, 4:9] = True
    assert ((difference > 0) == expected).all()
    assert pixels(page.parent / found["difference"][0]).max() == 0
    assert any("previews" in note for note in found["notes"])


def test_identical_checks_have_no_media(folder: RunFolder) -> None:
    """A check that is identical is listed, and nothing of it is written."""
    folder.add("t.py::test_a", SMALL, SMALL, "identical", device=CPU)
    page = write_report(folder.run)
    assert detail(page, 0)["media"] is None
    assert not (page.parent / "media").exists()
    assert "test_a" in page.read_text(encoding="utf-8")


def test_tampered_frames_are_not_shown(folder: RunFolder) -> None:
    """Frames that do not match their digests are left out, and the page says why."""
    result = folder.add("t.py::test_a", SMALL, OTHER, "changed", device=CPU)
    assert result.obtained is not None
    frames = frames_of(folder.run.path / result.obtained)
    frames.write_bytes(frames.read_bytes()[:-20])
    found = media(write_report(folder.run), 0)
    assert found["obtained"] == []
    assert len(found["golden"]) == 4
    assert "truncated" in found["notes"][0]


def test_a_path_out_of_the_run_is_refused(folder: RunFolder, tmp_path: Path) -> None:
    """A record whose manifest lies outside of the run is not followed."""
    result = folder.add("t.py::test_a", SMALL, OTHER, "changed", device=CPU)
    outside = RunFolder(tmp_path / "elsewhere" / ".seedpin").add("t.py::test_b", SMALL, OTHER, "changed")
    path = f"../../../elsewhere/.seedpin/runs/{folder.run.id}/{outside.obtained}"
    assert (folder.run.path / path).is_file()
    folder.run.write_result(dataclasses.replace(result, obtained=path))
    found = media(write_report(folder.run), 0)
    assert found["obtained"] == []
    assert "out of the run" in found["notes"][0]


def test_a_golden_that_was_not_copied_is_found(folder: RunFolder, tmp_path: Path) -> None:
    """Without a copy in the run the golden folder's is shown, unless it changed since."""
    result = folder.add("t.py::test_a", SMALL, OTHER, "changed", device=CPU)
    (folder.run.path / "golden").rename(tmp_path / "golden")
    folder.run.write_result(dataclasses.replace(result, golden_copy=None))
    page = write_report(folder.run, golden_root=tmp_path / "golden")
    assert len(media(page, 0)["golden"]) == 4
    folder.run.write_result(dataclasses.replace(result, golden_copy=None, golden_digest="sha256:0"))
    assert media(write_report(folder.run, golden_root=tmp_path / "golden"), 0)["golden"] == []


def test_links_are_relative_and_nothing_is_remote(tmp_path: Path) -> None:
    """No file of a report names another host or an absolute path, but for the name space of SVG."""
    page = write_report(demo_run(tmp_path / ".seedpin"))
    for path in page.parent.rglob("*"):
        if path.suffix in {".html", ".js", ".css"}:
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert not re.search(r"https?://|//[a-z0-9-]+\.[a-z]|@import", text), path
            assert str(tmp_path) not in text, path
    text = page.read_text(encoding="utf-8")
    for address in re.findall(r'(?:src|href)="([^"#]+)"', text):
        assert (page.parent / address).is_file(), address


def test_markup_in_names_is_escaped(folder: RunFolder) -> None:
    """Names with markup appear in the page and in its data as text only."""
    name = "t.py::test_a[</script><script>alert(1)</script>]"
    folder.add(name, SMALL, OTHER, "changed", device=CPU)
    page = write_report(folder.run)
    for path in (page, page.parent / "data" / "0.js", page.parent / "data" / "index.js"):
        assert "<script>alert" not in path.read_text(encoding="utf-8")
    assert str(detail(page, 0)["row"]).count("<script>alert(1)") > 0


def test_an_earlier_report_is_replaced(folder: RunFolder, tmp_path: Path) -> None:
    """A second report leaves nothing of the first; a folder that is no report is refused."""
    folder.add("t.py::test_a", SMALL, OTHER, "changed", device=CPU)
    out = tmp_path / "out"
    write_report(folder.run, out)
    (out / "data" / "99.js").write_text("old", encoding="ascii")
    (out / "mine.txt").write_text("kept", encoding="ascii")
    write_report(folder.run, out)
    assert not (out / "data" / "99.js").exists()
    assert (out / "mine.txt").exists()
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    with pytest.raises(UsageError, match="would replace"):
        write_report(folder.run, project)
    assert (project / "data").is_dir()


def test_a_run_without_results_is_an_error(tmp_path: Path) -> None:
    """There is no report of nothing."""
    with pytest.raises(UsageError, match="no results"):
        write_report(Run(tmp_path))


def test_review_settings_are_allowed_by_hash(folder: RunFolder) -> None:
    """The script with the token is the only inline script that the page's policy lets run."""
    folder.add("t.py::test_a", SMALL, OTHER, "changed", device=CPU)
    page = write_report(folder.run, review=True).read_text(encoding="utf-8")
    assert "<script>" not in page
    served = with_review(page, {"token": "a</script>b"})
    assert served.count("<script>window.SEEDPIN_REVIEW") == 1
    assert "a</script>b" not in served
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', served)
    assert policy is not None
    assert "'sha256-" in policy[1]
    assert "unsafe-inline" not in policy[1]
