"""Fingerprints of tensors: exact bits, and a sketch that tells how far apart two of them are.

On the host the bytes are hashed with xxh3_128. On an accelerator an integer reduction runs on the device
and its scalar stays there until ``Fingerprints.resolve``, so that no record waits for the device. The
accelerator's path is written for any device and tested on CPU tensors; it was not run on a GPU.
"""

from __future__ import annotations

import math
import weakref
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from xxhash import xxh3_128_digest

from seedpin.trace.model import Fingerprint, Sketch
from seedpin.trace.record.device import Unfetched, device_hash, device_sketch, mixed
from seedpin.trace.record.host import Parts, UnreadError, host_array, in_order, parts_of, view_of
from seedpin.trace.record.sketch import STAGE_SAMPLES, gather, host_sketches

_REMEMBERED = 512  # Tensors whose slot is known by identity and version, so that they are hashed once.

_SMALL = 1 << 16  # Bytes of a tensor that is copied whole, and sketched when the trace is built,
_WHOLE = 1 << 23  # as long as these copies do not exceed this many bytes in all.

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
# By exact class: of any other, even `data_ptr` may be the user's own code.
_PLAIN_TYPES = frozenset([torch.Tensor, torch.nn.Parameter])


def bytes_hash(data: bytes) -> str:
    """Hash of a few bytes, 32 hex digits."""
    return xxh3_128_digest(data).hex()


