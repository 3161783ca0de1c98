"""On which accelerators code ran: those whose allocator handed out memory meanwhile.

Frames that come back on the CPU do not tell where they were computed, and a model need not be a module.
MPS counts no allocations, so that what runs there is known from tensors and modules only.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Mapping
from typing import Any, Protocol

import torch

# Packages that bring devices which torch.accelerator does not tell of.
_OTHER_BACKENDS = frozenset({"torch_xla", "torch_directml", "torch_npu", "habana_frameworks", "poptorch"})


def allocations() -> dict[str, int]:
    """How many blocks each CUDA and XPU device has handed out so far; nothing of what was not started."""
    counts = {}
    for kind in ("cuda", "xpu"):
        backend: Any = getattr(torch, kind, None)
        if backend is None or not backend.is_initialized():
            continue
        for index in range(backend.device_count()):
            counted = backend.memory_stats(index).get("allocation.all.allocated", 0)
            counts[f"{kind}:{index}"] = int(counted)
    return counts


def has_other_devices() -> bool:
    """Whether tensors of this process can lie elsewhere than on the CPU."""
    return torch.accelerator.is_available() or not _OTHER_BACKENDS.isdisjoint(sys.modules)


def used_since(before: Mapping[str, int]) -> set[str]:
    """The devices that have handed out memory since ``before`` was counted, as ``cuda:0``.

    A count that fell was set back in between, and nobody counts anew who does not use the device.
    """
    return {name for name, count in allocations().items() if count != before.get(name, 0)}


class _LiesOn(Protocol):
    @property
    def devices_used(self) -> set[torch.device]: ...


class DeviceWatch:
    """The devices that one block used; ``used`` may be asked for during the block and after it."""

    __slots__ = ("_before", "_model", "_used")

    def __init__(self) -> None:
        self._before: dict[str, int] | None = None
        self._used: set[str] = set()
        self._model: weakref.ref[_LiesOn] | None = None

    def note_model(self, model: _LiesOn) -> None:
        """The devices of ``model``, which the block calls, count too, for as long as it is there."""
        self._model = weakref.ref(model)

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        # A model may keep the pin of its call, and is copied and pickled with it: a weak reference cannot be.
        return None, {"_before": self._before, "_used": self._used, "_model": None}

    def begin(self) -> None:
        self._before = allocations()

    def end(self) -> None:
        self._used = self.used()
        self._before = None

    def used(self) -> set[str]:
        used = self._used | (set() if self._before is None else used_since(self._before))
        model = None if self._model is None else self._model()
        if model is None or not has_other_devices():
            return used
        return used | {str(device) for device in model.devices_used if device.type not in ("cpu", "meta")}
