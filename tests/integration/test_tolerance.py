"""Tolerances, fallbacks, accepted and known-bad digests: where they count and where they do not."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from support.project import Project, edit_environment, edit_manifest

TEST = """
import numpy as np
import pytest
from model import generate


@pytest.mark.seed(7)
{marker}
def test_ball(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=4), fps=8{tolerance})
"""
TABLE = """
[tool.pytest.ini_options]
pythonpath = ["."]

[tool.seedpin]
cpu_profile = "{profile}"

{table}
"""
SHIFTED = {"TEST_SHIFT": "3"}
LOOSE = '[tool.seedpin.tolerance."cpu-*"]\nmax_abs = 5\n'


def configure(project: Project, table: str) -> None:
    project.write({"pyproject.toml": TABLE.format(profile=project.profile, table=table)})


def obtained_digest(project: Project) -> str:
    """The digest that the last run obtained."""
    run = max((project.root / ".seedpin" / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    result: Mapping[str, str] = json.loads((run / "results.jsonl").read_text().splitlines()[-1])
    return result["obtained_digest"]


def test_a_class_tolerance_counts_in_another_environment_only(project: Project) -> None:
    """In the golden's own environment bits have to be equal, whatever the table allows for others."""
    project.mint()
    configure(project, LOOSE)
    result = project.pytest(env=SHIFTED)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*CHANGED*", "  In the golden's own environment bits must be equal: the tolerance is for another."]
    )
    edit_environment(project.manifest(), torch="1.0")
    before = project.golden_files()
    passing = project.pytest(env=SHIFTED)
    passing.assert_outcomes(passed=1)
    passing.stdout.fnmatch_lines(
        [
            "within tolerance  test_ball.py::test_ball::video  max_abs 3, limit <= 5 at frame 0",
            "1 check(s): 1 within tolerance",
        ]
    )
    assert project.golden_files() == before


def test_same_environment_extends_a_class_tolerance(project: Project) -> None:
    """`same_environment = true` says that bits may differ in the golden's own environment, too."""
    project.mint()
    configure(project, LOOSE + "same_environment = true\n")
    project.pytest(env=SHIFTED).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("marker", "tolerance", "passes"),
    [
        ("@pytest.mark.golden(max_abs=5)", "", True),
        ("@pytest.mark.golden(max_abs=2)", "", False),
        ("", ", tolerance={'max_abs': 5}", True),
        ("", ", tolerance={'max_abs': 2}", False),
        ("@pytest.mark.golden(max_abs=2)", ", tolerance={'max_abs': 5}", True),
        ("@pytest.mark.golden(max_abs=5)", ", tolerance={'max_abs': 2}", False),
        ("@pytest.mark.golden(max_abs=5, same_environment=False)", "", False),
    ],
)
def test_a_declared_tolerance_counts_always_and_the_call_beats_the_marker(
    project: Project, marker: str, tolerance: str, passes: bool
) -> None:
    """Limits of a test hold in its golden's own environment; those of the call come first."""
    project.write({"test_ball.py": TEST.format(marker=marker, tolerance=tolerance)})
    project.mint()
    project.pytest(env=SHIFTED).assert_outcomes(passed=int(passes), failed=int(not passes))


def test_a_declared_tolerance_beats_the_table(project: Project) -> None:
    """A test's own limit is the one that counts, also where the table's is looser."""
    configure(project, LOOSE)
    project.write({"test_ball.py": TEST.format(marker="", tolerance=", tolerance={'max_abs': 2}")})
    project.mint()
    edit_environment(project.manifest(), torch="1.0")
    result = project.pytest(env=SHIFTED)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  max_abs of frame 0 is 3; at most 2 is declared."])


def test_the_most_specific_pattern_wins(project: Project) -> None:
    """Of the patterns that match a class the one with most literal characters decides."""
    name = ["--golden-device-class", "cpu-one"]
    project.mint(*name)
    edit_environment(project.manifest(), torch="1.0")
    tight = '[tool.seedpin.tolerance."{}"]\nmax_abs = 2\n'
    configure(project, LOOSE + tight.format("cpu-two"))
    project.pytest(*name, env=SHIFTED).assert_outcomes(passed=1)
    configure(project, LOOSE + tight.format("cpu-o*"))
    project.pytest(*name, env=SHIFTED).assert_outcomes(failed=1)
    configure(project, LOOSE + tight.format("*-one"))
    tie = project.pytest(*name, env=SHIFTED)
    tie.assert_outcomes(failed=1)
    tie.stdout.fnmatch_lines(
        [
            'E *Error: [[]tool.seedpin.tolerance]: "cpu-[*]" and "[*]-one" match cpu-one equally well',
            'E * next: make one more specific, or add [[]tool.seedpin.tolerance."cpu-one"]',
        ]
    )


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('[tool.seedpin.tolerance."cpu-*"]\npsnrr = 3', "unknown key 'psnrr'"),
        ('[tool.seedpin.tolerance."cpu-*"]\nssim = 1.5', "ssim = 1.5 is no limit"),
        ('[tool.seedpin.tolerance."cpu-*"]\nchanged = 1.0', "can never fail"),
        ('[tool.seedpin.tolerance."cpu-*"]\ncosine = 0.1', "cosine = 0.1 guards next to nothing"),
        ('[tool.seedpin.fallback."cpu-*"]\nuse = "cpu-*"', "is no device class"),
        ('[tool.seedpin.fallback."cpu-*"]\npsnr = 50', "use = None is no device class"),
    ],
)
def test_a_bad_table_fails_the_checks_that_need_it(project: Project, table: str, words: str) -> None:
    """A slip in a tolerance or a fallback is an error with its place, never a silent pass."""
    if "tolerance" in table:
        project.mint()
    configure(project, table)
    result = project.pytest(env=SHIFTED)
    result.assert_outcomes(failed=1)
    assert words in result.stdout.str()
    assert "pyproject" in result.stdout.str() or "tool.seedpin." in result.stdout.str()


