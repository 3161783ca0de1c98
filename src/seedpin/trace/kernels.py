"""Facts on the kernels that ran, as far as they can be known without a profiler."""

from __future__ import annotations

import functools
import sys
from typing import Any, Protocol

import torch

from seedpin.trace.patching import Patches

__all__ = ["KernelSink", "patch_attention", "run_facts"]


class KernelSink(Protocol):
    """What receives kernels: the recorder."""

    def watching(self) -> bool: ...

    def wants_kernel(self, name: str) -> bool: ...

    def kernel(self, name: str, value: str) -> None: ...


def run_facts() -> dict[str, str]:
    """Settings that hold for a whole run."""
    facts = {"threads": str(torch.get_num_threads()), "capability": torch.backends.cpu.get_cpu_capability()}
    if "torch._dynamo.eval_frame" in sys.modules:
        facts["dynamo"] = "loaded"
    return facts


def patch_attention(patches: Patches, sink: KernelSink) -> None:
    """Note which back end scaled_dot_product_attention takes, with torch's own choice for the arguments."""
    original = torch.nn.functional.scaled_dot_product_attention
    choose = getattr(torch, "_fused_sdp_choice", None)
    if choose is None:  # Private: without it the back end is simply not known.
        return
    names = {value.value: key.lower() for key, value in torch.nn.attention.SDPBackend.__members__.items()}

    @functools.wraps(original)
    def attention(*args: Any, **kwargs: Any) -> Any:
        if not torch.compiler.is_compiling() and sink.watching() and sink.wants_kernel("attention"):
            try:
                taken = choose(*args, **kwargs)
            except (RuntimeError, TypeError):
                taken = None
            sink.kernel("attention", names.get(int(taken), str(taken)) if taken is not None else "unknown")
        return original(*args, **kwargs)

    patches.set(torch.nn.functional, "scaled_dot_product_attention", attention)
