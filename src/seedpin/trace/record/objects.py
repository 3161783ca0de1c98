"""What lies directly below an object, by name, read past the object's own way to answer.

``trace.record.search`` and ``pinning.object_graph`` walk with it, each in its own order: names in a trace
are the first that led to an object, names that a pin tells the shortest.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator
from typing import Any

FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial)
"""What ``captured`` looks into."""


def own_attributes(obj: object) -> dict[str, Any] | None:
    """The object's ``__dict__``, past its ``__getattribute__``; None for one with ``__slots__``."""
    try:
        attributes = object.__getattribute__(obj, "__dict__")
    except AttributeError:
        return None
    return attributes if isinstance(attributes, dict) else None


def items_of(obj: Any) -> Iterator[tuple[str, Any]] | None:
    """Items of a list, tuple or dict; None for anything else."""
    if isinstance(obj, (list, tuple)):
        return ((str(index), item) for index, item in enumerate(obj))
    if isinstance(obj, dict):
        return ((str(key), item) for key, item in list(obj.items()))
    return None


def captured(function: Any, wanted: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    """What one of ``FUNCTIONS`` reaches without arguments: its cells, its globals, what it is bound to.

    Of its globals only those that are ``wanted``: to follow them all would walk the whole program.
    """
    if isinstance(function, functools.partial):
        yield "func", function.func
        yield from ((str(index), item) for index, item in enumerate(function.args))
        yield from function.keywords.items()
        return
    if isinstance(function, types.MethodType):
        yield "self", function.__self__
        return
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # A cell that is filled later.
            continue
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if value is not None and wanted(value):
            yield name, value
    if hasattr(function, "__wrapped__"):
        yield "__wrapped__", function.__wrapped__
