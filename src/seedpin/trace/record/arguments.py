"""What a pinned call itself was given, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from xxhash import xxh3_64_hexdigest

from seedpin.trace.model import Value
from seedpin.trace.record.draws import generator_state
from seedpin.trace.record.observe import Slots

_MOST = 256
"""Slots kept of one call's arguments: what is past them is said to be there, and never compared."""


def kept_arguments(
    see: Callable[[str, object, Slots], None],
    method: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> tuple[Slots, tuple[str, ...], str]:
    """Each argument under its parameter's name, which of them are defaults, and a note if some were left out.

    ``see`` takes the fingerprints of a value; generators are told by their seed and state.
    """
    named, defaults = _named_arguments(method, args, kwargs)
    slots: Slots = []
    for key, value in named:
        generators = _generators_in(key, value)
        if generators:
            slots += generators
        else:
            see(key, value, slots)
        if len(slots) > _MOST:
            return (
                slots[:_MOST],
                defaults,
                f"only {_MOST} values of the call's arguments were kept, up to {key}",
            )
    return slots, defaults, ""


def _named_arguments(
    method: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[tuple[str, Any]], tuple[str, ...]]:
    """Each argument under its parameter's name, defaults too, and the names of those that are defaults.

    Where the signature cannot be had, or does not fit, those that were given alone, by position or name.
    """
    try:
        # What a module's own __call__ shows is (*args, **kwargs).
        signature = inspect.signature(method.forward if isinstance(method, nn.Module) else method)
        bound = signature.bind(*args, **kwargs)
    except (TypeError, ValueError):
        return [*((f"args[{index}]", value) for index, value in enumerate(args)), *kwargs.items()], ()
    given = set(bound.arguments)
    bound.apply_defaults()
    named: list[tuple[str, Any]] = []
    for name, value in bound.arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            named += value.items()
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            named += [(f"{name}[{index}]", item) for index, item in enumerate(value)]
        else:
            named.append((name, value))
    return named, tuple(name for name in bound.arguments if name not in given)


def _generators_in(name: str, value: Any) -> list[tuple[str, Value]]:
    """Seed and state, where ``value`` is a generator or a list of some; else empty."""
    if isinstance(value, torch.Generator):
        state = generator_state(value)[:8]
        return [(name, Value(f"a generator of seed {value.initial_seed()} in state {state}"))]
    if isinstance(value, np.random.Generator):
        state = xxh3_64_hexdigest(repr(value.bit_generator.state).encode())[:8]
        return [(name, Value(f"a NumPy generator in state {state}"))]
    if type(value) in (list, tuple) and 0 < len(value) <= 64:
        generators = [_generators_in(f"{name}[{index}]", item) for index, item in enumerate(value)]
        return [pair for pairs in generators for pair in pairs] if all(generators) else []
    return []
