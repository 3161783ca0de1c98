"""The public names, and the docs that list them."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_type_hints

import pytest
from typing_extensions import assert_type

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
        "register_diagnosis",
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


def test_the_reference_names_nothing_that_is_not_public() -> None:
    """What stands under "Python" in the reference can be imported from the package itself."""
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    section = page[page.index("## Python") : page.index("## Command line")]
    assert set(re.findall(r"`seedpin\.(\w+)", section)) == {*seedpin.__all__} - {"__version__"}


def users_test(  # what `make types` checks, as it would a user's file
    seeded_model: Callable[..., seedpin.SeededModel],
    golden_video: seedpin.ClipGate,
    golden_tensors: seedpin.TensorGate,
    golden_text: seedpin.Gate,
) -> None:
    model = seeded_model(dict)
    assert_type(model, seedpin.SeededModel)
    results = [golden_video.check(model(), fps=8, tolerance={"psnr": 60}), golden_text.check("a")]
    results += [golden_tensors.check(model()), seedpin.check(model(), golden="a")]
    assert_type(results, list[seedpin.CheckResult])
    assert_type(
        seedpin.Metric("mine", compare=lambda golden, obtained: 0.0).better, Literal["lower", "higher"]
    )
    assert_type(seedpin.current_pin(), seedpin.Pin | None)


class UsersKind(seedpin.Kind[str]):
    name = role = word = "note"
    extensions = frozenset({"note"})
    fixtures = ("note",)

    def adapt(self, obj: object, fixture: str = "", **how: Any) -> str:
        return str(obj)

    def facts(self, value: str) -> dict[str, Any]:
        return {"length": len(value)}

    def encode(self, value: str) -> tuple[str, bytes]:
        return "note", value.encode()

    def decode(self, source: object, extension: str, facts: object, value_range: object) -> str:
        return str(source)


class UsersSource:
    name = "users"

    def available(self) -> bool:
        return True

    def get_state(self) -> Any:
        return None

    def set_state(self, state: Any) -> None: ...

    def seed(self, seed: int) -> None: ...


def test_the_names_for_annotations_are_the_classes_of_what_users_get() -> None:
    """A gate is a Gate, a source of a user's own is a RandomSource, a kind an instance of Kind."""
    assert issubclass(seedpin.ClipGate, seedpin.Gate)
    assert issubclass(seedpin.TensorGate, seedpin.Gate)
    source: seedpin.RandomSource = UsersSource()
    assert isinstance(source, seedpin.RandomSource)
    assert isinstance(UsersKind(), seedpin.Kind)
    assert get_type_hints(users_test)["golden_video"] is seedpin.ClipGate


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
