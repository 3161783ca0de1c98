"""Kernels that take the place of ATen's on CPU while a pin of the profile ``portable`` is active.

In torch's wheels for x86-64, some elementwise operations go to MKL's vector mathematics, which starts from
the instructions ``rsqrtps`` and ``rcpps``. Each vendor defines their bits for itself, and no setting of MKL
avoids them. The replacements use operations that IEEE 754 defines to the last bit and no others, so one
machine can prove what all compute.

They are registered under the dispatch key ``BackendSelect``, which lies below autograd, functorch and
``torch_dispatch``, above every backend, and is empty for these operations. So ATen's own kernels stay where
they are and serve what is not replaced here: other devices, layouts and dtypes (the half types and complex
numbers never reach MKL). Nothing is overridden, and with the library destroyed everything is as before.
The dispatcher belongs to the process: the replacements hold in all of its threads.

Code that ``torch.compile`` generates calls none of these operations, nor MKL's.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Function = Callable[..., Any]
    """``function(x, out=y)``: NumPy arrays of one shape and dtype, which may be the same array."""

_KEY = "BackendSelect"
_FLOATS = (torch.float32, torch.float64)

# Operation -> dtype -> what computes it. np.sqrt is the IEEE instruction: the rightly rounded root.
REPLACED: Mapping[str, Mapping[torch.dtype, Function]] = MappingProxyType(
    {"sqrt": {torch.float32: np.sqrt, torch.float64: np.sqrt}}
)


_LIBRARY: Any = torch.library.Library


class _Process:
    """The registration, one in a process as there is one dispatcher; None while nothing is replaced."""

    library: Any = None  # a torch.library.Library; Any because its methods are not typed


def installed() -> bool:
    """Whether the replacements are in force."""
    return _Process.library is not None


def install(wanted: bool = True) -> None:
    """Put the replacements in force, or with ``wanted`` False take all of them out; 0.1 ms."""
    library = _Process.library
    if wanted and library is None:
        library = _LIBRARY("aten", "IMPL")
        try:
            for entry, kernel in _entries().items():
                library.impl(entry, kernel, _KEY, with_keyset=True)
        except BaseException:
            library._destroy()
            raise
        _Process.library = library
    elif not wanted and library is not None:
        _Process.library = None
        library._destroy()


def _entries() -> dict[str, Function]:
    """Each entry of the dispatcher that leads to a replaced operation, with the kernel for it."""
    aten = torch.ops.aten
    entries: dict[str, Function] = {}
    for name, functions in REPLACED.items():
        entries[name] = _unary(getattr(aten, name).default, functions)
        entries[f"{name}_"] = _unary_in_place(getattr(aten, f"{name}_").default, functions)
        entries[f"{name}.out"] = _unary_out(getattr(aten, name).out, functions)
    root = REPLACED["sqrt"]
    entries["pow.Tensor_Scalar"] = _power(aten.pow.Tensor_Scalar, root)
    entries["pow_.Scalar"] = _power_in_place(aten.pow_.Scalar, root)
    entries["pow.Tensor_Scalar_out"] = _power_out(aten.pow.Tensor_Scalar_out, root)
    return entries


_BELOW = torch._C.DispatchKeySet(torch._C.DispatchKey.BackendSelect)
_CPU = torch._C.DispatchKey.CPU


def _chosen(
    keys: torch._C.DispatchKeySet, x: torch.Tensor, functions: Mapping[torch.dtype, Function]
) -> tuple[torch.dtype, Function] | None:
    """The dtype to compute in and what computes there; None where ATen's own kernel serves."""
    if keys.highestPriorityTypeId() != _CPU:
        return None
    dtype = x.dtype
    if not (dtype.is_floating_point or dtype.is_complex):
        dtype = torch.get_default_dtype()  # as torch promotes integers and booleans
    function = functions.get(dtype)
    return None if function is None else (dtype, function)


def _computed(x: torch.Tensor, dtype: torch.dtype, function: Function) -> torch.Tensor:
    """A new tensor, laid out in memory as an operation of torch lays it out."""
    # Modes of torch_function would see what is done here as the model's doing.
    with torch._C.DisableTorchFunction():
        source = x.detach().to(dtype)
        result = torch.empty_like(source)  # torch's memory is aligned to 64 bytes, NumPy's is not
        _write(function, source, result)
    return result


def _write(function: Function, source: torch.Tensor, result: torch.Tensor) -> None:
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
    function: Function,
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


def _unary(op: Any, functions: Mapping[torch.dtype, Function]) -> Function:
    def kernel(keys: torch._C.DispatchKeySet, x: torch.Tensor) -> Any:
        keys -= _BELOW
        chosen = _chosen(keys, x, functions)
        return op.redispatch(keys, x) if chosen is None else _computed(x, *chosen)

    return kernel


def _unary_in_place(op: Any, functions: Mapping[torch.dtype, Function]) -> Function:
    def kernel(keys: torch._C.DispatchKeySet, x: torch.Tensor) -> Any:
        keys -= _BELOW
        chosen = _chosen(keys, x, functions)
        if chosen is None:
            return op.redispatch(keys, x)
        return _computed_into(x, x, *chosen, lambda: op.redispatch(keys, x))

    return kernel


def _unary_out(op: Any, functions: Mapping[torch.dtype, Function]) -> Function:
    def kernel(keys: torch._C.DispatchKeySet, x: torch.Tensor, *, out: torch.Tensor) -> Any:
        keys -= _BELOW
        chosen = _chosen(keys, x, functions)
        if chosen is None:
            return op.redispatch(keys, x, out=out)
        return _computed_into(x, out, *chosen, lambda: op.redispatch(keys, x, out=out))

    return kernel


def _is_half(exponent: Any) -> bool:
    """Whether ATen takes the square root; -0.5 is 1 / sqrt(x) there, of IEEE instructions."""
    return isinstance(exponent, float) and exponent == 0.5


def _power(op: Any, functions: Mapping[torch.dtype, Function]) -> Function:
    def kernel(keys: torch._C.DispatchKeySet, x: torch.Tensor, exponent: Any) -> Any:
        keys -= _BELOW
        chosen = _chosen(keys, x, functions) if _is_half(exponent) else None
        return op.redispatch(keys, x, exponent) if chosen is None else _computed(x, *chosen)

    return kernel


def _power_in_place(op: Any, functions: Mapping[torch.dtype, Function]) -> Function:
    def kernel(keys: torch._C.DispatchKeySet, x: torch.Tensor, exponent: Any) -> Any:
        keys -= _BELOW
        chosen = _chosen(keys, x, functions) if _is_half(exponent) else None
        if chosen is None:
            return op.redispatch(keys, x, exponent)
        return _computed_into(x, x, *chosen, lambda: op.redispatch(keys, x, exponent))

    return kernel


def _power_out(op: Any, functions: Mapping[torch.dtype, Function]) -> Function:
    def kernel(keys: torch._C.DispatchKeySet, x: torch.Tensor, exponent: Any, *, out: torch.Tensor) -> Any:
        keys -= _BELOW
        chosen = _chosen(keys, x, functions) if _is_half(exponent) else None
        if chosen is None:
            return op.redispatch(keys, x, exponent, out=out)
        return _computed_into(x, out, *chosen, lambda: op.redispatch(keys, x, exponent, out=out))

    return kernel
