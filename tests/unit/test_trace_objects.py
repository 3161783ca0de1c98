"""What lies directly below an object."""

from __future__ import annotations

import functools
from typing import Any

from seedpin.trace.record.objects import captured, items_of, own_attributes

WANTED, UNWANTED = [1], [2]


def test_attributes_are_read_past_the_objects_own_answer() -> None:
    """Neither properties nor ``__getattribute__`` run; with slots alone there is nothing to read."""

    class Touchy:
        def __init__(self) -> None:
            self.held = 1

        def __getattribute__(self, name: str) -> Any:
            raise AssertionError("asked")

    class Slotted:
        __slots__ = ("held",)

    assert own_attributes(Touchy()) == {"held": 1}
    assert own_attributes(Slotted()) is None


def test_items_have_names() -> None:
    """Indices and keys, as text; anything but a list, tuple or dict has no items."""
    assert list(items_of(["a", "b"]) or ()) == [("0", "a"), ("1", "b")]
    assert list(items_of({3: "a"}) or ()) == [("3", "a")]
    assert items_of({"a"}) is None


def test_a_function_reaches_its_cells_and_the_globals_that_are_wanted() -> None:
    """What is bound later is passed over, what a decorator wrapped is reached."""
    cell = object()

    def inner() -> Any:
        return cell, later, WANTED, UNWANTED

    @functools.wraps(inner)
    def outer() -> Any:
        return None

    assert list(captured(inner, lambda value: value is WANTED)) == [("cell", cell), ("WANTED", WANTED)]
    assert list(captured(outer, bool)) == [("__wrapped__", inner)]
    later = 1


def test_partials_and_methods_reach_what_they_are_bound_to() -> None:
    """The function, its arguments by position and name, and the object of a method."""
    bound = functools.partial(print, 1, end="")
    assert list(captured(bound, bool)) == [("func", print), ("0", 1), ("end", "")]
    holder = type("Holder", (), {"run": lambda self: None})()
    assert list(captured(holder.run, bool)) == [("self", holder)]
