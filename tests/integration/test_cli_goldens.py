"""Commands that look after goldens: status, show, verify, prune, compare, report, env, completion."""

from __future__ import annotations

import json
import platform
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from support.commands import Done, seedpin
from support.project import Project

Command = Callable[..., Done]


@pytest.fixture
def command(project: Project, monkeypatch: pytest.MonkeyPatch) -> Command:
    return lambda *arguments: seedpin(*map(str, arguments), cwd=project.root, monkeypatch=monkeypatch)


def test_status_counts_by_class_and_names_orphans(project: Project, command: Command) -> None:
    """Number, size and last reason by class; goldens whose test file is gone; what awaits a decision."""
    assert "no goldens" in command("status").out
    project.mint("--golden-reason", "first")
    out = command("status").out.splitlines()
    assert out[0].split() == ["device", "class", "goldens", "size", "newest", "oldest", "last", "reason"]
    device, number, *_, reason = out[1].split()
    assert (device, number, reason) == (project.manifest().name.split(".")[1], "1", "first")
    (project.root / "test_ball.py").rename(project.root / "test_cube.py")
    project.pytest().assert_outcomes(failed=1)
    done = json.loads(command("status", "--json").out)
    assert done["orphans"] == [f"test_ball.py/test_ball/video.{device}"]
    assert done["pending"] == ["test_cube.py::test_ball::video"]
    assert done["classes"][0]["bytes"] == sum(map(len, project.golden_files().values()))
    (project.manifest()).write_text("{")
    assert "unreadable: test_ball.py/test_ball/video" in command("status").out


def test_show_tells_a_golden_in_words(project: Project, command: Command) -> None:
    """By test, by id, by path and by part; an unknown name is an error."""
    project.mint("--golden-reason", "first")
    names = ("test_ball.py::test_ball", "test_ball.py::test_ball::video", project.manifest(), "ball")
    for name in (*names, project.frames()):
        done = command("show", name)
        assert done.code == 0
        for part in ("frames 4, height 24, width 24", "seed 7, strict", "first", "torch "):
            assert part in done.out
    assert command("show", "cube").code == 2


