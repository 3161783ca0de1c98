"""The message of each verdict, word by word. Paths, versions and digests are replaced by names."""

from __future__ import annotations

import re
from textwrap import dedent

import pytest
import torch

from support.project import Project, edit_environment, edit_manifest

SHIFTED = {"TEST_SHIFT": "3"}
TEST = """
import pytest
from model import generate


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames={frames}), fps=8{more})
"""
FLAKY = """
import numpy as np
import pytest

CALLS = []


def generate(frames):
    CALLS.append(0)
    y, x = np.mgrid[0:24, 0:24]
    clip = np.stack([(4 * x + 2 * y + t)[..., None].repeat(3, 2) % 128 for t in range(frames)])
    return (clip + len(CALLS) {only}).astype(np.uint8)


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=4), fps=8)
"""


def block(project: Project, result: pytest.RunResult) -> str:
    """The failure's block without its frame, with names in place of what differs from run to run."""
    text = result.stdout.str()
    found = re.search(r"^_+ test_ball _+\n(.*?)^=+ ", text, re.MULTILINE | re.DOTALL)
    assert found is not None, text
    told = found.group(1)
    device_class = re.search(r"^  (cpu-\S+), ", told, re.MULTILINE)
    assert device_class is not None, told
    for pattern, name in (
        (re.escape(str(project.root)), "ROOT"),
        (re.escape(device_class.group(1)), "CLASS"),
        (r"\.seedpin/runs/[-0-9a-f]+", "RUN"),
        (r"sha256:[0-9a-f]{64}", "sha256:DIGEST"),
        (re.escape(torch.__version__), "VERSION"),
        (r"\d+ measured operations", "N measured operations"),
    ):
        told = re.sub(pattern, name, told)
    return told


def test_missing(project: Project) -> None:
    """A missing golden: what is missing, where it would be, where the clip is, what to type."""
    assert block(project, project.pytest()) == dedent("""\
        golden_video: MISSING  test_ball.py::test_ball (video)
          CLASS, seed 7, strict, at test_ball.py:8
          There is no golden for CLASS.
          golden:   golden/test_ball.py/test_ball/video.CLASS.json (none)
          obtained: RUN/obtained/test_ball.py/test_ball/video.CLASS.json
          next: look at the obtained clip, then: pytest test_ball.py::test_ball --update-golden
          more: seedpin explain missing
        """)


WORST = (
    "worst: ssim 0.998949 in frame 3, psnr 38.59 dB in frame 0, max_abs 3 in frame 0, "
    "mean_abs 3 in frame 0, changed 100 % in frame 0, temporal 0 in frame 0"
)
CHANGED = dedent("""\
    golden_video: CHANGED  test_ball.py::test_ball (video)
      CLASS, seed 7, strict, at test_ball.py:8
      Bits differ, and no tolerance is declared for the golden's own environment.
      4 of 4 frames differ, the first is frame 0.
      where: the random draws agree and nothing else was recorded; all 4 frames differ, first frame 0
      looks like: every value is +3, but for saturation: a constant offset of brightness
      {worst}
      environment: versions, settings and N measured operations agree
    {attempt}  golden:   golden/test_ball.py/test_ball/video.CLASS.json
      obtained: RUN/obtained/test_ball.py/test_ball/video.CLASS.json
      next: if this is meant: pytest test_ball.py::test_ball --update-golden --golden-reason "why"
      more: seedpin explain changed
    """)


def test_changed(project: Project) -> None:
    """A change: how far, where it began, what it looks like, and what to type if it is meant."""
    project.mint()
    assert block(project, project.pytest(env=SHIFTED)) == CHANGED.format(worst=WORST, attempt="")


def test_changed_again(project: Project) -> None:
    """A retry that obtains the same bits says that the change is real."""
    project.mint()
    told = "  attempt 2 obtained the same bits as attempt 1: it is real.\n"
    assert block(project, project.pytest("--reruns", "1", env=SHIFTED)) == CHANGED.format(
        worst=WORST, attempt=told
    )


