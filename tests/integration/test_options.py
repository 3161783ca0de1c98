"""Every option: on the command line, in pytest's ini and in [tool.seedpin], and which one wins."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from seedpin.options import DEFAULT_SEED, OPTIONS, SETTINGS
from support.project import Project

PYPROJECT = """
[tool.pytest.ini_options]
pythonpath = ["."]
{ini}

[tool.seedpin]
cpu_profile = "{profile}"
probe = "twice"
{table}
"""
TEST = """
import seedpin
from model import generate


def test_ball(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=2), fps=8)
"""


@pytest.fixture
def plain(project: Project) -> Project:
    """A project whose test has no seed marker. An option's folder needs ``=``: pytest, which does not know
    the option yet when it looks for its root, would take it for a folder of tests.
    """
    project.write({"test_ball.py": TEST})
    return project


def configure(project: Project, *, ini: str = "", table: str = "") -> None:
    project.write({"pyproject.toml": PYPROJECT.format(profile=project.profile, ini=ini, table=table)})


def minted(project: Project, *arguments: str, folder: str = "golden") -> dict[str, Any]:
    """The manifest of the golden that an update writes."""
    result = project.pytest("--update-golden=all", *arguments)
    result.assert_outcomes(passed=1)
    (path,) = (project.root / folder).rglob("*.json")
    data: dict[str, Any] = json.loads(path.read_text())
    return data


LAYERED = [("seed", "seed", 11, 12, 13), ("level", "level", "warn", "seeds", "strict")]


@pytest.mark.parametrize(("key", "field", "table", "ini", "flag"), LAYERED, ids=["seed", "level"])
def test_the_command_line_beats_ini_beats_the_table(
    plain: Project, key: str, field: str, table: Any, ini: Any, flag: Any
) -> None:
    """The seed and the level of a golden come from the strongest place that sets them."""
    configure(plain, table=f"{key} = {table!r}")
    assert minted(plain)[field] == table
    configure(plain, table=f"{key} = {table!r}", ini=f"seedpin_{key} = '{ini}'")
    assert minted(plain)[field] == ini
    assert minted(plain, f"--seedpin-{key}={flag}")[field] == flag


def test_the_golden_folder_is_relative_to_the_root(plain: Project) -> None:
    """`--golden-dir`, its ini and its table entry each move the goldens, also from a folder below."""
    configure(plain, table="golden_dir = 'one'")
    minted(plain, folder="one")
    configure(plain, table="golden_dir = 'one'", ini="seedpin_golden_dir = 'two/deep'")
    minted(plain, folder="two/deep")
    minted(plain, "--golden-dir=three", folder="three")
    absolute = plain.root.parent / f"{plain.root.name}-absolute"
    minted(plain, f"--golden-dir={absolute}", folder=str(absolute))
    plain.pytest(f"--golden-dir={absolute}").assert_outcomes(passed=1)
    assert not (plain.root / "golden").exists()
    failing = plain.pytest(f"--golden-dir={absolute}", env={"TEST_SHIFT": "3"})
    failing.stdout.fnmatch_lines([f"  golden:   {absolute}/test_ball.py/test_ball/video.*.json"])


def test_the_device_class_can_be_named_in_every_place(plain: Project) -> None:
    """`--golden-device-class`, ini and table choose the class; a name that is none stops the run."""
    configure(plain, table="device_class = 'cpu-table'")
    assert minted(plain)["device_class"] == "cpu-table"
    configure(plain, ini="seedpin_device_class = 'cpu-ini'")
    plain.pytest("--update-golden").assert_outcomes(passed=1)
    plain.pytest("--update-golden", "--golden-device-class", "cpu-flag").assert_outcomes(passed=1)
    names = {name.split(".")[-2] for name in plain.golden_files() if name.endswith(".json")}
    assert names == {"cpu-table", "cpu-ini", "cpu-flag"}
    result = plain.pytest("--golden-device-class", "Tesla T4")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*'Tesla T4' is no device class name*", "*next: use lower-case letters*"])


def test_runs_are_kept_up_to_the_number_asked_for(plain: Project) -> None:
    """`keep_runs` counts this run too, and never deletes the clips of this run."""
    configure(plain, table="keep_runs = 1")
    for _ in range(3):
        plain.pytest("--update-golden=all").assert_outcomes(passed=1)
    (run,) = (plain.root / ".seedpin" / "runs").iterdir()
    assert list(run.rglob("obtained/**/*.json"))
    configure(plain, table="keep_runs = 3")
    for _ in range(4):
        plain.pytest().assert_outcomes(passed=1)
    assert len(list((plain.root / ".seedpin" / "runs").iterdir())) == 3


def test_runs_of_a_test_that_keeps_failing_do_not_pile_up(plain: Project) -> None:
    """A clip that awaits a decision keeps its run until a later run has made its check again."""
    configure(plain, table="keep_runs = 2")
    check = "golden_image.check(np.eye(9, dtype=np.uint8))"
    plain.write({"test_other.py": f"import numpy as np\n\n\ndef test_other(golden_image):\n    {check}\n"})
    plain.pytest("test_other.py").assert_outcomes(failed=1)
    (other,) = (plain.root / ".seedpin" / "runs").iterdir()
    for _ in range(4):
        plain.pytest("test_ball.py").assert_outcomes(failed=1)
    left = sorted((plain.root / ".seedpin" / "runs").iterdir())
    assert left[0] == other
    assert len(left) == 3
    for _ in range(2):
        plain.pytest().assert_outcomes(failed=2)
    left = sorted((plain.root / ".seedpin" / "runs").iterdir())
    assert other not in left
    assert len(left) == 2


def test_further_packages_stand_in_the_environment(plain: Project) -> None:
    """`packages` adds versions that can move bits, from the table and from ini."""
    configure(plain, table="packages = ['pluggy']")
    assert "pluggy" in minted(plain)["environment"]["moves_bits"]
    configure(plain, ini="seedpin_packages = 'pluggy iniconfig'")
    assert {"pluggy", "iniconfig"} <= minted(plain)["environment"]["moves_bits"].keys()


BAD = [
    ("", "sed = 3", [], "unknown key 'sed'", "did you mean 'seed'?"),
    ("seedpin_sed = '3'", "", [], "unknown key 'seedpin_sed'", "did you mean 'seedpin_seed'?"),
    ("", "level = 'strickt'", [], "level = 'strickt' is not one of its values", "did you mean 'strict'?"),
    ("seedpin_seed = 'x'", "", [], "pytest ini (seedpin_seed): seed must be an integer, not 'x'", ""),
    ("", "seed = -1", [], "seed = -1 is not between 0 and 4294967295", ""),
    ("", "", ["--seedpin-seed", "4294967296"], "command line (--seedpin-seed): seed = 4294967296 is not", ""),
    ("", "keep_runs = 0", [], "keep_runs = 0 is not between 1 and", ""),
    ("", "golden_dir = ''", [], "golden_dir must be a text, not ''", ""),
    ("", "tolerance = 3", [], "tolerance must map device-class patterns to tables", "write for example"),
]


@pytest.mark.parametrize(("ini", "table", "arguments", "what", "hint"), BAD)
def test_a_bad_setting_stops_the_run_before_any_test(
    plain: Project, ini: str, table: str, arguments: list[str], what: str, hint: str
) -> None:
    """Unknown keys and bad values are usage errors that name their place and the way out."""
    configure(plain, ini=ini, table=table)
    result = plain.pytest(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert what in result.stderr.str()
    assert hint in result.stderr.str()
    assert "seedpin explain config" in result.stderr.str()
    assert "test_ball.py" not in result.stdout.str()


@pytest.mark.parametrize("arguments", [["--seedpin-seed", "x"], ["--seedpin-level", "loose"]])
def test_a_bad_value_on_the_command_line_is_refused(plain: Project, arguments: list[str]) -> None:
    """pytest's own parser refuses what is no integer and no level."""
    result = plain.pytest(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_the_header_tells_the_settings(plain: Project) -> None:
    """The header shows seed, level, profile, golden folder, and that an update is on."""
    result = plain.pytest("--seedpin-seed=5", "--seedpin-level=warn", "--update-golden=missing")
    wanted = f"seedpin *: seed 5, level warn, cpu profile {plain.profile}, goldens golden (updating: missing)"
    result.stdout.fnmatch_lines([wanted])
    plain.pytest().stdout.fnmatch_lines(
        [f"seedpin *: seed {DEFAULT_SEED}, level strict, cpu profile {plain.profile}, goldens golden"]
    )


MARKED = """
import pytest
from model import generate


{decorator}
def test_ball(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=2), fps=8)
"""


@pytest.mark.parametrize(
    ("marker", "seed", "level"),
    [("seed(99)", 99, "strict"), ("seed(99, level='warn')", 99, "warn"), ("seed(0)", 0, "strict")],
)
def test_the_seed_marker_beats_the_configuration(
    project: Project, marker: str, seed: int, level: str
) -> None:
    """A test's own seed and level are those of its goldens, whatever the command line says."""
    project.write({"test_ball.py": MARKED.format(decorator=f"@pytest.mark.{marker}")})
    manifest = minted(project, "--seedpin-seed=5")
    assert (manifest["seed"], manifest["level"]) == (seed, level)


TWO_MODELS = """
from model import generate


def test_ball(seeded_model, golden_video):
    first, second = seeded_model(generate, seed=1), seeded_model(generate, seed=2, level="warn")
    golden_video.check(first(frames=2), "first", fps=8)
    golden_video.check(second(frames=2), "second", fps=8)
    golden_video.check(first(frames=3), "third", fps=8)
"""


@pytest.mark.parametrize("probe", ["twice", "off"])
def test_a_golden_has_the_seed_of_the_model_that_was_called(project: Project, probe: str) -> None:
    """Where a test has several models, each golden records the pin of the call before its check."""
    project.write({"test_ball.py": TWO_MODELS})
    files = project.mint("--golden-probe", probe)
    manifests = [json.loads(data) for name, data in files.items() if name.endswith(".json")]
    found = {manifest["check"]: (manifest["seed"], manifest["level"]) for manifest in manifests}
    assert found == {"first": (1, "strict"), "second": (2, "warn"), "third": (1, "strict")}
    project.pytest().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("seed", "write @pytest.mark.seed(1234)"),
        ("seed()", "write @pytest.mark.seed(1234)"),
        ("seed(1, 2)", "write @pytest.mark.seed(1234)"),
        ("seed(1, lvl='warn')", "write @pytest.mark.seed(1234)"),
        ("seed(value=1)", "write @pytest.mark.seed(1234)"),
        ("seed('x')", "'x'"),
        ("seed(-1)", "-1"),
        ("seed(True)", "True"),
        ("seed(1, level='strickt')", "strickt"),
        ("golden(50)", "the golden marker takes keywords only"),
        ("golden(psnrr=50)", "@pytest.mark.golden: unknown key 'psnrr'"),
        ("golden(psnr='x')", "psnr = 'x' is no limit"),
        ("golden()", "no limit is declared"),
    ],
)
def test_a_misused_marker_fails_its_test(project: Project, marker: str, words: str) -> None:
    """A marker that cannot be read fails the test with how to write it, before anything is written."""
    project.write({"test_ball.py": MARKED.format(decorator=f"@pytest.mark.{marker}")})
    result = project.pytest("--update-golden")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert words in result.stdout.str()
    assert not project.golden_files()


