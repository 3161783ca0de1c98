"""What the tests on real models share: their goldens are of class cpu-x86_64-portable."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Goldens of the portable profile hold on x86-64 processors, and nowhere else."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        return
    reason = f"goldens of class cpu-x86_64-portable cannot apply to {machine or 'an unknown machine'}"
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))
