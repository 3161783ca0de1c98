"""Diagnoses that projects and packages bring: sentences on what a difference looks like.

A project registers its own in ``conftest.py``; a package brings one by an entry point of the group
``seedpin.diagnoses``, which works without a test too (``seedpin compare``). What a diagnosis says stands with
a failing check and decides nothing; if it fails, that is said in its place, and the check goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeAlias, TypeVar

Diagnosis: TypeAlias = "Callable[[Any, Any], Iterable[str] | str | None]"
D = TypeVar("D", bound=Diagnosis)

GROUP = "seedpin.diagnoses"

_registered: dict[tuple[str, str], Diagnosis] = {}


def register_diagnosis(function: D, *, kind: str = "clip") -> D:
    """Let ``function`` say what a difference looks like; also a decorator. Call it in ``conftest.py``.

    function: called with the golden's and the obtained value (two ``seedpin.Clip`` of one shape and dtype),
    in this order, where bits differ; it returns a sentence, several, or nothing. Say only what holds for
    every value. kind: the kind of golden that it is for.
    """
    code = getattr(function, "__code__", None)
    place = repr(function) if code is None else f"{code.co_filename}:{code.co_firstlineno}"
    _registered[kind, place] = function  # the same conftest.py, imported again, takes its own place
    return function


def further_hints(kind: str, golden: Any, obtained: Any) -> Iterator[str]:
    """What the diagnoses for ``kind`` say of two values with the same facts."""
    for (of, place), function in _registered.items():
        if of == kind:
            yield from _sentences(place, function, golden, obtained)
    for point in _brought():
        of, _, name = point.name.rpartition(".")  # "mesh.flipped" is for the kind "mesh", "tiled" for clips
        if (of or "clip") == kind:
            by = "" if point.dist is None else f" of {point.dist.name} {point.dist.version}"
            yield from _sentences(
                f"{name}{by}", lambda *both, load=point.load: load()(*both), golden, obtained
            )


@cache
def _brought() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP))


def _sentences(name: str, function: Diagnosis, golden: Any, obtained: Any) -> list[str]:
    try:
        said = function(golden, obtained)
        return [said] if isinstance(said, str) else [str(sentence) for sentence in said or ()]
    except Exception as error:
        return [f"the diagnosis {name} failed: {type(error).__name__}: {error}"]
