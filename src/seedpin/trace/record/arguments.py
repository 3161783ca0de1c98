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

__all__ = ["MOST", "generators_in", "named_arguments"]

MOST = 256
"""Slots kept of one call's arguments: what is past them is said to be there, and never compared."""


def named_arguments(
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
    found: list[tuple[str, Any]] = []
    for name, value in bound.arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            found += value.items()
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            found += [(f"{name}[{index}]", item) for index, item in enumerate(value)]
        else:
            found.append((name, value))
    return found, tuple(name for name in bound.arguments if name not in given)


def generators_in(name: str, value: Any) -> list[tuple[str, Value]]:
    """Seed and state, where ``value`` is a generator or a list of some; else empty."""
    if isinstance(value, torch.Generator):
        state = generator_state(value)[:8]
        return [(name, Value(f"a generator of seed {value.initial_seed()} in state {state}"))]
    if isinstance(value, np.random.Generator):
        state = xxh3_64_hexdigest(repr(value.bit_generator.state).encode())[:8]
        return [(name, Value(f"a NumPy generator in state {state}"))]
    if type(value) in (list, tuple) and 0 < len(value) <= 64:
        found = [generators_in(f"{name}[{index}]", item) for index, item in enumerate(value)]
        return [pair for pairs in found for pair in pairs] if all(found) else []
    return []
