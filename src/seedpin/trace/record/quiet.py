"""Where the recorder's own operations must leave no mark on what the user's code has switched on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch.utils._python_dispatch import _disable_current_modes

tracing = torch._C._get_tracing_state
"""Not None while ``torch.jit.trace`` runs: what is done to a tensor now goes into the graph."""

function_modes = torch._C._len_torch_function_stack
dispatch_modes = torch._C._len_torch_dispatch_stack
"""How many modes of torch (a counter of FLOPs, a default device, a fake mode) would see what is done."""


@contextmanager
def quietly() -> Iterator[None]:
    """No mode of torch sees what is done in the block."""
    # The second only where there is a mode to disable: the block stands around each call that is watched.
    with torch._C.DisableTorchFunction(), _disable_current_modes() if dispatch_modes() else nullcontext():
        yield
