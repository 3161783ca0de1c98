"""Models and factories that give nothing to check: named errors, and golden/ stays as it was."""

from __future__ import annotations

import pytest
import torch

import seedpin
from seedpin.errors import DeviceUnavailableError
from support.project import Project

TEST = """
import numpy as np
import pytest
import torch
from model import generate


def broken():
    raise OSError("weights.safetensors is not there")


def on_cuda():
    return torch.nn.Linear(2, 2).to("cuda")


class Model:
    def __init__(self, result):
        self.result = result

    def __call__(self, **kwargs):
        return self.result


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video):
    {body}
"""
CHECK = "golden_video.check(seeded_model(Model({}))(frames=4), fps=8)"

BAD = [
    (
        "seeded_model(broken)",
        "the factory broken (*test_ball.py:8) raised OSError: weights.safetensors is not there at *.py:9",
        "a factory is called once, without arguments, under the pin; mend it, or pass a model",
        "model",
    ),
    ("seeded_model(lambda: None)", "the factory *lambda* returned None", "is a return missing*", "model"),
    (CHECK.format("None"), "the model returned None", "is a return missing*", "model"),
    (CHECK.format("[]"), "an empty list: there are no frames", "*", "empty-clip"),
    (CHECK.format("np.zeros((0, 8, 8, 3), np.uint8)"), "*0*", "*", "empty-clip"),
    (
        CHECK.format("np.full((2, 8, 8, 3), np.nan, np.float32)").replace(
            "fps=8", "fps=8, value_range=(0, 1)"
        ),
        "*NaN*",
        "*",
        "non-finite-clip",
    ),
    (CHECK.format("object()"), "*object*", "*", "unsupported-clip"),
    (CHECK.format("'no such file.mp4'"), "*no such file.mp4*", "*", "unsupported-clip"),
    (CHECK.format("np.zeros((4, 3, 3, 3), np.uint8)"), "*", "*layout=*", "ambiguous-layout"),
    ("golden_video.check(None, fps=8)", "*None*", "*", "unsupported-clip"),
]


@pytest.mark.parametrize(("body", "what", "hint", "slug"), BAD, ids=[case[0] for case in BAD])
@pytest.mark.parametrize("update", [[], ["--update-golden=all"]], ids=["compare", "update"])
def test_what_gives_no_clip_is_a_named_error(
    project: Project, body: str, what: str, hint: str, slug: str, update: list[str]
) -> None:
    """A factory that raises, None, nothing, NaN and the like are told with the way out, and write nothing."""
    before = project.mint()
    project.write({"test_ball.py": TEST.format(body=body)})
    result = project.pytest(*update)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            f"E *Error: {what}",
            f"E * next: {hint}",
            f"E * more: seedpin explain {slug}",
            "FAILED test_ball.py::*",
        ]
    )
    assert project.golden_files() == before


def test_the_message_of_a_bad_model_ends_at_the_users_line(project: Project) -> None:
    """The traceback of an error of seedpin's shows the test's line and none of seedpin's own."""
    project.write({"test_ball.py": TEST.format(body="seeded_model(lambda: None)")})
    result = project.pytest()
    result.stdout.fnmatch_lines([">       seeded_model(lambda: None)", "E *ModelError: the factory *"])
    result.stdout.no_fnmatch_line("*seedpin/plugin/*.py:*")


@pytest.mark.parametrize("update", [False, True])
def test_a_black_clip_warns_and_never_becomes_a_golden_unasked(project: Project, update: bool) -> None:
    """An all-black clip is refused as a golden unless the check allows it, and warned of otherwise."""
    black = CHECK.format("np.zeros((4, 8, 8, 3), np.uint8)")
    project.write({"test_ball.py": TEST.format(body=black)})
    result = project.pytest(*(["--update-golden"] if update else []))
    result.assert_outcomes(failed=1, warnings=0 if update else 1)
    words = (
        "*SuspiciousClipError: *every value is zero*"
        if update
        else "*SuspiciousClipWarning: *every value is zero"
    )
    result.stdout.fnmatch_lines([words])
    assert not project.golden_files()
    project.write({"test_ball.py": TEST.format(body=black.replace("fps=8", "fps=8, allow=['black']"))})
    project.pytest("--update-golden").assert_outcomes(passed=1)


without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")


@without_cuda
def test_the_class_of_an_absent_device_is_an_error() -> None:
    """`seedpin.device_class("cuda")` says that CUDA is not here and how to find out why."""
    with pytest.raises(DeviceUnavailableError, match="CUDA was asked for, but torch") as caught:
        seedpin.device_class("cuda")
    assert "nvidia-smi" in caught.value.hint


@without_cuda
def test_a_model_on_an_absent_device_is_told_as_the_factory_s_failure(project: Project) -> None:
    """A factory that moves its model to a CUDA that is not there names torch's reason and the line."""
    before = project.mint()
    project.write({"test_ball.py": TEST.format(body="seeded_model(on_cuda)")})
    result = project.pytest("--update-golden=all")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *ModelError: the factory on_cuda * raised *Error: *"])
    assert project.golden_files() == before


ON_CUDA = """
import numpy as np
import torch


class OnCuda:
    device = torch.device("cuda:0")

    def __array__(self, dtype=None, copy=None):
        return np.arange(192, dtype=np.uint8).reshape(8, 8, 3)


def test_ball(golden_video, golden_tensors, seeded_model):
    golden_{check}
"""


@without_cuda
@pytest.mark.parametrize("check", ["tensors.check({'a': OnCuda()})", "video.check([OnCuda(), OnCuda()])"])
def test_the_class_of_a_golden_is_that_of_the_clip_s_device(project: Project, check: str) -> None:
    """What lies on CUDA is never compared with, or kept as, a golden of the CPU, whatever was pinned."""
    project.write({"test_ball.py": ON_CUDA.replace("{check}", check)})
    result = project.pytest("-W", "ignore")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *DeviceUnavailableError: CUDA was asked for*"])


@without_cuda
def test_goldens_of_an_absent_device_are_not_written(project: Project) -> None:
    """An update for a CUDA class where there is no CUDA is refused; a comparison with that class is not."""
    name = "cuda-sm90-nvidia_h100_80gb_hbm3-132sm"
    result = project.pytest("--update-golden", "--golden-device-class", name)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            f"E *DeviceUnavailableError: goldens for {name} are not written here: CUDA was asked for*",
            "E * next: run the update on a machine with that device",
            "E * more: seedpin explain device-unavailable",
        ]
    )
    assert not project.golden_files()
    compared = project.pytest("--golden-device-class", name)
    compared.assert_outcomes(failed=1)
    compared.stdout.fnmatch_lines([f"  There is no golden for {name}."])
