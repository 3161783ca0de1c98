"""The terminal summary, and what a test with several checks or another failure tells."""

from __future__ import annotations

import re

import pytest

from support.net import TEST
from support.project import Project, edit_environment

MANY = """
import pytest
from model import generate

pytestmark = pytest.mark.seed(7)


def test_same(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=2), fps=8)


def test_changed(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=2) ^ 1, fps=8)


def test_within(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=2) ^ {within}, fps=8, tolerance={{"max_abs": 20}})


def test_used_more(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=2) ^ {within}, fps=8, tolerance={{"max_abs": 4}})


def test_frames(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames={frames}), fps=8)


def test_damaged(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=2), fps=8)


def test_environment(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=2) ^ {within}, fps=8)


{more}
"""
NEW = """
def test_new(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=2), fps=8)
"""


TALLY = (
    "8 check(s): 1 damaged, 1 incomparable, 1 changed, 1 environment changed, 1 missing, "
    "2 within tolerance, 1 identical"
)


@pytest.fixture
def many(project: Project) -> Project:
    """A project with a check of every verdict but unstable."""
    (project.root / "test_ball.py").unlink()
    project.write({"test_many.py": MANY.format(within=0, frames=2, more="").replace("^ 1", "^ 0")})
    project.mint()
    for path in (project.root / "golden" / "test_many.py" / "test_damaged").glob("*.zip"):
        path.write_bytes(path.read_bytes()[:-1])
    (path,) = (project.root / "golden" / "test_many.py" / "test_environment").glob("*.json")
    edit_environment(path, torch="1.0")
    project.write({"test_many.py": MANY.format(within=3, frames=3, more=NEW)})
    return project


def summary(result: pytest.RunResult) -> list[str]:
    """The lines of seedpin's section, run ids replaced."""
    text = result.stdout.str()
    found = re.search(r"^=+ seedpin =+\n(.*?)^=", text, re.MULTILINE | re.DOTALL)
    assert found is not None, text
    return re.sub(r"\.seedpin/runs/[-0-9a-f]+", "RUN", found.group(1)).strip().splitlines()


def test_rule_5_the_summary_is_the_same_with_and_without_workers(many: Project) -> None:
    """Worst first, then the tally: the same lines without xdist, with -n 0 and with -n 2."""
    before = many.golden_files()
    lines = summary(many.pytest())
    assert [line.split("::video")[0] for line in lines] == [
        "damaged              test_many.py::test_damaged",
        "incomparable         test_many.py::test_frames",
        "changed              test_many.py::test_changed",
        "environment changed  test_many.py::test_environment",
        "missing              test_many.py::test_new",
        "within tolerance     test_many.py::test_used_more",
        "within tolerance     test_many.py::test_within",
        TALLY,
        "obtained clips and results: RUN",
        "to look at them: seedpin review, or pytest --golden-report for a page",
    ]
    assert lines[1].endswith("::video  frames: 2 in the golden, 3 here.")
    assert lines[5].endswith("::video  max_abs 3, limit <= 4 at frame 0")
    for workers in (0, 2):
        result = many.pytest(workers=workers)
        assert summary(result) == lines
        result.assert_outcomes(failed=5, passed=3)
        assert result.stdout.str().count("more: seedpin explain") == 5
    assert many.golden_files() == before


def test_checks_with_one_cause_are_counted_and_the_ways_to_look_named_once(net: Project) -> None:
    """Checks that part at one place are told together; the last line says how to see them."""
    net.write({"test_net.py": TEST + TEST.partition("\n\n\n")[2].replace("def test_net", "def test_other")})
    net.mint()
    lines = summary(net.pytest(env={"EPS": "1e-3"}))
    assert lines.count("2 checks part at norm") == 1
    assert lines[-1] == "to look at them: seedpin review, or pytest --golden-report for a page"
    lines = summary(net.pytest("--golden-report", env={"EPS": "1e-3"}))
    assert "to look at them: seedpin review" in lines


