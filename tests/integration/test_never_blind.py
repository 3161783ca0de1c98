"""What a check met is never lost: errors that are swallowed, retries in any process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.project import Project

TEST = """
import contextlib

import numpy as np
import pytest
import torch
from model import generate


class Model:
    def __init__(self, result, draws):
        self.result, self.draws = result, draws

    def __call__(self):
        torch.rand(self.draws)
        return self.result


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video, golden_tensors):
    clip = seeded_model(generate)(frames=4)
    {body}
"""
GOOD = "golden_video.check(clip, fps=8)"
SWALLOWED = """with contextlib.suppress(Exception):
        {check}
    {after}"""


def records(project: Project) -> list[dict[str, Any]]:
    """All records of the last run."""
    run = max((project.root / ".seedpin" / "runs").iterdir())
    return [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]


BROKEN = [
    (
        "golden_video.check(np.where(clip < 60, np.nan, clip / 255), fps=8)",
        "NaN",
        "dtype: uint8 in the golden",
    ),
    ("golden_video.check(None, fps=8)", "None", "Handed in: None."),
    ("golden_video.check([], fps=8)", "an empty list", "frames 4, height 24, width 24."),
    (
        "golden_video.check(np.zeros((4, 3, 3, 3), 'uint8'), fps=8)",
        "(4, 3, 3, 3)",
        "Handed in: numpy.ndarray",
    ),
    ("golden_video.check(np.stack([clip, clip]), fps=8)", "2", "Handed in: numpy.ndarray of shape (2, 4, 24"),
    ("golden_video.check(clip / 127, fps=8)", "[0, 1]", "Handed in: numpy.ndarray of shape (4, 24, 24, 3)"),
    ("golden_video.check(clip, fps=8, name='')", "the name of a check", "golden:"),
    ("golden_video.check(clip, fps=8, tolerance={'psnr': 0})", "psnr", "golden:"),
    ("golden_video.check(clip, fps=8, tolerence={'psnr': 50})", "tolerence", "golden:"),
    ("golden_video.check(clip, fps=-1)", "fps=-1", "golden:"),
    ("golden_tensors.check({'a': torch.tensor([float('nan')])})", "tensor 'a' holds 1 NaN", "(none)"),
]


@pytest.mark.parametrize(("check", "what", "facts"), BROKEN, ids=[case[0] for case in BROKEN])
def test_an_error_that_the_test_swallows_fails_it(
    project: Project, check: str, what: str, facts: str
) -> None:
    """Whatever a check raises is recorded as invalid, with what it would have met, and fails its test."""
    project.write({"test_ball.py": TEST.format(body=GOOD)})
    before = project.mint()
    body = SWALLOWED.format(check=check, after="assert True")
    project.write({"test_ball.py": TEST.format(body=body)})
    result = project.pytest()
    result.assert_outcomes(failed=1)
    told = result.stdout.str()
    head = "golden_tensors" if "tensors" in check else "golden_video"
    assert f"{head}: INVALID  test_ball.py::test_ball " in told
    assert what in told
    assert facts in told
    assert "more: seedpin explain invalid" in told
    (record,) = records(project)
    assert (record["verdict"], record["obtained"]) == ("invalid", None)
    assert record["location"].startswith("test_ball.py:")
    project.pytest("--update-golden=all").assert_outcomes(failed=1)
    assert project.golden_files() == before


def test_a_good_check_after_an_invalid_one_hides_nothing(project: Project) -> None:
    """A retry within the test is compared too, and the test fails for the first call."""
    project.write({"test_ball.py": TEST.format(body=GOOD)})
    before = project.mint()
    body = SWALLOWED.format(check="golden_video.check(None, fps=8)", after=GOOD)
    project.write({"test_ball.py": TEST.format(body=body)})
    result = project.pytest()
    result.assert_outcomes(failed=1)
    assert [record["verdict"] for record in records(project)] == ["invalid", "identical"]
    assert "1 check(s): 1 invalid" in result.stdout.str()
    project.pytest("--update-golden").assert_outcomes(failed=1)
    assert project.golden_files() == before


def test_an_invalid_check_has_a_place(project: Project) -> None:
    """A trace tells where a call that gave no clip parted from the golden's."""
    body = "golden_video.check(seeded_model(Model({}))(), fps=8)"
    project.write({"test_ball.py": TEST.format(body=body.format("clip, 3"))})
    project.mint()
    project.write({"test_ball.py": TEST.format(body=body.format("[], 4"))})
    result = project.pytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *EmptyClipError: an empty list: there are no frames", "golden_video: INVALID *", "  where: *"]
    )


NAN = """
import pytest
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(4, 4)
        self.second = torch.nn.Linear(4, 4)

    def forward(self):
        hidden = self.first(torch.rand(4)) * {factor}
        return torch.sigmoid(self.second(hidden)).reshape(2, 2, 1, 1).repeat(1, 4, 8, 1)


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video):
    golden_video.check(seeded_model(Net)(), fps=8, layout="THWC")
"""


def test_a_nan_is_placed_where_it_first_shows(project: Project) -> None:
    """The first record that holds a NaN is named, with a golden and without."""
    project.write({"test_ball.py": NAN.format(factor="float('nan')")})
    for mint in (False, True):
        if mint:
            project.write({"test_ball.py": NAN.format(factor=1)})
            project.mint()
            project.write({"test_ball.py": NAN.format(factor="float('nan')")})
        result = project.pytest("--seedpin-trace=modules")
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            ["golden_video: INVALID *", "  where: NaN is first seen in the output of second*"]
        )
        assert records(project)[0]["divergence"]["kind"] == "nonfinite"


