"""Facts on the kernels that ran, as far as they can be known without a profiler."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch

from seedpin.trace.record.patching import Patches, wrapped_like
from seedpin.trace.record.watch import Live

if TYPE_CHECKING:
    from seedpin.trace.record.recorder import Recorder


def run_facts() -> dict[str, str]:
    """Settings that hold for a whole run."""
    facts = {"threads": str(torch.get_num_threads()), "capability": torch.backends.cpu.get_cpu_capability()}
    if "torch._dynamo.eval_frame" in sys.modules:
        facts["dynamo"] = "loaded"
    return facts


def patch_attention(patches: Patches, live: Live) -> None:
    """Note which back end scaled_dot_product_attention takes, with torch's own choice for the arguments."""
    original = torch.nn.functional.scaled_dot_product_attention
    choose = getattr(torch, "_fused_sdp_choice", None)
    if choose is None:  # Private: without it the back end is simply not known.
        return
    names = {value.value: key.lower() for key, value in torch.nn.attention.SDPBackend.__members__.items()}

    def look(recorder: Recorder, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            taken = choose(*args, **kwargs)
        except (RuntimeError, TypeError):
            taken = None
        recorder.kernel("attention", names.get(int(taken), str(taken)) if taken is not None else "unknown")

    def attention(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        recorder = live.recorder
        if recorder is not None and recorder.watching() and recorder.wants_kernel("attention"):
            recorder.guarded("attention", look, recorder, args, kwargs)
        return original(*args, **kwargs)

    name = "scaled_dot_product_attention"
    patches.set(torch.nn.functional, name, wrapped_like(attention, original, name, "torch.nn.functional"))
