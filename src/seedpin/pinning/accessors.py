"""Settings of torch and NumPy without a plain getter and setter: how to read them, and put them back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import overrides
from torch.utils import _device

from seedpin.backends import OPT_EINSUM

_OVERRIDES: Any = overrides
_DEVICE: Any = _device
_TORCH: Any = torch


@dataclass(frozen=True, slots=True)
class DefaultDevice:
    """What ``torch.set_default_device`` has set in this thread: a mode at the bottom of the function modes.

    Modes are compared by identity. Those of ``with torch.device(...)`` lie above; their own blocks end them.
    """

    mode: Any
    current: torch.device | None

    def __str__(self) -> str:
        return "cpu" if self.mode is None else str(self.mode.device)


def read_default_device() -> DefaultDevice:
    mode = getattr(_TORCH._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    return DefaultDevice(mode, _DEVICE.CURRENT_DEVICE)


def write_default_device(value: DefaultDevice) -> None:
    """Put ``value`` back without touching other modes.

    ``set_default_device`` itself refuses, or throws away, the mode of a ``with torch.device`` that is active
    outside. What the one that ends has thrown away is put back.
    """
    now = read_default_device().mode
    modes = list(_OVERRIDES._get_current_function_mode_stack())
    if now is not None and now in modes:
        modes[modes.index(now)] = getattr(now, "prev_mode", None)
    if value.mode is not None and value.mode not in modes:
        modes.insert(0, value.mode)
    try:
        _replace_modes(modes)
    except BaseException:  # a signal's, in the middle
        _replace_modes(modes)
        raise
    finally:
        _TORCH._GLOBAL_DEVICE_CONTEXT.device_context = value.mode
        _DEVICE.CURRENT_DEVICE = value.current


def _replace_modes(modes: list[Any]) -> None:
    while _TORCH._C._len_torch_function_stack():
        _OVERRIDES._pop_mode()
    for mode in modes:
        if mode is not None:
            _OVERRIDES._push_mode(mode)


def _takes_autocast(device: str) -> bool:
    try:
        torch.get_autocast_dtype(device)
    except RuntimeError:
        return False
    return True


_AUTOCAST_DEVICES = tuple(filter(_takes_autocast, ("cpu", "cuda", "xpu", "mps", "hpu", "xla")))


def read_autocast() -> tuple[Any, ...]:
    """Whether weights that were cast are kept, then (device, enabled, dtype) of each kind of device."""
    return (
        torch.is_autocast_cache_enabled(),
        *((d, torch.is_autocast_enabled(d), torch.get_autocast_dtype(d)) for d in _AUTOCAST_DEVICES),
    )


def write_autocast(value: tuple[Any, ...]) -> None:
    cache, *devices = value
    for device, enabled, dtype in devices:
        torch.set_autocast_enabled(device, enabled)
        torch.set_autocast_dtype(device, dtype)
    torch.set_autocast_cache_enabled(cache)
    torch.clear_autocast_cache()  # what was cast under the settings that end now


def read_anomaly() -> tuple[bool, bool]:
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


def write_anomaly(value: tuple[bool, bool]) -> None:
    torch.set_anomaly_enabled(*value)


def read_errstate() -> tuple[Any, Any]:
    return np.geterr(), np.geterrcall()


def write_errstate(value: tuple[Any, Any]) -> None:
    np.seterr(**value[0])
    np.seterrcall(value[1])


def write_opt_einsum(value: tuple[bool, Any]) -> None:
    """The strategy can be set only while it is enabled."""
    OPT_EINSUM.enabled = True
    OPT_EINSUM.strategy = value[1]
    OPT_EINSUM.enabled = value[0]
