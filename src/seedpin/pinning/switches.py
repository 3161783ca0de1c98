"""Determinism switches: one table of what a pin of level ``strict`` or ``warn`` sets or keeps, and why."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch

from seedpin import blas
from seedpin.errors import AutotuneError
from seedpin.pinning import fp32, kernels
from seedpin.pinning.kept_switches import KEPT, is_tuning
from seedpin.pinning.restoring import run_all
from seedpin.pinning.switch import DYNAMO as DYNAMO
from seedpin.pinning.switch import INDUCTOR, STANCE, Switch, attribute, keep, late, row, to

SWITCH_LEVELS = ("strict", "warn")
LATE_MODULES = frozenset({INDUCTOR, DYNAMO, STANCE})


def _reduction(kind: str) -> Switch:
    """Reduced-precision accumulation of half types in cuBLAS; newer torch has a second flag, for split-K."""
    name = f"allow_{kind}_reduced_precision_reduction"
    matmul = torch.backends.cuda.matmul
    has_split_k = hasattr(matmul, f"{name}_split_k")

    def read() -> Any:
        allowed = getattr(matmul, name)
        return (allowed, getattr(matmul, f"{name}_split_k")) if has_split_k else allowed

    return row(
        f"matmul.{name}",
        f"cuBLAS may add up {kind} products in {kind}, in an order that depends on shape and device",
        read,
        partial(setattr, matmul, name),
        to((False, True) if has_split_k else False),
    )


def _stance_name(stance: Any) -> str:
    return str(getattr(stance, "stance", "default"))


def _held_stance(stance: Any) -> Any:
    # These take the compiled or the eager path by what was called before; others are the user's choice.
    by_history = ("eager_on_recompile", "eager_then_compile", "aot_eager_then_compile")
    return type(stance)() if _stance_name(stance) in by_history else stance


_cuda = torch.backends.cuda
_cudnn = torch.backends.cudnn
_SDPA_WHY = "its forward pass is deterministic, so the choice is the user's; which one ran moves bits"

_SET: tuple[Switch, ...] = (
    row(
        "deterministic_algorithms",
        "operations run deterministically; one that cannot raises (strict) or warns (warn)",
        # Not use_deterministic_algorithms: it imports the compiler, 1.5 s; inductor has its own rows below.
        torch.get_deterministic_debug_mode,
        torch.set_deterministic_debug_mode,
        to(2),
        warn=to(1),
    ),
    attribute(
        "fill_uninitialized_memory",
        "torch.empty gives the same values each time, so that reading it by mistake repeats",
        torch.utils.deterministic,
        "fill_uninitialized_memory",
        to(True),
    ),
    row(
        "num_threads",
        "sums are split by the number of threads on CPU; only one thread gives the same split everywhere",
        torch.get_num_threads,
        torch.set_num_threads,
        to(1),
        inherited=True,
    ),
    row(
        "numpy_blas_threads",
        "NumPy's products are split by the threads of its own BLAS, which torch's switch does not reach",
        blas.read_threads,
        blas.write_threads,
        blas.BlasThreads.single,
    ),
    row(
        "portable_kernels",
        "MKL's square root and its kin start from instructions whose bits each CPU vendor defines",
        kernels.installed,
        kernels.install,
        to(""),
        portable=keep,
    ),
    attribute(
        "mkldnn.deterministic",
        "oneDNN avoids kernels that are not",
        torch.backends.mkldnn,
        "deterministic",
        to(True),
    ),
    attribute(
        "cudnn.deterministic", "cuDNN avoids algorithms that use atomics", _cudnn, "deterministic", to(True)
    ),
    attribute(
        "cudnn.benchmark",
        "cuDNN would choose convolutions by a race, anew in each process",
        _cudnn,
        "benchmark",
        to(False),
    ),
    row(
        "float32_precision",
        "TF32 and bfloat16 shortcuts round float32 inputs, on some devices only",
        fp32.read,
        fp32.write,
        fp32.pinned,
    ),
    _reduction("fp16"),
    _reduction("bf16"),
    attribute(
        "matmul.allow_fp16_accumulation",
        "fp16 sums overflow and round by order",
        _cuda.matmul,
        "allow_fp16_accumulation",
        to(False),
        available=hasattr(torch._C, "_get_cublas_allow_fp16_accumulation"),
    ),
    row(
        "sdpa.cudnn",
        "cuDNN's attention picks its kernel at run time",
        getattr(_cuda, "cudnn_sdp_enabled", bool),
        getattr(_cuda, "enable_cudnn_sdp", bool),
        to(False),
        available=hasattr(_cuda, "cudnn_sdp_enabled"),
    ),
    row("sdpa.flash", _SDPA_WHY, _cuda.flash_sdp_enabled, _cuda.enable_flash_sdp, keep),
    row(
        "sdpa.mem_efficient", _SDPA_WHY, _cuda.mem_efficient_sdp_enabled, _cuda.enable_mem_efficient_sdp, keep
    ),
    row("sdpa.math", _SDPA_WHY, _cuda.math_sdp_enabled, _cuda.enable_math_sdp, keep),
    row(
        "sdpa.math_reduced_precision",
        "attention in plain operations would add up half types in half precision",
        getattr(_cuda, "fp16_bf16_reduction_math_sdp_allowed", bool),
        getattr(_cuda, "allow_fp16_bf16_reduction_math_sdp", bool),
        to(False),
        available=hasattr(_cuda, "fp16_bf16_reduction_math_sdp_allowed"),
    ),
    late("inductor.deterministic", "compiled code is not chosen by on-device timing", INDUCTOR, to(True)),
    late(
        "inductor.fallback_random",
        "compiled randn and dropout draw what eager ones draw",
        INDUCTOR,
        to(True),
    ),
    late(
        "dynamo.automatic_dynamic_shapes",
        "the kernel for one shape would depend on the shapes seen before",
        DYNAMO,
        to(False),
    ),
    Switch(
        "compiler.stance",
        "stances that fall back to eager make the result depend on earlier calls",
        lambda: sys.modules[STANCE]._stance,
        lambda stance: sys.modules[STANCE]._set_stance(stance),
        _held_stance,
        _held_stance,
        lambda: hasattr(sys.modules.get(STANCE), "_set_stance"),
        STANCE,
    ),
)

SWITCHES: tuple[Switch, ...] = (*_SET, *KEPT)


def available() -> list[Switch]:
    return [switch for switch in SWITCHES if switch.available()]


def snapshot() -> dict[str, Any]:
    """The value of every switch that exists now, by name."""
    return {switch.name: switch.read() for switch in available()}


def apply(level: str, before: Mapping[str, Any], profile: str | None = None) -> None:
    """Set every switch in ``before`` to what ``level`` holds under ``profile`` (None: that of the process).

    One that is right already is not touched.
    """
    for switch in available():
        if switch.name in before:
            held = switch.held(level, before[switch.name], profile)
            if held != before[switch.name]:
                switch.write(held)


def restore(values: Mapping[str, Any], *, other_thread: bool = False) -> list[str]:
    """Write every value back; what failed is returned in words, and stops nothing.

    With ``other_thread``, what each thread has for itself is left alone: it is not what was read.
    """

    def differs(switch: Switch) -> bool:
        if other_thread and switch.inherited:
            return True  # what this thread has does not tell what the next one will start with
        try:
            return bool(switch.read() != values[switch.name])
        except Exception:
            return True

    # Writing is not always free (the compiler drops caches), reading always is.
    return run_all(
        (f"switch {switch.name}", partial(switch.write, values[switch.name]))
        for switch in available()
        if switch.name in values and not (other_thread and switch.of_thread) and differs(switch)
    )


def describe() -> dict[str, str]:
    """Every switch that exists now with its value in words, for a record of the environment."""
    return {
        switch.name: _stance_name(value) if switch.module == STANCE else str(value)
        for switch, value in ((switch, switch.read()) for switch in available())
    }


_AUTOTUNE = ("max_autotune", "max_autotune_gemm", "max_autotune_pointwise")


def refuse_autotune(modules: Iterable[Any] = ()) -> None:
    """Raise AutotuneError where max-autotune is on for all compiled code or for one of ``modules``.

    It chooses kernels by a race, and the winner may differ from run to run. So does TunableOp while it tunes.
    """
    if is_tuning():
        raise _autotune_error(
            "TunableOp is on and tunes",
            "call torch.cuda.tunable.tuning_enable(False), so that it only reads results",
        )
    config = sys.modules.get(INDUCTOR)
    for name in _AUTOTUNE:
        variable = f"TORCHINDUCTOR_{name.upper()}"
        if config is None and os.environ.get(variable) == "1":
            raise _autotune_error(f"{variable}=1 is set", f"unset {variable}")
        if config is not None and getattr(config, name, False):
            raise _autotune_error(
                f"torch._inductor.config.{name} is on", f"set it to False (or unset {variable})"
            )
    for module in modules:
        get_config = getattr(module, "get_compiler_config", None)
        get_config = get_config or getattr(
            getattr(module, "_compiled_call_impl", None), "get_compiler_config", None
        )
        settings = get_config() if callable(get_config) else None
        if settings and any(settings.get(name) for name in _AUTOTUNE):
            name = type(getattr(module, "_orig_mod", module)).__name__
            raise _autotune_error(
                f"{name} is compiled with max-autotune", "compile it without mode='max-autotune'"
            )


def _autotune_error(what: str, change: str) -> AutotuneError:
    return AutotuneError(
        f"{what}: its kernels are chosen by a race, so two runs may give different bits",
        hint=f'{change}, or pin with level="warn" (--seedpin-level=warn)',
    )