def test_changed_beyond_a_tolerance(project: Project) -> None:
    """Broken limits are told one by one, with the worst frame and what was declared."""
    project.mint()
    more = ", tolerance={'psnr': 60, 'max_abs': 2, 'ssim': 0.9}"
    project.write({"test_ball.py": TEST.format(frames=4, more=more)})
    assert block(project, project.pytest(env=SHIFTED)) == CHANGED.format(worst=WORST, attempt="").replace(
        "  Bits differ, and no tolerance is declared for the golden's own environment.\n",
        "  psnr of frame 0 is 38.5884; at least 60 is declared.\n"
        "  max_abs of frame 0 is 3; at most 2 is declared.\n",
    )


def test_incomparable(project: Project) -> None:
    """Facts that differ are told by name; nothing is cut to fit."""
    project.mint()
    project.write({"test_ball.py": TEST.format(frames=5, more="")})
    assert block(project, project.pytest()) == dedent("""\
        golden_video: INCOMPARABLE  test_ball.py::test_ball (video)
          CLASS, seed 7, strict, at test_ball.py:8
          frames: 4 in the golden, 5 here.
          where: the call's argument `frames` is 5 here, was 4; then: the clips agree up to frame 3; 1 more frame follows
          looks like: the obtained clip holds all of the golden exactly, and 1 more frame at the end
          golden:   golden/test_ball.py/test_ball/video.CLASS.json
          obtained: RUN/obtained/test_ball.py/test_ball/video.CLASS.json
          next: if this is meant: pytest test_ball.py::test_ball --update-golden --golden-reason "why"
          more: seedpin explain incomparable
        """)  # noqa: E501


def test_environment_changed(project: Project) -> None:
    """Another environment: its differences as a table, and how to find out whether the code is to blame."""
    project.mint()
    edit_environment(project.manifest(), torch="1.0", threads="64")
    assert block(project, project.pytest(env=SHIFTED)) == dedent("""\
        golden_video: ENVIRONMENT CHANGED  test_ball.py::test_ball (video)
          CLASS, seed 7, strict, at test_ball.py:8
          Bits differ, and no tolerance is declared for the same device class in another environment.
          4 of 4 frames differ, the first is frame 0.
          The environment differs in threads, torch: the code cannot be judged. The N measured operations \
compute the same bits: that weighs for a change of the code, and proves no more.
          where: the random draws agree and nothing else was recorded; all 4 frames differ, first frame 0
          looks like: every value is +3, but for saturation: a constant offset of brightness
          {worst}
          environment:
                     golden  here
            threads  64      1
            torch    1.0     VERSION
          golden:   golden/test_ball.py/test_ball/video.CLASS.json
          obtained: RUN/obtained/test_ball.py/test_ball/video.CLASS.json
          next: to see whether code or environment did it: pytest test_ball.py::test_ball --golden-attribute
          more: seedpin explain environment-changed
        """).format(worst=WORST)


def test_unstable_between_attempts(project: Project) -> None:
    """A retry that obtains something else: both digests, and what has to be found."""
    project.write({"test_ball.py": FLAKY.format(only="* 0")})
    project.mint()
    project.write({"test_ball.py": FLAKY.format(only="- 2")})
    assert block(project, project.pytest("--reruns", "1")) == dedent("""\
        golden_video: UNSTABLE  test_ball.py::test_ball (video)
          CLASS, seed 7, strict, at test_ball.py:17
          An earlier attempt in this session obtained sha256:DIGEST, this one sha256:DIGEST: the model does \
not repeat under its pin.
          golden:   golden/test_ball.py/test_ball/video.CLASS.json
          obtained: RUN/obtained/test_ball.py/test_ball/video.CLASS.json
          next: find what is random; goldens need a model that repeats under its pin
          more: seedpin explain unstable
        """)