def test_a_limit_that_permits_everything_never_passes(project: Project) -> None:
    """`max_abs=1e10` on 8-bit frames is an error as soon as frames differ, not a pass."""
    project.write({"test_ball.py": MARKED.format(decorator="@pytest.mark.golden(max_abs=1e10)")})
    before = project.mint()
    result = project.pytest(env={"TEST_SHIFT": "3"})
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *ToleranceError: *max_abs = 1e+10 can never fail*"])
    assert project.golden_files() == before


def test_the_markers_are_registered(project: Project) -> None:
    """`--strict-markers` accepts both markers, and `--markers` explains them."""
    project.write(
        {"test_ball.py": MARKED.format(decorator="@pytest.mark.seed(1)\n@pytest.mark.golden(psnr=50)")}
    )
    project.pytest("--strict-markers", "--update-golden").assert_outcomes(passed=1)
    project.pytest("--markers").stdout.fnmatch_lines(
        ["@pytest.mark.seed(value, level=None): *", "@pytest.mark.golden(**tolerance): *"]
    )


def test_the_help_lists_the_options_of_the_table_in_its_order(project: Project) -> None:
    """`pytest --help` shows all flags and ini keys, and hides those of seedpin's own runs."""
    text = project.pytest("--help").stdout.str()
    group = text[text.index("seedpin: seed-pinned") :]
    flags = [typed.partition("[")[0] for one in OPTIONS if not one.hidden for typed, _ in one.spellings]
    places = [re.search(rf"^  {re.escape(flag)}\b", group, re.MULTILINE) for flag in flags]
    assert None not in places, flags[places.index(None)]
    assert [place.start() for place in places if place] == sorted(place.start() for place in places if place)
    assert all(one.ini in text for one in SETTINGS)
    assert not any(one.flag in text for one in OPTIONS if one.hidden)


