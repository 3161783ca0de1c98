"""The public names, and the docs that list them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import seedpin
from seedpin.config import OPTIONS

ROOT = Path(__file__).parents[2]


def test_the_public_names_are_these() -> None:
    """A public name comes or goes only on purpose."""
    assert seedpin.__all__ == [
        "CheckResult",
        "Clip",
        "ClipGate",
        "DeviceClass",
        "Environment",
        "Gate",
        "GoldenMismatch",
        "Kind",
        "Metric",
        "Pin",
        "RandomSource",
        "SeededModel",
        "SeedpinError",
        "SeedpinWarning",
        "TensorGate",
        "__version__",
        "as_clip",
        "check",
        "current_pin",
        "device_class",
        "mark",
        "pin",
        "register_metric",
        "register_source",
        "seeded_model",
        "unpinned",
        "worker_init_fn",
    ]


@pytest.mark.parametrize("name", seedpin.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    """Each name can be had, has a docstring, and stands in the reference."""
    value = getattr(seedpin, name)
    if name != "__version__":
        assert value.__doc__
        assert f"seedpin.{name}" in (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


def test_importing_seedpin_imports_nothing_heavy() -> None:
    """`import seedpin` alone loads neither torch nor numpy nor an image library."""
    code = (
        "import sys, seedpin, seedpin.plugin.entry, seedpin.plugin.session, seedpin.cli\n"
        "heavy = {'torch', 'numpy', 'PIL', 'skimage', 'imageio', 'scipy'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
def test_every_option_stands_in_the_reference(option: object) -> None:
    """The reference lists each option with its flag and its help."""
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith(f"| `{option.key}` |"))  # type: ignore[attr-defined]
    assert option.help in line  # type: ignore[attr-defined]
    assert option.flag in line  # type: ignore[attr-defined]
