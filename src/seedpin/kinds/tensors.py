"""The kind of ``golden_tensors``: latents, embeddings, logits; named tensors of any shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from seedpin.clip.codec import RESTORE, read_bytes, reason_of
from seedpin.clip.digest import tensor_digest
from seedpin.clip.suspect import Suspicion
from seedpin.compare.tensors import TensorMetrics, compare_tensors, tensor_facts
from seedpin.errors import (
    DamagedGoldenError,
    EmptyClipError,
    GoldenError,
    NonFiniteClipError,
    UnsupportedClipError,
)
from seedpin.kinds.base import Kind, Range
from seedpin.records import Facts

if TYPE_CHECKING:
    import torch

Tensors: TypeAlias = "Mapping[str, torch.Tensor]"

_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "U16": "uint16",
    "I32": "int32",
    "U32": "uint32",
    "I64": "int64",
    "U64": "uint64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
}


class TensorKind(Kind[Tensors]):
    """A tensor or array (then called ``tensor``), or a dict of them by name; any shape.

    ``adapt`` raises UnsupportedClipError for something else, EmptyClipError for no tensor or one without
    values, NonFiniteClipError for NaN or infinity in a floating tensor.
    """

    name = "tensors"
    role = "tensors"
    extensions = frozenset({"safetensors"})
    opens = frozenset({".safetensors"})
    fixtures = ("tensors",)
    word = "tensor"
    ordered = False

    def adapt(self, obj: object, fixture: str = "", **how: Any) -> Tensors:
        return _named(obj, **how)

    def open(self, path: Path) -> Tensors:
        return decode_tensors(path)

    def facts(self, value: Tensors) -> Facts:
        return tensor_facts(value)

    def items(self, value: Tensors) -> Sequence[Any]:
        return [value[name] for name in sorted(value)]

    def names(self, value: Tensors) -> tuple[str, ...]:
        return tuple(sorted(value))

    def digests(self, value: Tensors) -> tuple[str, ...]:
        return tuple(_digest_of(name, value[name]) for name in sorted(value))

    def guess_facts(self, obj: object, error: Exception, **how: Any) -> Facts:
        entries = obj if isinstance(obj, Mapping) else {"tensor": obj}
        return tensor_facts({str(name): value for name, value in entries.items()})

    def encode(self, value: Tensors) -> tuple[str, bytes]:
        return "safetensors", encode_tensors(value)

    def decode(
        self, source: str | PathLike[str] | bytes, extension: str, facts: Facts, value_range: Range | None
    ) -> Tensors:
        return decode_tensors(source)

    def count(self, facts: Facts) -> object:
        return len(facts)

    def verify(
        self,
        source: str | PathLike[str],
        extension: str,
        facts: Facts,
        value_range: Range | None,
        digests: tuple[str, ...],
    ) -> tuple[Suspicion, ...] | None:
        """Without torch, whose import takes longer than all the rest of ``seedpin verify``."""
        from safetensors import SafetensorError, deserialize

        data, what = read_bytes(source)
        try:
            entries = sorted(deserialize(data), key=lambda entry: entry[0])  # type: ignore[no-untyped-call]
        except SafetensorError as error:
            raise DamagedGoldenError(f"{what} cannot be decoded: {error}", hint=RESTORE) from error
        there, shapes, suspect = [], {}, []
        for name, entry in entries:
            dtype = _DTYPES.get(str(entry["dtype"]), str(entry["dtype"]))
            shape = tuple(int(size) for size in entry["shape"])
            values = np.frombuffer(bytes(entry["data"]), np.uint8)
            there.append(tensor_digest(str(name), dtype, shape, values))
            shapes[str(name)] = {"shape": list(shape), "dtype": dtype}
            if values.size > 1 and not values.any():
                suspect.append(Suspicion("zero", f"{name} is all zeros"))
        return tuple(suspect) if tuple(there) == digests and shapes == facts else None

    def compare(self, golden: Tensors, obtained: Tensors) -> TensorMetrics:
        return compare_tensors(golden, obtained)

    def suspicions(self, value: Tensors) -> tuple[Suspicion, ...]:
        flat = [name for name, tensor in value.items() if tensor.numel() > 1 and not tensor.any()]
        return tuple(Suspicion("zero", f"{name} is all zeros") for name in flat)


TENSORS = TensorKind()


def _named(obj: object) -> dict[str, torch.Tensor]:
    import torch

    entries = dict(obj) if isinstance(obj, Mapping) else {"tensor": obj}
    if not entries:
        raise EmptyClipError("an empty dict was given: there are no tensors", hint="pass at least one tensor")
    tensors = {}
    for name, value in entries.items():
        where = f"tensor {name!r}"
        if hasattr(value, "__array__") and not isinstance(value, torch.Tensor):
            value = torch.from_numpy(np.array(value))
        if not isinstance(value, torch.Tensor):
            raise UnsupportedClipError(
                f"{where} is a {type(value).__name__}",
                hint="golden_tensors takes a tensor, an array, or a dict of them by name",
            )
        value = value.detach().cpu()
        if value.numel() == 0:
            raise EmptyClipError(f"{where} of shape {tuple(value.shape)} is empty", hint="check the model")
        if value.is_floating_point() or value.is_complex():
            bad = int((~torch.isfinite(value)).sum())
            if bad:
                raise NonFiniteClipError(
                    f"{where} holds {bad} NaN or infinite value(s) of {value.numel()}",
                    hint="look for the operation that gave them",
                )
        tensors[str(name)] = value.contiguous()
    return tensors


def _digest_of(name: str, tensor: torch.Tensor) -> str:
    import torch

    raw = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
    return tensor_digest(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), raw)


def encode_tensors(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Named tensors as safetensors; the order of names does not matter, values and dtypes are kept.

    Raises EmptyClipError for none, UnsupportedClipError for what the format cannot hold.
    """
    import torch
    from safetensors.torch import save

    if not tensors:
        raise EmptyClipError("there are no tensors to keep", hint="pass at least one named tensor")
    plain: dict[str, torch.Tensor] = {}
    for name in sorted(tensors):
        tensor = tensors[name]
        if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided or tensor.is_meta:
            raise UnsupportedClipError(
                f"{name!r} is a {type(tensor).__name__} without plain values",
                hint="pass dense torch tensors that hold data",
            )
        # The format refuses views and shared memory.
        host = tensor.detach().cpu().resolve_conj().resolve_neg()
        plain[name] = host.contiguous().clone()
    try:
        data = save(plain)
    except Exception as error:
        raise UnsupportedClipError(
            f"tensors {', '.join(map(repr, plain))} cannot be kept: {reason_of(error)}",
            hint="convert them to a dtype that safetensors holds",
        ) from error
    back = decode_tensors(data)
    if not all(_same_tensor(back[name], plain[name]) for name in plain):
        raise GoldenError(
            "the tensors did not come back bit for bit; nothing was written", hint="report this"
        )
    return data


def decode_tensors(source: str | PathLike[str] | bytes) -> dict[str, torch.Tensor]:
    """The named tensors in ``source``, a path or the bytes themselves. Raises DamagedGoldenError."""
    from safetensors.torch import load

    data, what = read_bytes(source)
    try:
        return load(data)
    except Exception as error:
        raise DamagedGoldenError(f"{what} cannot be decoded: {reason_of(error)}", hint=RESTORE) from error


def _same_tensor(left: torch.Tensor, right: torch.Tensor) -> bool:
    import torch

    if (left.dtype, left.shape) != (right.dtype, right.shape):
        return False
    return bool(torch.equal(left.reshape(-1).view(torch.uint8), right.reshape(-1).view(torch.uint8)))
