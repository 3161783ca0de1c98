"""Which kinds there are: seedpin's own, and those that installed packages bring.

A package brings a kind by an entry point of the group ``seedpin.kinds``: its name is the kind's name and its
fixture's (``mesh`` for ``golden_mesh``), its value an instance of a subclass of `seedpin.kinds.base.Kind`.
Nothing is imported before a kind is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from seedpin.errors import KindError, UnknownKindError

if TYPE_CHECKING:
    from seedpin.kinds.base import AnyKind

GROUP = "seedpin.kinds"
_OWN = {
    "clip": "seedpin.kinds.clip:CLIP",
    "tensors": "seedpin.kinds.tensors:TENSORS",
    "audio": "seedpin.kinds.audio:AUDIO",
    "text": "seedpin.kinds.text:TEXT",
}
_FIXTURES = {"video": "clip", "image": "clip"} | {name: name for name in _OWN if name != "clip"}


def further_kinds() -> tuple[str, ...]:
    """Names of the kinds that packages bring, which are those of their fixtures too. Nothing is loaded."""
    return tuple(_further())


@cache
def golden_fixtures() -> frozenset[str]:
    """Names of all fixtures that check. Nothing is loaded."""
    return frozenset(f"golden_{name}" for name in (*_FIXTURES, *_further()))


@cache
def kind_named(name: str) -> AnyKind:
    """The kind that manifests call ``name``.

    Raises:
        UnknownKindError: nothing that is installed brings it.
        KindError: the package that brings it is wrong.
    """
    if name in _OWN:
        module, _, attribute = _OWN[name].partition(":")
        own: AnyKind = getattr(import_module(module), attribute)
        return own
    point = _further().get(name)
    if point is None:
        raise UnknownKindError(
            f"there is no kind of golden called {name!r} in this environment",
            hint=f"install the package that brings it (an entry point {name!r} of the group {GROUP})",
        )
    return _loaded(point)


def kind_of_fixture(fixture: str) -> AnyKind:
    """The kind behind ``golden_<fixture>``, which is how records of a run call it. Raises as `kind_named`."""
    return kind_named(_FIXTURES.get(fixture, fixture))


def kind_that_opens(path: Path) -> AnyKind:
    """The kind that reads files such as ``path``; what no other one claims is taken for a clip."""
    for kind in _all():
        if path.suffix.lower() in kind.opens:
            return kind
    return kind_named("clip")


def _all() -> Iterator[AnyKind]:
    yield from map(kind_named, [*_OWN, *_further()])


@cache
def _further() -> dict[str, EntryPoint]:
    points: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = points.setdefault(point.name, point)
        taken = point.name in _OWN or point.name in _FIXTURES
        if taken or other.value != point.value or not point.name.isidentifier():
            why = (
                "is seedpin's own"
                if taken
                else f"comes from {_brought_by(other)} too"
                if other.value != point.value
                else "is no name for a fixture"
            )
            raise KindError(
                f"{_brought_by(point)} brings a kind of golden {point.name!r}, which {why}",
                hint=f"uninstall it, or mend its entry point of the group {GROUP}",
            )
    return points


def _loaded(point: EntryPoint) -> AnyKind:
    from seedpin.kinds.base import Kind

    try:
        kind: AnyKind = point.load()
    except Exception as error:
        raise KindError(
            f"the kind of golden {point.name!r} of {_brought_by(point)} cannot be loaded: "
            f"{type(error).__name__}: {error}",
            hint="mend or reinstall that package",
        ) from error
    wrong = ""
    if not isinstance(kind, Kind):
        wrong = f"{point.value} is no instance of a subclass of seedpin.kinds.base.Kind"
    elif kind.name != point.name or kind.fixtures != (point.name,):
        wrong = f"it is called {kind.name!r}, with fixtures {kind.fixtures}: both have to be {point.name!r}"
    elif "json" in kind.extensions:
        wrong = "its files are called .json, as manifests are"
    if wrong:
        raise KindError(
            f"the kind of golden {point.name!r} of {_brought_by(point)} is wrong: {wrong}",
            hint="docs/kinds.md tells how a kind is made",
        )
    return kind


def _brought_by(point: EntryPoint) -> str:
    return "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"
