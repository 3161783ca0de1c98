from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seedpin.environment import settings, versions
from seedpin.environment.device import DeviceClass, cpu_class
from seedpin.environment.fingerprint import (
    Environment,
    EnvironmentChange,
    EnvironmentValue,
    StoredEnvironment,
    capture_environment,
    difference,
    format_difference,
    measured_in_both,
)
from seedpin.records import as_plain, as_record

CUDA = DeviceClass("cuda", "cuda-sm90-nvidia_h100_80gb_hbm3-132sm")


def environment(**values: str) -> Environment:
    """Entries that move bits, but for keys that begin with ``i_``."""
    return Environment(
        tuple(EnvironmentValue(key, value, not key.startswith("i_")) for key, value in sorted(values.items()))
    )


def test_a_capture_holds_what_can_move_bits_on_a_cpu() -> None:
    """Versions, settings, level and profile are there; CUDA's keys are not."""
    captured = capture_environment(cpu_class(), SimpleNamespace(level="strict", profile="portable"))
    moving = captured.stored().moves_bits
    assert moving["torch"] == torch.__version__
    assert (moving["level"], moving["cpu_profile"]) == ("strict", "portable")
    for key in (
        "threads",
        "numpy",
        "sdpa",
        "ATEN_CPU_CAPABILITY",
        "matmul_precision",
        "deterministic",
        "libc",
    ):
        assert key in moving
    for key in ("cuda", "cudnn", "driver", "CUBLAS_WORKSPACE_CONFIG", "xformers", "cudnn_benchmark"):
        assert captured.get(key) is None
    informative = captured.stored().informative
    assert {"python", "os", "cpu_model", "PYTHONHASHSEED", "interop_threads", "scikit-image"} <= set(
        informative
    )


def test_a_capture_for_cuda_has_cudas_keys() -> None:
    """TF32, cuDNN, cuBLAS and the attention kernels are recorded for a CUDA class."""
    moving = capture_environment(CUDA).stored().moves_bits
    for key in (
        "cuda", "cudnn", "driver", "matmul_precision", "conv_precision", "cudnn_benchmark",
        "CUBLAS_WORKSPACE_CONFIG", "flash-attn", "xformers", "triton", "bf16_reduction",
    ):  # fmt: skip
        assert key in moving
    assert "threads" not in moving


def test_settings_are_those_in_force_at_the_capture() -> None:
    """Threads, default dtype, determinism and precision follow torch, and nothing is cached."""
    before = capture_environment(cpu_class())
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    try:
        torch.set_num_threads(threads + 1)
        torch.set_default_dtype(torch.float64)
        torch.set_float32_matmul_precision("medium")
        torch.use_deterministic_algorithms(True, warn_only=True)
        inside = capture_environment(cpu_class())
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision(precision)
        torch.use_deterministic_algorithms(False)
    changed = {change.key: change.here for change in difference(before, inside) if change.golden is not None}
    changed.pop("inductor_deterministic", None)  # there once any test has imported the compiler
    assert changed == {
        "threads": str(threads + 1),
        "default_dtype": "float64",
        "matmul_precision": "bf16",
        "deterministic": "warn",
    }


def test_precision_can_be_read_after_the_new_api_was_used() -> None:
    """The old getters raise then; the capture does not ask them."""
    if not hasattr(torch.backends, "fp32_precision"):
        pytest.skip("torch without the fp32_precision API")
    matmul: Any = getattr(torch.backends.mkldnn, "matmul")  # noqa: B009
    before = matmul.fp32_precision
    try:
        matmul.fp32_precision = "bf16"
        assert capture_environment(cpu_class()).get("matmul_precision") == "bf16"
        assert capture_environment(CUDA).get("matmul_precision") == "ieee"
    finally:
        matmul.fp32_precision = before


