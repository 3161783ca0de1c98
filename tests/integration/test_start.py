"""What happens when pytest starts: nothing heavy is imported, and the CPU profile comes in time."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from seedpin.environment.cpu import read_cpu
from seedpin.inner import InnerRequest
from seedpin.options import DEFAULT_SEED
from seedpin.pinning.profiles import CUBLAS_VARIABLE, environment_for
from seedpin.process import REQUEST_VARIABLE, RUN_VARIABLE
from support.project import Project

HEAVY = (
    "torch",
    "numpy",
    "PIL",
    "skimage",
    "imageio",
    "scipy",
    "safetensors",
    "filelock",
    "click",
    "rich",
    "msgspec",
)
LIST = "print('HEAVY', sorted(name for name in {names} if name in sys.modules))"

x86_only = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="the portable profile is for x86-64"
)


def test_rule_6_importing_the_plugin_imports_nothing_heavy() -> None:
    """The module that pytest loads, and seedpin itself, pull in no torch, numpy or image library."""
    code = f"import sys, seedpin, seedpin.plugin.entry\n{LIST.format(names=HEAVY)}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "HEAVY []\n"


def test_rule_6_collecting_nothing_imports_nothing_heavy(project: Project) -> None:
    """`pytest --collect-only` without a test imports none of them either, with all parts of the plugin up."""
    for name in ("model.py", "test_ball.py"):
        (project.root / name).unlink()
    project.write(
        {"conftest.py": f"import sys\n\n\ndef pytest_unconfigure():\n    {LIST.format(names=HEAVY)}\n"}
    )
    result = project.pytest("--collect-only", "-s", fresh=True)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines([f"seedpin *: seed {DEFAULT_SEED}, *", "HEAVY [[]]"])
    assert not (project.root / ".seedpin").exists()


def test_a_plain_check_imports_nothing_of_other_revisions(project: Project) -> None:
    """Who does not ask for another revision loads nothing of that room, not even to write a golden."""
    tell = "print('LOADED', sorted(name for name in sys.modules if 'revisions' in name or name in NAMES))"
    names = "NAMES = ('seedpin.plugin.against', 'seedpin.plugin.attribute', 'seedpin.plugin.inner')"
    conftest = f"import sys\n\n{names}\n\n\ndef pytest_unconfigure():\n    {tell}\n"
    project.write({"conftest.py": conftest})
    for arguments in (["--update-golden"], []):
        result = project.pytest(*arguments, "-s", fresh=True)
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(["LOADED [[]]"])


def test_a_request_holds_for_the_pytest_that_seedpin_started_alone(project: Project) -> None:
    """A pytest that a test of such a session runs inherits the variable, and runs what it is told to."""
    request = InnerRequest(wanted=()).write(project.root)
    env = {REQUEST_VARIABLE: str(request), RUN_VARIABLE: str(project.root / "run")}
    assert project.pytest("--collect-only", env=env).ret == pytest.ExitCode.OK
    asked = ("--seedpin-collect", "--golden-dir", str(project.root / "collected"))
    assert project.pytest("--collect-only", *asked, env=env).ret == pytest.ExitCode.NO_TESTS_COLLECTED


EARLY = "import torch\n\n(torch.ones(64, 64) @ torch.ones(64, 64)).exp()\n"
PORTABLE = """
[tool.pytest.ini_options]
pythonpath = ["."]

[tool.seedpin]
cpu_profile = "portable"
"""


@pytest.fixture
def bare(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with the portable profile, in an environment that does not set it yet."""
    for name in (*environment_for("portable"), CUBLAS_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    project.write({"pyproject.toml": PORTABLE})
    return project


@x86_only
def test_the_profile_is_set_before_conftest_runs_its_first_operation(bare: Project) -> None:
    """An operation at the top of conftest.py already runs under the profile, and goldens get its class."""
    tell = "import os\n\nprint('CUBLAS', os.environ['CUBLAS_WORKSPACE_CONFIG'])\n"
    bare.write({"conftest.py": EARLY + tell + "print('KERNELS', torch.backends.cpu.get_cpu_capability())\n"})
    result = bare.pytest("--update-golden", "-s", fresh=True)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["CUBLAS :4096:8", "KERNELS AVX2"])
    assert bare.manifest().name == "video.cpu-x86_64-portable.json"


@x86_only
@pytest.mark.skipif("avx512f" not in read_cpu().flags, reason="AVX2 kernels are this CPU's best anyway")
def test_a_profile_that_came_too_late_is_a_named_error(bare: Project) -> None:
    """Where a plugin ran an operation before, the check fails by name, and no golden is written."""
    bare.write({"early.py": EARLY})
    result = bare.pytest("-p", "early", "--update-golden", fresh=True)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *ProfileTooLateError: the CPU profile 'portable' came too late: *",
            "E * next: move tensor work out of *, or export ATEN_CPU_CAPABILITY=avx2 *before starting python",
            "E * more: seedpin explain profile-too-late",
        ]
    )
    assert not bare.golden_files()