def test_the_plugin_adds_no_option_that_is_not_in_the_table(project: Project) -> None:
    """What pytest knows of seedpin's flags and keys is what the table has."""
    project.write(
        {
            "conftest.py": """
def pytest_configure(config):
    names = [name for name in vars(config.option) if "golden" in name or "seedpin" in name]
    print("names:", *sorted(names))
"""
        }
    )
    flagged = sorted(one.dest for one in OPTIONS if one.flag)
    project.pytest("--collect-only", "-s").stdout.fnmatch_lines([f"names: {' '.join(flagged)}"])


def test_the_help_lists_every_fixture(project: Project) -> None:
    """`pytest --help` shows what people look for, and `--fixtures` the fixtures."""
    text = project.pytest("--help").stdout.str()
    for flag in (
        "--update-golden", "--update-golden=changed", "--update-golden=missing", "--update-golden=all",
        "--golden-dir", "--golden-device-class", "--golden-reason", "--golden-allow-ci", "--golden-probe",
        "--seedpin-seed", "--seedpin-level", "--seedpin-cpu-profile", "--seedpin-trace",
        "seedpin_seed", "seedpin_level", "seedpin_golden_dir", "seedpin_device_class", "seedpin_cpu_profile",
        "seedpin_keep_runs", "seedpin_packages", "seedpin_trace", "seedpin_probe",
    ):  # fmt: skip
        assert flag in text, flag
    fixtures = project.pytest("--fixtures").stdout.str()
    for name in ("seeded_model", "golden_video", "golden_image", "golden_tensors"):
        assert f"\n{name} --" in fixtures


