"""Rows of the table of switches that a pin keeps: the user's choice, put back where the model changes it.

Each moves bits, or which operations run at all, and none makes a run differ from the next by itself; the
environment records those that move bits. The exception is TunableOp's tuning, which is turned off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from seedpin import backends
from seedpin.pinning import accessors
from seedpin.pinning.switch import INDUCTOR, Switch, attribute, keep, late, row, to

_C: Any = torch._C
_cuda: Any = torch.backends.cuda
_torch_cuda: Any = torch.cuda
_mha: Any = getattr(torch.backends, "mha", None)
_tunable: Any = getattr(torch.cuda, "tunable", None)
TUNABLE = _tunable is not None and hasattr(_C, "_cuda_tunableop_is_enabled")  # builds for CUDA and ROCm only


def _can_ask_library() -> bool:
    # For ROCm the default depends on the device, and asking for it would start the device.
    return torch.version.hip is None or bool(_torch_cuda.is_initialized())


def _library(name: str, why: str) -> Switch:
    """A library that ``torch.backends.cuda`` prefers; read and set by one function."""
    function = getattr(_cuda, f"preferred_{name}_library", None)

    def available() -> bool:
        return function is not None and _can_ask_library()

    return row(
        f"preferred_{name}_library", why, function or bool, function or bool, keep, available=available
    )


def _pair(name: str, why: str, read: str, write: str) -> Switch:
    """A switch behind two functions of ``torch._C``; absent in some releases."""
    return row(
        name, why, getattr(_C, read, bool), getattr(_C, write, bool), keep, available=hasattr(_C, read)
    )


def _of_thread(name: str, why: str, read: Callable[[], Any], write: Callable[[Any], Any]) -> Switch:
    return row(name, why, read, write, keep, of_thread=True)


def _compiled(name: str, why: str) -> Switch:
    return late(f"inductor.{name}", why, INDUCTOR, keep)


KEPT: tuple[Switch, ...] = (
    _pair(
        "sdpa.priority_order",
        "which attention back end is tried first decides which one runs",
        "_get_sdp_priority_order",
        "_set_sdp_priority_order",
    ),
    _pair(
        "sdpa.overrideable",
        "attention of back ends outside of torch; which one ran moves bits",
        "_get_overrideable_sdp_enabled",
        "_set_sdp_use_overrideable",
    ),
    _pair(
        "sdpa.flash3",
        "the third generation of flash attention computes other bits than the second",
        "_get_fa3_sdp_enabled",
        "_set_sdp_use_fa3",
    ),
    _library("blas", "cuBLAS, cuBLASLt and CK multiply matrices in another order"),
    _library("linalg", "cuSOLVER and MAGMA decompose matrices in another order"),
    _library("rocm_fa", "AOTriton and CK compute attention in another order"),
    attribute(
        "cudnn.enabled",
        "without cuDNN, convolutions run as ATen's own",
        torch.backends.cudnn,
        "enabled",
        keep,
    ),
    attribute(
        "mkldnn.enabled", "without oneDNN, CPU kernels are ATen's own", torch.backends.mkldnn, "enabled", keep
    ),
    _pair(
        "nnpack.enabled", "NNPACK has convolutions of its own", "_get_nnpack_enabled", "_set_nnpack_enabled"
    ),
    attribute(
        "miopen.immediate",
        "MIOpen picks convolutions from its database at once, or by a search",
        getattr(torch.backends, "miopen", None),
        "immediate",
        keep,
    ),
    row(
        "mha.fastpath",
        "the fast path of nn.MultiheadAttention is another kernel",
        getattr(_mha, "get_fastpath_enabled", bool),
        getattr(_mha, "set_fastpath_enabled", bool),
        keep,
        available=_mha is not None,
    ),
    row(
        "opt_einsum",
        "the strategy decides in which order torch.einsum multiplies",
        backends.read_opt_einsum,
        accessors.write_opt_einsum,
        keep,
        available=bool(backends.OPT_EINSUM.is_available()),
    ),
    row(
        "tunableop.enabled",
        "TunableOp takes the matrix kernels that its results name",
        getattr(_tunable, "is_enabled", bool),
        getattr(_tunable, "enable", bool),
        keep,
        available=TUNABLE,
    ),
    row(
        "tunableop.tuning",
        "TunableOp would choose matrix kernels by a race, anew in each process",
        getattr(_tunable, "tuning_is_enabled", bool),
        getattr(_tunable, "tuning_enable", bool),
        to(False),
        available=TUNABLE,
    ),
    row(
        "default_dtype",
        "the dtype of what a factory function makes",
        torch.get_default_dtype,
        torch.set_default_dtype,
        keep,
    ),
    _of_thread(
        "default_device",
        "the device of what a factory function makes",
        accessors.read_default_device,
        accessors.write_default_device,
    ),
    _of_thread(
        "grad_mode",
        "whether operations are recorded for the backward pass; some kernels depend on it",
        torch.is_grad_enabled,
        torch.set_grad_enabled,
    ),
    _of_thread(
        "autocast",
        "the dtype in which operations run, for each kind of device",
        accessors.read_autocast,
        accessors.write_autocast,
    ),
    _of_thread(
        "flush_denormal",
        "whether numbers too small for full precision become 0",
        backends.flushes_denormals,
        torch.set_flush_denormal,
    ),
    row(
        "anomaly_mode",
        "the backward pass checks each result for NaN, and raises",
        accessors.read_anomaly,
        accessors.write_anomaly,
        keep,
    ),
    _of_thread(
        "numpy.errstate",
        "whether NumPy raises, warns or is silent where a result overflows",
        accessors.read_errstate,
        accessors.write_errstate,
    ),
    _compiled("batch_invariant", "compiled kernels give each sample the same bits in every batch"),
    _compiled("emulate_precision_casts", "compiled half types round where eager ones round"),
    _compiled("emulate_precision_casts_on_saved_tensors", "the same, of what the backward pass reads again"),
    _compiled("use_fast_math", "compiled kernels take faster and coarser functions"),
    _compiled("freezing", "weights are folded into constants when a model is compiled"),
    _compiled("max_autotune", "kernels are chosen by a race; refused at the start of a strict pin"),
    _compiled("max_autotune_gemm", "the same, for products of matrices"),
    _compiled("max_autotune_pointwise", "the same, for elementwise kernels"),
    _compiled("eager_numerics.division_rounding", "compiled divisions round as eager ones do"),
    _compiled("eager_numerics.disable_ftz", "compiled kernels keep denormal numbers"),
    _compiled("eager_numerics.use_pytorch_libdevice", "compiled kernels take CUDA's own functions"),
)


def is_tuning() -> bool:
    """Whether TunableOp would choose kernels by a race now."""
    return bool(TUNABLE and _tunable.is_enabled() and _tunable.tuning_is_enabled())