def test_environment_variables_are_recorded_under_one_name() -> None:
    """The older DNNL_MAX_CPU_ISA counts as ONEDNN_MAX_CPU_ISA; CUDA's stay out for a CPU."""
    found = settings.variables("cpu", {"DNNL_MAX_CPU_ISA": "AVX2", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"})
    assert found["ONEDNN_MAX_CPU_ISA"] == ("AVX2", True)
    assert found["MKL_CBWR"] == ("unset", True)
    assert "CUBLAS_WORKSPACE_CONFIG" not in found
    assert settings.variables("cuda", {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"})["CUBLAS_WORKSPACE_CONFIG"][1]


def test_families_of_variables_are_one_key_on_both_sides() -> None:
    """Members that are set stand in one value, so that a variable on one side only is a difference."""
    cuda = {
        "NCCL_PROTO": "LL",
        "NCCL_ALGO": "Ring",
        "NCCL_DEBUG": "INFO",
        "PYTORCH_TUNABLEOP_ENABLED": "1",
        "PYTORCH_TUNABLEOP_VERBOSE": "2",
    }
    found = settings.variables("cuda", cuda)
    assert found["NCCL_*"] == ("ALGO=Ring PROTO=LL", True)
    assert found["PYTORCH_TUNABLEOP_*"] == ("ENABLED=1", True)
    assert settings.variables("cuda", {})["NCCL_*"] == ("unset", True)
    assert settings.variables("mps", {"PYTORCH_MPS_FAST_MATH": "1"})["PYTORCH_MPS_*"] == ("FAST_MATH=1", True)
    assert not any("*" in key for key in settings.variables("cpu", cuda))
    for key in ("CUBLASLT_WORKSPACE_SIZE", "DIFFUSERS_ATTN_BACKEND", "XLA_FLAGS"):
        assert found[key] == ("unset", True)


def test_switches_that_choose_kernels_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of attention back ends, fast paths, libraries and einsum's strategy, as they are now."""
    found = settings.torch_settings("cpu")
    assert found["mha_fastpath"] == ("True", True)
    assert found["nnpack_enabled"][0] in ("True", "False")
    assert found["opt_einsum"][0] in ("auto", "left to right")
    if hasattr(torch._C, "_get_sdp_priority_order"):
        assert found["sdpa_priority"][0].split()[:3] == ["flash", "efficient", "math"]
    monkeypatch.setattr(torch.backends.mha, "_is_fastpath_enabled", False)
    assert settings.torch_settings("cpu")["mha_fastpath"] == ("False", True)
    cuda = settings.torch_settings("cuda")
    assert cuda["tunableop"] == ("off", True)
    for key in ("blas_library", "linalg_library", "rocm_fa_library", "miopen_immediate", "cudnn_enabled"):
        assert key in cuda


def test_denormal_numbers_that_are_flushed_are_seen() -> None:
    """torch has no getter for it."""
    assert settings.torch_settings("cpu")["flush_denormal"] == ("off", True)
    if not torch.set_flush_denormal(True):
        pytest.skip("this CPU cannot flush them")
    try:
        assert settings.torch_settings("cpu")["flush_denormal"] == ("on", True)
    finally:
        torch.set_flush_denormal(False)


def test_flags_of_the_compiler_are_recorded_once_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch invariance and flags of numerics, nested ones by their own name; none before the import."""
    config = SimpleNamespace(batch_invariant=True, eager_numerics=SimpleNamespace(division_rounding=True))
    monkeypatch.setitem(sys.modules, "torch._inductor.config", config)
    found = settings.torch_settings("cpu")
    assert found["inductor_batch_invariant"] == ("True", True)
    assert found["inductor_division_rounding"] == ("True", True)
    assert "inductor_use_fast_math" not in found  # a release that lacks it
    monkeypatch.delitem(sys.modules, "torch._inductor.config")
    assert not any(key.startswith("inductor") for key in settings.torch_settings("cpu"))


def test_a_package_counts_under_whatever_name_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuBLAS has another distribution for each CUDA release, and one key."""
    installed = {"nvidia-cublas-cu12": "12.8.4.1"}
    monkeypatch.setattr(versions, "package_version", lambda name: installed.get(name, versions.ABSENT))
    assert versions.first_version(*versions.ACCELERATOR_PACKAGES["nvidia-cublas"]) == "12.8.4.1"
    assert versions.first_version(*versions.ACCELERATOR_PACKAGES["flashinfer"]) == versions.ABSENT
    named = {*versions.PACKAGES, *versions.ACCELERATOR_PACKAGES}
    assert named >= {
        *("apache-tvm-ffi", "bitsandbytes", "flash-attn-4", "flashinfer", "jax", "kernels", "nvidia-cublas"),
        *("nvidia-cutlass-dsl", "peft", "quack-kernels", "sageattention", "torchao", "transformer-engine"),
    }


def test_keys_of_a_canary_are_compared_where_both_sides_have_them() -> None:
    """Another definition, or no canary, says nothing; in words, a table names what was computed."""
    golden = environment(
        **{"canary.sqrt.float32": "1:a", "canary.exp.float32": "1:a", "canary.fft.float32": "1:a"}
    )
    here = environment(**{"canary.sqrt.float32": "1:b", "canary.exp.float32": "2:b"})
    changes = difference(golden, here)
    assert changes == (EnvironmentChange("canary.sqrt.float32", "1:a", "1:b", True),)
    assert format_difference(changes).splitlines()[1] == "sqrt in float32  1:a     1:b"
    assert difference(golden, environment()) == ()
    assert difference(golden, environment(**{"canary.sqrt.float32": "1:n/a"})) == ()
    assert measured_in_both(golden, environment()) is None
    assert measured_in_both(golden, golden) == 3


def test_the_hash_seed_excuses_nothing() -> None:
    """It is new in every run of some tools, so it is informative."""
    assert settings.variables("cpu", {"PYTHONHASHSEED": "17"})["PYTHONHASHSEED"] == ("17", False)


def test_configured_packages_move_bits() -> None:
    """A package that the user names is recorded, also when it is not installed."""
    captured = capture_environment(cpu_class(), packages=("sageattention", "pluggy"))
    assert captured.get("sageattention") == "not installed"
    assert "pluggy" in captured.stored().moves_bits


def test_an_environment_survives_json_with_entries_it_does_not_know() -> None:
    """What another seedpin wrote is kept, and keys are sorted."""
    captured = capture_environment(cpu_class())
    data = json.loads(json.dumps(as_plain(captured.stored())))
    assert Environment.of(as_record(StoredEnvironment, data)) == captured
    data["moves_bits"]["a_key_of_tomorrow"] = "7"
    again = Environment.of(as_record(StoredEnvironment, data))
    assert again.get("a_key_of_tomorrow") == "7"
    assert list(again.stored().moves_bits) == sorted(again.stored().moves_bits)


def test_a_difference_lists_what_moves_bits_first() -> None:
    """Equal keys are left out; a key that only one side has is informative."""
    golden = environment(torch="2.12.0", numpy="2.4", i_os="Linux 6.1", gone="x")
    here = environment(torch="2.13.0", numpy="2.4", i_os="Linux 6.8", added="y")
    assert difference(golden, here) == (
        EnvironmentChange("torch", "2.12.0", "2.13.0", True),
        EnvironmentChange("added", None, "y", False),
        EnvironmentChange("gone", "x", None, False),
        EnvironmentChange("i_os", "Linux 6.1", "Linux 6.8", False),
    )
    assert difference(golden, golden) == ()


def test_a_difference_prints_as_an_aligned_table() -> None:
    """Columns are aligned and informative keys stand in brackets."""
    changes = (
        EnvironmentChange("torch", "2.12.0", "2.13.0", True),
        EnvironmentChange("os", "Linux 6.1", None, False),
    )
    assert format_difference(changes) == (
        "       golden     here\n"
        "torch  2.12.0     2.13.0\n"
        "(os)   Linux 6.1  not recorded"
    )  # fmt: skip
    assert format_difference(()) == ""


def test_versions_of_mkl_and_onednn_are_read_from_the_build() -> None:
    """The lines that torch prints are parsed; an absent library has no entry."""
    text = (
        "  - Intel(R) oneAPI Math Kernel Library Version 2024.2-Product Build 20240605 for Intel(R) 64\n"
        "  - Intel(R) MKL-DNN v3.12.0 (Git Hash 80afa71)\n"
    )
    assert versions.parse_build(text) == {"mkl": "2024.2", "onednn": "3.12.0"}
    assert versions.parse_build("PyTorch built with:\n  - GCC 13.3") == {}


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023",
            "535.104.05",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build", "570.86.15"),
        ("something else", None),
    ],
)
def test_the_driver_version_is_read_without_a_process(text: str, version: str | None) -> None:
    """Both kernel modules write it in one line."""
    assert versions.parse_driver(text) == version