def test_from_another_folder_it_is_said_where_commands_are_meant(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Node ids and paths in messages are relative to pytest's root: elsewhere the summary says so."""
    project.mint()
    monkeypatch.setenv("TEST_SHIFT", "1")
    said = f"commands and paths above are meant from {project.root}"
    assert said not in project.pytest().stdout.str()
    (project.root / "below").mkdir()
    monkeypatch.chdir(project.root / "below")
    result = project.pytest("..", "--rootdir=..")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([said])


def test_a_green_run_is_silent(project: Project) -> None:
    """Where all checks are identical there is no section at all."""
    project.mint()
    project.pytest().stdout.no_fnmatch_line("=* seedpin =*")


def test_an_update_lists_what_it_wrote_and_what_it_did_not(many: Project) -> None:
    """Created and updated goldens are listed with their change, and counted as that."""
    lines = summary(many.pytest("--update-golden"))
    text = "\n".join(lines)
    names = re.findall(r"^  (?:created|updated)  (\S+)", text, re.MULTILINE)
    assert names == sorted(names)
    assert "4 golden(s) written:" in lines
    assert re.search(r"^  created  test_many.py/test_new/video\.\S+\.json  [0-9a-f]{12}$", text, re.MULTILINE)
    assert re.search(
        r"^  updated  test_many.py/test_changed/\S+  [0-9a-f]{12} -> [0-9a-f]{12}  ssim ", text, re.M
    )
    assert re.search(
        r"^  updated  test_many.py/test_frames/\S+  \S+ -> \S+  frames: 2 in", text, re.MULTILINE
    )
    assert "8 check(s): 1 damaged, 2 within tolerance, 1 identical, 1 created, 3 updated" in lines


SEVERAL = """
import pytest
from model import generate


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video, golden_image{fixtures}):
    model = seeded_model(generate)
    golden_video.check(model(frames=2), "first", fps=8)
    golden_video.check(model(frames=4), "second", fps=8)
    golden_image.check(model(frames=1)[0])
    {after}
"""


def several(project: Project, after: str = "", fixtures: str = "") -> None:
    project.write({"test_ball.py": SEVERAL.format(after=after, fixtures=fixtures)})


def test_all_checks_of_a_test_run_and_it_fails_once_with_all(project: Project) -> None:
    """Three failing checks are one failure with three blocks in the order of the calls."""
    several(project)
    result = project.pytest()
    result.assert_outcomes(failed=1)
    names = re.findall(r"^golden_(\w+: \w+)  test_ball.py::test_ball \((\w+)\)$", result.stdout.str(), re.M)
    assert names == [("video: MISSING", "first"), ("video: MISSING", "second"), ("image: MISSING", "image")]
    assert summary(result)[-3] == "3 check(s): 3 missing"
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line(">  *")


@pytest.mark.parametrize("capture", [[], ["--show-capture=no"], ["-s"]], ids=["", "hidden", "off"])
def test_another_failure_and_the_checks_are_both_told(project: Project, capture: list[str]) -> None:
    """An exception after failing checks shows its own traceback and every check's block."""
    several(project, after="raise RuntimeError('boom')")
    result = project.pytest(*capture)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       raise RuntimeError('boom')",
            "E       RuntimeError: boom",
            "-* seedpin -*",
            "golden_video: MISSING  test_ball.py::test_ball (first)",
            "golden_video: MISSING  test_ball.py::test_ball (second)",
            "golden_image: MISSING  test_ball.py::test_ball (image)",
        ]
    )


def test_a_skip_hides_no_failing_check(project: Project) -> None:
    """A test that skips after a check that did not pass has failed."""
    several(project, after="pytest.skip('not today')")
    result = project.pytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["golden_video: MISSING  *(first)"])
    several(project)
    project.mint()
    several(project, after="pytest.skip('not today')")
    project.pytest().assert_outcomes(skipped=1)
    project.pytest(env={"TEST_SHIFT": "3"}).assert_outcomes(failed=1)


FIXTURE = """
import pytest
from model import generate


@pytest.fixture
def checked(seeded_model, golden_video):
    {setup}
    yield
    {teardown}


@pytest.mark.seed(7)
def test_ball(checked):
    pass
"""
CALL = "golden_video.check(seeded_model(generate)(frames=2), fps=8)"


@pytest.mark.parametrize("when", ["setup", "teardown"])
def test_a_check_in_a_fixture_gates_too(project: Project, when: str) -> None:
    """A check before or after the test's own body fails the test, and an update writes its golden."""
    parts = {"setup": "pass", "teardown": "pass", when: CALL}
    project.write({"test_ball.py": FIXTURE.format(**parts)})
    result = project.pytest()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["golden_video: MISSING  test_ball.py::test_ball (video)", "missing *"])
    project.mint()
    assert len([name for name in project.golden_files() if name.endswith(".json")]) == 1
    project.pytest().assert_outcomes(passed=1)
    assert project.pytest(env={"TEST_SHIFT": "3"}).ret == pytest.ExitCode.TESTS_FAILED


def test_a_check_before_a_failing_setup_is_told(project: Project) -> None:
    """A fixture that fails after its check shows both."""
    project.write({"test_ball.py": FIXTURE.format(setup=f"{CALL}; assert 0", teardown="pass")})
    result = project.pytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E *assert 0", "golden_video: MISSING *", "missing *"])


def test_the_report_of_a_worker_is_plain_data(project: Project) -> None:
    """What a check found travels on the test's report as a dict that JSON can hold."""
    project.write(
        {
            "conftest.py": "import json\n\n\ndef pytest_runtest_logreport(report):\n"
            "    for data in getattr(report, 'seedpin', ()):\n"
            "        print('PLAIN', type(data).__name__, json.loads(json.dumps(data))['verdict'])\n"
        }
    )
    project.pytest("-s").stdout.fnmatch_lines(["*PLAIN dict missing*"])
