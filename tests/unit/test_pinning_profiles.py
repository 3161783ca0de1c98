"""CPU profiles: set in time they hold, set too late they are a named error."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import textwrap
import types
from typing import Any

import pytest

from seedpin.errors import ConfigError, CudaStartedEarlyWarning
from seedpin.pinning import profiles

x86 = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="portable is for x86-64"
)
VARIABLES = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR", "CUBLAS_WORKSPACE_CONFIG")

PROFILES: Any = profiles  # its ``os`` is replaced below


def fresh(code: str) -> str:
    """What ``code`` prints in a fresh process that has none of the variables."""
    env = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """This process' variables and active profile, put back at the end."""
    monkeypatch.setattr(profiles, "os", types.SimpleNamespace(environ=dict(os.environ)))
    monkeypatch.setattr(profiles._Active, "profile", "native")
    return monkeypatch


@x86
@pytest.mark.parametrize("first", ["apply", "import torch"])
def test_portable_in_time(first: str) -> None:
    """Set before the first operation, before or after torch's import, the profile holds."""
    lines = ["import torch", "apply_profile('portable')"]
    code = "from seedpin.pinning.profiles import *\n" + "\n".join(lines if first != "apply" else lines[::-1])
    code += "\nfrom seedpin.pinning.profiles import _mkl_branch\nverify_profile('portable')\n"
    code += "torch.rand(100).exp().sum(); torch.rand(9, 9) @ torch.rand(9, 9)\n"
    code += "from seedpin.pinning.pin import pin\n"
    code += "with pin(1) as p: print(active_profile(), p.profile, torch.backends.cpu.get_cpu_capability())\n"
    code += "with pin(1, profile='portable') as p: pass\n"
    assert fresh(code) == "portable portable AVX2"


@x86
def test_portable_too_late() -> None:
    """Set after an operation, the profile is a named error that says what to type."""
    code = """
        import torch
        from seedpin.errors import ProfileTooLateError
        from seedpin.pinning.profiles import *
        a = torch.rand(64, 64)
        (a @ a).exp().sum()
        apply_profile("portable")
        try:
            verify_profile("portable")
        except ProfileTooLateError as error:
            print(error)
    """
    said = fresh(code)
    assert "came too late" in said
    assert (
        "ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_CBWR=COMPATIBLE before starting python" in said
    )


@x86
def test_portable_not_set_at_all() -> None:
    """A pin that asks for a profile which nobody applied says which variables are missing."""
    code = """
        from seedpin.errors import ProfileTooLateError
        from seedpin.pinning.pin import pin
        try:
            with pin(1, profile="portable"): print("ran")
        except ProfileTooLateError as error:
            print(error.what)
    """
    assert "is not set in this process: ATEN_CPU_CAPABILITY=avx2" in fresh(code)


@x86
def test_lateness_shows_on_a_cpu_whose_best_is_avx2() -> None:
    """Where torch runs AVX2 kernels anyway, MKL's own branch gives lateness away."""
    code = """
        import os
        os.environ["ATEN_CPU_CAPABILITY"] = "avx2"
        import torch
        from seedpin.errors import ProfileTooLateError
        from seedpin.pinning.profiles import *
        a = torch.rand(64, 64)
        a @ a
        from seedpin.pinning.profiles import _mkl_branch
        apply_profile("portable")
        try:
            verify_profile("portable")
            print("missed" if _mkl_branch() is not None else "cannot be asked")
        except ProfileTooLateError:
            print("noticed")
    """
    assert fresh(code) in ("noticed", "cannot be asked")


def test_importing_profiles_imports_no_torch() -> None:
    """The plugin may import this module, and the package, at start-up."""
    code = "import sys, seedpin.pinning.profiles; print('torch' in sys.modules, 'numpy' in sys.modules)"
    assert fresh(code) == "False False"


def test_native_needs_nothing(process: pytest.MonkeyPatch) -> None:
    """``native`` sets no CPU variable and always verifies."""
    assert profiles.environment_for("native") == {}
    profiles.apply_profile("native")
    profiles.verify_profile("native")
    assert profiles.active_profile() == "native"


def test_cublas_workspace_is_set_once(process: pytest.MonkeyPatch) -> None:
    """cuBLAS' workspace is set where it is unset, and the user's choice is kept."""
    environ = PROFILES.os.environ
    environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
    profiles.apply_profile("native")
    assert environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    environ["CUBLAS_WORKSPACE_CONFIG"] = ":16:8"
    profiles.apply_profile("native")
    assert environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


@pytest.mark.parametrize("chosen", [None, ":4096:8"])
def test_cuda_started_early_is_a_named_warning(process: pytest.MonkeyPatch, chosen: str | None) -> None:
    """If CUDA was up before the workspace could be set, that is said; not if the user had set it."""
    import torch

    environ = PROFILES.os.environ
    environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
    if chosen is not None:
        environ["CUBLAS_WORKSPACE_CONFIG"] = chosen
    process.setattr(torch.cuda, "is_initialized", lambda: True)
    if chosen is None:
        with pytest.warns(CudaStartedEarlyWarning, match="CUBLAS_WORKSPACE_CONFIG=:4096:8"):
            profiles.apply_profile("native")
    else:
        profiles.apply_profile("native")


@pytest.mark.parametrize("function", ["environment_for", "apply_profile", "verify_profile"])
def test_unknown_profile(function: str) -> None:
    """An unknown profile names those that exist."""
    call: Any = getattr(profiles, function)
    with pytest.raises(ConfigError, match=r"(?s)unknown CPU profile 'fast'.*native, portable"):
        call("fast")


def test_portable_elsewhere_than_x86(process: pytest.MonkeyPatch) -> None:
    """On another architecture ``portable`` is refused in words, and nothing is set."""
    process.setattr(platform, "machine", lambda: "arm64")
    environ = PROFILES.os.environ
    before = dict(environ)
    for function in (profiles.apply_profile, profiles.verify_profile):
        with pytest.raises(ConfigError, match="on x86-64 only, and this machine is arm64"):
            function("portable")
    assert environ == before
