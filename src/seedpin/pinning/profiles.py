"""CPU profiles: which kernels the CPU libraries may choose between.

``native``    the best kernels of this CPU, on one thread: exact on one CPU family.
``portable``  conservative kernels on one thread: exact across x86-64 vendors, at about twice the time.

``portable`` consists of environment variables that ATen, oneDNN and MKL read at the first operation of
the process and never again, so they are set while the plugin loads, and verified later. This module
imports no torch at its top.
"""

from __future__ import annotations

import functools
import os
import platform
import sys
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from seedpin.errors import ConfigError, CudaStartedEarlyWarning, ProfileTooLateError
from seedpin.options import PROFILES

CUBLAS_VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
CUBLAS_WORKSPACE = ":4096:8"  # ":16:8" is refused by torch >= 2.10

_MKL_CBWR_BRANCH = 1
_MKL_CBWR_COMPATIBLE = 3

_ENVIRONMENT: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "native": MappingProxyType({}),
        "portable": MappingProxyType(
            {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"}
        ),
    }
)


class _Active:
    """What ``apply_profile`` set for this process, in one place (the variables are process-wide anyway)."""

    profile: str = "native"


def _check_name(profile: str) -> None:
    if profile not in PROFILES:
        raise ConfigError(
            f"unknown CPU profile {profile!r}",
            hint=f"choose one of {', '.join(PROFILES)} (cpu_profile in [tool.seedpin])",
        )


def environment_for(profile: str) -> dict[str, str]:
    """The environment variables that make up ``profile``; empty for ``native``."""
    _check_name(profile)
    return dict(_ENVIRONMENT[profile])


def active_profile() -> str:
    """The profile that ``apply_profile`` set in this process; ``native`` where it was never called."""
    return _Active.profile


def apply_profile(profile: str) -> None:
    """Set the variables of ``profile`` and ``CUBLAS_WORKSPACE_CONFIG`` in this process.

    Call it before the first torch operation; ``verify_profile`` says whether that was so. A cuBLAS
    workspace that the user chose is kept. Raises ConfigError for an unknown profile and for
    ``portable`` on anything but x86-64; warns CudaStartedEarlyWarning where CUDA was up already.
    """
    _check_name(profile)
    _check_machine(profile)
    # In the environment, so that what this process starts has the same profile.
    os.environ.update(_ENVIRONMENT[profile])
    _Active.profile = profile
    if CUBLAS_VARIABLE not in os.environ:
        os.environ[CUBLAS_VARIABLE] = CUBLAS_WORKSPACE
        torch = sys.modules.get("torch")
        # getattr: torch may be half imported when a plugin loads.
        cuda = getattr(torch, "cuda", None)
        if cuda is not None and cuda.is_initialized():
            warnings.warn(
                f"CUDA was started before seedpin could set {CUBLAS_VARIABLE}={CUBLAS_WORKSPACE}: cuBLAS may "
                f"not be deterministic in this process. Set the variable before the process starts, or move "
                f"what starts CUDA (an import in conftest.py?) into a fixture.",
                CudaStartedEarlyWarning,
                stacklevel=2,
            )


def verify_profile(profile: str) -> None:
    """Make sure that the variables of ``profile`` were read, not only set.

    Raises ProfileTooLateError where an operation had run before they were set or where the CPU lacks
    AVX2, and ConfigError as ``apply_profile`` does. On a CPU whose best kernels are AVX2 anyway lateness
    shows only through MKL, which is asked too where torch exports it.
    """
    _check_name(profile)
    _check_machine(profile)
    if profile == "native":
        return
    wanted = _ENVIRONMENT[profile]
    missing = [f"{name}={value}" for name, value in wanted.items() if os.environ.get(name) != value]
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    if missing:
        raise ProfileTooLateError(
            f"the CPU profile {profile!r} is not set in this process: {' '.join(missing)} missing",
            hint="set cpu_profile in [tool.seedpin], or call apply_profile before any operation",
        )
    if capability == "AVX2" and _mkl_branch() in (None, _MKL_CBWR_COMPATIBLE):
        return
    if capability in ("DEFAULT", "NO AVX"):
        raise ProfileTooLateError(
            f"the CPU profile {profile!r} needs AVX2, and torch runs with {capability!r} kernels here",
            hint='use a CPU with AVX2, or cpu_profile = "native" in [tool.seedpin]',
        )
    raise ProfileTooLateError(
        f"the CPU profile {profile!r} came too late: an operation ran before it was set, and the CPU "
        f"libraries keep their choice (torch: {capability}, wanted AVX2)",
        hint="move tensor work out of conftest.py's and plugins' top level, or export "
        + " ".join(f"{name}={value}" for name, value in wanted.items())
        + " before starting python",
    )


def _check_machine(profile: str) -> None:
    machine = platform.machine().lower()
    if profile == "portable" and machine not in ("x86_64", "amd64"):
        raise ConfigError(
            f"the CPU profile 'portable' exists on x86-64 only, and this machine is {machine or 'unknown'}",
            hint='use cpu_profile = "native" in [tool.seedpin] (goldens are then kept per CPU family)',
        )


@functools.cache
def _mkl_branch() -> int | None:
    """MKL's branch of conditional numerical reproducibility; None where it cannot be asked."""
    import ctypes
    from pathlib import Path

    import torch

    libraries = Path(torch.__file__).parent / "lib"
    for name in ("libtorch_cpu.so", "torch_cpu.dll"):
        if (libraries / name).exists():
            try:
                function: Any = ctypes.CDLL(str(libraries / name)).mkl_serv_cbwr_get
            except (OSError, AttributeError):
                return None
            function.restype = ctypes.c_int
            return int(function(_MKL_CBWR_BRANCH))
    return None
