"""The whole story: the gate fails elsewhere, somebody without that machine decides, the gate is green."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.commands import files_below, seedpin, zip_folder
from support.project import Project

BRIGHTER = {"TEST_SHIFT": "3"}


def checkout(project: Project, target: Path) -> Path:
    """The project as version control would give it: without ``.seedpin``."""
    shutil.copytree(project.root, target, ignore=shutil.ignore_patterns(".seedpin", "__pycache__"))
    return target


@pytest.mark.parametrize("form", ["zip", "zip of a run", "folder", ".seedpin", "run folder"])
def test_the_whole_story(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, form: str
) -> None:
    """A runner's gate fails, its folder is carried to another checkout, accept there makes the gate pass."""
    project.mint("--golden-reason", "first")
    away = tmp_path_factory.mktemp("away")
    here = checkout(project, away / "project")
    project.pytest(env=BRIGHTER).assert_outcomes(failed=1)
    state = project.root / ".seedpin"
    run = max((state / "runs").iterdir())
    carried = away / "artifact"
    if form == "zip":
        source = zip_folder(state, away / "artifact.zip")
    elif form == "zip of a run":
        source = zip_folder(run, away / "artifact.zip")
    elif form == "folder":
        source = carried
        shutil.copytree(state, carried / "golden-run")
    elif form == ".seedpin":
        source = Path(shutil.copytree(state, carried / ".seedpin"))
    else:
        source = Path(shutil.copytree(run, carried / run.name))

    done = seedpin("accept", str(source), "--reason", "brighter", cwd=here, monkeypatch=monkeypatch)

    assert done.code == 0, done.out
    assert "updated  test_ball.py::test_ball::video" in done.out
    assert "nothing left to decide" in done.out
    manifest = json.loads(next((here / "golden").rglob("*.json")).read_text())
    assert manifest["updated"]["reason"] == "brighter"
    obtained = json.loads(next(run.glob("obtained/**/*.json")).read_text())
    assert manifest["digest"] == obtained["digest"]
    accepted = files_below(here / "golden")
    # The next gate, on the machine of the runner: it checks out what was accepted.
    shutil.rmtree(project.root / "golden")
    shutil.copytree(here / "golden", project.root / "golden")
    project.pytest(env=BRIGHTER).assert_outcomes(passed=1)
    assert files_below(project.root / "golden") == accepted


