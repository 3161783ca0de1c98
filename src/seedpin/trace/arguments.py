"""What a pinned call itself was given: recorded by name, compared between two traces, kept as JSON."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from xxhash import xxh3_64_hexdigest

from seedpin.trace import wording
from seedpin.trace.draws import generator_state
from seedpin.trace.model import Argument, Fingerprint, Given, Seen, Trace, Value, agree, names_a_path

__all__ = ["MOST", "as_json", "changed_arguments", "from_json", "generators_in", "named_arguments"]

MOST = 256
"""Slots kept of one call's arguments: what is past them is said to be there, and never compared."""
_SAID = 3


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


def changed_arguments(golden: Trace, here: Trace) -> tuple[str, str]:
    """The name of the first argument of the pinned calls that differs, and all of them in a sentence.

    Both empty where none is known to differ: nothing is said of a trace that does not hold them, of what only
    has a type, of names of files, and of a parameter that one side's signature lacks and nobody gave.
    """
    if golden.calls is None or here.calls is None:
        return "", ""
    first, said = "", []
    several = len(golden.calls) > 1 or len(here.calls) > 1
    for number, (old, new) in enumerate(zip(golden.calls, here.calls, strict=False)):
        if old.name != new.name:
            break  # Other calls: what they were given is no comparison.
        for name, left, right in _rows(old, new):
            where = "" if old.name == "__call__" else f" of {old.name}"
            which = f" (call {number})" if several else ""
            first = first or name
            said.append(f"`{name}`{where}{which} {_change(left, right)}")
    if not said:
        return "", ""
    more = f", and {len(said) - _SAID} more" if len(said) > _SAID else ""
    word = "argument" if len(said) == 1 else "arguments"
    return first, f"the call's {word} {', '.join(said[:_SAID])}{more}"


def _rows(old: Given, new: Given) -> list[tuple[str, Seen | None, Seen | None]]:
    left, right = dict(old.arguments), dict(new.arguments)
    rows = []
    for name in dict.fromkeys([*left, *right]):
        one, other = left.get(name), right.get(name)
        if (one is None and name in new.defaults) or (other is None and name in old.defaults):
            continue
        if any(isinstance(seen, Value) and (seen.opaque or _is_path(name, seen)) for seen in (one, other)):
            continue
        if one is None or other is None or agree(one, other) is False:
            rows.append((name, one, other))
    return rows


def _is_path(name: str, seen: Value) -> bool:
    return names_a_path(name.rpartition(".")[2], seen.text)


def _change(left: Seen | None, right: Seen | None) -> str:
    both = isinstance(left, Fingerprint) and isinstance(right, Fingerprint)
    if both and str(left) == str(right):
        return f"is another tensor {right} here"
    return wording.change(left, right)


def as_json(calls: Sequence[Given]) -> list[Any]:
    """Plain data for JSON."""
    return [
        [given.name, [[name, *_seen(seen)] for name, seen in given.arguments], list(given.defaults)]
        for given in calls
    ]


def _seen(seen: Seen) -> list[Any]:
    if isinstance(seen, Value):
        return [seen.text]
    return [seen.hash, seen.dtype, list(seen.shape), seen.unread]


def from_json(data: Any) -> tuple[Given, ...] | None:
    """The reverse of ``as_json``; None where an older trace has none. Raises ValueError for anything else."""
    if data is None:
        return None
    try:
        return tuple(
            Given(_text(name), tuple(map(_argument, rows)), tuple(map(_text, defaults)))
            for name, rows, defaults in data
        )
    except TypeError as error:
        raise ValueError("the calls' arguments are none") from error


def _argument(row: Any) -> Argument:
    name, first, *rest = row
    if not rest:
        return _text(name), Value(_text(first))
    dtype, shape, unread = rest
    if not all(type(side) is int for side in shape):
        raise ValueError(f"shape {shape!r}")
    return _text(name), Fingerprint(_text(first), _text(dtype), tuple(shape), None, _text(unread))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text is none")
    return value
