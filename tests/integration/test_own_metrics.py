"""Metrics that a project registers in its conftest.py: from the check to the report."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seedpin.compare import registry
from support.commands import seedpin
from support.project import Project

CONFTEST = """
import numpy as np
import pytest
import seedpin


def brightness(golden, obtained):
    with open("called.txt", "a") as stream:
        print("called", file=stream)
    return abs(golden.mean() - obtained.mean())


seedpin.register_metric(
    seedpin.Metric(
        name="brightness",
        compare=brightness,
        label="change of brightness",
        meaning="difference of the frames' means",
        unit="%",
        format=".2f",
        high=1.0,
    )
)
"""
TEST = """
import pytest
from model import generate


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=4), fps=8, tolerance={tolerance})
"""
SHIFTED = {"TEST_SHIFT": "3"}  # 3 levels of 255 are 1.18 %
LINE = "brightness 1.18 %, limit <= {} % at frame *"


@pytest.fixture(autouse=True)
def nothing_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})


@pytest.fixture
def own(project: Project) -> Project:
    project.write({"conftest.py": CONFTEST, "test_ball.py": TEST.format(tolerance='{"brightness": 0.02}')})
    return project


def last_result(project: Project) -> dict[str, Any]:
    run = max((project.root / ".seedpin" / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    result: dict[str, Any] = json.loads((run / "results.jsonl").read_text().splitlines()[-1])
    return result


@pytest.mark.parametrize("workers", [None, 2])
def test_a_limit_on_an_own_metric_passes_and_fails(own: Project, workers: int | None) -> None:
    """It is computed where bits differ and a limit asks, and its margin is told, under xdist too."""
    own.mint()
    own.pytest(workers=workers).assert_outcomes(passed=1)
    assert not (own.root / "called.txt").exists()
    passing = own.pytest(workers=workers, env=SHIFTED)
    passing.assert_outcomes(passed=1)
    told = f"within tolerance  test_ball.py::test_ball::video  {LINE.format('2.00')}"
    passing.stdout.fnmatch_lines([told])
    assert (own.root / "called.txt").read_text().count("called") == 4
    own.write({"test_ball.py": TEST.format(tolerance='{"brightness": 0.01, "max_abs": 20}')})
    failing = own.pytest(workers=workers, env=SHIFTED)
    failing.assert_outcomes(failed=1)
    failing.stdout.fnmatch_lines(
        [
            "  brightness of frame * is 0.01*; at most 0.01 is declared.",
            "  worst: ssim *, brightness 1.18 % in frame *",
            f"changed  *::video  {LINE.format('1.00')} (broken); max_abs 3, limit <= 20*",
        ]
    )


def test_a_marker_and_the_configuration_may_name_an_own_metric(own: Project) -> None:
    """An own metric stands wherever a limit stands."""
    text = (own.root / "pyproject.toml").read_text()
    limits = '[tool.seedpin.tolerance."*"]\nbrightness = 0.02\nsame_environment = true\n'
    own.write({"test_ball.py": TEST.format(tolerance="None"), "pyproject.toml": text + limits})
    own.mint()
    own.pytest(env=SHIFTED).assert_outcomes(passed=1)
    marked = TEST.format(tolerance="None").replace("@pytest", "@pytest.mark.golden(brightness=0.01)\n@pytest")
    own.write({"test_ball.py": marked})
    own.pytest(env=SHIFTED).assert_outcomes(failed=1)


def test_what_an_own_metric_gave_is_shown_where_it_is_not_registered(
    own: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report shows stored values, label and unit, and computes nothing."""
    own.write({"test_ball.py": TEST.format(tolerance='{"brightness": 0.01}')})
    own.mint()
    own.pytest(env=SHIFTED).assert_outcomes(failed=1)
    calls = (own.root / "called.txt").read_text()
    registry._registered.clear()
    done = seedpin("report", "--out", "site", cwd=own.root, monkeypatch=monkeypatch)
    assert done.code == 0, done.out
    page = (own.root / "site" / "data" / "0.js").read_text()
    check = json.loads(page[page.index("{") : page.rindex("}") + 1])
    series = {one["name"]: one for one in check["series"]}["brightness"]
    assert (series["label"], series["unit"], series["limit"]) == ("change of brightness", "%", 0.01)
    assert series["values"] == pytest.approx([3 / 255] * 4, abs=1e-3)
    assert check["limits"][0]["value"] == "1.18 %"
    accepted = seedpin("accept", "--all", "--reason", "brighter", cwd=own.root, monkeypatch=monkeypatch)
    assert "brightness 1.18 %" in accepted.out
    assert (own.root / "called.txt").read_text() == calls


