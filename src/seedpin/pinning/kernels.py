"""Kernels that take the place of ATen's on CPU while a pin of the profile ``portable`` is active.

In torch's wheels for x86-64, some operations go to parts of MKL that start from the instructions ``rsqrtps``
and ``rcpps``. Each vendor defines their bits for itself, and no setting of MKL avoids them.
``benchmarks/vendor_defined.py`` finds the operations that execute one. The replacements use operations that
IEEE 754 defines to the last bit and no others, so one machine can prove what all compute.

They are registered under the dispatch key ``BackendSelect``, which lies below autograd, functorch and
``torch_dispatch``, above every backend, and is empty for these operations. So ATen's own kernels stay where
they are and serve what is not replaced here: other devices, layouts and dtypes (the half types and complex
numbers never reach those parts of MKL). Nothing is overridden, and with the library destroyed everything is
as before. The dispatcher belongs to the process: the replacements hold in all of its threads.

A kernel that the user has registered for the CPU through ``torch.library`` goes before these: it is the
user's choice, and the canary measures what it computes.

Code that ``torch.compile`` generates calls none of these operations, nor MKL's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from seedpin.errors import VendorDefinedOpError, VendorDefinedOpWarning
from seedpin.pinning import elementary
from seedpin.pinning.caller_warnings import calling_frame, warn_at_frame

ArrayFunction = Callable[..., Any]
"""``function(x, out=y)``: NumPy arrays of one shape and dtype, which may be the same array."""
Choice = Callable[..., ArrayFunction | None]
"""``choice(dtype, *arguments)``: what computes it in ``dtype``; None where ATen's kernel serves."""

_KEY = "BackendSelect"


def _both(function: ArrayFunction) -> Mapping[torch.dtype, ArrayFunction]:
    return MappingProxyType({torch.float32: function, torch.float64: function})


# Operation -> dtype -> what computes it. np.sqrt is the IEEE instruction: the rightly rounded root.
REPLACED: Mapping[str, Mapping[torch.dtype, ArrayFunction]] = MappingProxyType(
    {
        "acos": _both(elementary.acos),
        "asin": _both(elementary.asin),
        "atan": _both(elementary.atan),
        "log": MappingProxyType({torch.float64: elementary.log}),
        "log10": _both(elementary.log10),
        "log2": _both(elementary.log2),
        "sqrt": _both(np.sqrt),
        "tan": _both(elementary.tan),
    }
)


class _Registration:
    """The registration, one in a process as there is one dispatcher."""

    library: Any = None
    """A torch.library.Library (Any because its methods are not typed); None while nothing is replaced."""
    level: str = ""


_LIBRARY: Any = torch.library.Library
OVERRIDDEN: set[str] = getattr(torch.library, "_impls", set())
"""Torch's own list of what Python code has registered: ``aten/sqrt/CPU``."""


def installed() -> str:
    """The level at which the replacements are in force, ``strict`` or ``warn``; empty while they are not."""
    return _Registration.level


def install(level: str) -> None:
    """Put the replacements in force, or with an empty ``level`` take all of them out; 0.2 ms.

    ``strict`` refuses the operations that are known to differ between vendors and have no replacement,
    ``warn`` warns of them.
    """
    if level and _Registration.library is None:
        _Registration.library = in_front(_entries())
    elif not level and _Registration.library is not None:
        # Forgotten before it is destroyed: a second attempt must not destroy it again.
        library, _Registration.library = _Registration.library, None
        library._destroy()
    _Registration.level = level


def in_front(kernels: Mapping[str, ArrayFunction]) -> Any:
    """A torch.library.Library of these kernels, by entry, in front of ATen's own until it is destroyed.

    Where the user's own stands already, it stays.
    """
    library = _LIBRARY("aten", "IMPL")
    try:
        for entry, kernel in kernels.items():
            if f"aten/{entry}/{_KEY}" not in OVERRIDDEN:
                library.impl(entry, kernel, _KEY, with_keyset=True)
    except BaseException:
        library._destroy()
        raise
    return library