def test_without_the_plugin_nothing_of_it_is_there(project: Project) -> None:
    """`-p no:seedpin` leaves neither fixtures nor options, and writes nothing."""
    result = project.pytest("-p", "no:seedpin")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E *fixture 'seeded_model' not found"])
    result.stdout.no_fnmatch_line("seedpin *: seed*")
    assert not (project.root / ".seedpin").exists()
    assert project.pytest("-p", "no:seedpin", "--update-golden").ret == pytest.ExitCode.USAGE_ERROR


def test_collecting_writes_nothing(project: Project) -> None:
    """`--collect-only`, also with an update flag, leaves the project as it is."""
    before = {path.name for path in project.root.iterdir()}
    project.pytest("--collect-only", "--update-golden")
    assert {path.name for path in project.root.iterdir()} == before


@pytest.mark.parametrize(
    "arguments",
    [["--seedpin-collect"], ["--seedpin-thorough"], ["--seedpin-collect", "--golden-dir=golden"]],
)
def test_the_flags_of_seedpin_s_own_runs_write_nothing_for_a_user(
    project: Project, arguments: list[str]
) -> None:
    """On a user's command line they stop the run before any test, whatever the golden folder."""
    before = project.mint()
    result = project.pytest(*arguments, env={"TEST_SHIFT": "3", "CI": "true"})
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*are for runs that seedpin starts itself*"])
    assert project.golden_files() == before
