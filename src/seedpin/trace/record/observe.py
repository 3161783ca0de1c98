"""Flatten the arguments and results of calls into named fingerprints and values.

Nothing of the user's is called that may have an effect: containers are read past their own ``__iter__`` and
``items``, attributes past ``__getattr__``, and a generator is left as it is. What raises all the same is for
the caller to catch.
"""

from __future__ import annotations

import dataclasses
import types
from collections import UserDict
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import torch

from seedpin.trace.model import Value
from seedpin.trace.record.fingerprint import Fingerprints, bytes_hash
from seedpin.trace.record.objects import own_attributes

Slots: TypeAlias = "list[tuple[str, int | Value]]"

_DEPTH = 5
_ITEMS = 512
_SLOTS = 4096
"""Of one argument: lists that hold themselves would otherwise give millions."""
NONE = Value("None")


@lru_cache(maxsize=4096)
def _keys(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}[{index}]" if name else str(index) for index in range(count))


def observe(
    table: Fingerprints, name: str, value: Any, into: Slots, samples: int, depth: int = 0, limit: int = 0
) -> None:
    """Append ``value`` to ``into``: a slot for each tensor in it, a Value for anything else."""
    limit = limit or len(into) + _SLOTS
    if isinstance(value, torch.Tensor):
        into.append((name, table.tensor(value, samples)))
    elif value is None:
        into.append((name, NONE))
    elif isinstance(value, np.ndarray):
        into.append((name, table.array(value, samples)))
    elif len(into) >= limit:
        # Once, however much more there is.
        if into[-1][0] != "…":
            into.append(("…", Value(f"<more than {_SLOTS:,} items>")))
    elif depth < _DEPTH and isinstance(value, (list, tuple)) and not _scalars(value):
        # A cache of a hundred tensors may go through every module: no call for what is simple.
        items = _items(value)
        for key, item in zip(_keys(name, min(len(items), _ITEMS)), items, strict=False):
            if isinstance(item, torch.Tensor):
                into.append((key, table.tensor(item, samples)))
            elif item is None:
                into.append((key, NONE))
            else:
                observe(table, key, item, into, samples, depth + 1, limit)
        if len(items) > _ITEMS:
            # What is past the limit was not looked at: it must not pass for equal.
            into.append((f"{name}[{_ITEMS}:]", Value(f"<{len(items) - _ITEMS:,} more items>")))
    elif depth < _DEPTH and (entries := _mapping(value)) is not None:
        for key, item in entries[:_ITEMS]:
            inner = f"{name}.{key}" if name else str(key)
            observe(table, inner, item, into, samples, depth + 1, limit)
        if len(entries) > _ITEMS:
            into.append((f"{name}[{_ITEMS}:]", Value(f"<{len(entries) - _ITEMS:,} more items>")))
    elif depth < _DEPTH and dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            key = f"{name}.{field.name}" if name else field.name
            observe(table, key, getattr(value, field.name), into, samples, depth + 1, limit)
    elif type(value).__module__.startswith("PIL."):
        into.append((name, table.array(np.asarray(value), samples)))
    elif depth < _DEPTH and (tensors := _distribution(value)):
        # diffusers' encoders hand out a distribution: its tensors are what matters.
        observe(table, name, tensors, into, samples, depth + 1, limit)
    else:
        into.append((name, value_of(value)))


def _items(value: list[Any] | tuple[Any, ...]) -> list[Any] | tuple[Any, ...]:
    """A list's own items, past what a subclass says of them."""
    if type(value) in (list, tuple):
        return value
    own: Iterable[Any] = list.__iter__(value) if isinstance(value, list) else tuple.__iter__(value)
    return list(own)


def _mapping(value: object) -> list[tuple[Any, Any]] | None:
    """Entries of a dictionary of any kind; None for mappings that may load or compute what they are asked."""
    if isinstance(value, dict):
        return list(dict.items(value))
    if isinstance(value, types.MappingProxyType):
        return list(value.items())
    if isinstance(value, UserDict):
        return list(value.data.items())
    return None


def _scalars(value: list[Any] | tuple[Any, ...]) -> bool:
    return all(isinstance(item, (int, float, str, bool)) for item in _items(value)[:_ITEMS])


def _distribution(value: object) -> Mapping[str, Any]:
    """The attributes of diffusers' distributions, and of what holds one."""
    attributes = own_attributes(value) or {}
    if "latent_dist" in attributes:
        return attributes
    if "istribution" in type(value).__name__:
        return {key: item for key, item in attributes.items() if isinstance(item, torch.Tensor)}
    return {}


def opaque(value: object) -> Value:
    """What is known of a thing by its type alone: two of them may differ all the same."""
    return Value(f"<{type(value).__name__}>")


def value_of(value: Any) -> Value:
    """The value as text where it has a stable one, else its type's name."""
    if isinstance(value, Enum):
        return Value(str(value))
    if isinstance(value, (bool, int, float, complex, torch.dtype, torch.device)):
        return Value(repr(value))
    if isinstance(value, np.generic):
        return Value(repr(value.item()))
    if isinstance(value, (str, bytes, list, tuple)) and (isinstance(value, (str, bytes)) or _scalars(value)):
        text = repr(value)
        return Value(text if len(text) <= 120 else f"{text[:60]}… #{bytes_hash(text.encode())[:16]}")
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, types.MethodType)):
        return Value(value.__qualname__)
    return opaque(value)
