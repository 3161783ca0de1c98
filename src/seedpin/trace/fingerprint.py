"""Fingerprints of tensors: exact bits, and a sketch that tells how far apart two of them are.

On the host the bytes are hashed with xxh3_128. On an accelerator an integer reduction runs on the device
and its scalar stays there until ``Fingerprints.resolve``, so that no record waits for the device. The
accelerator's path is written for any device and tested on CPU tensors; it was not run on a GPU.
"""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from xxhash import xxh3_128_digest

from seedpin.trace.host import host_array, in_order, view_of
from seedpin.trace.model import Fingerprint, Sketch
from seedpin.trace.sketch import GATHERED, MODULE_SAMPLES, STAGE_SAMPLES, gather, host_sketches

__all__ = [
    "MODULE_SAMPLES",
    "STAGE_SAMPLES",
    "Fingerprints",
    "bytes_hash",
    "device_hash",
    "device_sketch",
]

_REMEMBERED = 512  # Tensors whose slot is known by identity and version, so that they are hashed once.

_SMALL = 1 << 16  # Bytes of a tensor that is copied whole, and sketched when the trace is built,
_WHOLE = 1 << 23  # as long as these copies do not exceed this many bytes in all.

_CHUNK = 1 << 22  # Elements per pass on a device: bounds the int64 temporaries to 32 MiB each.
_FOLD = 4096  # Device scalars held apart before they are stacked into one tensor (no synchronisation).

_INTEGER = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
# Odd 64-bit constants as signed integers: torch's int64 wraps, so does the sum, in any order.
_A, _B, _C = -7046029254386353131, -4658895280553007687, -7723592293110705685

_DTYPES = {
    item: str(item).removeprefix("torch.")
    for item in (getattr(torch, name) for name in dir(torch))
    if isinstance(item, torch.dtype)
}
_NATIVE: dict[object, np.dtype[Any]] = {
    torch.bfloat16: np.dtype(np.int16),
    **{
        item: np.dtype(_DTYPES[item])
        for item in (
            *(torch.float16, torch.float32, torch.float64, torch.bool, torch.uint8),
            *(torch.int8, torch.int16, torch.int32, torch.int64),
        )
    },
}
"""Dtypes whose memory is read as it is, and what NumPy calls them."""
_PLAIN_TYPES = frozenset([torch.Tensor, torch.nn.Parameter])
_UNSEEN = (RuntimeError, TypeError, ValueError, NotImplementedError, BufferError, AttributeError)


def bytes_hash(data: bytes) -> str:
    """Hash of a few bytes, 32 hex digits."""
    return xxh3_128_digest(data).hex()


def device_hash(tensor: torch.Tensor) -> torch.Tensor:
    """Position-weighted hash of the bits, a 0-dim int64 on the tensor's device; nothing synchronises.

    Integer sums wrap and do not depend on their order, so the result is the same on every device.
    """
    flat = _device_plain(tensor)
    bits = flat.view(_INTEGER[flat.element_size()])
    total = torch.zeros((), dtype=torch.int64, device=flat.device)
    for start in range(0, bits.numel(), _CHUNK):
        part = bits[start : start + _CHUNK].to(torch.int64)
        mixed = torch.arange(start, start + part.numel(), device=flat.device).mul_(_A).bitwise_xor_(part)
        mixed.mul_(_B).bitwise_xor_(mixed >> 32).mul_(_C).bitwise_xor_(mixed >> 29)
        total += mixed.sum()
    return total


def device_sketch(tensor: torch.Tensor, samples: int) -> torch.Tensor:
    """As ``host_sketches``, on the tensor's device; nothing synchronises."""
    flat = _device_plain(tensor)
    count = flat.numel()
    if not count:
        return torch.zeros(4 + samples, device=flat.device)
    size = min(count, GATHERED[samples])
    # Positions come from integers on the device: a host array would have to be copied, and waited for.
    part = flat
    if count > size:
        where = (torch.arange(size, device=flat.device) * 2 + 1) * count // (2 * size)
        part = flat.index_select(0, where)
    part = part.to(torch.float32)
    weights = (torch.arange(size, device=flat.device, dtype=torch.float32) * 0.618034 + 1.0).cos_()
    norm = (part.square().sum() * (count / size)).sqrt()
    low, high = torch.aminmax(flat if samples == STAGE_SAMPLES else part)
    abs_max = torch.maximum(high.to(torch.float32), -low.to(torch.float32))
    moments = torch.stack([norm, part.mean(), abs_max, (part * weights).sum()])
    where = (torch.arange(samples, device=flat.device) * 2 + 1) * size // (2 * samples)
    return torch.cat([moments, part.index_select(0, where)])