def test_verify_reads_every_golden(project: Project, command: Command) -> None:
    """Whole goldens end with 0; a flipped bit, a moved golden with 1; strange files are named."""
    project.mint()
    assert command("verify").code == 0
    folder = project.manifest().parent
    (folder / "notes.txt").write_text("x")
    (folder / ".seedpin-00ff.tmp").write_text("x")
    done = command("verify")
    assert done.code == 0
    assert "unknown   test_ball.py/test_ball/notes.txt" in done.out
    assert "leftover  test_ball.py/test_ball/.seedpin-00ff.tmp" in done.out
    copy = folder.parent / "test_copy"
    shutil.copytree(folder, copy)
    done = command("verify")
    assert (done.code, "it was copied or moved" in done.out) == (1, True)
    shutil.rmtree(copy)
    frames = project.frames()
    data = bytearray(frames.read_bytes())
    data[len(data) // 2] ^= 1
    frames.write_bytes(data)
    done = command("verify")
    assert (done.code, "damaged   test_ball.py/test_ball/video" in done.out) == (1, True)
    assert "0 of 1 golden(s) whole" in done.out


@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_in_a_manifests_place_is_damaged_everywhere(
    project: Project, command: Command, empty: bool
) -> None:
    """verify, status and pytest say the same of it, and what they say to type mends it."""
    project.mint()
    manifest = project.manifest()
    whole = manifest.read_bytes()
    manifest.unlink()
    manifest.mkdir()
    if not empty:
        (manifest / "x.txt").write_text("x")
    said = f"{manifest.name} is a folder, not a manifest"
    done = command("verify")
    assert (done.code, said in done.out, "0 of 1 golden(s) whole" in done.out) == (1, True, True), done.out
    assert "unreadable: test_ball.py/test_ball/video" in command("status").out
    result = project.pytest()
    result.assert_outcomes(failed=1)
    assert "DAMAGED" in result.stdout.str()
    assert said in result.stdout.str()
    assert "next: remove it, then restore it from version control" in result.stdout.str()
    shutil.rmtree(manifest)
    manifest.write_bytes(whole)
    assert command("verify").code == 0


def test_a_test_file_named_as_a_manifest_is_none(project: Project, command: Command) -> None:
    """A folder that holds folders of tests is no golden, whatever its name."""
    project.mint()
    folder = project.manifest().parent
    shutil.copytree(folder, project.root / "golden" / "cases.v1.json" / "first")
    done = command("verify")
    assert "1 of 2 golden(s) whole" in done.out, done.out
    assert "is a folder" not in done.out


def test_status_and_prune_tell_of_a_record_that_cannot_be_read(project: Project, command: Command) -> None:
    """It is counted as nothing and said with a next step; no golden is deleted on the rest's word."""
    project.write({"test_cube.py": CUBE})
    before = project.mint()
    (project.root / "test_cube.py").unlink()
    assert project.pytest().ret == 0
    (path,) = sorted(project.root.glob(".seedpin/runs/*/results.jsonl"))[-1:]
    line = path.read_text()
    path.write_text(line + line.replace('"seconds": ', '"seconds": NaN, "x": '))
    done = command("status")
    assert done.code == 0
    assert f"not counted: line 2 of {path} is no record: NaN is no JSON" in done.out, done.out
    assert "next: run pytest again" in done.out
    assert "line 2 of" in json.loads(command("status", "--json").out)["unreadable_run"]
    pruned = command("prune", "--delete")
    assert pruned.code == 2
    assert "is no record: NaN is no JSON" in pruned.out
    assert project.golden_files() == before
    assert project.pytest().ret == 0
    assert "not counted" not in command("status").out
    assert json.loads(command("status", "--json").out)["unreadable_run"] is None


CUBE = """
import pytest
import torch
from model import generate


@pytest.mark.seed(7)
def test_cube(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=3), fps=8)
"""


def test_prune_deletes_only_with_its_flag_and_keeps_other_classes(project: Project, command: Command) -> None:
    """Rule 3: after a whole, green run unused goldens are listed; --delete removes them and nothing else."""
    project.write({"test_cube.py": CUBE})
    project.mint()
    device = next(name for name in project.golden_files() if name.endswith(".json")).split(".")[-2]
    other = "cuda-sm90-nvidia_h100_80gb_hbm3-132sm"
    project.pytest("--golden-device-class", other).assert_outcomes(failed=2)
    assert command("accept", "--all", "--reason", "from the GPU").code == 0
    (project.root / "test_cube.py").unlink()
    before = project.golden_files()
    project.pytest().assert_outcomes(passed=1)
    dry = command("prune")
    assert dry.code == 0
    assert f"unused   test_cube.py/test_cube/video.{device}: there is no test_cube.py\n" in dry.out
    assert f"kept     all of other device classes: {other}" in dry.out
    assert project.golden_files() == before
    done = command("prune", "--delete")
    assert done.code == 0
    assert "1 golden(s) deleted" in done.out
    gone = before.keys() - project.golden_files().keys()
    assert gone == {name for name in before if name.startswith("test_cube.py") and f".{device}." in name}
    project.pytest("--golden-device-class", other).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("arguments", "words", "workers"),
    [
        (("-k", "ball"), "deselected", None),
        (("-k", "ball"), "deselected", 1),
        (("-m", "not slow"), "deselected", None),
        (("--deselect", "test_cube.py::test_cube"), "deselected", None),
        (("test_ball.py",), "only test_ball.py was asked for", None),
        (("--ignore", "test_cube.py"), "--ignore was given", None),
        (("-x",), "it did not pass", None),
        ((), "it did not pass", None),
        ((), "it did not pass", 1),
    ],
)
def test_rule_3_prune_refuses_after_a_run_that_tells_nothing(
    project: Project, command: Command, arguments: tuple[str, ...], words: str, workers: int | None
) -> None:
    """A partial, filtered or failed run is named as the reason; nothing is deleted, xdist or not."""
    marked = CUBE.replace("@pytest.mark.seed", "@pytest.mark.slow\n@pytest.mark.seed")
    project.write({"test_cube.py": marked})
    quiet = ("-W", "ignore::pytest.PytestUnknownMarkWarning")
    before = project.mint(*quiet)
    fails = "did not pass" in words
    env = {"TEST_SHIFT": "3"} if fails else {}
    project.pytest(*quiet, *arguments, workers=workers, env=env)
    done = command("prune", "--delete")
    assert done.code == 2
    assert words in done.out
    assert project.golden_files() == before


