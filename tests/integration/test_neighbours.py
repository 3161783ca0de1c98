"""Beside other plugins: pytest-regressions, rerunfailures, randomly, xdist; unittest classes and xfail."""

from __future__ import annotations

import re

import pytest

from support.project import Project

SHIFTED = {"TEST_SHIFT": "3"}
BESIDE = """
import pytest
from model import generate, shift


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=2), fps=8)


def test_data(data_regression):
    data_regression.check({"shift": shift()})
"""


@pytest.fixture
def beside(project: Project) -> Project:
    """A project with a golden and a file of pytest-regressions', both written."""
    project.write({"test_ball.py": BESIDE})
    project.pytest("--regen-all")
    project.mint()
    project.pytest().assert_outcomes(passed=2)
    return project


def data_file(project: Project) -> str:
    return (project.root / "test_ball" / "test_data.yml").read_text()


@pytest.mark.parametrize("switch", ["--force-regen", "--regen-all"])
def test_the_switches_of_pytest_regressions_leave_goldens_alone(beside: Project, switch: str) -> None:
    """What writes other regression files anew compares goldens as ever, and writes none."""
    before = beside.golden_files()
    result = beside.pytest(switch, env=SHIFTED)
    result.stdout.fnmatch_lines(["golden_video: CHANGED *"])
    assert beside.golden_files() == before
    assert data_file(beside) == "shift: 3\n"
    (beside.root / "golden").rename(beside.root / "other")
    beside.pytest(switch).stdout.fnmatch_lines(["golden_video: MISSING *"])
    assert not (beside.root / "golden").exists()


@pytest.mark.parametrize("mode", ["", "=missing", "=all"])
def test_an_update_leaves_other_regression_files_alone(beside: Project, mode: str) -> None:
    """`--update-golden` writes goldens and nothing of pytest-regressions'."""
    result = beside.pytest(f"--update-golden{mode}", env=SHIFTED)
    assert result.parseoutcomes()["failed"] == (2 if mode == "=missing" else 1)
    result.stdout.fnmatch_lines(["FAILED test_ball.py::test_data *"])
    assert data_file(beside) == "shift: 0\n"


def test_both_switches_together_write_both(beside: Project) -> None:
    """An update of goldens and `--regen-all` do not get into each other's way."""
    beside.pytest("--update-golden", "--regen-all", env=SHIFTED).assert_outcomes(passed=2)
    assert data_file(beside) == "shift: 3\n"
    beside.pytest(env=SHIFTED).assert_outcomes(passed=2)


MANY = """
import random

import numpy as np
import pytest
import torch
from model import generate


@pytest.mark.parametrize("seed", range(6))
def test_ball(seed, seeded_model, golden_video):
    random.random(), np.random.rand(seed), torch.rand(3)
    golden_video.check(seeded_model(generate, seed=seed)(frames=2), fps=8)
"""


def test_reruns_random_order_and_workers_together(project: Project) -> None:
    """With rerunfailures, randomly and xdist at once goldens are written, equal, and fail as without them."""
    project.write({"test_ball.py": MANY})
    together = ["--reruns", "1", "-p", "randomly"]
    project.pytest(*together, "--update-golden", workers=2).assert_outcomes(passed=6)
    files = project.golden_files()
    assert len([name for name in files if name.endswith(".json")]) == 6
    result = project.pytest(*together, workers=2, env=SHIFTED)
    assert result.parseoutcomes() == {"failed": 6, "rerun": 6}
    assert "Using --randomly-seed=" in result.stdout.str()
    assert len(re.findall("attempt 2 obtained the same bits as attempt 1", result.stdout.str())) == 6
    assert project.golden_files() == files


UNITTEST = """
import unittest

import pytest
from model import generate


class TestBall(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def fixtures(self, seeded_model, golden_video):
        self.seeded_model, self.golden_video = seeded_model, golden_video

    @pytest.mark.seed(7)
    def test_it(self):
        self.golden_video.check(self.seeded_model(generate)(frames=2), fps=8)
        {after}

    @unittest.expectedFailure
    def test_expected(self):
        self.golden_video.check(self.seeded_model(generate)(frames=3), fps=8)
        self.fail()
"""


@pytest.mark.parametrize("after", ["pass", "self.skipTest('no')", "self.fail('other')"])
def test_a_unittest_class_is_gated_too(project: Project, after: str) -> None:
    """A failing check fails a method of unittest.TestCase, whatever else the method does."""
    project.write({"test_ball.py": UNITTEST.format(after="pass")})
    project.mint()
    project.pytest().assert_outcomes(passed=1, xfailed=1)
    project.write({"test_ball.py": UNITTEST.format(after=after)})
    result = project.pytest(env=SHIFTED)
    result.assert_outcomes(failed=1, xfailed=1)
    result.stdout.fnmatch_lines(["golden_video: CHANGED  test_ball.py::TestBall::test_it (video)"])


XFAIL = """
import pytest
import seedpin
from model import generate


@pytest.mark.seed(7)
@pytest.mark.xfail(raises=seedpin.GoldenMismatch, strict=True)
def test_ball(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=2), fps=8)
"""


def test_a_mismatch_can_be_expected(project: Project) -> None:
    """`xfail(raises=seedpin.GoldenMismatch)` expects a failing check; strict fails when it passes."""
    project.write({"test_ball.py": XFAIL})
    project.pytest().assert_outcomes(xfailed=1)
    project.write({"test_ball.py": XFAIL.replace("@pytest.mark.xfail", "# ")})
    project.mint()
    before = project.golden_files()
    project.write({"test_ball.py": XFAIL})
    project.pytest().assert_outcomes(failed=1)
    project.pytest(env=SHIFTED).assert_outcomes(xfailed=1)
    assert project.golden_files() == before


@pytest.mark.parametrize("arguments", [["-x"], ["--maxfail=1"], ["--tb=short"], ["--tb=no"], ["-q", "-q"]])
def test_options_of_pytest_s_own_change_nothing(project: Project, arguments: list[str]) -> None:
    """A failing check stays one failure with its summary under pytest's usual options."""
    result = project.pytest(*arguments)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "missing" in result.stdout.str()
    assert not project.golden_files()
