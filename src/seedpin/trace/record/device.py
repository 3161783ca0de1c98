"""Fingerprints that are made on an accelerator, by integer reductions that wait for nothing.

Written for any device and tested on CPU tensors; it was not run on a GPU.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from seedpin.trace.record.sketch import GATHERED, STAGE_SAMPLES

_CHUNK = 1 << 22  # Elements per pass on a device: bounds the int64 temporaries to 32 MiB each.
_FOLD = 4096  # Device scalars held apart before they are stacked into one tensor (no synchronisation).

_INTEGER = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
# Odd 64-bit constants as signed integers: torch's int64 wraps, so does the sum, in any order.
_A, _B, _C = -7046029254386353131, -4658895280553007687, -7723592293110705685


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
    tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    if tensor.dtype is torch.bool:
        tensor = tensor.to(torch.int8)
    return tensor.contiguous().reshape(-1)


def mixed(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Two hashes as one that depends on their order, int64 on their device."""
    return (one * _A) ^ (other * _B)


class Unfetched:
    """Scalars of one device that were not fetched yet."""

    def __init__(self) -> None:
        self.slots: list[int] = []
        self._hashes: list[torch.Tensor] = []
        self._folded: list[torch.Tensor] = []
        self._sketches: dict[int, torch.Tensor] = {}

    def add(self, slot: int, digest: torch.Tensor, sketch: torch.Tensor | None) -> None:
        self.slots.append(slot)
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
        return dict(zip(self.slots, hashes, strict=True)), sketches
