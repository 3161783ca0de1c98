"""The public names, and the docs that list them."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

import seedpin
from seedpin.options import OPTIONS, SETTINGS

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


def rows(start: str) -> list[tuple[str, ...]]:
    """The rows of a table of the reference, below its heading and its line."""
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    lines = page[page.index(start) :].splitlines()[2:]
    table = itertools.takewhile(lambda line: line.startswith("|"), lines)
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in table]


def test_the_reference_lists_the_settings_of_the_table_and_no_others() -> None:
    """Each key with its flag, its default and what it is for, in the table's order."""
    wanted = []
    for option in SETTINGS:
        flag = f"`{option.flag}`" if option.flag else ""
        default = str(option.default) if option.default != () else "none"
        choices = f" One of {', '.join(option.choices)}." if option.choices else ""
        wanted.append((f"`{option.key}`", flag, default, f"{option.help}{choices}"))
    assert rows("| key | flag | default | |") == wanted


def test_the_reference_lists_the_flags_of_the_table_and_no_others() -> None:
    """Each spelling of each flag that only the command line has, except of seedpin's own runs."""
    flags = [option for option in OPTIONS if not option.setting and not option.hidden]
    wanted = [(f"`{typed}`", does) for option in flags for typed, does in option.spellings]
    assert rows("| flag | |") == wanted
