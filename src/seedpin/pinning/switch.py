"""One setting of the process that a pin sets or keeps, and how rows of the table of them are made."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from seedpin.pinning.profiles import active_profile

INDUCTOR = "torch._inductor.config"
DYNAMO = "torch._dynamo.config"
STANCE = "torch._dynamo.eval_frame"


@dataclass(frozen=True, slots=True)
class Switch:
    """One setting of the process.

    ``strict`` and ``warn`` turn the value from before into the one held under a pin of that level; under the
    profile ``portable``, where it is given, ``portable`` turns the level into it.
    ``module`` is what must be imported already for the switch to exist; each thread has its own of those that
    are ``of_thread``. Each has its own of those that are ``inherited``, too, and a thread that starts
    takes what was set last in any.
    """

    name: str
    why: str
    read: Callable[[], Any]
    write: Callable[[Any], None]
    strict: Callable[[Any], Any]
    warn: Callable[[Any], Any]
    available: Callable[[], bool]
    module: str = ""
    portable: Callable[[str], Any] | None = None
    of_thread: bool = False
    inherited: bool = False

    def held(self, level: str, before: Any, profile: str | None = None) -> Any:
        """The value under a pin of ``level`` and ``profile`` (None: the profile of this process)."""
        if self.portable is not None and (profile or active_profile()) == "portable":
            return self.portable(level)
        return self.strict(before) if level == "strict" else self.warn(before)


def keep(before: Any) -> Any:
    """Leave the user's choice, but put it back if the model changes it."""
    return before


def to(value: Any) -> Callable[[Any], Any]:
    return lambda _before: value


def row(
    name: str,
    why: str,
    read: Callable[[], Any],
    write: Callable[[Any], Any],
    held: Callable[[Any], Any],
    *,
    warn: Callable[[Any], Any] | None = None,
    portable: Callable[[str], Any] | None = None,
    available: bool | Callable[[], bool] = True,
    of_thread: bool = False,
    inherited: bool = False,
) -> Switch:
    can = available if callable(available) else lambda: available
    return Switch(
        *(name, why, read, write, held, warn or held, can),
        portable=portable,
        of_thread=of_thread,
        inherited=inherited,
    )


def attribute(
    name: str, why: str, owner: Any, of: str, held: Callable[[Any], Any], *, available: bool = True
) -> Switch:
    """A switch that is the plain attribute ``of`` of a torch module; absent in some releases."""
    return row(
        name,
        why,
        partial(getattr, owner, of),
        partial(setattr, owner, of),
        held,
        available=available and hasattr(owner, of),
    )


def late(name: str, why: str, module: str, held: Callable[[Any], Any]) -> Switch:
    """A setting of torch's compiler, which may be imported only later; it may lie below another name."""
    of = name.partition(".")[2]
    outer, _, inner = of.rpartition(".")

    def owner() -> Any:
        loaded = sys.modules.get(module)
        return getattr(loaded, outer, None) if outer else loaded

    return Switch(
        name,
        why,
        lambda: getattr(owner(), inner),
        lambda value: setattr(owner(), inner, value),
        held,
        held,
        lambda: module in sys.modules and hasattr(owner(), inner),
        module,
    )