@pytest.mark.parametrize(
    ("how", "workers"), [("mark", None), ("call", None), ("module", None), ("module", 1)]
)
def test_prune_keeps_goldens_of_skipped_tests(
    project: Project, command: Command, how: str, workers: int | None
) -> None:
    """A test that was skipped, or whose module was, asked for nothing and yet is not gone."""
    project.write({"test_cube.py": CUBE})
    project.mint()
    skipping = {
        "mark": CUBE.replace("@pytest.mark.seed", "@pytest.mark.skip\n@pytest.mark.seed"),
        "call": CUBE.replace("    golden_video", "    pytest.skip('no')\n    golden_video"),
        "module": CUBE.replace("@pytest", "pytest.skip('no', allow_module_level=True)\n\n\n@pytest"),
    }
    project.write({"test_cube.py": skipping[how]})
    project.pytest(workers=workers).assert_outcomes(passed=1, skipped=1)
    done = command("prune", "--delete")
    assert done.code == 0, done.out
    assert "its test was skipped" in done.out
    assert "0 golden(s) deleted" in done.out
    assert [name for name in project.golden_files() if name.startswith("test_cube.py")]


def test_prune_without_a_run_refuses(project: Project, command: Command) -> None:
    """No run, nothing known."""
    assert command("prune").code == 2


def picture_folder(folder: Path, frames: int, level: int) -> Path:
    folder.mkdir()
    for index in range(frames):
        pixels = np.full((8, 12, 3), 40 * index, np.uint8)
        pixels[2:4, 3:5] = level
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def test_compare_takes_any_two_clips(project: Project, command: Command) -> None:
    """Folders of images by their frames: 0 for equal, 1 for different, 2 for what is no clip."""
    one = picture_folder(project.root / "a", 3, 200)
    same = picture_folder(project.root / "b", 3, 200)
    other = picture_folder(project.root / "c", 3, 210)
    longer = picture_folder(project.root / "d", 4, 200)
    equal = command("compare", one, same)
    assert (equal.code, equal.out.startswith("identical")) == (0, True)
    different = command("compare", one, other)
    assert different.code == 1
    assert "3 of 3 frames differ, the first is frame 0." in different.out
    assert "max_abs 10 in frame 0" in different.out
    incomparable = command("compare", one, longer)
    assert incomparable.code == 1
    assert "frames: 3 in the golden, 4 here." in incomparable.out
    assert "1 more frame at the end" in incomparable.out
    assert command("compare", one, "nowhere").code == 2
    data = json.loads(command("compare", one, other, "--json").out)
    assert data["checks"][0]["metrics"]["worst"]["max_abs"]["value"] == 10


def test_compare_takes_goldens_and_runs(project: Project, command: Command) -> None:
    """A golden and the run that differs from it; two runs check by check."""
    project.mint()
    project.pytest(env={"TEST_SHIFT": "3"}).assert_outcomes(failed=1)
    first, second = sorted(path.name for path in (project.root / ".seedpin" / "runs").iterdir())
    manifest = project.manifest()
    for golden in (manifest, project.frames()):
        done = command("compare", golden, second)
        assert done.code == 1, done.out
        assert "changed" in done.out
        assert "max_abs 3" in done.out
    assert command("compare", manifest, manifest).code == 0
    assert command("compare", second, second).code == 0
    runs = command("compare", first, second)
    assert runs.code == 1
    assert "was not kept" in runs.out


def test_compare_writes_a_report(project: Project, command: Command) -> None:
    """--html gives a page of its own with frames of both sides."""
    one = picture_folder(project.root / "a", 3, 200)
    other = picture_folder(project.root / "c", 3, 210)
    done = command("compare", one, other, "--html", project.root / "out")
    assert done.code == 1
    assert (project.root / "out" / "index.html").is_file()
    assert len(list((project.root / "out" / "media").rglob("*.webp"))) == 6


