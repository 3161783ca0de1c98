"""Watch methods of objects without touching the objects.

A method is replaced on the *class*, once for all of its objects, by one that looks the object up by its
identity: whoever is not known is called straight. So a copy, however it was made (``copy.copy``, pickle, a
replica of DataParallel), is no watched object, and what the model sets on itself during the call (a compiled
``forward``, a hook of accelerate) is neither hidden nor wiped out.
"""

from __future__ import annotations

import copy
import inspect
import operator
import types
from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING, Any

import torch

from seedpin.trace.record.objects import own_attributes
from seedpin.trace.record.patching import Patches, wrapped_like
from seedpin.trace.record.watched import WatchEntry

if TYPE_CHECKING:
    from seedpin.trace.record.recorder import Recorder


class Live:
    """The recorder that replaced functions report to; emptied when it ends: a model may keep one."""

    __slots__ = ("__weakref__", "recorder")

    def __init__(self, recorder: Recorder) -> None:
        self.recorder: Recorder | None = recorder


_Key = tuple[type, str]


class Watch:
    """The methods that one recorder watches."""

    def __init__(
        self, patches: Patches, live: Live, adopt: Callable[[object, str], WatchEntry | None]
    ) -> None:
        self._patches = patches
        self._live = live
        self._adopt = adopt
        self._tables: dict[_Key, dict[int, WatchEntry] | None] = {}

    def add(self, owner: Any, attribute: str, entry: WatchEntry, *, copies: bool = False) -> bool:
        """Report calls of ``owner.attribute`` as ``entry``; False where they cannot be seen.

        copies: objects of the class that come up later are reported as well.
        """
        namespace = own_attributes(owner) or {}
        # A `forward` of the object's own (an offloading hook's, a compiled one) stays untouched: its call was
        # seen at `__call__`, and whoever put it there may take it away again during the call.
        if attribute in namespace and attribute != "forward":
            return self._on_object(owner, attribute, entry, namespace[attribute])
        # The first call of a lazy module makes it another class.
        later = getattr(type(owner), "cls_to_become", None)
        classes = [type(owner), *([later] if isinstance(later, type) else [])]
        tables = [self._table(cls, attribute, copies=copies) for cls in classes]
        for table in tables:
            if table is not None:
                table[id(owner)] = entry
        return tables[0] is not None

    def _table(self, cls: type, attribute: str, *, copies: bool) -> dict[int, WatchEntry] | None:
        """The watched objects of a class, whose method is replaced; None where it cannot be."""
        key = cls, attribute
        if key not in self._tables:
            table: dict[int, WatchEntry] = {}
            adopt = self._adopt if copies else None
            replaced = _is_method(cls, attribute) and self._patches.set(
                cls, attribute, _method(cls, attribute, self._live, table, adopt)
            )
            self._tables[key] = table if replaced else None
        return self._tables[key]

    def adopt(self, owner: object, attribute: str, entry: WatchEntry) -> None:
        """Report calls of another object of a class that is watched already."""
        table = self._tables.get((type(owner), attribute))
        if table is not None:
            table[id(owner)] = entry

    def close(self) -> None:
        """Forget all objects."""
        self._live.recorder = None
        for table in self._tables.values():
            if table is not None:
                table.clear()

    def _on_object(self, owner: Any, attribute: str, entry: WatchEntry, original: Any) -> bool:
        """A function that the user put on the object itself: the class is not asked for it."""
        if not callable(original):
            return False
        return self._patches.set(owner, attribute, _Stand(original, entry, self._live))


def _is_method(cls: type, attribute: str) -> bool:
    """Whether a class's attribute is called with the object: a static or class method has none to look up."""
    return isinstance(inspect.getattr_static(cls, attribute, None), types.FunctionType)


def _method(
    cls: type,
    attribute: str,
    live: Live,
    table: dict[int, WatchEntry],
    adopt: Callable[[object, str], WatchEntry | None] | None,
) -> Callable[..., Any]:
    inherited = attribute not in cls.__dict__
    is_compiling = torch.compiler.is_compiling
    opens, within = attribute == "__call__", attribute == "forward"
    resolved: Any = inspect.getattr_static(cls, attribute)

    # From here on every microsecond counts: a large model calls thousands of modules per second.
    def watched(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if is_compiling():  # Dynamo reads this as a constant and sees the original alone.
            if inherited:
                return getattr(super(cls, self), attribute)(*args, **kwargs)
            return resolved(self, *args, **kwargs)
        # What the class inherits is asked for anew each time: others replace `nn.Module.__call__` for a while
        # too, as torch.fx does. A lazy module is of another class by the time that its `forward` is called.
        if inherited and isinstance(self, cls):
            original = getattr(super(cls, self), attribute)
        else:
            original = MethodType(resolved, self)
        entry = table.get(id(self))
        # An id is given anew once its object is gone. A lazy module stands in the tables of both of its
        # classes, and only that of the class that it has now may report it.
        if entry is None or type(self) is not cls or entry.owner() is not self:
            entry = None if adopt is None else adopt(self, attribute)
        recorder = live.recorder
        if entry is None or recorder is None or recorder.busy or not recorder.watching():
            return original(*args, **kwargs)
        if within and entry.inside:  # The call was reported; its way goes through here.
            entry.inside = False
            return original(*args, **kwargs)
        entry.inside = opens
        raw = recorder.enter(entry, self, args, kwargs)
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            recorder.leave(entry, self, raw, None, type(error).__name__)
            raise
        recorder.leave(entry, self, raw, result)
        return result

    return wrapped_like(watched, resolved, resolved.__qualname__, resolved.__module__)


class _Stand:
    """Stands for a function that the user put on an object. Copied or pickled, it is that function."""

    __slots__ = ("__weakref__", "__wrapped__", "_entry", "_live")

    def __init__(self, original: Any, entry: WatchEntry, live: Live) -> None:
        self.__wrapped__ = original
        self._entry = entry
        self._live = live

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        original, entry, recorder = self.__wrapped__, self._entry, self._live.recorder
        if torch.compiler.is_compiling() or recorder is None or not recorder.watching():
            return original(*args, **kwargs)
        owner = entry.owner()
        raw = recorder.enter(entry, owner, args, kwargs)
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            recorder.leave(entry, owner, raw, None, type(error).__name__)
            raise
        recorder.leave(entry, owner, raw, result)
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __copy__(self) -> Any:
        return self.__wrapped__

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self.__wrapped__, memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # Pickle wants a function whose result is the object: the item of a list is another one than `self`.
        return operator.getitem, ([self.__wrapped__], 0)
