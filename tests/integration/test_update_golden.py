"""``--update-golden`` and rules 1, 2, 4 and 8 of the design."""

from __future__ import annotations

import json

import pytest

from support.project import Project

TWO_CHECKS = """
import pytest
from model import generate


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=4), fps=8)
    {after}
"""


@pytest.mark.parametrize("workers", [None, 2])
def test_rule_1_a_missing_golden_fails_and_writes_nothing(project: Project, workers: int | None) -> None:
    """Without a flag a missing golden fails, golden/ is not even created, and the clip is kept pending."""
    result = project.pytest(workers=workers)
    result.assert_outcomes(failed=1)
    assert not (project.root / "golden").exists()
    result.stdout.fnmatch_lines(
        ["*MISSING*test_ball.py::test_ball*", "*pytest *--update-golden*", "missing *test_ball*"]
    )
    obtained = list(project.root.glob(".seedpin/runs/*/obtained/**/*.json"))
    assert len(obtained) == 1


def test_rule_1_holds_under_reruns_and_in_ci(project: Project) -> None:
    """Neither a retry nor CI turns a missing golden green."""
    result = project.pytest("--reruns", "2", env={"CI": "true"})
    assert result.parseoutcomes() == {"failed": 1, "rerun": 2}
    assert not (project.root / "golden").exists()


@pytest.mark.parametrize("workers", [None, 0, 2])
def test_update_writes_a_missing_golden_and_ends_green(project: Project, workers: int | None) -> None:
    """`--update-golden` mints, says what it wrote, and the next run is identical."""
    result = project.pytest("--update-golden", "--golden-reason", "first", workers=workers)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*1 golden(s) written:*", "*created *test_ball.py/test_ball/video.*.json*"])
    manifest = json.loads(project.manifest().read_text())
    assert manifest["seed"] == 7
    assert manifest["level"] == "strict"
    assert manifest["updated"]["reason"] == "first"
    assert manifest["facts"]["frames"] == 4
    again = project.pytest(workers=workers)
    again.assert_outcomes(passed=1)


def test_rule_4_a_bare_update_never_rewrites_a_golden_that_passes(project: Project) -> None:
    """Bytes and times of a passing golden stay as they are."""
    before = project.mint()
    result = project.pytest("--update-golden", "--golden-reason", "again")
    result.assert_outcomes(passed=1)
    assert project.golden_files() == before
    result.stdout.no_fnmatch_line("*golden(s) written*")


def test_a_changed_golden_is_rewritten_and_the_change_is_told(project: Project) -> None:
    """An update shows old -> new with metrics, and keeps the reason."""
    before = project.mint()
    result = project.pytest("--update-golden", "--golden-reason", "brighter", env={"TEST_SHIFT": "3"})
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*updated *video.*.json *->*psnr*dB*"])
    after = project.golden_files()
    kept = before.keys() & after.keys()
    assert [name.endswith(".json") for name in kept] == [True], "payloads are named after their content"
    assert all(after[name] != before[name] for name in kept)
    assert len(after) == len(before)
    project.pytest(env={"TEST_SHIFT": "3"}).assert_outcomes(passed=1)
    project.pytest().assert_outcomes(failed=1)


def test_update_missing_leaves_a_changed_golden_red(project: Project) -> None:
    """`=missing` writes what is missing and nothing else."""
    before = project.mint()
    result = project.pytest("--update-golden=missing", env={"TEST_SHIFT": "3"})
    result.assert_outcomes(failed=1)
    assert project.golden_files() == before


def test_update_all_rewrites_a_golden_that_passes(project: Project) -> None:
    """`=all` writes anew, for example to renew the recorded environment."""
    before = project.mint("--golden-reason", "first")
    result = project.pytest("--update-golden=all", "--golden-reason", "renewed")
    result.assert_outcomes(passed=1)
    assert json.loads(project.manifest().read_text())["updated"]["reason"] == "renewed"
    assert project.golden_files().keys() == before.keys()


def test_update_all_keeps_the_reason_of_what_it_did_not_change(project: Project) -> None:
    """The same clip is as it is for the reason that was given; another has none until it gets one."""

    def reason() -> str:
        return str(json.loads(project.manifest().read_text())["updated"]["reason"])

    project.mint("--golden-reason", "first")
    project.mint("--update-golden=all")
    assert reason() == "first"
    other_rate = (project.root / "test_ball.py").read_text().replace("fps=8", "fps=12")
    project.write({"test_ball.py": other_rate})
    project.mint("--update-golden=all")
    assert reason() == ""
    project.mint("--update-golden=all", "--golden-reason", "faster")
    project.pytest("--update-golden=all", env={"TEST_SHIFT": "3"}).assert_outcomes(passed=1)
    assert reason() == ""


