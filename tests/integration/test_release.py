"""Models, calls, recordings and clips end with their test."""

from __future__ import annotations

import pytest

from support.project import Project

MODEL = """
import gc
import weakref

import torch
from torch import nn

ALIVE = weakref.WeakSet()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.paint = nn.Conv2d(3, 3, 1)
        ALIVE.add(self)

    @torch.no_grad()
    def forward(self, frames=2):
        out = torch.sigmoid(self.paint(torch.randn(frames, 3, 16, 16))).permute(0, 2, 3, 1).clone()
        ALIVE.add(out)
        return out


def still_there():
    gc.collect()
    return [type(item).__name__ for item in ALIVE]
"""

TESTS = """
import os

import pytest
import torch

from net import Net, still_there


@pytest.fixture(autouse=True)
def nothing_is_left_of_the_test_before():
    left = still_there()
    yield
    assert not left, left


@pytest.mark.parametrize("index", range(4))
def test_video(seeded_model, golden_video, index):
    clip = seeded_model(Net)()
    if os.environ.get("SLIP") and index == 1:
        clip = 1 - clip
    golden_video.check(clip, fps=8)


def test_tensors(seeded_model, golden_tensors):
    golden_tensors.check(seeded_model(Net)())


def test_without_a_check(seeded_model):
    seeded_model(Net)()


def test_nothing_is_left():
    pass
"""


@pytest.fixture
def released(project: Project) -> Project:
    project.write({"net.py": MODEL, "test_net.py": TESTS})
    return project


@pytest.mark.parametrize("probe", ["off", "twice"])
def test_models_end_with_their_test(released: Project, probe: str) -> None:
    """No model and no clip of a test lives when the next one begins, minted, compared, or with a trace."""
    released.pytest("--update-golden", f"--golden-probe={probe}").assert_outcomes(passed=8)
    released.pytest().assert_outcomes(passed=8)


def test_models_end_with_their_test_on_a_worker(released: Project) -> None:
    """The same under pytest-xdist."""
    pytest.importorskip("xdist")
    released.pytest("--update-golden", "--golden-probe=off", workers=1).assert_outcomes(passed=8)
    released.pytest(workers=1).assert_outcomes(passed=8)


def test_of_a_failing_check_no_more_than_its_traceback_is_kept(released: Project) -> None:
    """A test whose check fails releases its model too, as soon as Python drops the last traceback."""
    released.pytest("--update-golden", "--golden-probe=off").assert_outcomes(passed=8)
    result = released.pytest(env={"SLIP": "1"})
    result.assert_outcomes(passed=7, failed=1)
