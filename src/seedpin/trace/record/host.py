"""The bytes of tensors: what is read, from where, and what is not read, with the reason."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

_CONTENTLESS = {
    "FakeTensor": "a FakeTensor has no content",
    "FunctionalTensor": "a FunctionalTensor stands for a computation, not for its content",
    "DTensor": "a DTensor: only a part of it is in this process",
    "UninitializedTensorMixin": "uninitialised, as in a lazy module before its first call",
}
"""Classes of tensors whose content is not here, by name: to import them would take a second."""


class UnreadError(Exception):
    """The content of a tensor cannot be read, or must not be."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The plain strided tensors that a tensor consists of.

    header: what they mean, in words that are hashed with them. unread: what of the tensor they leave out.
    """

    tensors: list[torch.Tensor]
    header: str = ""
    unread: str = ""


def parts_of(tensor: torch.Tensor) -> Parts:
    """Take a tensor of any kind apart. Raises UnreadError for one without content here.

    To be called with torch's function modes disabled and without grad mode: nothing of it shall show.
    """
    for cls in type(tensor).__mro__:
        if cls.__name__ in _CONTENTLESS:
            raise UnreadError(_CONTENTLESS[cls.__name__])
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        raise UnreadError("inside of torch.func (vmap, grad): it is many tensors, or none")
    if tensor.device.type == "meta":
        raise UnreadError("on meta: it has no content")
    if tensor.is_nested:
        return _nested(tensor)
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        return _subclass(tensor)
    tensor = tensor.detach()
    if tensor.layout is torch.sparse_coo:
        header = f"sparse_coo coalesced={tensor.is_coalesced()}"
        return Parts([tensor._indices(), _plain(tensor._values())], header)
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        rows = [tensor.crow_indices(), tensor.col_indices(), _plain(tensor.values())]
        return Parts(rows, str(tensor.layout))
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        columns = [tensor.ccol_indices(), tensor.row_indices(), _plain(tensor.values())]
        return Parts(columns, str(tensor.layout))
    if tensor.is_quantized:
        return _quantised(tensor)
    return Parts([_plain(tensor)])


def _nested(tensor: torch.Tensor) -> Parts:
    tensors = [_plain(part.detach()) for part in tensor.unbind()]
    return Parts(tensors, f"nested {[tuple(part.shape) for part in tensors]}")


def _subclass(tensor: torch.Tensor) -> Parts:
    """A class of which torch knows the parts, or one that is a plain tensor with more attributes."""
    name = type(tensor).__name__
    if hasattr(type(tensor), "__tensor_flatten__"):
        flatten: Any = tensor  # A protocol of traceable subclasses, unknown to the stubs.
        names, _ = flatten.__tensor_flatten__()
        inner = [parts_of(getattr(tensor, part)) for part in names]
        header = f"{name} {list(names)} {[part.header for part in inner]}"
        tensors = [item for part in inner for item in part.tensors]
        return Parts(tensors, header, f"a {name}: its tensors were read, not what else it holds")
    if type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__ or not tensor.data_ptr():
        raise UnreadError(f"a {name}, a class of tensors that seedpin does not know")
    inner_parts = parts_of(tensor.detach().as_subclass(torch.Tensor))
    return Parts(
        inner_parts.tensors, inner_parts.header, f"a {name}: its memory was read, not what else it holds"
    )


def _quantised(tensor: torch.Tensor) -> Parts:
    if tensor.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return Parts([tensor.int_repr()], f"{tensor.qscheme()} {tensor.q_scale()} {tensor.q_zero_point()}")
    scales, zeros = tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points()
    return Parts([tensor.int_repr(), scales, zeros], f"{tensor.qscheme()} {tensor.q_per_channel_axis()}")


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """A strided tensor without lazy bits, same content."""
    if tensor.layout is not torch.strided:  # oneDNN's own.
        tensor = tensor.to_dense()
    return tensor.resolve_conj().resolve_neg()


def host_array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """The bits of a plain CPU tensor in logical order; dtypes that NumPy lacks come as integers or bytes."""
    if tensor.dtype is torch.bfloat16:
        tensor = tensor.view(torch.int16)
    try:
        array = tensor.numpy()
    except (RuntimeError, TypeError):
        # float8 and its kin, for which NumPy has no dtype: their bytes are all that a hash needs.
        if tensor.dtype.itemsize == 1:
            array = tensor.view(torch.int8).numpy()
        else:
            array = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


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
