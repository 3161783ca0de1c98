"""Replace attributes for a while."""

from __future__ import annotations

import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

ABSENT = object()
_stale: weakref.WeakKeyDictionary[Any, object] = weakref.WeakKeyDictionary()
"""Replacements whose recording is over, and what each of them stood for: nobody may put one back."""


class Patches:
    """Attributes of classes, modules and objects that were replaced.

    ``undo`` puts back what was there, last first, and only where ours still is: what the user's code has set
    meanwhile is the user's, and stays.
    """

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, object, object]] = []

    def set(self, owner: Any, name: str, value: object) -> bool:
        """Replace ``owner.name``; False where the owner takes no attribute."""
        namespace = getattr(owner, "__dict__", None)
        before = ABSENT if namespace is None else namespace.get(name, ABSENT)
        try:
            _put(owner, name, value)
        except (AttributeError, TypeError):
            return False
        self._done.append((owner, name, value, before))
        return True

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Within the block all is as before, where ours still is."""
        away = []
        for owner, name, value, before in reversed(self._done):
            if owner.__dict__.get(name, ABSENT) is value:
                _put(owner, name, before)
                away.append((owner, name, value, before))
        try:
            yield
        finally:
            for owner, name, value, before in reversed(away):
                if owner.__dict__.get(name, ABSENT) is before:
                    _put(owner, name, value)

    def undo(self) -> None:
        """Put everything back."""
        # A recording that began within this one and ends after it has ours down as what it found: it looks
        # here what to put back instead.
        for _, _, value, before in self._done:
            _stale[value] = before
        while self._done:
            owner, name, value, before = self._done.pop()
            if owner.__dict__.get(name, ABSENT) is not value:
                continue
            # A recording that ended before this one may have been below it.
            while isinstance(before, types.FunctionType) and before in _stale:
                before = _stale[before]
            _put(owner, name, before)


def _put(owner: Any, name: str, value: object) -> None:
    """Set an attribute, or take it away; past any ``__setattr__``: nothing shall notice."""
    if isinstance(owner, type):
        if value is ABSENT:
            type.__delattr__(owner, name)
        else:
            # A metaclass may have a `__setattr__` of its own.
            type.__setattr__(owner, name, value)
        return
    # nn.Module's `__setattr__` would look for parameters and submodules, and a model's own may do anything.
    namespace = owner.__dict__
    if value is ABSENT:
        namespace.pop(name, None)
    else:
        namespace[name] = value


def wrapped_like(watched: Any, original: Any, name: str, module: str | None = None) -> Callable[..., Any]:
    """What of ``functools.wraps`` is of use here, at a quarter of its price: hundreds are wrapped at once.

    name, module: under which the replacement is found, so that it is pickled as what it stands for.
    """
    watched.__wrapped__ = original
    watched.__name__ = name.rpartition(".")[2]
    watched.__qualname__ = name
    watched.__module__ = module
    watched.__doc__ = getattr(original, "__doc__", None)
    replacement: Callable[..., Any] = watched
    return replacement