def _entries() -> dict[str, ArrayFunction]:
    """Each entry of the dispatcher that leads to a replaced operation, with the kernel for it."""
    aten = torch.ops.aten
    entries: dict[str, ArrayFunction] = {}
    for name, functions in REPLACED.items():
        entries |= _three(name, f"{name}_", f"{name}.out", functions.get)
    entries |= _three("pow.Tensor_Scalar", "pow_.Scalar", "pow.Tensor_Scalar_out", _power)
    entries |= _three("logit", "logit_", "logit.out", _logit)
    if hasattr(aten, "cholesky"):  # torch 2.14 has it no more
        entries["cholesky"] = _cholesky(aten.cholesky.default)
        entries["cholesky.out"] = _cholesky_out(aten.cholesky.out)
    entries |= {
        "linalg_cholesky_ex": _cholesky(aten.linalg_cholesky_ex.default),
        "linalg_cholesky_ex.L": _cholesky_out(aten.linalg_cholesky_ex.L),
        "triangular_solve": _solve(aten.triangular_solve.default),
        "triangular_solve.X": _solve(aten.triangular_solve.X),
    }
    return {entry: _unless_overridden(entry, kernel) for entry, kernel in entries.items()}


def _unless_overridden(entry: str, kernel: ArrayFunction) -> ArrayFunction:
    """``kernel``; where the user has put one of their own in the place of ATen's, that one."""
    op, users = overload(entry), f"aten/{entry}/CPU"

    def respectful(keys: torch._C.DispatchKeySet, *arguments: Any, **options: Any) -> Any:
        if users in OVERRIDDEN:  # asked at each call: it may come and go while a pin is active
            return op.redispatch(keys - BELOW, *arguments, **options)
        return kernel(keys, *arguments, **options)

    return respectful


def _three(functional: str, in_place: str, out: str, choice: Choice) -> dict[str, ArrayFunction]:
    """The three entries of an elementwise operation."""
    return {
        functional: _functional(overload(functional), choice),
        in_place: _in_place(overload(in_place), choice),
        out: _out(overload(out), choice),
    }


def overload(entry: str) -> Any:
    """The operation of ``torch.ops.aten`` that an entry of the dispatcher such as ``random_.from`` names."""
    name, _, overload = entry.partition(".")
    return getattr(getattr(torch.ops.aten, name), overload or "default")


def _power(dtype: torch.dtype, exponent: Any) -> ArrayFunction | None:
    """ATen takes the square root for 0.5. For -0.5 it divides 1 by one, in IEEE instructions."""
    is_half = isinstance(exponent, float) and exponent == 0.5
    return REPLACED["sqrt"].get(dtype) if is_half else None


def _logit(dtype: torch.dtype, eps: float | None = None) -> ArrayFunction | None:
    """ATen's kernel calls MKL's logarithm without going through the dispatcher."""
    return partial(elementary.logit, eps=eps) if dtype in REPLACED["log"] else None


BELOW = torch._C.DispatchKeySet(torch._C.DispatchKey.BackendSelect)
_CPU = torch._C.DispatchKey.CPU
_CSR = torch._C.DispatchKey.SparseCsrCPU


def _chosen(
    keys: torch._C.DispatchKeySet, x: torch.Tensor, choice: Choice, arguments: tuple[Any, ...]
) -> tuple[torch.dtype, ArrayFunction] | None:
    """The dtype to compute in and what computes there; None where ATen's own kernel serves."""
    if keys.highestPriorityTypeId() != _CPU:
        return None
    dtype = x.dtype
    if not (dtype.is_floating_point or dtype.is_complex):
        dtype = torch.get_default_dtype()  # as torch promotes integers and booleans
    function = choice(dtype, *arguments)
    return None if function is None else (dtype, function)


def _computed(x: torch.Tensor, dtype: torch.dtype, function: ArrayFunction) -> torch.Tensor:
    """A new tensor, laid out in memory as an operation of torch lays it out."""
    # Modes of torch_function would see what is done here as the model's doing.
    with torch._C.DisableTorchFunction():
        source = x.detach().to(dtype)
        result = torch.empty_like(source)  # torch's memory is aligned to 64 bytes, NumPy's is not
        _write(function, source, result)
    return result


def _write(function: ArrayFunction, source: torch.Tensor, result: torch.Tensor) -> None:
    # Warnings for negative numbers are NumPy's custom, not torch's.
    with np.errstate(all="ignore"):
        function(source.numpy(), out=result.numpy())


