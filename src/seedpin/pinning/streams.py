"""Generators that have the pin's seed, and so draw what the pin's own stream holds.

With the pin's seed, a generator of the caller is the global generator's twin: a model that dropped
``generator=`` somewhere on the way would draw the same numbers, and no check could see it.

A call of a seeded model has arguments to look at. Under a bare pin the generator may be made and gone within
one line, so what is looked at is the draw: kernels that do nothing else but look stand in front of torch's
under the dispatch key ``BackendSelect``, as those of ``kernels.py`` do. That costs a draw a few microseconds
(``benchmarks/pin_cost.py``), and replaces nothing that Python code, pickle or the compiler could meet.
"""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np
import torch

from seedpin.errors import SameStreamWarning
from seedpin.pinning.caller_warnings import calling_frame, warn_at_frame
from seedpin.pinning.kernels import BELOW, in_front, overload
from seedpin.trace.record.draws import generator_of

_ENTRIES = ("normal_", "uniform_", "random_", "random_.from", "random_.to")
"""What torch.randn, rand, randint, normal and the methods that fill a tensor end in, whatever was called."""


@dataclass(slots=True)
class Twins:
    """What is known, within one pin, of generators with the pin's seed."""

    seed: int
    told: bool = False
    """Whether it was said already: once a pin is enough."""
    drawn_at: str = ""
    """``file:line`` of the first draw from one of them."""


class TwinWatch:
    """Notices draws from a generator that has the seed of the pin around them.

    ``innermost`` gives what that pin knows, or None where no pin asks. In force from ``start`` to ``stop``,
    in all threads; both may be repeated.
    """

    def __init__(self, innermost: Callable[[], Twins | None]) -> None:
        self._innermost = innermost
        self._library: Any = None

    def start(self) -> None:
        if self._library is None:
            # What draws through a kernel of the user's own is not seen.
            self._library = in_front({entry: self._kernel(overload(entry)) for entry in _ENTRIES})

    def stop(self) -> None:
        library, self._library = self._library, None
        if library is not None:
            library._destroy()

    def _kernel(self, op: Any) -> Any:
        innermost = self._innermost

        def kernel(keys: torch._C.DispatchKeySet, *args: Any, generator: Any = None, **options: Any) -> Any:
            keys -= BELOW
            if generator is None:  # by far the most
                return op.redispatch(keys, *args, **options)
            known = innermost()
            # Cheapest first: all but the first draw from a generator with the pin's seed end here.
            if known is None or known.told or known.drawn_at or generator.initial_seed() != known.seed:
                return op.redispatch(keys, *args, generator=generator, **options)
            pinned = _pinned_if_at_start(generator)
            before: Any = None if pinned is None else pinned.get_state()
            result = op.redispatch(keys, *args, generator=generator, **options)
            # What comes here is a wrapper of its own: the pinned generator itself is known by having moved.
            stayed = pinned is not None and torch.equal(before, pinned.get_state())
            if stayed and not _is_canary(sys._getframe(1)):
                frame = calling_frame(sys._getframe(1))
                known.drawn_at = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            return result

        return kernel


def _is_canary(frame: FrameType) -> bool:
    """Whether seedpin's own canary draws, whose seed may be the pin's as well as any other."""
    return str(frame.f_globals.get("__name__", "")).startswith("seedpin.environment.")


def _pinned_if_at_start(generator: torch.Generator) -> torch.Generator | None:
    """The global generator of its device if ``generator`` stands where its seed begins; else None.

    One that drew before the pin began gives other numbers. In a CUDA graph no state can be read: None.
    """
    try:
        pinned = generator_of(generator.device)
        start = torch.Generator(generator.device).manual_seed(generator.initial_seed())
        return pinned if torch.equal(generator.get_state(), start.get_state()) else None
    except RuntimeError:
        return None


def warn_about_drawn(twins: Twins, file: str, line: int) -> None:
    """Warn SameStreamWarning at ``file:line``, where the pin began, if it was not said already."""
    if not twins.drawn_at or twins.told:
        return
    twins.told = True
    what = (
        f"a generator with the pin's seed ({twins.seed}) was drawn from at {twins.drawn_at}: it draws the "
        "same numbers as the global generator, so code that loses it gives the same bits, and no check can "
        "tell"
    )
    warnings.warn_explicit(f"{what}. {_NEXT}", SameStreamWarning, file, line)


_NEXT = f"Next: give one of the two another seed. More: seedpin explain {SameStreamWarning.slug}"


def is_pinned_stream(generator: Any) -> bool:
    """Whether a generator would draw what the global generator of its kind and device draws from here on.

    torch (any device), ``np.random.RandomState`` and ``random.Random``; ``np.random.Generator`` draws other
    streams than NumPy's global one. Nothing is drawn, and no device is waited for.
    """
    if isinstance(generator, torch.Generator):
        pinned = generator_of(generator.device)
        if pinned is None or pinned is generator:
            return False
        return torch.equal(generator.get_state(), pinned.get_state())
    if isinstance(generator, np.random.RandomState):
        return _words(generator.get_state(legacy=False)) == _words(np.random.get_state(legacy=False))
    if isinstance(generator, random.Random):
        return generator.getstate() == random.getstate()
    return False


def warn_about_twins(args: Iterable[Any], kwargs: Mapping[str, Any], twins: Twins) -> None:
    """Warn SameStreamWarning at the caller's line about each argument that is a twin of the pinned stream."""
    named = [*((f"argument {index}", value) for index, value in enumerate(args)), *kwargs.items()]
    arguments = [name for name, value in named if any(map(is_pinned_stream, _items(value)))]
    if not arguments:
        return
    twins.told = True
    where = " and ".join(arguments)
    what = (
        f"the generator in {where} has the pin's seed ({twins.seed}): it draws the same numbers "
        "as the global generator, so a model that ignores it gives the same bits, and no check can tell"
    )
    warn_at_frame(f"{what}. {_NEXT}", SameStreamWarning, calling_frame(sys._getframe(1)))


def _items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) and len(value) <= 1000 else (value,)


def _words(state: Any) -> tuple[Any, ...]:
    inner = state["state"]
    return state["bit_generator"], inner["pos"], inner["key"].tobytes(), state["has_gauss"], state["gauss"]
