"""What the tests on real models share: their goldens are of class cpu-x86_64-portable."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Goldens of the portable profile hold on x86-64 processors with AVX2, and nowhere else."""
    here = [item for item in items if _HERE in item.path.parents]
    reason = _cannot_apply() if here else ""
    for item in here if reason else ():
        item.add_marker(pytest.mark.skip(reason=reason))


def _cannot_apply() -> str:
    """Why the goldens say nothing about this machine; empty where they do."""
    machine = platform.machine().lower()
    if machine not in ("x86_64", "amd64"):
        return f"goldens of class cpu-x86_64-portable cannot apply to {machine or 'an unknown machine'}"
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    if capability in ("DEFAULT", "NO AVX"):
        return f"the profile 'portable' needs AVX2, and torch runs with {capability} kernels here"
    return ""