RETRIED = """
import os
from pathlib import Path

import numpy as np
import pytest
from model import generate

COUNT = Path("count")


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video):
    number = len(COUNT.read_text()) if COUNT.exists() else 0
    COUNT.write_text("x" * (number + 1))
    what = {plan!r}[number]
    if what == "early crash":
        os._exit(3)
    assert what != "early fail"
    clip = seeded_model(generate)(frames=4)
    if what == "nan":
        golden_video.check(np.full(clip.shape, np.nan, "float32"), fps=8)
    if "b" in what:
        clip = clip ^ 1
    golden_video.check(clip, fps=8)
    if "crash" in what:
        os._exit(3)
    assert "fail" not in what
"""


def retried(
    project: Project, plan: list[str], *arguments: str, workers: int | None = None
) -> pytest.RunResult:
    (project.root / "count").unlink(missing_ok=True)
    project.write({"test_ball.py": RETRIED.format(plan=plan)})
    reruns = ("--reruns", str(len(plan) - 1))
    return project.pytest(*reruns, "-p", "no:randomly", *arguments, workers=workers)


@pytest.mark.parametrize(
    "plan", [["b", "a"], ["a fail", "b", "a"], ["nan", "a"], ["a fail", "b fail", "a"]], ids=" then ".join
)
@pytest.mark.parametrize("workers", [None, 1])
def test_rule_8_no_sequence_of_attempts_turns_green(
    project: Project, plan: list[str], workers: int | None
) -> None:
    """The last attempt agrees with the golden, one before did not: unstable, and every attempt is kept."""
    project.mint()
    result = retried(project, plan, workers=workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"failed": 1, "rerun": len(plan) - 1}
    assert "golden_video: UNSTABLE" in result.stdout.str()
    found = records(project)
    assert sorted({record["attempt"] for record in found}) == list(range(1, len(plan) + 1))
    assert found[-1]["verdict"] == "unstable"


def test_rule_8_equal_attempts_stay_green(project: Project) -> None:
    """A test that fails for another reason and obtains the same bits again may pass its retry."""
    project.mint()
    assert retried(project, ["a fail", "a"]).ret == 0


@pytest.mark.parametrize("plan", [["b", "crash", "a"], ["b crash", "a"]], ids=" then ".join)
def test_rule_8_holds_across_a_crash(project: Project, plan: list[str]) -> None:
    """What an attempt obtained before its process crashed counts against what another worker obtains."""
    project.mint()
    result = retried(project, plan, workers=1)
    text = result.stdout.str()
    assert result.ret == pytest.ExitCode.TESTS_FAILED, text
    assert "attempts that do not agree" in text
    assert "golden_video: UNSTABLE" in text
    assert [record["verdict"] for record in records(project)][-1] == "unstable"
    assert {record["attempt"] for record in records(project) if record["verdict"] == "changed"} == {1}


@pytest.mark.parametrize(("plan", "workers"), [(["early fail", "a"], None), (["early crash", "a"], 1)])
@pytest.mark.parametrize("arguments", [(), ("--update-golden=all",)])
def test_a_pass_after_an_attempt_of_which_nothing_is_known_says_so(
    project: Project, plan: list[str], workers: int | None, arguments: tuple[str, ...]
) -> None:
    """What ended before its check contradicts nothing: it stays green, and summary and record say it."""
    project.mint()
    result = retried(project, plan, *arguments, workers=workers)
    assert result.ret == 0, result.stdout.str()
    said = "An attempt before ended before its check (error or crash): what it gave is not known."
    result.stdout.fnmatch_lines(
        [f"1 test(s) passed when run again. {said}", "  test_ball.py::test_ball (attempt 2)"]
    )
    assert records(project)[-1]["reasons"][-1].startswith("An attempt before ended before its check")
    assert "An attempt before" not in retried(project, ["a fail", "a"], *arguments).stdout.str()


@pytest.mark.parametrize(
    "plan", [["b fail", "a"], ["a fail", "b fail", "a"], ["nan", "a"]], ids=" then ".join
)
def test_rule_8_no_golden_is_born_of_attempts_that_differ(project: Project, plan: list[str]) -> None:
    """An update writes nothing where an attempt before the last obtained something else."""
    result = retried(project, plan, "--update-golden")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert not project.golden_files()


def test_rule_8_no_golden_is_born_after_a_crash_that_differed(project: Project) -> None:
    """What an attempt obtained before its process crashed counts against a golden of another's."""
    result = retried(project, ["b crash", "a"], "--update-golden", workers=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED, result.stdout.str()
    assert not project.golden_files()


EXTREME = """
import numpy as np
import pytest

VALUES = {{
    "large": np.array([1e200, 2e200]) * {factor},
    "integers": np.array([2**53 + {more}, 5]),
}}


@pytest.mark.seed(7)
@pytest.mark.golden({limit})
@pytest.mark.parametrize("name", VALUES)
def test_ball(name, seeded_model, golden_tensors):
    golden_tensors.check(seeded_model(lambda: VALUES[name])())
"""


@pytest.mark.parametrize(
    ("limit", "failed"),
    [("relative_l2=0.1", 1), ("cosine=1e-9", 0), ("max_abs=0.5", 2), ("relative_l2=0", 2)],
)
def test_extreme_numbers_neither_pass_nor_end_the_session(project: Project, limit: str, failed: int) -> None:
    """Numbers near 1e200 and integers beyond 2**53 are measured, and their records are kept."""
    (project.root / "test_ball.py").unlink()
    project.write({"test_large.py": EXTREME.format(factor=1, more=0, limit=limit)})
    project.mint()
    project.write({"test_large.py": EXTREME.format(factor=3, more=1, limit=limit)})
    result = project.pytest()
    result.assert_outcomes(passed=2 - failed, failed=failed)
    assert len(records(project)) == 2
