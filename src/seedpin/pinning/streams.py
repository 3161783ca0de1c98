"""Generators that a call was given and that stand where the pin's own stream begins.

With the pin's seed, a generator of the caller is the global generator's twin: a model that dropped
``generator=`` somewhere on the way would draw the same numbers, and no check could see it.
"""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from seedpin.errors import SameStreamWarning
from seedpin.pinning.placed import calling_frame, warn_at_frame
from seedpin.trace.draws import generator_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


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


def warn_about_twins(args: Iterable[Any], kwargs: Mapping[str, Any], seed: int) -> None:
    """Warn SameStreamWarning at the caller's line about each argument that is a twin of the pinned stream."""
    named = [*((f"argument {index}", value) for index, value in enumerate(args)), *kwargs.items()]
    twins = [name for name, value in named if any(map(is_pinned_stream, _items(value)))]
    if not twins:
        return
    what = (
        f"the generator in {' and '.join(twins)} has the pin's seed ({seed}): it draws the same numbers as "
        "the global generator, so a model that ignores it gives the same bits, and no check can tell"
    )
    said = f"{what}. Next: give it another seed. More: seedpin explain {SameStreamWarning.slug}"
    warn_at_frame(said, SameStreamWarning, calling_frame(sys._getframe(1)))


def _items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) and len(value) <= 1000 else (value,)


def _words(state: Any) -> tuple[Any, ...]:
    inner = state["state"]
    return state["bit_generator"], inner["pos"], inner["key"].tobytes(), state["has_gauss"], state["gauss"]
