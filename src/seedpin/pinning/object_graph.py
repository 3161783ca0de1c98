"""What lies below an object: modules and generators in its attributes, dicts, lists and closures."""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from seedpin.pinning.generators import GENERATORS, is_generator
from seedpin.trace.record.objects import FUNCTIONS, captured, items_of, own_attributes

_LIMIT = 200_000  # objects looked at; a pipeline of 2,000 modules has some 40,000
_ATOMS = (str, bytes, bytearray, int, float, complex, type(None), type, types.ModuleType)
_LEAVES = (*_ATOMS, torch.Tensor, np.ndarray, np.generic, torch.dtype, torch.device, torch.Size)
# Hooks, parameters and flags of every module: nothing to find there, and most of the time to look.
_OF_EVERY_MODULE = frozenset(vars(nn.Module())) - {"_modules"}
_NAMELESS = frozenset({"_modules", "_orig_mod"})


def modules_below(root: Any) -> dict[str, nn.Module]:
    """Every ``nn.Module`` that ``root`` reaches, once, by its shortest path ("" is ``root`` itself).

    A compiled module stands for the one that it wraps, under the same path.
    """
    modules: dict[str, nn.Module] = {}
    for path, value in _walk(root):
        if isinstance(value, nn.Module):
            modules.setdefault(path, value)
    return modules


def generators_below(roots: Iterable[Any]) -> list[Any]:
    """Every generator object (torch, NumPy, Python) that ``roots`` reach, once."""
    return [value for _path, value in _walk(list(roots)) if is_generator(value)]


def _walk(root: Any) -> Iterator[tuple[str, Any]]:
    """``root`` and what it holds, breadth first, each object once, at most ``_LIMIT``; runs no user code."""
    # Breadth first, so that the first path to an object is its shortest.
    queue: deque[tuple[str, Any]] = deque([("", root)])
    seen = {id(root)}
    while queue and len(seen) < _LIMIT:
        path, current = queue.popleft()
        yield path, current
        for name, child in _children(current):
            if isinstance(child, _LEAVES) or id(child) in seen:
                continue
            seen.add(id(child))
            queue.append((path if name in _NAMELESS else f"{path}.{name}" if path else name, child))


def _children(owner: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(owner, (set, frozenset, deque)):
        owner = list(owner)
    items = items_of(owner)
    if items is not None:
        return () if _only_atoms(owner) else items
    if isinstance(owner, FUNCTIONS):
        return captured(owner, lambda value: isinstance(value, nn.Module) or is_generator(value))
    if isinstance(owner, GENERATORS):
        return ()
    skipped = _OF_EVERY_MODULE if isinstance(owner, nn.Module) else ()
    return [item for item in (own_attributes(owner) or {}).items() if item[0] not in skipped]


def _only_atoms(owner: Any) -> bool:
    """Whether a large container (a vocabulary, say) can be passed over after a look at its beginning."""
    if len(owner) < 1000:
        return False
    values = owner.values() if isinstance(owner, dict) else owner
    return all(isinstance(value, _ATOMS) for value, _ in zip(values, range(8), strict=False))
