"""Settings of torch for which it has no plain getter: a pin holds them, the environment records them."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch

# Older torch loads it at the first einsum. A module that is replaced in sys.modules while it loads.
OPT_EINSUM: Any = importlib.import_module("torch.backends.opt_einsum")
HAS_SDP_PRIORITY = hasattr(torch._C, "_get_sdp_priority_order")  # torch 2.7 and later


def flushes_denormals() -> bool:
    """Whether this thread's arithmetic gives 0 for numbers too small for full precision.

    torch can set it and cannot be asked; Python's own multiplication can.
    """
    half = 0.5
    return sys.float_info.min * half == 0.0


def read_opt_einsum() -> tuple[bool, Any]:
    """Whether ``torch.einsum`` chooses the order of its products, and by which strategy."""
    return OPT_EINSUM.enabled, OPT_EINSUM.strategy


def read_sdp_priority() -> tuple[str, ...]:
    """The attention back ends by name, as torch tries them; only where ``HAS_SDP_PRIORITY``."""
    core: Any = torch._C
    names = {int(value): name.lower() for name, value in core._SDPBackend.__members__.items()}
    order = core._get_sdp_priority_order()
    return tuple(names.get(int(one), str(one)).removesuffix("_attention") for one in order)