FALLBACK = '[tool.seedpin.fallback."cpu-two"]\nuse = "cpu-one"\n'


def test_another_class_s_golden_counts_only_where_a_fallback_is_declared(project: Project) -> None:
    """Without a declared fallback a golden of another class does not exist; with one, equal bits pass."""
    before = project.mint("--golden-device-class", "cpu-one")
    two = ["--golden-device-class", "cpu-two"]
    configure(project, LOOSE)
    result = project.pytest(*two)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*MISSING*", "  There is one for cpu-one."])
    configure(project, FALLBACK)
    project.pytest(*two).assert_outcomes(passed=1)
    other = project.pytest(*two, env=SHIFTED)
    other.assert_outcomes(failed=1)
    other.stdout.fnmatch_lines(
        [
            "*ENVIRONMENT CHANGED*",
            "  Bits differ, and no tolerance is declared for the golden of another device class.",
            "  The device classes differ (the golden is of cpu-one, this is cpu-two)*cannot be judged.",
        ]
    )
    configure(project, FALLBACK + "max_abs = 5\n")
    project.pytest(*two, env=SHIFTED).assert_outcomes(passed=1)
    configure(project, FALLBACK + "max_abs = 2\n")
    project.pytest(*two, env=SHIFTED).assert_outcomes(failed=1)
    assert project.golden_files() == before


def test_another_environment_is_named_and_not_called_a_change(project: Project) -> None:
    """Beyond what is declared in another environment the verdict names the keys that differ."""
    project.mint()
    edit_environment(project.manifest(), torch="1.0", threads="64")
    before = project.golden_files()
    result = project.pytest(env=SHIFTED)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "golden_video: ENVIRONMENT CHANGED *",
            "  The environment differs in threads, torch: the code cannot be judged. *",
            "  environment:",
            "    *golden *here",
            "    threads * 64 *",
            "    torch * 1.0 *",
        ]
    )
    assert project.golden_files() == before
    project.pytest().assert_outcomes(passed=1)


def test_a_key_that_only_one_side_has_excuses_nothing(project: Project) -> None:
    """A golden that records less or more than this seedpin does leaves a change a change."""
    project.mint()
    edit_environment(project.manifest(), flux_capacitor="1.21")
    result = project.pytest(env=SHIFTED)
    result.stdout.fnmatch_lines(["golden_video: CHANGED *"])


def test_an_accepted_digest_passes_and_survives_a_renewal(project: Project) -> None:
    """A second digest in the manifest counts as identical; `=all` with either of them keeps both."""
    project.mint()
    project.pytest(env=SHIFTED).assert_outcomes(failed=1)
    digest, first = obtained_digest(project), json.loads(project.manifest().read_text())["digest"]
    edit_manifest(project.manifest(), accepted=[{"digest": digest, "reason": "odd runners"}])
    for env in ({}, SHIFTED):
        project.pytest(env=env).assert_outcomes(passed=1)
    project.pytest("--update-golden=all").assert_outcomes(passed=1)
    for env in ({}, SHIFTED):
        project.pytest(env=env).assert_outcomes(passed=1)
    project.pytest("--update-golden=all", env=SHIFTED).assert_outcomes(passed=1)
    manifest = json.loads(project.manifest().read_text())
    assert manifest["digest"] == digest
    assert [entry["digest"] for entry in manifest["accepted"]] == [first]
    for env in ({}, SHIFTED):
        project.pytest(env=env).assert_outcomes(passed=1)


def test_a_known_bad_digest_never_passes(project: Project) -> None:
    """Bits that are known to be bad fail within every tolerance, and the message tells why."""
    project.write({"test_ball.py": TEST.format(marker="@pytest.mark.golden(max_abs=5)", tolerance="")})
    project.mint()
    project.pytest(env=SHIFTED).assert_outcomes(passed=1)
    edit_manifest(
        project.manifest(), known_bad=[{"digest": obtained_digest(project), "reason": "the mask was dropped"}]
    )
    result = project.pytest(env=SHIFTED)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*CHANGED*", "  These exact bits are known to be bad: the mask was dropped", "changed *"]
    )


ONE_BAD_FRAME = """
import numpy as np
import pytest
from model import generate, shift


def run(frames):
    clip = generate(frames)
    if shift():
        clip = clip - shift()
        clip[13] = clip[13, ::-1]
    return clip


@pytest.mark.seed(7)
@pytest.mark.golden({limit})
def test_ball(seeded_model, golden_video):
    golden_video.check(seeded_model(run)(frames=40), fps=8)
"""


@pytest.mark.parametrize(
    ("limit", "metric"), [("ssim=0.8", "ssim"), ("psnr=30", "psnr"), ("mean_abs=4", "mean_abs")]
)
def test_the_worst_frame_gates(project: Project, limit: str, metric: str) -> None:
    """One garbage frame of forty fails the check, though the mean would pass; the message names it."""
    project.write({"test_ball.py": ONE_BAD_FRAME.format(limit=limit)})
    project.mint()
    result = project.pytest(env={"TEST_SHIFT": "1"})
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"  {metric} of frame 13 is *declared."])
    run = max((project.root / ".seedpin" / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    data = json.loads((run / "results.jsonl").read_text())
    (margin,) = data["margins"]
    mean = data["metrics"]["mean"][metric]
    assert not margin["ok"]
    assert (mean >= margin["limit"]) if margin["direction"] == "min" else (mean <= margin["limit"])