def _device_plain(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach()
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    tensor = tensor.resolve_conj().resolve_neg()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    if tensor.dtype is torch.bool:
        tensor = tensor.to(torch.int8)
    return tensor.contiguous().reshape(-1)


class _Kind:
    """What tensors of one dtype and shape share, and the slots of those that were seen."""

    __slots__ = ("bfloat16", "dtype", "native", "shape", "slots", "view")

    def __init__(self, dtype: object, shape: tuple[int, ...]) -> None:
        self.dtype = dtype
        self.shape = tuple(shape)
        self.native: Any = _NATIVE.get(dtype)
        self.bfloat16 = dtype is torch.bfloat16
        self.slots: dict[bytes, int] = {}
        self.view = None if self.native is None else view_of(math.prod(shape) * self.native.itemsize)


class Fingerprints:
    """Collects fingerprints, each under a slot number, and hands them out at the end.

    Equal host tensors share a slot, so that a sketch is made once; nothing keeps a tensor alive.
    """

    def __init__(self, *, device_path: bool = False) -> None:
        self._device_path = device_path
        self._kinds: dict[tuple[object, tuple[int, ...]], _Kind] = {}
        self._keys: list[tuple[bytes, _Kind] | None] = []
        self._gathered: dict[int, tuple[npt.NDArray[Any], int, int, bool]] = {}
        self._whole: set[int] = set()
        self._room = _WHOLE
        self._sketches: dict[int, list[float]] = {}
        self._recent: dict[int, tuple[weakref.ref[torch.Tensor], int, int, int]] = {}
        self._pending: dict[torch.device, _Pending] = {}
        self._labels: dict[int, tuple[str, tuple[int, ...]]] = {}
        self.unseen = 0

    def __len__(self) -> int:
        return len(self._keys)

    def tensor(self, tensor: torch.Tensor, samples: int = 0) -> int:
        """Take a tensor as it is now; ``samples`` 0 makes no sketch. Returns its slot.

        A tensor that is still the same object, storage and version is not hashed again; only an edit that
        goes around torch's version counter (``.data``, a NumPy view) between two calls would be missed.
        """
        try:
            pointer = tensor.data_ptr()
        except RuntimeError:  # Without storage.
            return self._slow(tensor, samples)
        if tensor.is_inference():  # Has no version; to ask for it takes 20 microseconds, and raises.
            return self._fresh(tensor, samples, pointer)
        version, key = tensor._version, id(tensor)
        known = self._recent.get(key)
        if known is not None and known[0]() is tensor and known[1] == version and known[2] == pointer:
            slot = known[3]
            if not samples or slot in self._gathered or self._keys[slot] is None:
                return slot
        slot = self._fresh(tensor, samples, pointer)
        if len(self._recent) >= _REMEMBERED:
            self._recent.clear()
        self._recent[key] = weakref.ref(tensor), version, pointer, slot
        return slot

    def _fresh(self, tensor: torch.Tensor, samples: int, pointer: int) -> int:
        """Hash the memory itself where it holds the bits in logical order: NumPy's view takes longer."""
        key = tensor.dtype, tensor.shape
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(*key)
        if not (
            pointer
            and kind.view is not None
            and tensor.is_cpu
            and type(tensor) in _PLAIN_TYPES
            and tensor.layout is torch.strided
            and not tensor.is_neg()
            and not self._device_path
        ):
            return self._slow(tensor, samples)
        if tensor.is_contiguous():
            memory = kind.view.from_address(pointer)
        else:
            memory = in_order(tensor, pointer, kind.native)
        digest = xxh3_128_digest(memory)
        slot = kind.slots.get(digest)
        if slot is None:
            slot = kind.slots[digest] = len(self._keys)
            self._keys.append((digest, kind))
        if samples:
            known = self._gathered.get(slot)
            if known is None or known[1] < samples:
                self._take(slot, np.frombuffer(memory, kind.native), samples, kind.bfloat16)
        return slot

    def _slow(self, tensor: torch.Tensor, samples: int) -> int:
        try:
            if tensor.device.type != "cpu" or self._device_path:
                return self._on_device(tensor, samples)
            array = host_array(tensor)
            bfloat16 = tensor.dtype is torch.bfloat16 and array.dtype == np.int16
            return self._add(array, tensor.dtype, tensor.shape, samples, bfloat16)
        except _UNSEEN:
            self.unseen += 1
            return self._label(f"{tensor.dtype}".removeprefix("torch."), tuple(tensor.shape))

    def weight(self, tensor: torch.Tensor) -> int:
        """As ``tensor``, for one that the caller remembers itself."""
        try:
            return self._fresh(tensor, 0, tensor.data_ptr())
        except RuntimeError:  # Without storage.
            return self._slow(tensor, 0)

    def array(self, array: npt.NDArray[Any], samples: int = 0) -> int:
        """Take a NumPy array as it is now. Returns its slot."""
        if array.dtype.hasobject:
            self.unseen += 1
            return self._label(str(array.dtype), array.shape)
        array = np.ascontiguousarray(array)
        return self._add(array, str(array.dtype), array.shape, samples if array.dtype.kind in "biufc" else 0)

    def _add(
        self,
        array: Any,  # An ndarray, whose stubs do not say before Python 3.12 that it is a buffer.
        dtype: object,
        shape: tuple[int, ...],
        samples: int,
        bfloat16: bool = False,
    ) -> int:
        kind = self._kinds.get((dtype, shape))
        if kind is None:
            kind = self._kinds[dtype, shape] = _Kind(dtype, shape)
        digest = xxh3_128_digest(array)
        slot = kind.slots.get(digest)
        if slot is None:
            slot = kind.slots[digest] = len(self._keys)
            self._keys.append((digest, kind))
        known = self._gathered.get(slot)
        if samples and (known is None or known[1] < samples):
            self._take(slot, array.reshape(-1), samples, bfloat16)
        return slot

    def _take(self, slot: int, flat: npt.NDArray[Any], samples: int, bfloat16: bool) -> None:
        """Keep what a sketch will be made of: all of a small tensor, as that is quicker than to choose."""
        if samples == STAGE_SAMPLES and flat.nbytes <= min(self._room, _SMALL):
            self._room -= flat.nbytes
            self._whole.add(slot)
            taken = flat.copy()
        else:
            taken = gather(flat, samples, bfloat16=bfloat16)
        self._gathered[slot] = taken, samples, flat.size, bfloat16

    def _label(self, dtype: str, shape: tuple[int, ...]) -> int:
        slot = len(self._keys)
        self._keys.append(None)
        self._labels[slot] = (dtype, shape)
        return slot

    @torch.no_grad()
    def _on_device(self, tensor: torch.Tensor, samples: int) -> int:
        if tensor.device.type == "meta":
            raise ValueError("a meta tensor has no content")
        with torch.autocast(tensor.device.type, enabled=False):
            digest = device_hash(tensor)
            sketch = device_sketch(tensor, samples) if samples else None
        slot = self._label(_DTYPES.get(tensor.dtype, str(tensor.dtype)), tuple(tensor.shape))
        self._pending.setdefault(tensor.device, _Pending()).add(slot, digest, sketch)
        return slot

    def resolve(self) -> list[Fingerprint]:
        """All fingerprints by slot; the one place that waits for a device."""
        hashes: dict[int, int] = {}
        for pending in self._pending.values():
            found, sketches = pending.fetch()
            hashes.update(found)
            self._sketches.update((slot, row.tolist()) for slot, row in sketches.items())
        self._make_sketches()
        names = {id(kind): _dtype_name(kind.dtype) for kind in self._kinds.values()}
        result = []
        for slot, key in enumerate(self._keys):
            values = self._sketches.get(slot)
            sketch = None
            if values is not None:
                norm, mean, abs_max, dot, *taken = values
                sketch = Sketch(norm, mean, abs_max, dot, tuple(taken))
            if key is not None:
                digest, kind = key
                result.append(Fingerprint(digest.hex(), names[id(kind)], kind.shape, sketch))
            else:
                dtype, shape = self._labels[slot]
                text = f"{hashes[slot] & (2**64 - 1):016x}" if slot in hashes else ""
                result.append(Fingerprint(text, dtype, shape, sketch))
        return result

    def _make_sketches(self) -> None:
        """All host sketches at once, tensors of one kind together."""
        groups: dict[tuple[str, int, int, bool], list[int]] = {}
        for slot in self._whole:
            taken, samples, count, bfloat16 = self._gathered[slot]
            self._gathered[slot] = gather(taken, samples, bfloat16=bfloat16), samples, count, bfloat16
        self._whole.clear()
        self._room = _WHOLE
        for slot, (taken, samples, _, bfloat16) in self._gathered.items():
            groups.setdefault((taken.dtype.str, taken.size, samples, bfloat16), []).append(slot)
        for (_, _, samples, bfloat16), slots in groups.items():
            rows = np.stack([self._gathered[slot][0] for slot in slots])
            counts = np.array([self._gathered[slot][2] for slot in slots], np.float32)
            sketches = host_sketches(rows, counts, samples, bfloat16=bfloat16)
            self._sketches.update(zip(slots, sketches.tolist(), strict=True))


class _Pending:
    """Scalars of one device that were not fetched yet."""

    def __init__(self) -> None:
        self._slots: list[int] = []
        self._hashes: list[torch.Tensor] = []
        self._folded: list[torch.Tensor] = []
        self._sketches: dict[int, torch.Tensor] = {}

    def add(self, slot: int, digest: torch.Tensor, sketch: torch.Tensor | None) -> None:
        self._slots.append(slot)
        self._hashes.append(digest)
        if len(self._hashes) >= _FOLD:
            self._folded.append(torch.stack(self._hashes))
            self._hashes = []
        if sketch is not None:
            self._sketches[slot] = sketch

    def fetch(self) -> tuple[dict[int, int], dict[int, npt.NDArray[np.float32]]]:
        parts = [*self._folded, *([torch.stack(self._hashes)] if self._hashes else [])]
        hashes = torch.cat(parts).tolist() if parts else []
        sketches: dict[int, npt.NDArray[np.float32]] = {}
        if self._sketches:
            rows = torch.cat(list(self._sketches.values())).cpu().numpy()
            start = 0
            for slot, row in self._sketches.items():
                sketches[slot] = rows[start : start + row.numel()].astype(np.float32)
                start += row.numel()
        return dict(zip(self._slots, hashes, strict=True)), sketches


def _dtype_name(dtype: object) -> str:
    return _DTYPES[dtype] if isinstance(dtype, torch.dtype) else str(dtype)
