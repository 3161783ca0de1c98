"""Versions of the software that can move bits. Everything here is constant in a process, and cached."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

ABSENT = "not installed"

# Key to the distributions that provide it: the first that is installed counts. The second group matters on
# accelerators only.
PACKAGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        name: (name,)
        for name in (
            *("bitsandbytes", "diffusers", "jax", "kernels", "numpy", "peft", "pillow", "tokenizers"),
            *("torchao", "torchvision", "transformers"),
        )
    }
)
ACCELERATOR_PACKAGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        name: (name,)
        for name in (
            *("apache-tvm-ffi", "flash-attn", "flash-attn-4", "flash-attn-3", "nvidia-cutlass-dsl"),
            *("quack-kernels", "sageattention", "triton", "xformers"),
        )
    }
    | {
        "flashinfer": ("flashinfer-python", "flashinfer"),
        "nvidia-cublas": ("nvidia-cublas", "nvidia-cublas-cu13", "nvidia-cublas-cu12", "nvidia-cublas-cu11"),
        "transformer-engine": (
            *("transformer-engine", "transformer-engine-cu13", "transformer-engine-cu12"),
            "transformer-engine-torch",
        ),
    }
)
INFORMATIVE_PACKAGES = ("accelerate", "safetensors", "scikit-image")


@cache
def package_version(distribution: str) -> str:
    """The installed version of ``distribution``, found without importing it, or :data:`ABSENT`."""
    try:
        return str(metadata.version(distribution)) or ABSENT
    except (metadata.PackageNotFoundError, KeyError, TypeError):  # the latter two: broken metadata
        return ABSENT


def first_version(*distributions: str) -> str:
    """The version of the first of ``distributions`` that is installed, or :data:`ABSENT`.

    A library comes under another name for each CUDA release, so the key must not hold it.
    """
    versions = (package_version(name) for name in distributions)
    return next((version for version in versions if version != ABSENT), ABSENT)


def parse_build(text: str) -> dict[str, str]:
    """The versions of MKL and oneDNN in ``torch.__config__.show()``; what a build lacks is left out.

    >>> parse_build("  - Intel(R) MKL-DNN v3.12.0 (Git Hash 80afa710)")
    {'onednn': '3.12.0'}
    """
    patterns = {
        "mkl": r"oneAPI Math Kernel Library Version (\d[\w.]*)|Math Kernel Library Version (\d[\w.]*)",
        "onednn": r"(?:MKL-DNN|oneDNN) v(\d[\w.]*)",
    }
    build = {}
    for key, pattern in patterns.items():
        match = re.search(pattern, text)
        if match:
            build[key] = next(group for group in match.groups() if group)
    return build


@lru_cache(maxsize=1)
def torch_build() -> dict[str, str]:
    import torch

    return parse_build(torch.__config__.show())


@lru_cache(maxsize=1)
def libc() -> str:
    """``glibc 2.36``, or the system's release where libc is part of it; its libm is what NumPy calls."""
    if platform.system() == "Darwin":
        return f"macos {platform.mac_ver()[0]}"
    name, version = platform.libc_ver()
    return f"{name} {version}".strip() or "unknown"


def parse_driver(text: str) -> str | None:
    """The version in ``/proc/driver/nvidia/version``."""
    match = re.search(r"NVRM version:.*?\s(\d{3,}(?:\.\d+)+)", text)
    return match.group(1) if match else None


@lru_cache(maxsize=1)
def nvidia_driver() -> str:
    """The driver's version, or ``unknown``; asked only for a CUDA class, so a driver is there."""
    try:
        driver = parse_driver(Path("/proc/driver/nvidia/version").read_text(encoding="utf-8"))
    except OSError:
        driver = None
    if driver:
        return driver
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    lines = done.stdout.split()
    return lines[0] if done.returncode == 0 and lines else "unknown"