def test_accept_needs_neither_torch_nor_the_device(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clip of a class that is not here becomes a golden of that class."""
    device = "cuda-sm90-nvidia_h100_80gb_hbm3-132sm"
    project.pytest("--golden-device-class", device).assert_outcomes(failed=1)
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    done = seedpin("accept", "--reason", "first", cwd=project.root, monkeypatch=monkeypatch)
    assert done.code == 0, done.out
    monkeypatch.undo()
    assert [name for name in project.golden_files() if name.endswith(f"video.{device}.json")]


def test_a_golden_that_changed_since_the_run_is_not_replaced(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accept names the digest that the run saw and the one that is there, and writes nothing."""
    project.mint()
    project.pytest(env=BRIGHTER).assert_outcomes(failed=1)
    run = max((project.root / ".seedpin" / "runs").iterdir())
    seen = json.loads((run / "results.jsonl").read_text().splitlines()[-1])["manifest_digest"]
    project.pytest("--update-golden", env={"TEST_SHIFT": "9"}).assert_outcomes(passed=1)
    before = project.golden_files()
    done = seedpin("accept", run.name, "--reason", "x", cwd=project.root, monkeypatch=monkeypatch)
    assert done.code == 2
    assert "changed since the run" in done.out
    assert done.out.count("sha256:") == 2
    assert seen in done.out
    assert project.golden_files() == before
    assert not (run / "decisions.jsonl").read_text()


def test_accept_also_keeps_the_golden_and_accepts_both(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--also` lists one more digest: both clips pass then, and the frames stay as they were."""
    before = project.mint()
    project.pytest(env=BRIGHTER).assert_outcomes(failed=1)
    arguments = ("accept", "--also", "--reason", "the other kernel")
    done = seedpin(*arguments, cwd=project.root, monkeypatch=monkeypatch)
    assert done.code == 0, done.out
    after = project.golden_files()
    assert {name: data for name, data in after.items() if not name.endswith(".json")} == {
        name: data for name, data in before.items() if not name.endswith(".json")
    }
    assert json.loads(project.manifest().read_text())["accepted"][0]["reason"] == "the other kernel"
    project.pytest(env=BRIGHTER).assert_outcomes(passed=1)
    project.pytest().assert_outcomes(passed=1)


def test_rejecting_known_bad_bits_keeps_them_red(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """`reject --known-bad` notes the digest in the golden; a tolerance cannot let it pass any more."""
    project.mint()
    project.pytest(env=BRIGHTER).assert_outcomes(failed=1)
    arguments = ("reject", "--known-bad", "--reason", "grey veil")
    done = seedpin(*arguments, cwd=project.root, monkeypatch=monkeypatch)
    assert done.code == 0, done.out
    loose = project.root / "pyproject.toml"
    loose.write_text(
        loose.read_text() + '\n[tool.seedpin.tolerance."*"]\npsnr = 20\nsame_environment = true\n'
    )
    result = project.pytest(env=BRIGHTER)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*known to be bad: grey veil*"])
    project.pytest(env={"TEST_SHIFT": "2"}).assert_outcomes(passed=1)


def test_rejecting_leaves_goldens_alone_and_nothing_pending(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rejected check awaits nothing; accepting it by its id still works."""
    before = project.mint()
    project.pytest(env=BRIGHTER).assert_outcomes(failed=1)
    done = seedpin("reject", "--reason", "no", cwd=project.root, monkeypatch=monkeypatch)
    assert "nothing left to decide" in done.out
    assert project.golden_files() == before
    again = seedpin("accept", "--all", "--reason", "x", cwd=project.root, monkeypatch=monkeypatch)
    assert "nothing awaits a decision" in again.out
    named = seedpin("accept", "test_ball::video", "--reason", "x", cwd=project.root, monkeypatch=monkeypatch)
    assert named.code == 0, named.out
    assert project.golden_files() != before


TWO = """
import pytest
from model import generate


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=4), fps=8, name="wan")
    golden_video.check(seeded_model(generate)(frames=5), fps=8, name="i2v")
"""


def test_several_are_chosen_by_id_by_expression_or_all(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several pending checks need a choice; ids, -k and --all make one; a wrong one is told."""
    project.write({"test_ball.py": TWO})
    project.pytest().assert_outcomes(failed=1)

    def accept(*arguments: str) -> tuple[int, str]:
        done = seedpin("accept", *arguments, "--reason", "x", cwd=project.root, monkeypatch=monkeypatch)
        return done.code, done.out

    code, out = accept()
    assert (code, "2 checks" in out, "test_ball::i2v" in out) == (2, True, True)
    code, out = accept("test_ball")
    assert (code, "names 2 checks" in out) == (2, True)
    assert accept("-k", "nothing")[0] == 2
    assert accept("-k", "wan and (")[0] == 2
    assert accept("nobody")[0] == 2
    assert not (project.root / "golden").exists()
    code, out = accept("-k", "wan and not i2v")
    assert (code, "1 accepted, 1 left to decide" in out) == (0, True)
    code, out = accept("--all")
    assert (code, "1 accepted, nothing left to decide" in out) == (0, True)
    project.pytest().assert_outcomes(passed=1)


UNSTABLE = """
import itertools
import pytest
from model import generate

counter = itertools.count()


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video):
    clip = seeded_model(generate)(frames=4)
    clip[0, 0, 0] = next(counter) * 50
    golden_video.check(clip, fps=8)


@pytest.mark.seed(7)
def test_calm(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=4), fps=8)
"""


def test_unstable_checks_are_never_accepted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its id it is refused; --all leaves it out, says so and ends with 1."""
    project.write({"test_ball.py": UNSTABLE})
    assert project.pytest("--reruns", "1").parseoutcomes() == {"failed": 2, "rerun": 2}
    named = seedpin("accept", "test_ball::video", "--reason", "x", cwd=project.root, monkeypatch=monkeypatch)
    assert named.code == 2
    assert "does not repeat" in named.out
    every = seedpin("accept", "--all", "--reason", "x", cwd=project.root, monkeypatch=monkeypatch)
    assert every.code == 1, every.out
    assert "left out  test_ball.py::test_ball::video: unstable" in every.out
    assert "1 accepted, 1 left to decide" in every.out


BLACK = """
import numpy as np
import pytest


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video):
    golden_video.check(seeded_model(lambda: np.zeros((4, 24, 24, 3), np.uint8))(), fps=8)
"""


def test_a_black_clip_is_accepted_only_in_words(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an update refuses as a golden, accept refuses too, unless allowed by name."""
    project.write({"test_ball.py": BLACK})
    project.pytest("-W", "ignore::seedpin.errors.SuspiciousClipWarning").assert_outcomes(failed=1)
    done = seedpin("accept", "--reason", "x", cwd=project.root, monkeypatch=monkeypatch)
    assert done.code == 2
    assert "black" in done.out
    assert not (project.root / "golden").exists()
    said = seedpin("accept", "--reason", "x", "--allow", "black", cwd=project.root, monkeypatch=monkeypatch)
    assert said.code == 0, said.out


TENSORS = """
import pytest
import torch


def make():
    return {"a": torch.randn(3, 4), "b": torch.randn(5).bfloat16(), "c": torch.rand(6) > 0.5}


@pytest.mark.seed(7)
def test_latents(seeded_model, golden_tensors):
    golden_tensors.check(seeded_model(make)())
"""


def test_tensors_are_accepted_too(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digests of tensors of any dtype are checked as the gate computes them, without torch."""
    project.write({"test_ball.py": TENSORS})
    project.pytest().assert_outcomes(failed=1)
    done = seedpin("accept", "--reason", "x", cwd=project.root, monkeypatch=monkeypatch)
    assert done.code == 0, done.out
    project.pytest().assert_outcomes(passed=1)
    run = max((project.root / ".seedpin" / "runs").iterdir())
    assert seedpin("verify", cwd=project.root, monkeypatch=monkeypatch).code == 0
    assert run.is_dir()