def test_compare_takes_tensors(project: Project, command: Command) -> None:
    """Two safetensors files by their values."""
    import torch
    from safetensors.torch import save_file

    for name, value in (("a", 1.0), ("b", 1.0), ("c", 1.5)):
        save_file({"x": torch.full((2, 3), value)}, project.root / f"{name}.safetensors")
    assert command("compare", "a.safetensors", "b.safetensors").code == 0
    done = command("compare", "a.safetensors", "c.safetensors")
    assert (done.code, "max_abs 0.5 in x" in done.out) == (1, True)


def test_report_prints_the_page(project: Project, command: Command) -> None:
    """The last run's report, in the run or where --out says."""
    project.pytest().assert_outcomes(failed=1)
    page = Path(command("report").out.strip())
    assert page.is_file()
    assert page.parent.parent.parent.name == "runs"
    assert command("report", "--out", "site").out.strip().endswith("site/index.html")
    assert (project.root / "site" / "index.html").is_file()
    assert command("report", "nothing").code == 2


def test_env_marks_what_can_move_bits(project: Project, command: Command) -> None:
    """Device class and settings as the gate would record them."""
    project.mint()
    done = command("env")
    assert done.code == 0, done.out
    device = project.manifest().name.split(".")[1]
    assert f"device class  {device}" in done.out
    assert any(line.startswith("*  torch ") for line in done.out.splitlines())
    golden = json.loads(project.manifest().read_text())["environment"]
    without = {key: value for key, value in golden["moves_bits"].items() if not key.startswith("canary.")}
    data = json.loads(command("env", "--json").out)
    assert data["environment"]["moves_bits"] == without
    data = json.loads(command("env", "--json", "--canary").out)
    assert data["environment"]["moves_bits"] == golden["moves_bits"]
    assert any(line.startswith("*  sqrt in float32 ") for line in command("env", "--canary").out.splitlines())


def test_env_says_what_the_portable_class_covers(project: Project, command: Command) -> None:
    """Of the portable class it is said what of NumPy and of compiled code it does not cover."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("the profile 'portable' exists on x86-64 only")
    project.write({"pyproject.toml": "[tool.seedpin]\ncpu_profile = 'portable'\n"})
    out = command("env").out
    assert "device class  cpu-x86_64-portable" in out
    assert "of NumPy + - * /, square roots" in out
    assert "torch.compile" in out


def test_env_is_compared_with_a_golden(project: Project, command: Command) -> None:
    """What differs between where a golden was minted and here, measured operations in words; then 1."""
    project.mint()
    path = project.manifest()
    done = command("env", "--golden", str(path))
    assert done.code == 0, done.out
    assert done.out.splitlines()[-1].endswith(" measured operations compute the same bits")
    data = json.loads(path.read_text())
    data["environment"]["moves_bits"] |= {"canary.sqrt.float32": "1:0", "torch": "1.0"}
    data["environment"]["informative"]["os"] = "Linux \x1b[2J"
    path.write_text(json.dumps(data))
    done = command("env", "--golden", str(path))
    assert done.code == 1
    assert re.search(r"^sqrt in float32 +1:0 +1:[0-9a-f]{16}$", done.out, re.MULTILINE)
    assert re.search(rf"^torch +1\.0 +{re.escape(torch.__version__)}$", done.out, re.MULTILINE)
    assert "\x1b[2J" not in done.out
    changes = json.loads(command("env", "--golden", str(path), "--json").out)["changes"]
    assert [change["key"] for change in changes if change["moves_bits"]] == ["canary.sqrt.float32", "torch"]
    gone = command("env", "--golden", "golden/none.json")
    assert gone.code == 2
    assert "there is no golden golden/none.json" in gone.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str, command: Command) -> None:
    """The script of each shell names the variable that makes seedpin complete."""
    done = command("completion", shell)
    assert done.code == 0
    assert f"_SEEDPIN_COMPLETE={shell}_complete" in done.out


DECIDING = "accept reject review report status show compare verify prune mv env"


def test_every_command_has_help_with_its_exit_codes(command: Command) -> None:
    """`--help` works for each command; those that decide or compare name their exit codes."""
    for name in DECIDING.split():
        done = command(name, "--help")
        assert done.code == 0, name
        assert "Exit code" in done.out, name