class _TensorSpec:
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
        self._specs: dict[tuple[object, tuple[int, ...]], _TensorSpec] = {}
        self._keys: list[tuple[bytes, _TensorSpec] | None] = []
        self._gathered: dict[int, tuple[npt.NDArray[Any], int, int, bool]] = {}
        self._whole: set[int] = set()
        self._room = _WHOLE
        self._sketches: dict[int, list[float]] = {}
        self._recent: dict[int, tuple[weakref.ref[torch.Tensor], int, int, int]] = {}
        self._unfetched: dict[torch.device, Unfetched] = {}
        self._labels: dict[int, tuple[str, tuple[int, ...], str, str]] = {}
        self.unread: Counter[str] = Counter()
        """How many tensors and arrays were not read, or only in part, by reason."""

    def __len__(self) -> int:
        return len(self._keys)

    def tensor(self, tensor: torch.Tensor, samples: int = 0) -> int:
        """Take a tensor as it is now; ``samples`` 0 makes no sketch. Returns its slot.

        A tensor that is still the same object, storage and version is not hashed again; only an edit that
        goes around torch's version counter (a write through a NumPy view) between two calls would be missed.
        """
        if type(tensor) not in _PLAIN_TYPES:
            return self._slow(tensor, samples)
        try:
            pointer = tensor.data_ptr()
            if tensor.is_inference():  # Has no version; to ask for it takes 20 microseconds, and raises.
                return self._fresh(tensor, samples, pointer)
            version, key = tensor._version, id(tensor)
            # All three, as none is enough: an id is given anew, an edit in place moves the version alone, and
            # `tensor.data = other` the address alone.
            known = self._recent.get(key)
            if known is not None and known[0]() is tensor and known[1] == version and known[2] == pointer:
                slot = known[3]
                sketched = self._gathered.get(slot)
                if not samples or self._keys[slot] is None or (sketched and sketched[1] >= samples):
                    return slot
            slot = self._fresh(tensor, samples, pointer)
            if len(self._recent) >= _REMEMBERED:
                # At once and not by age: it is there for a tensor that goes from one module to the next.
                self._recent.clear()
            self._recent[key] = weakref.ref(tensor), version, pointer, slot
            return slot
        except RuntimeError:  # Without storage (sparse, torch.func), or without a shape (nested).
            return self._slow(tensor, samples)

    def _fresh(self, tensor: torch.Tensor, samples: int, pointer: int) -> int:
        """Hash the memory itself where it holds the bits in logical order: NumPy's view takes longer."""
        key = tensor.dtype, tensor.shape
        spec = self._specs.get(key)
        if spec is None:
            spec = self._specs[key] = _TensorSpec(*key)
        if not (
            pointer
            and spec.view is not None
            and tensor.is_cpu
            and tensor.layout is torch.strided
            and not tensor.is_neg()
            and not self._device_path
        ):
            return self._slow(tensor, samples)
        if tensor.is_contiguous():
            memory = spec.view.from_address(pointer)
        else:
            memory = in_order(tensor, pointer, spec.native)
        digest = xxh3_128_digest(memory)
        slot = spec.slots.get(digest)
        if slot is None:
            slot = spec.slots[digest] = len(self._keys)
            self._keys.append((digest, spec))
        if samples:
            known = self._gathered.get(slot)
            if known is None or known[1] < samples:
                self._take(slot, np.frombuffer(memory, spec.native), samples, spec.bfloat16)
        return slot

    def _slow(self, tensor: torch.Tensor, samples: int) -> int:
        """Any other tensor: of an accelerator, of another layout or class. Never raises."""
        try:
            # What is done to read it is no part of the model: no mode and no graph shall see it.
            with torch._C.DisableTorchFunction(), torch.no_grad():
                parts = parts_of(tensor)
                if parts.unread:
                    self.unread[parts.unread] += 1
                if tensor.device.type != "cpu" or self._device_path:
                    return self._on_device(tensor, parts, samples)
                return self._on_host(tensor, parts, samples)
        except UnreadError as why:
            return self._not_read(tensor, str(why))
        except Exception as error:  # A class of tensors may raise anything.
            return self._not_read(tensor, f"{type(error).__name__}: {error}".splitlines()[0][:120])

    def _on_host(self, tensor: torch.Tensor, parts: Parts, samples: int) -> int:
        arrays = [host_array(part) for part in parts.tensors]
        if len(arrays) == 1 and not parts.header and not parts.unread:
            bfloat16 = tensor.dtype is torch.bfloat16 and arrays[0].dtype == np.int16
            known = arrays[0].dtype.kind in "biufc"
            return self._add(arrays[0], tensor.dtype, tensor.shape, samples if known else 0, bfloat16)
        digests = [
            f"{array.dtype} {array.shape} {xxh3_128_digest(array).hex()}"  # type: ignore[arg-type]
            for array in arrays
        ]
        text = "\n".join([parts.header, *digests])
        return self._label(_name(tensor), _shape(tensor), parts.unread, bytes_hash(text.encode()))

    def _not_read(self, tensor: torch.Tensor, why: str) -> int:
        self.unread[why] += 1
        return self._label(_name(tensor), _shape(tensor), why)

    def weight(self, tensor: torch.Tensor) -> int:
        """As ``tensor``, for one that the caller remembers itself."""
        if type(tensor) not in _PLAIN_TYPES:
            return self._slow(tensor, 0)
        try:
            return self._fresh(tensor, 0, tensor.data_ptr())
        except RuntimeError:  # Without storage.
            return self._slow(tensor, 0)

    def array(self, array: npt.NDArray[Any], samples: int = 0) -> int:
        """Take a NumPy array as it is now. Returns its slot."""
        why = "an array of objects" if array.dtype.hasobject else ""
        if isinstance(array, np.ma.MaskedArray):
            why = "a masked array"
        if why:
            self.unread[why] += 1
            return self._label(str(array.dtype), array.shape, why)
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
        spec = self._specs.get((dtype, shape))
        if spec is None:
            spec = self._specs[dtype, shape] = _TensorSpec(dtype, shape)
        digest = xxh3_128_digest(array)
        slot = spec.slots.get(digest)
        if slot is None:
            slot = spec.slots[digest] = len(self._keys)
            self._keys.append((digest, spec))
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

    def _label(self, dtype: str, shape: tuple[int, ...], unread: str = "", digest: str = "") -> int:
        slot = len(self._keys)
        self._keys.append(None)
        self._labels[slot] = dtype, shape, unread, digest
        return slot

    def _on_device(self, tensor: torch.Tensor, parts: Parts, samples: int) -> int:
        with torch.autocast(tensor.device.type, enabled=False):
            digest = device_hash(parts.tensors[0])
            for part in parts.tensors[1:]:
                digest = mixed(digest, device_hash(part))
            if parts.header:
                digest ^= int.from_bytes(xxh3_128_digest(parts.header.encode())[:7], "little")
            sketch = self._device_sketch(parts, samples)
        slot = self._label(_name(tensor), _shape(tensor), parts.unread)
        self._unfetched.setdefault(tensor.device, Unfetched()).add(slot, digest, sketch)
        return slot

    @staticmethod
    def _device_sketch(parts: Parts, samples: int) -> torch.Tensor | None:
        if not samples or len(parts.tensors) != 1 or parts.header:
            return None
        try:
            return device_sketch(parts.tensors[0], samples)
        except (RuntimeError, NotImplementedError):  # A dtype without arithmetic, as float8.
            return None

    def spec_of(self, slot: int) -> tuple[str, tuple[int, ...]]:
        """Dtype and shape of what a slot holds; nothing is read for it, and no device is waited for."""
        key = self._keys[slot]
        if key is None:
            dtype, shape, *_ = self._labels[slot]
            return dtype, shape
        return _dtype_name(key[1].dtype), key[1].shape

    def resolve(self) -> list[Fingerprint]:
        """All fingerprints by slot; the one place that waits for a device."""
        hashes: dict[int, int] = {}
        lost: dict[int, str] = {}
        for unfetched in self._unfetched.values():
            try:
                fetched, sketches = unfetched.fetch()
            except RuntimeError as error:  # The device failed meanwhile: what waited there is not known.
                lost |= dict.fromkeys(unfetched.slots, f"{type(error).__name__} on the device")
                continue
            hashes.update(fetched)
            self._sketches.update((slot, row.tolist()) for slot, row in sketches.items())
        self._make_sketches()
        names = {id(spec): _dtype_name(spec.dtype) for spec in self._specs.values()}
        result = []
        for slot, key in enumerate(self._keys):
            values = self._sketches.get(slot)
            sketch = None
            if values is not None:
                norm, mean, abs_max, dot, *taken = values
                sketch = Sketch(norm, mean, abs_max, dot, tuple(taken))
            if key is not None:
                digest, spec = key
                result.append(Fingerprint(digest.hex(), names[id(spec)], spec.shape, sketch))
            else:
                dtype, shape, unread, text = self._labels[slot]
                if slot in hashes:
                    text = f"{hashes[slot] & (2**64 - 1):016x}"
                result.append(Fingerprint(text, dtype, shape, sketch, unread or lost.get(slot, "")))
        return result

    def _make_sketches(self) -> None:
        """All host sketches at once, tensors of one spec together."""
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


def _name(tensor: torch.Tensor) -> str:
    return _dtype_name(tensor.dtype)


def _shape(tensor: torch.Tensor) -> tuple[int, ...]:
    """The shape; -1 for a size that is no number, empty where the tensor has none."""
    try:
        return tuple([size if type(size) is int else -1 for size in tensor.shape])
    except Exception:  # Nested and uninitialised tensors, and classes of the user's.
        return ()


def _dtype_name(dtype: object) -> str:
    return _DTYPES.get(dtype, str(dtype)) if isinstance(dtype, torch.dtype) else str(dtype)