def _is_plain(x: torch.Tensor, out: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether results may be written right into ``out``: nothing to convert, to resize or to refuse."""
    if not (x.dtype == out.dtype == dtype and x.shape == out.shape) or torch._debug_has_internal_overlap(out):
        return False
    same = x.data_ptr() == out.data_ptr() and x.stride() == out.stride()
    return same or x.untyped_storage().data_ptr() != out.untyped_storage().data_ptr()


def _computed_into(
    x: torch.Tensor,
    out: torch.Tensor,
    dtype: torch.dtype,
    function: ArrayFunction,
    original: Callable[[], Any],
) -> torch.Tensor:
    """``out`` with the result, after ATen resized it, or ATen's error where it refuses."""
    with torch._C.DisableTorchFunction():
        if _is_plain(x, out, dtype):
            _write(function, x.detach(), out.detach())
        else:
            result = _computed(x, dtype, function)  # first: ``out`` may be ``x``
            original()
            out.detach().copy_(result)
    return out


def _functional(op: Any, choice: Choice) -> ArrayFunction:
    def kernel(keys: torch._C.DispatchKeySet, x: torch.Tensor, *arguments: Any) -> Any:
        keys -= BELOW
        chosen = _chosen(keys, x, choice, arguments)
        return op.redispatch(keys, x, *arguments) if chosen is None else _computed(x, *chosen)

    return kernel


def _in_place(op: Any, choice: Choice) -> ArrayFunction:
    def kernel(keys: torch._C.DispatchKeySet, x: torch.Tensor, *arguments: Any) -> Any:
        keys -= BELOW
        chosen = _chosen(keys, x, choice, arguments)
        if chosen is None:
            return op.redispatch(keys, x, *arguments)
        return _computed_into(x, x, *chosen, lambda: op.redispatch(keys, x, *arguments))

    return kernel


def _out(op: Any, choice: Choice) -> ArrayFunction:
    def kernel(keys: torch._C.DispatchKeySet, x: torch.Tensor, *arguments: Any, out: torch.Tensor) -> Any:
        keys -= BELOW
        chosen = _chosen(keys, x, choice, arguments)
        if chosen is None:
            return op.redispatch(keys, x, *arguments, out=out)
        return _computed_into(x, out, *chosen, lambda: op.redispatch(keys, x, *arguments, out=out))

    return kernel


# LAPACK's Cholesky factorisation in single precision ends in a kernel that divides by means of rsqrtss; the
# one in double precision does not. So it is done there, and rounded.


def _needs_double(keys: torch._C.DispatchKeySet, x: torch.Tensor) -> bool:
    return keys.highestPriorityTypeId() == _CPU and x.dtype is torch.float32


def _cholesky(op: Any) -> ArrayFunction:
    def kernel(keys: torch._C.DispatchKeySet, x: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        keys -= BELOW
        if not _needs_double(keys, x):
            return op.redispatch(keys, x, *arguments, **options)
        with torch._C.DisableTorchFunction():
            result = op.redispatch(keys, x.detach().double(), *arguments, **options)
            if isinstance(result, torch.Tensor):
                return result.float()
            return result[0].float(), result[1]

    return kernel


def _cholesky_out(op: Any) -> ArrayFunction:
    double = _cholesky(op.overloadpacket.default)

    def kernel(keys: torch._C.DispatchKeySet, x: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        if not _needs_double(keys - BELOW, x):
            return op.redispatch(keys - BELOW, x, *arguments, **options)
        into = {name: options[name] for name in ("out", "L", "info") if name in options}
        results = double(keys, x, *arguments, **{name: options[name] for name in options.keys() - into})
        with torch._C.DisableTorchFunction():
            original = op.redispatch(keys - BELOW, x, *arguments, **options)  # resizes, or refuses
            exact = (results,) if isinstance(results, torch.Tensor) else results
            for target, result in zip(into.values(), exact, strict=True):
                target.detach().copy_(result)
        return original

    return kernel


def _solve(op: Any) -> ArrayFunction:
    """Triangular solves of sparse matrices in single precision divide by means of rcpps."""

    def kernel(keys: torch._C.DispatchKeySet, *arguments: Any, **options: Any) -> Any:
        keys -= BELOW
        if keys.highestPriorityTypeId() == _CSR and arguments[0].dtype is torch.float32:
            _refuse("torch.triangular_solve of a sparse matrix in float32", "solve it in float64, or dense")
        return op.redispatch(keys, *arguments, **options)

    return kernel


def _refuse(operation: str, instead: str) -> None:
    what = f"{operation} computes other bits on the CPUs of another vendor, and the profile is 'portable'"
    if _Registration.level == "strict":
        raise VendorDefinedOpError(what, hint=f'{instead}, or pin with level="warn" (--seedpin-level=warn)')
    # At the model's line: a solve comes here once more on its way through the dispatcher.
    frame = calling_frame(sys._getframe(1))
    while frame.f_back is not None and frame.f_globals.get("__name__") == "torch._ops":
        frame = calling_frame(frame.f_back)
    warn_at_frame(f"{what}; {instead}", VendorDefinedOpWarning, frame)