def test_a_path_after_the_bare_flag_is_a_path(project: Project) -> None:
    """`pytest --update-golden test_ball.py` does not take the path for a mode."""
    project.pytest("--update-golden", "test_ball.py").assert_outcomes(passed=1)
    assert project.golden_files()


def test_an_unknown_mode_is_refused(project: Project) -> None:
    """`--update-golden=everything` stops before any test."""
    result = project.pytest("--update-golden=everything")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert not (project.root / "golden").exists()


def test_update_is_refused_in_ci(project: Project) -> None:
    """Where CI is set an update stops with its reason, and the flag that allows it works."""
    result = project.pytest("--update-golden", env={"CI": "true"})
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*refused because the environment variable CI is set*", "*--golden-allow-ci*"]
    )
    assert not (project.root / "golden").exists()
    project.pytest("--update-golden", "--golden-allow-ci", env={"CI": "true"}).assert_outcomes(passed=1)


def test_a_reason_without_an_update_is_an_error(project: Project) -> None:
    """A reason that would be lost is told."""
    result = project.pytest("--golden-reason", "x")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--golden-reason is given without --update-golden*"])


@pytest.mark.parametrize("after", ["raise RuntimeError('boom')", "pytest.skip('no')", "assert False"])
def test_rule_2_a_test_that_does_not_pass_changes_no_golden(project: Project, after: str) -> None:
    """An update run in which the test fails or skips after its check writes nothing of that test."""
    before = project.mint()
    project.write({"test_ball.py": TWO_CHECKS.format(after=after)})
    result = project.pytest("--update-golden", env={"TEST_SHIFT": "3"})
    assert project.golden_files() == before
    result.stdout.fnmatch_lines(["*1 golden(s) not written, because their test did not pass*"])


def test_rule_2_a_failing_teardown_changes_no_golden(project: Project) -> None:
    """A fixture that fails in its teardown counts as the test's failure."""
    before = project.mint()
    project.write(
        {
            "conftest.py": "import pytest\n\n\n@pytest.fixture(autouse=True)\n"
            "def late():\n    yield\n    raise RuntimeError('late')\n"
        }
    )
    result = project.pytest("--update-golden", env={"TEST_SHIFT": "3"})
    result.assert_outcomes(passed=1, errors=1)
    assert project.golden_files() == before


def test_rule_2_a_worker_that_dies_changes_no_golden(project: Project) -> None:
    """A worker that crashes in the middle of an update leaves golden/ as it was."""
    before = project.mint()
    project.write({"test_ball.py": TWO_CHECKS.format(after="import os; os._exit(3)")})
    result = project.pytest("--update-golden", workers=2, env={"TEST_SHIFT": "3"})
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert project.golden_files() == before


FLAKY = """
import pathlib
import pytest
from model import generate


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video):
    clip = seeded_model(generate)(frames=4)
    count = pathlib.Path("count")
    runs = int(count.read_text()) if count.exists() else 0
    count.write_text(str(runs + 1))
    clip[0, 0, 0] = {value}
    golden_video.check(clip, fps=8)
"""


def test_rule_8_a_retry_that_obtains_something_else_is_unstable(project: Project) -> None:
    """A retry whose clip equals the golden does not turn a failed check green: the model is unstable."""
    project.write({"test_ball.py": FLAKY.format(value="0")})
    project.mint()
    project.write({"test_ball.py": FLAKY.format(value="200 if runs == 0 else 0")})
    (project.root / "count").unlink()
    result = project.pytest("--reruns", "1")
    assert result.parseoutcomes() == {"failed": 1, "rerun": 1}
    result.stdout.fnmatch_lines(["*unstable*test_ball.py::test_ball*"])


def test_rule_8_a_retry_that_obtains_the_same_is_a_real_change(project: Project) -> None:
    """The same digest again means that the change is real."""
    project.mint()
    result = project.pytest("--reruns", "1", env={"TEST_SHIFT": "3"})
    assert result.parseoutcomes() == {"failed": 1, "rerun": 1}
    result.stdout.fnmatch_lines(["*changed*test_ball.py::test_ball*"])
    result.stdout.no_fnmatch_line("*unstable*")
