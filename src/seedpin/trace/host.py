"""The bytes of host tensors."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["host_array", "in_order", "view_of"]


def host_array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """The bits of a CPU tensor in logical order; bfloat16 and float8 come as integers of their size."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.dtype is torch.bfloat16:
        tensor = tensor.view(torch.int16)
    try:
        array = tensor.numpy()
    except (RuntimeError, TypeError):
        array = _plain(tensor).numpy()
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """A strided tensor of a dtype that NumPy knows, same content."""
    tensor = tensor.detach()
    if hasattr(tensor, "__tensor_flatten__"):
        names, _ = tensor.__tensor_flatten__()
        parts = [_plain(getattr(tensor, name)).contiguous().reshape(-1) for name in names]
        return torch.cat([part.view(torch.uint8) for part in parts])
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_quantized:
        tensor = tensor.int_repr()
    tensor = tensor.resolve_conj().resolve_neg()
    if tensor.dtype.is_floating_point and tensor.dtype.itemsize == 1:
        tensor = tensor.view(torch.int8)
    elif tensor.dtype is torch.bfloat16:
        tensor = tensor.view(torch.int16)
    return tensor


@lru_cache(maxsize=1024)
def view_of(size: int) -> Any:
    """The type of ``size`` bytes somewhere in memory: ctypes takes long to make one."""
    return ctypes.c_char * size


def in_order(tensor: torch.Tensor, pointer: int, dtype: np.dtype[Any]) -> bytes:
    """The elements of a strided tensor in logical order; torch's strides are never negative."""
    shape, strides = tensor.shape, tensor.stride()
    last = sum([(count - 1) * stride for count, stride in zip(shape, strides, strict=True)])
    memory = view_of((last + 1) * dtype.itemsize).from_address(pointer)
    steps = [stride * dtype.itemsize for stride in strides]
    array: npt.NDArray[Any] = np.ndarray(shape, dtype, memory, 0, steps)
    return array.tobytes()
