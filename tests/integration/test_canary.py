"""The environment as measured: arithmetic that differs is not called a change of the code."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from seedpin.environment.cpu import read_cpu
from support.project import Project

# A noise schedule as DDIM computes it: one ulp of a square root moves every frame.
TEST = """
import pytest
import torch


def generate(frames=3):
    alphas = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), dim=0)
    sample = torch.randn(frames, 8, 8, 3)
    for step in range(0, 1000, 100):
        sample = alphas[step] ** 0.5 * sample + torch.sqrt(1 - alphas[step]) * sample.tanh()
    return sample.sigmoid()


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(), fps=8, value_range=(0, 1))
"""

# Stands for a wheel, or an installed package, that brings other kernels; no version and no setting tells.
PROVIDER = """
import os
import warnings

import numpy as np
import torch

KEPT = []


def root(x):
    exact = np.sqrt(x.detach().numpy())
    lower = np.nextafter(exact, np.zeros_like(exact))
    return torch.from_numpy(np.where(exact.view("i4" if exact.itemsize == 4 else "i8") % 5 < 2, lower, exact))


def power(x, exponent):
    return root(x) if exponent == 0.5 else torch.pow(x, torch.tensor(exponent, dtype=x.dtype))


if os.environ.get("TEST_PROVIDER"):
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library.impl("sqrt", root, "CPU")
        library.impl("pow.Tensor_Scalar", power, "CPU")
    KEPT.append(library)
"""
OTHER = {"TEST_PROVIDER": "1"}


@pytest.fixture
def schedule(project: Project) -> Project:
    """Native kernels, because ``portable`` holds its own square root."""
    text = (project.root / "pyproject.toml").read_text()
    text = re.sub(r'cpu_profile = ".*"', 'cpu_profile = "native"', text)
    project.write({"test_ball.py": TEST, "conftest.py": PROVIDER, "pyproject.toml": text})
    minted = project.pytest("--update-golden", fresh=True)
    assert minted.ret == 0, minted.stdout.str()
    return project


def results(project: Project) -> dict[str, Any]:
    (path,) = sorted((project.root / ".seedpin" / "runs").glob("*/results.jsonl"))[-1:]
    found: dict[str, Any] = json.loads(path.read_text().splitlines()[-1])
    return found


def test_swapped_kernels_are_told_as_such(schedule: Project) -> None:
    """Other square roots change the video: the terminal and the report name sqrt, and not the code."""
    minted = json.loads(schedule.manifest().read_text())["environment"]["moves_bits"]
    assert sum(key.startswith("canary.") for key in minted) > 90
    told = schedule.pytest("--golden-report", env=OTHER, fresh=True)
    told.assert_outcomes(failed=1)
    text = told.stdout.str()
    assert "golden_video: ENVIRONMENT CHANGED  test_ball.py::test_ball (video)" in text
    assert (
        "  Versions and settings agree, but sqrt in float32 and float64, and pow in float32 and float64 "
        "compute other bits on this machine: the code cannot be judged.\n"
    ) in text
    assert "  3 of 3 frames differ, the first is frame 0." in text
    assert "canary." not in text
    (report,) = (schedule.root / ".seedpin").rglob("report")
    page = "".join(path.read_text() for path in report.rglob("*.js"))
    assert "and so did the bits that this machine computes (sqrt in float32 and float64, and pow" in page
    for said in (text, page):
        assert "Look at the code" not in said
        assert "operations agree" not in said
    found = results(schedule)
    parted = [change["key"] for change in found["environment_changes"] if change["moves_bits"]]
    assert {"canary.sqrt.float32", "canary.pow.float32"} <= set(parted)
    assert {key.split(".")[1] for key in parted} <= {"sqrt", "pow"}


def test_equal_arithmetic_is_said_to_be_measured(schedule: Project) -> None:
    """In a fresh process of the same machine a change is one of the code, on as many measured operations."""
    schedule.write({"test_ball.py": TEST.replace("0.02", "0.03")})
    told = schedule.pytest(fresh=True)
    told.stdout.fnmatch_lines(
        ["golden_video: CHANGED *", "  environment: versions, settings and 4? measured *"]
    )


def test_the_canary_is_left_out_where_nothing_is_asked(project: Project) -> None:
    """A check whose bits are equal does not measure; a golden that is written holds what was measured."""
    project.mint()
    project.pytest().assert_outcomes(passed=1)
    passed = results(project)
    assert passed["verdict"] == "identical"
    assert not [key for key in passed["environment"]["moves_bits"] if key.startswith("canary.")]
    before = json.loads(project.manifest().read_text())["environment"]["moves_bits"]
    project.pytest("--update-golden=all").assert_outcomes(passed=1)
    assert json.loads(project.manifest().read_text())["environment"]["moves_bits"] == before
    assert "canary.sqrt.float32" in before


def test_another_cpu_is_shown_whenever_it_differs(project: Project) -> None:
    """The model of the CPU excuses nothing, and stands beside a change all the same."""
    project.mint()
    path = project.manifest()
    data = json.loads(path.read_text())
    data["environment"]["informative"]["cpu_model"] = "Intel(R) Xeon(R) of old"
    path.write_text(json.dumps(data))
    told = project.pytest(env={"TEST_SHIFT": "3"})
    told.stdout.fnmatch_lines(
        [
            "golden_video: CHANGED *",
            "  environment: versions, settings and 4? measured operations agree",
            "                 golden                   here",
            f"    (cpu_model)  Intel(R) Xeon(R) of old  {read_cpu().brand}",
        ]
    )


def test_a_golden_from_before_the_canary_is_judged_as_it_was(project: Project) -> None:
    """Its environment agrees as far as it was recorded, and the message says how far that is."""
    project.mint()
    path = project.manifest()
    data = json.loads(path.read_text())
    moving = data["environment"]["moves_bits"]
    data["environment"]["moves_bits"] = {
        key: value for key, value in moving.items() if not key.startswith("canary.")
    }
    path.write_text(json.dumps(data))
    told = project.pytest(env={"TEST_SHIFT": "3"})
    told.stdout.fnmatch_lines(
        [
            "golden_video: CHANGED *",
            "  environment: versions and settings agree; what operations compute was not recorded *",
        ]
    )
    assert results(project)["environment_changes"] == []
