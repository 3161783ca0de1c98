"""The precision of float32 arithmetic: one switch in many keys.

torch has an old set of flags (``set_float32_matmul_precision``, ``cudnn.allow_tf32``) and, from 2.9 on, a
tree of keys (generic, then backend, then operation; "none" inherits from the parent). Writing one set
changes the other, reading an old flag raises once the two disagree, and reading a key gives the inherited
value. So the two sets are read and restored together here, in an order in which none undoes another.

One thing cannot be put back: from torch 2.13 on, cuDNN's keys start as "TF32 unless a parent says otherwise",
and nothing can write that state again. After a strict pin they have the same value, but as if written.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

_GENERIC = ("generic", "all")
_OPERATIONS = {"cuda": ("matmul", "conv", "rnn"), "mkldnn": ("matmul", "conv", "rnn")}
_NEVER = "ieee"

_get: Any = getattr(torch._C, "_get_fp32_precision_getter", None)
_set: Any = getattr(torch._C, "_set_fp32_precision_setter", None)
HAS_KEYS = _get is not None and _set is not None

# Keys for cuda and mkldnn under which "highest", "high" and "medium" can be read without an error.
_AGREEING = (("ieee", "ieee"), ("tf32", "tf32"), ("tf32", "bf16"))


@dataclass(frozen=True, slots=True)
class Float32Precision:
    """All settings that decide how float32 is multiplied; ``keys`` are as written, not as inherited."""

    matmul: str
    cudnn_tf32: bool
    keys: tuple[tuple[str, str, str], ...]

    def __str__(self) -> str:
        keys = ",".join(f"{backend}.{op}={value}" for backend, op, value in self.keys if value != "none")
        return f"matmul={self.matmul} cudnn_tf32={self.cudnn_tf32} {keys}".rstrip()


def pinned(_: Float32Precision) -> Float32Precision:
    """Full float32 everywhere."""
    keys = [(*_GENERIC, _NEVER)]
    for backend, operations in _OPERATIONS.items():
        keys += [(backend, op, _NEVER) for op in ("all", *operations)]
    return Float32Precision("highest", False, tuple(keys) if HAS_KEYS else ())


def read() -> Float32Precision:
    """The settings now; trials on the parents are undone, the children are never written."""
    keys = _read_keys() if HAS_KEYS else ()
    with _QUIET.first_time("read"):
        matmul, cudnn = _read_old(keys)
    return Float32Precision(matmul, cudnn, keys)


def write(value: Float32Precision) -> None:
    with _QUIET.first_time("write"):
        torch.set_float32_matmul_precision(value.matmul)
        torch.backends.cudnn.allow_tf32 = value.cudnn_tf32
    # Last, as writing the old flags has just changed keys.
    _write_keys(value.keys)


def _write_keys(keys: tuple[tuple[str, str, str], ...]) -> None:
    for backend, op, precision in keys:  # parents stand before their children
        _set(backend, op, precision)


def _read_keys() -> tuple[tuple[str, str, str], ...]:
    """The keys as they were written: a child that follows its parent in a trial is "none"."""
    generic = str(_get(*_GENERIC))
    keys = [(*_GENERIC, generic)]
    try:
        for backend, operations in _OPERATIONS.items():
            own = _own_value(_GENERIC, (backend, "all"))
            keys.append((backend, "all", own))
            try:
                keys += [(backend, op, _own_value((backend, "all"), (backend, op))) for op in operations]
            finally:
                _set(backend, "all", own)
    finally:
        _set(*_GENERIC, generic)
    return tuple(keys)


def _own_value(parent: tuple[str, str], child: tuple[str, str]) -> str:
    inherited, now = str(_get(*parent)), str(_get(*child))
    seen = []
    # A child that follows its parent reads as each trial; one with a value of its own reads the same twice.
    for trial in ("tf32", "ieee"):
        _set(*parent, trial)
        seen.append(str(_get(*child)))
    _set(*parent, inherited)
    if seen[0] == seen[1]:
        return seen[0]
    # A default that a parent would override counts as written while no parent does.
    return now if inherited == "none" else "none"


def _read_old(keys: tuple[tuple[str, str, str], ...]) -> tuple[str, bool]:
    """The old flags; where the keys contradict them, so that reading raises, under keys that agree."""
    try:
        return torch.get_float32_matmul_precision(), bool(torch.backends.cudnn.allow_tf32)
    except RuntimeError:
        if not HAS_KEYS:
            raise
    own = {(backend, op): value for backend, op, value in keys}
    tried: list[tuple[str, str]] = []

    def attempt(backend: str, op: str, precision: str) -> None:
        tried.append((backend, op))
        _set(backend, op, precision)

    try:
        return _read_old_matmul(attempt), _read_old_cudnn(attempt)
    finally:
        for key in tried:
            _set(*key, own[key])


def _read_old_matmul(attempt: Callable[[str, str, str], None]) -> str:
    for cuda, mkldnn in _AGREEING:
        attempt("cuda", "matmul", cuda)
        attempt("mkldnn", "matmul", mkldnn)
        try:
            return torch.get_float32_matmul_precision()
        except RuntimeError:
            continue
    return "highest"


def _read_old_cudnn(attempt: Callable[[str, str, str], None]) -> bool:
    attempt("cuda", "all", "tf32")
    for op in ("conv", "rnn"):
        if _get("cuda", op) != "tf32":  # then it does not follow, and can be put back exactly
            attempt("cuda", op, "tf32")
    try:
        return bool(torch.backends.cudnn.allow_tf32)
    except RuntimeError:
        return False


class _Quiet:
    """torch 2.9 warns once per process about the old flags; a pin must not be who triggers it."""

    def __init__(self) -> None:
        self._done: set[str] = set()

    @contextmanager
    def first_time(self, what: str) -> Iterator[None]:
        if what in self._done:
            yield
            return
        self._done.add(what)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield


_QUIET = _Quiet()