def test_unstable_before_a_golden_is_born(project: Project) -> None:
    """A model that does not repeat gets no golden: the probe tells where its two calls part."""
    project.write({"test_ball.py": FLAKY.format(only="* 1")})
    told = block(project, project.pytest("--update-golden"))
    lines = told.splitlines()
    assert lines[0] == "golden_video: UNSTABLE  test_ball.py::test_ball (video)"
    assert lines[-2:] == [
        "  next: find what is random; goldens need a model that repeats under its pin",
        "  more: seedpin explain unstable",
    ]
    assert "  golden:   golden/test_ball.py/test_ball/video.CLASS.json" in lines[-4]
    assert not project.golden_files()


def test_damaged(project: Project) -> None:
    """A damaged golden: which file, what is wrong with it, and the two ways out."""
    project.mint()
    edit_manifest(project.manifest(), digest="sha256:0")
    assert block(project, project.pytest()) == dedent("""\
        golden_video: DAMAGED  test_ball.py::test_ball (video)
          CLASS, seed 7, strict, at test_ball.py:8
          ROOT/golden/test_ball.py/test_ball/video.CLASS.json contradicts itself: its digest is not that of \
its 4 frame digests; it was changed
          golden:   golden/test_ball.py/test_ball/video.CLASS.json
          obtained: RUN/obtained/test_ball.py/test_ball/video.CLASS.json
          next: restore it from version control (git checkout -- 'ROOT/golden/test_ball.py/test_ball/video.\
CLASS.json'), or write it anew: pytest test_ball.py::test_ball --update-golden=all --golden-reason "why"
          more: seedpin explain damaged
        """)


TENSORS = """
import numpy as np
import pytest
import torch
from model import generate, shift


def latents():
    return {{"a": torch.randn(2, 3) + shift() / 8, "b": torch.ones(4)}}


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_tensors, golden_image):
    golden_tensors.check(seeded_model(latents)())
    golden_image.check(seeded_model(generate)(frames=1)[0])
"""


def test_several_kinds_in_one_failure(project: Project) -> None:
    """Tensors and images have blocks of their own, in the order of the checks."""
    project.write({"test_ball.py": TENSORS.format()})
    project.mint()
    told = block(project, project.pytest(env=SHIFTED))
    first, second = told.split("\n\n")
    assert first.startswith("golden_tensors: CHANGED  test_ball.py::test_ball (tensors)\n")
    assert re.search(r"^  worst: .*max_abs 0\.375 in a", first, re.MULTILINE)
    assert second.startswith("golden_image: CHANGED  test_ball.py::test_ball (image)\n")
    assert first.endswith("more: seedpin explain changed")


@pytest.mark.parametrize(
    ("change", "options", "verdict"),
    [
        ("", (), "MISSING"),
        ("TEST_SHIFT", (), "CHANGED"),
        ("", ("--seedpin-seed=9",), "INCOMPARABLE"),
        ("damage", (), "DAMAGED"),
    ],
)
def test_rule_9_a_failure_says_what_where_and_what_to_type(
    project: Project, change: str, options: tuple[str, ...], verdict: str
) -> None:
    """Each failing check names its test, its line, both files, a next step and where to read more."""
    project.write({"test_ball.py": TEST_WITHOUT_SEED})
    if verdict != "MISSING":
        project.mint()
    if change == "damage":
        frames = next((project.root / "golden").rglob("*.zip"))
        frames.write_bytes(frames.read_bytes()[:-9])
    result = project.pytest(*options, env={"TEST_SHIFT": "3"} if change == "TEST_SHIFT" else {})
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            f"golden_video: {verdict}  test_ball.py::test_ball (video)",
            "  *, seed *, strict, at test_ball.py:6",
            "  golden:   golden/test_ball.py/test_ball/video.*.json*",
            "  obtained: .seedpin/runs/*/obtained/test_ball.py/test_ball/video.*.json",
            "  next: ?*",
            f"  more: seedpin explain {verdict.lower()}",
        ]
    )


TEST_WITHOUT_SEED = """
from model import generate


def test_ball(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=4), fps=8)
"""
