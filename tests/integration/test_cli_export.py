"""``seedpin export``: goldens, and what runs obtained, as files for other programs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seedpin.clip.adapt import as_clip
from support.commands import Done, files_below, seedpin, zip_folder
from support.project import Project

Command = Callable[..., Done]
ID = "test_ball.py::test_ball::video"


@pytest.fixture
def command(project: Project, monkeypatch: pytest.MonkeyPatch) -> Command:
    return lambda *arguments: seedpin(*map(str, arguments), cwd=project.root, monkeypatch=monkeypatch)


def test_a_golden_is_written_for_other_programs(project: Project, command: Command) -> None:
    """By test, id, part or path; the file has the golden's frames, and the golden stays as it is."""
    project.mint()
    before = files_below(project.root / "golden")
    frames = []
    for number, name in enumerate(
        ("ball", "test_ball.py::test_ball", ID, project.manifest(), project.frames())
    ):
        done = command("export", name, f"{number}.png")
        assert done.code == 0, done.out
        assert done.out.startswith(f"{project.root / f'{number}.png'}  ")
        frames.append(as_clip(project.root / f"{number}.png"))
    assert frames[0].frames.shape == (4, 24, 24, 3)
    assert frames[0].fps == 8
    assert all(np.array_equal(one.frames, frames[0].frames) for one in frames)
    assert command("compare", project.manifest(), "0.png").code == 0
    done = command("export", "ball", "a.mp4")
    video = as_clip(project.root / "a.mp4")
    assert (video.num_frames, video.fps) == (4, 8)
    assert "note: .mp4 is lossy" in done.out
    assert command("export", "ball", "a.webp", "--frame", "-1").code == 0
    assert np.array_equal(as_clip(project.root / "a.webp").frames[0], frames[0].frames[-1])
    assert command("export", "ball", "a.webp", "--fps", "4").code == 0  # takes the place of the other
    assert as_clip(project.root / "a.webp").fps == 4
    assert files_below(project.root / "golden") == before
    assert not [path for path in project.root.iterdir() if path.name.startswith(".seedpin-")]


def test_what_a_run_obtained_is_written_too(project: Project, command: Command, tmp_path: Path) -> None:
    """Of the last run, or of an artifact from elsewhere; and the golden that it met."""
    project.mint()
    project.pytest(env={"TEST_SHIFT": "3"}).assert_outcomes(failed=1)
    assert command("export", "ball", "golden.png").code == 0
    assert command("export", ID, "obtained.png", "--obtained").code == 0
    golden, obtained = (as_clip(project.root / f"{name}.png").frames for name in ("golden", "obtained"))
    assert np.array_equal(np.clip(golden.astype(int) + 3, 0, 255), obtained)
    run = max((project.root / ".seedpin" / "runs").iterdir())
    source = zip_folder(run, tmp_path / "artifact.zip")
    assert command("export", "ball", "other.png", "--obtained", "--run", source).code == 0
    assert np.array_equal(as_clip(project.root / "other.png").frames, obtained)
    assert command("export", "ball", "met.png", "--run", source).code == 0
    assert np.array_equal(as_clip(project.root / "met.png").frames, golden)


def test_nothing_is_written_into_the_folder_of_the_goldens(project: Project, command: Command) -> None:
    """Not by its path, nor through a link; no file is made where the error says so."""
    project.mint()
    before = files_below(project.root / "golden")
    (project.root / "link").symlink_to(project.root / "golden")
    (project.root / "file.png").symlink_to(project.frames())
    inside = project.manifest().parent / "a.png"
    for out in ("golden/a.png", inside, "link/a.png", "file.png", "link/../golden/a.png"):
        done = command("export", "ball", out)
        assert done.code == 2
        assert "lies in the folder of the goldens" in done.out
    if os.name == "posix":  # the other name of a golden's file: replaced, not written through
        os.link(project.frames(), project.root / "hard.png")
        assert command("export", "ball", "hard.png").code == 0
    assert files_below(project.root / "golden") == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cube", "a.png"], "is called 'cube'"),
        (["ball", "a.xyz"], "frames cannot be written as .xyz"),
        (["ball", "nowhere/a.png"], "cannot be written: "),
        (["ball", "a.png", "--frame", "4"], "there is no frame 4: the clip has 4 frames"),
        (
            ["ball", "a.png", "--obtained"],
            "what was obtained of test_ball.py::test_ball::video is not to be had",
        ),
        (["cube", "a.png", "--obtained"], "no check of run"),
        (["ball", "a.png", "--run", "20200101-000000-0000"], "20200101-000000-0000"),
    ],
)
def test_what_cannot_be_exported_is_told(
    project: Project, command: Command, arguments: list[str], said: str
) -> None:
    """Exit code 2, a message, and no file."""
    project.mint()
    project.pytest().assert_outcomes(passed=1)
    done = command("export", *arguments)
    assert done.code == 2
    assert said in done.out
    assert not (project.root / "a.png").exists()


def test_several_goldens_are_not_chosen_from(project: Project, command: Command) -> None:
    """Classes and checks that a name fits are listed; a path names one."""
    project.mint()
    project.pytest("--update-golden", "--golden-device-class", "cpu-other").assert_outcomes(passed=1)
    done = command("export", "ball", "a.png")
    assert done.code == 2
    assert "names 2 goldens" in done.out
    stem = "test_ball.py/test_ball/video.cpu-other"
    assert stem in done.out
    assert command("export", stem, "a.png").code == 0


def test_a_damaged_golden_is_not_exported(project: Project, command: Command) -> None:
    """What its manifest does not vouch for is shown to nobody as the golden."""
    project.mint()
    data = bytearray(project.frames().read_bytes())
    data[len(data) // 2] ^= 1
    project.frames().write_bytes(data)
    done = command("export", "ball", "a.png")
    assert done.code == 2
    assert "does not match its digest" in done.out
    assert not (project.root / "a.png").exists()
