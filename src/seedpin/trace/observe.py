"""Flatten the arguments and results of calls into named fingerprints and values."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import torch

from seedpin.trace.fingerprint import Fingerprints, bytes_hash
from seedpin.trace.model import Value

__all__ = ["NONE", "Slots", "observe", "value_of"]

Slots: TypeAlias = "list[tuple[str, int | Value]]"

_DEPTH = 5
_ITEMS = 512
NONE = Value("None")


@lru_cache(maxsize=4096)
def _keys(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}[{index}]" if name else str(index) for index in range(count))


def observe(table: Fingerprints, name: str, value: Any, into: Slots, samples: int, depth: int = 0) -> None:
    """Append ``value`` to ``into``: a slot for each tensor in it, a Value for anything else."""
    if isinstance(value, torch.Tensor):
        into.append((name, table.tensor(value, samples)))
    elif value is None:
        into.append((name, NONE))
    elif isinstance(value, np.ndarray):
        into.append((name, table.array(value, samples)))
    elif depth < _DEPTH and isinstance(value, (list, tuple)) and not _scalars(value):
        # A cache of a hundred tensors may go through every module: no call for what is simple.
        for key, item in zip(_keys(name, min(len(value), _ITEMS)), value, strict=False):
            if isinstance(item, torch.Tensor):
                into.append((key, table.tensor(item, samples)))
            elif item is None:
                into.append((key, NONE))
            else:
                observe(table, key, item, into, samples, depth + 1)
    elif depth < _DEPTH and isinstance(value, Mapping):
        for key, item in list(value.items())[:_ITEMS]:
            observe(table, f"{name}.{key}" if name else str(key), item, into, samples, depth + 1)
    elif depth < _DEPTH and dataclasses.is_dataclass(value) and not isinstance(value, type):
        for item in dataclasses.fields(value):
            key = f"{name}.{item.name}" if name else item.name
            observe(table, key, getattr(value, item.name), into, samples, depth + 1)
    elif type(value).__module__.startswith("PIL."):
        into.append((name, table.array(np.asarray(value), samples)))
    elif depth < _DEPTH and hasattr(value, "latent_dist") and hasattr(value, "__dict__"):
        observe(table, name, vars(value), into, samples, depth + 1)
    elif depth < _DEPTH and _is_distribution(value):
        # diffusers' encoders hand out a distribution: its tensors are what matters.
        tensors = {key: item for key, item in vars(value).items() if isinstance(item, torch.Tensor)}
        observe(table, name, tensors, into, samples, depth + 1)
    else:
        into.append((name, value_of(value)))


def _scalars(value: list[Any] | tuple[Any, ...]) -> bool:
    return all(isinstance(item, (int, float, str, bool)) for item in value[:_ITEMS])


def _is_distribution(value: Any) -> bool:
    return "istribution" in type(value).__name__ and hasattr(value, "__dict__")


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
    return Value(f"<{type(value).__name__}>")
