"""Settings that are in force right now: read inside a pin, because the pin changes them.

Each reader gives ``{key: (value, whether it moves bits)}``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from seedpin import blas

Settings = dict[str, tuple[str, bool]]

UNSET = "unset"

# Measured on CPU: benchmarks/cpu_bits.py, and for the last two np.exp, np.log, np.power and float32 matmul.
# oneDNN's and ATen's limits matter on accelerators too: noise is often drawn on the CPU.
_CPU_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
)
_ANY_VARIABLES = ("DIFFUSERS_ATTN_BACKEND", "XLA_FLAGS")
_CUDA_VARIABLES = (
    "CUBLASLT_WORKSPACE_SIZE",
    "CUBLAS_WORKSPACE_CONFIG",
    "DISABLE_ADDMM_CUDA_LT",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)
# Families with members of all sorts, some of them new in each release: one key holds all that are set.
_FAMILIES = {"NCCL_": ("cuda",), "PYTORCH_MPS_": ("mps",), "PYTORCH_TUNABLEOP_": ("cuda",)}
_ONLY_WORDS = ("DEBUG", "LOG", "TRACE", "VERBOSE", "WARN")  # members that say more, and compute the same

_INDUCTOR_FLAGS = (
    *(
        "batch_invariant",
        "deterministic",
        "emulate_precision_casts",
        "emulate_precision_casts_on_saved_tensors",
    ),
    *("fallback_random", "freezing", "max_autotune", "use_fast_math"),
    *("eager_numerics.disable_ftz", "eager_numerics.division_rounding"),
    "eager_numerics.use_pytorch_libdevice",
)


def variables(kind: str, environ: Mapping[str, str] = os.environ) -> Settings:
    """Environment variables that the libraries read, with the value ``unset`` where they are not set."""
    settings: Settings = {}
    for name in _ANY_VARIABLES + _CPU_VARIABLES + (_CUDA_VARIABLES if kind == "cuda" else ()):
        value = environ.get(name)
        if name == "ONEDNN_MAX_CPU_ISA":
            value = value or environ.get("DNNL_MAX_CPU_ISA")
        settings[name] = (value or UNSET, True)
    for prefix, kinds in _FAMILIES.items():
        if kind in kinds:
            settings[f"{prefix}*"] = (_members(prefix, environ), True)
    # tox and others set a new one per run, so it would excuse every change; it is shown, no more.
    settings["PYTHONHASHSEED"] = (environ.get("PYTHONHASHSEED") or UNSET, False)
    return settings


def _members(prefix: str, environ: Mapping[str, str]) -> str:
    """All that are set, ``NAME=value`` without the prefix, so that each side has the key."""
    members = {name.removeprefix(prefix): environ[name] for name in environ if name.startswith(prefix)}
    moving = (name for name in sorted(members) if not any(word in name.split("_") for word in _ONLY_WORDS))
    return " ".join(f"{name}={members[name]}" for name in moving) or UNSET


def torch_settings(kind: str) -> Settings:
    """Switches of torch that can move bits on a device of ``kind``."""
    import torch

    from seedpin import backends

    chooses, strategy = backends.read_opt_einsum()
    priority = backends.read_sdp_priority() if backends.HAS_SDP_PRIORITY else ("unknown",)
    deterministic = "off"
    if torch.are_deterministic_algorithms_enabled():
        deterministic = "warn" if torch.is_deterministic_algorithms_warn_only_enabled() else "error"
    settings: Settings = {
        "cpu_capability": (torch.backends.cpu.get_cpu_capability(), True),
        "default_dtype": (str(torch.get_default_dtype()).removeprefix("torch."), True),
        "deterministic": (deterministic, True),
        "flush_denormal": ("on" if backends.flushes_denormals() else "off", kind == "cpu"),
        "interop_threads": (str(torch.get_num_interop_threads()), False),
        # Noise and schedules are computed in NumPy for models on any device.
        "numpy_blas_threads": (str(blas.read_threads()), True),
        "mha_fastpath": (_call(getattr(torch.backends, "mha", None), "get_fastpath_enabled"), True),
        "opt_einsum": (str(strategy) if chooses else "left to right", True),
        "sdpa": (_sdpa(kind), True),
        "sdpa_priority": (" ".join(priority), True),
        "threads": (str(torch.get_num_threads()), kind == "cpu"),
    }
    if kind == "cpu":
        settings["matmul_precision"] = (_precision("mkldnn", "matmul"), True)
        settings["nnpack_enabled"] = (_call(torch._C, "_get_nnpack_enabled"), True)
        settings["onednn_enabled"] = (_read(torch.backends.mkldnn, "enabled"), True)
    if kind == "cuda":
        cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
        settings |= {
            "matmul_precision": (_precision("cuda", "matmul"), True),
            "conv_precision": (_precision("cudnn", "conv"), True),
            "cudnn_benchmark": (_read(cudnn, "benchmark"), True),
            "cudnn_deterministic": (_read(cudnn, "deterministic"), True),
            "cudnn_enabled": (_read(cudnn, "enabled"), True),
            "bf16_reduction": (_read(matmul, "allow_bf16_reduced_precision_reduction"), True),
            "fp16_reduction": (_read(matmul, "allow_fp16_reduced_precision_reduction"), True),
            "blas_library": (_call(torch.backends.cuda, "preferred_blas_library"), True),
            "linalg_library": (_call(torch.backends.cuda, "preferred_linalg_library"), True),
            "tunableop": (_tunableop(), True),
        }
        # Also where the build is not for ROCm, so that both sides have the keys.
        settings |= {
            "miopen_immediate": (_read(getattr(torch.backends, "miopen", None), "immediate"), True),
            "rocm_fa_library": (_call(torch.backends.cuda, "preferred_rocm_fa_library"), True),
        }
    return settings | _inductor()


def _sdpa(kind: str) -> str:
    """The attention back ends that are switched on; CPU attention heeds flash and math only."""
    import torch

    names = ("flash", "math") if kind == "cpu" else ("cudnn", "flash", "math", "mem_efficient")
    readers = {name: getattr(torch.backends.cuda, f"{name}_sdp_enabled", None) for name in names}
    return " ".join(name for name, read in readers.items() if read is not None and read()) or "none"


def _tunableop() -> str:
    """``off``, ``on`` (products chosen by what was timed before), or ``tuning`` (timed now)."""
    import torch

    module = getattr(torch.cuda, "tunable", None)
    if _call(module, "is_enabled") != "True":
        return "off"
    return "tuning" if _call(module, "tuning_is_enabled") == "True" else "on"


def _precision(backend: str, op: str) -> str:
    """How float32 products are computed: ``ieee``, ``tf32``, ``bf16``, ... of ``backend`` and ``op``.

    The old getters raise once the fp32_precision API of torch 2.9 was used, so they are asked only where
    that API is absent. ``none`` inherits from the back end, then from the generic setting.
    """
    import torch

    parent = getattr(torch.backends, backend)
    for owner in (getattr(parent, op, None), parent, torch.backends):
        value = _read(owner, "fp32_precision")
        if value not in ("none", "unknown"):
            return value
    if hasattr(torch.backends, "fp32_precision"):
        return "ieee"  # every level inherits: the default
    if backend == "cudnn":
        return "tf32" if torch.backends.cudnn.allow_tf32 else "ieee"
    words = {"highest": "ieee", "high": "tf32", "medium": "bf16"}
    return words.get(torch.get_float32_matmul_precision(), "unknown")


def _inductor() -> Settings:
    """Flags of the compiler, where it was imported: until then they cannot matter."""
    config = sys.modules.get("torch._inductor.config")
    if config is None:
        return {}
    flags = {f"inductor_{name.rpartition('.')[2]}": _read(config, name) for name in _INDUCTOR_FLAGS}
    return {key: (value, True) for key, value in flags.items() if value != "unknown"}


def _read(owner: Any, name: str) -> str:
    """An attribute as text; ``unknown`` where it is absent or cannot be read."""
    try:
        return str(attrgetter(name)(owner))
    except (AttributeError, RuntimeError, AssertionError):
        return "unknown"


def _call(owner: Any, name: str) -> str:
    try:
        return str(getattr(owner, name)())
    except (AttributeError, RuntimeError, AssertionError):
        return "unknown"