@pytest.mark.parametrize("returned", ["float('nan')", "'far'", "1 / 0"])
def test_an_own_metric_that_fails_is_an_invalid_check(own: Project, returned: str) -> None:
    """The error names the metric, the place of its function and the frame; nothing passes."""
    own.mint()
    own.write({"conftest.py": CONFTEST.replace("abs(golden.mean() - obtained.mean())", returned)})
    failing = own.pytest(env=SHIFTED)
    failing.assert_outcomes(failed=1)
    failing.stdout.fnmatch_lines(["E*MetricError: the metric 'brightness' (*conftest.py:*frame 0*"])
    assert last_result(own)["verdict"] == "invalid"


def test_an_unknown_metric_leads_to_what_is_near_and_to_registering(own: Project) -> None:
    """A slip in a name is an error with both ways out."""
    own.mint()
    own.write({"test_ball.py": TEST.format(tolerance='{"brigthness": 0.01}')})
    failing = own.pytest(env=SHIFTED)
    failing.assert_outcomes(failed=1)
    failing.stdout.fnmatch_lines(["*did you mean 'brightness'*seedpin.register_metric*conftest.py*"])


LENIENT = """
import numpy as np


def test_one(seeded_model, golden_video):
    ramp = np.arange(192).reshape(1, 8, 8, 3).repeat(2, 0)
    clip = (ramp + np.random.default_rng().integers(0, {spread}, ramp.shape)).astype(np.uint8)
    golden_video.check(seeded_model(lambda: clip)(), fps=8, tolerance={{"brightness": 0.01}})
"""


def test_a_golden_is_born_within_an_own_metric(project: Project) -> None:
    """Under xdist, too, what a fresh process obtains is held against the limit."""
    (project.root / "test_ball.py").unlink()
    project.use_the_default_probe()
    project.write({"conftest.py": CONFTEST, "test_one.py": LENIENT.format(spread=4)})
    born = project.pytest("--update-golden", "-W", "ignore", workers=2)
    born.assert_outcomes(passed=1)
    manifest = json.loads(project.manifest().read_text())
    assert manifest["born"] == {"probe": "fresh", "why": "other bits, within the declared tolerance"}
    assert manifest["tolerance"] == {"brightness": 0.01}


def test_an_own_metric_below_the_root_is_told_where_it_has_to_be_to_prove_a_golden(project: Project) -> None:
    """Under xdist the process that proves goldens has not imported a conftest.py of a folder below."""
    (project.root / "test_ball.py").unlink()
    project.use_the_default_probe()
    project.write({"sub/conftest.py": CONFTEST, "sub/test_one.py": LENIENT.format(spread=4)})
    result = project.pytest("--update-golden", "-W", "ignore", workers=2)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*'brightness' is not registered in pytest's main process*of the root*"])
    assert not (project.root / "golden").exists()


PACKAGE = """
import seedpin


def farthest(golden, obtained):
    return abs(golden - obtained).max()


FARTHEST = seedpin.Metric("farthest", farthest, unit="%", high=1.0)
"""


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("farthest = metricspack:FARTHEST", "*farthest 1.176 %, limit <= 2 % at frame 0*"),
        (
            "farthest = nothing:FARTHEST",
            "*'farthest' of pack 1.2 cannot be used: it cannot be loaded: *",
        ),
        ("nearest = metricspack:FARTHEST", "*'nearest' of pack 1.2 cannot be used: it is called 'farthest'*"),
        ("farthest = metricspack:farthest", "*'farthest' of pack 1.2 cannot be used: *is no metric*"),
    ],
)
def test_a_package_brings_a_metric(project: Project, entry: str, says: str) -> None:
    """An entry point of the group is a metric as any other; what is none is told with its distribution."""
    project.write({"site/metricspack.py": PACKAGE, "test_ball.py": TEST.format(tolerance="None")})
    project.mint()
    project.bring("pack", "seedpin.metrics", entry)
    project.write({"test_ball.py": TEST.format(tolerance='{"farthest": 0.02}')})
    project.pytest(env=SHIFTED, fresh=True).stdout.fnmatch_lines([says])
