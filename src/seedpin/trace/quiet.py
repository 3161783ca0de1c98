"""Where the recorder's own operations must leave no mark on what the user's code has switched on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch.utils._python_dispatch import _disable_current_modes

__all__ = ["disturbed", "quietly", "tracing"]

tracing = torch._C._get_tracing_state
"""Not None while ``torch.jit.trace`` runs: what is done to a tensor now goes into the graph."""

_functions = torch._C._len_torch_function_stack
_dispatches = torch._C._len_torch_dispatch_stack


def disturbed() -> bool:
    """Whether a mode of torch (a counter of FLOPs, a default device, a fake mode) would see what is done."""
    return bool(_functions() or _dispatches())


@contextmanager
def quietly() -> Iterator[None]:
    """No mode of torch sees what is done in the block."""
    with torch._C.DisableTorchFunction(), _disable_current_modes() if _dispatches() else nullcontext():
        yield
