"""What the fields of a run's record hold, checked before anything is made of a record from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from seedpin.run.result import SEVERITY, CheckResult

Check = Callable[[Any, str], Iterator[str]]
"""Yields the place of every value that is of another type; the text is where the value stands."""


def wrong_fields(result: CheckResult) -> list[str]:
    """Places in a record whose values are not what seedpin writes, such as ``margins[0].value``."""
    return [place for name, check in _RECORD.items() for place in check(getattr(result, name), name)]


def _is(*types: type) -> Check:
    def check(value: Any, where: str) -> Iterator[str]:
        fits = isinstance(value, types) and (not isinstance(value, bool) or bool in types)
        if not fits:
            yield where

    return check


def _entries(inner: Check) -> Check:
    """A list, or a tuple that was made of one."""

    def check(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, (list, tuple)):
            yield where
            return
        for index, entry in enumerate(value):
            yield from inner(entry, f"{where}[{index}]")

    return check


def _object(*needed: str, rest: Check | None = None, none: bool = False, **known: Check) -> Check:
    """An object in which ``needed`` stand; those ``known`` are of a type, all others are as ``rest``."""

    def check(value: Any, where: str) -> Iterator[str]:
        if value is None and none:
            return
        if not isinstance(value, Mapping):
            yield where
            return
        yield from (f"{where}.{key}" for key in needed if key not in value)
        for key, entry in value.items():
            inner = known.get(key, rest)
            if inner is not None:
                yield from inner(entry, f"{where}.{key}")

    return check


def _pair(value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        yield where
        return
    yield from _TEXT(value[0], f"{where}[0]")
    yield from _MAYBE_NUMBER(value[1], f"{where}[1]")


def _frames(value: Any, where: str) -> Iterator[str]:
    """A value per frame for each metric, as many for one as for another."""
    wrong = list(_object(rest=_entries(_MAYBE_NUMBER))(value, where))
    yield from wrong or ([where] if len({len(values) for values in value.values()}) > 1 else [])


def _verdict(value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, str) or value not in SEVERITY:
        yield where


_NONE = type(None)
_TEXT, _MAYBE_TEXT = _is(str), _is(str, _NONE)
_NUMBER, _MAYBE_NUMBER = _is(int, float), _is(int, float, _NONE)
_WHOLE, _MAYBE_WHOLE = _is(int), _is(int, _NONE)
_SCALAR = _is(str, int, float, bool, _NONE)
_FACTS = _object()

_RECORD: dict[str, Check] = {
    **dict.fromkeys(("test", "check", "kind", "device_class", "golden", "message", "reason"), _TEXT),
    **dict.fromkeys(("location", "tier"), _TEXT),
    **dict.fromkeys(
        (
            *("level", "profile", "golden_digest", "obtained_digest", "manifest_digest"),
            *("obtained", "golden_copy", "written"),
        ),
        _MAYBE_TEXT,
    ),
    "verdict": _verdict,
    "seed": _MAYBE_WHOLE,
    "measured": _MAYBE_WHOLE,
    "attempt": _WHOLE,
    "seconds": _NUMBER,
    "facts_golden": _FACTS,
    "facts_obtained": _FACTS,
    "environment": _object(rest=_object(rest=_SCALAR)),
    "tolerance": _object(none=True, rest=_SCALAR),
    "metrics": _object(
        none=True,
        kind=_TEXT,
        data_range=_MAYBE_NUMBER,
        first_differing=_MAYBE_WHOLE,
        differing=_MAYBE_WHOLE,
        worst=_object(rest=_object("value", value=_MAYBE_NUMBER, frame=_MAYBE_WHOLE, place=_MAYBE_TEXT)),
        mean=_object(rest=_MAYBE_NUMBER),
        frames=_frames,
        described=_object(rest=_object(rest=_SCALAR)),
        tensors=_entries(_object("name", name=_TEXT, rest=_MAYBE_NUMBER)),
    ),
    "margins": _entries(
        _object(
            *("metric", "value", "limit", "ok"),
            metric=_TEXT,
            value=_MAYBE_NUMBER,
            limit=_NUMBER,
            ok=_is(bool),
            frame=_MAYBE_WHOLE,
            place=_MAYBE_TEXT,
            margin=_MAYBE_NUMBER,
            used=_MAYBE_NUMBER,
            direction=_TEXT,
        )
    ),
    "environment_changes": _entries(
        _object(
            *("key", "golden", "here", "moves_bits"),
            key=_TEXT,
            golden=_MAYBE_TEXT,
            here=_MAYBE_TEXT,
            moves_bits=_is(bool),
        )
    ),
    "reasons": _entries(_TEXT),
    "hints": _entries(_TEXT),
    "divergence": _object(
        "sentence",
        none=True,
        sentence=_TEXT,
        growth=_entries(_pair),
        hints=_entries(_TEXT),
        rest=_SCALAR,
    ),
    "attribution": _object(none=True),
}
