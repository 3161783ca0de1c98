"""What other tools get: GitHub's summary and annotations, JUnit properties, pytest-html extras."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image

from seedpin.report.github import summary, workflow_commands
from seedpin.run.result import CheckResult
from support.project import Project


@pytest.fixture
def failing(project: Project) -> Project:
    """A project whose next run, with TEST_SHIFT=3, has a changed check."""
    project.mint()
    return project


@pytest.mark.parametrize("workers", [None, 2])
def test_github_gets_a_summary_a_contact_sheet_and_an_annotation(
    failing: Project, tmp_path: Path, workers: int | None
) -> None:
    """In GitHub Actions a failure is told in the job's summary and at the test's line."""
    target = tmp_path / "summary.md"
    result = failing.pytest(
        workers=workers,
        env={"TEST_SHIFT": "3", "GITHUB_STEP_SUMMARY": str(target), "GITHUB_ACTIONS": "true"},
    )
    result.assert_outcomes(failed=1)
    text = target.read_text(encoding="utf-8")
    assert "## seedpin: 1 check(s), 1 did not pass" in text
    assert "| changed | `test_ball.py::test_ball::video` |" in text
    assert "seedpin accept ARTIFACT.zip" in text
    result.stdout.fnmatch_lines(["::error file=test_ball.py,line=8,title=seedpin%3A changed::golden_video*"])
    sheet = Image.open(next(failing.root.glob(".seedpin/runs/*/contact.png")))
    assert sheet.width == 3 * 328 + 8
    difference = sheet.convert("L").crop((664, 48, 984, sheet.height - 8))
    assert difference.getextrema()[1] == 255


def test_nothing_is_written_for_github_when_no_check_ran(project: Project, tmp_path: Path) -> None:
    """A session without golden checks leaves the job's summary alone."""
    target = tmp_path / "summary.md"
    project.write({"test_ball.py": "def test_nothing():\n    pass\n"})
    project.pytest(env={"GITHUB_STEP_SUMMARY": str(target)}).assert_outcomes(passed=1)
    assert not target.exists()


def test_junit_gets_properties(failing: Project) -> None:
    """`--junitxml` holds verdict, device class, seed and worst values of each check."""
    failing.pytest("--junitxml=out.xml", env={"TEST_SHIFT": "3"})
    properties = {
        entry.get("name"): entry.get("value") for entry in ET.parse(failing.root / "out.xml").iter("property")
    }
    assert properties["seedpin.video.verdict"] == "changed"
    assert properties["seedpin.video.seed"] == "7"
    assert float(str(properties["seedpin.video.worst_max_abs"])) == 3


def test_pytest_html_gets_the_message_and_the_picture(failing: Project) -> None:
    """`--html` shows the failing check's message and its worst frames."""
    pytest.importorskip("pytest_html")
    failing.pytest("--html=out.html", "--self-contained-html", env={"TEST_SHIFT": "3"})
    page = (failing.root / "out.html").read_text(encoding="utf-8")
    assert "seedpin video" in page
    assert "worst frames" in page


def make(**changes: object) -> CheckResult:
    values: dict[str, object] = {
        "test": "t.py::t",
        "check": "video",
        "kind": "video",
        "verdict": "changed",
        "device_class": "cpu-x",
        "golden": "g.json",
        "message": "50%\nof, all: <b>",
        "location": "t.py:3",
    }
    return CheckResult(**(values | changes))  # type: ignore[arg-type]


def test_what_github_could_misread_is_escaped() -> None:
    """Newlines, percent signs, pipes and tags of a message cannot break a command or a table."""
    assert workflow_commands([make()]) == [
        "::error file=t.py,line=3,title=seedpin%3A changed::50%25%0Aof, all: <b>"
    ]
    table = summary([make(reasons=("a|b <img>\nc",))], run_folder="r")
    assert "a\\|b &lt;img> c" in table


def test_a_summary_of_passing_checks_is_short() -> None:
    """Where all is identical the summary is one line."""
    assert summary([make(verdict="identical")], run_folder="r") == "## seedpin: 1 check(s), all passed\n"


@pytest.mark.parametrize("workers", [None, 2])
def test_a_report_is_written_on_request(failing: Project, workers: int | None) -> None:
    """`--golden-report` leaves a page in the run's folder and says where."""
    result = failing.pytest("--golden-report", workers=workers, env={"TEST_SHIFT": "3"})
    result.stdout.fnmatch_lines(["report: *index.html"])
    page = next(failing.root.glob(".seedpin/runs/*/report/index.html")).read_text(encoding="utf-8")
    assert "test_ball" in page
