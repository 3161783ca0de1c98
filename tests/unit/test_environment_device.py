from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from seedpin.environment import cpu as cpu_module
from seedpin.environment.cpu import CpuInfo, onednn_level, onednn_limit, parse_cpuinfo, parse_sysctl, slug
from seedpin.environment.device import (
    DeviceClass,
    cpu_class,
    cpu_class_of,
    cuda_class_of,
    device_class,
    named_class,
    xpu_class_of,
)
from seedpin.errors import ConfigError, DeviceUnavailableError

AVX2 = frozenset({"sse4_1", "avx", "avx2", "fma"})
AVX512 = AVX2 | {"avx512f", "avx512bw", "avx512vl", "avx512dq"}
ZEN4 = AVX512 | {"avx512_vnni", "avx512_bf16"}
GRANITE = ZEN4 | {"avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"}


def intel(flags: frozenset[str], vendor: str = "intel") -> CpuInfo:
    return CpuInfo("x86_64", vendor, "Some CPU @ 2.0GHz", flags)


def gpu(name: str, major: int = 9, minor: int = 0, units: int = 132) -> SimpleNamespace:
    return SimpleNamespace(name=name, major=major, minor=minor, multi_processor_count=units)


@pytest.mark.parametrize(
    ("vendor", "flags", "aten", "environ", "name"),
    [
        ("intel", GRANITE, "AVX512", {}, "cpu-x86_64-intel-avx512-amx"),
        ("intel", GRANITE | {"amx_fp16"}, "AVX512", {}, "cpu-x86_64-intel-avx512-amx_fp16"),
        ("amd", ZEN4, "AVX512", {}, "cpu-x86_64-amd-avx512-bf16"),
        ("intel", AVX512, "AVX512", {}, "cpu-x86_64-intel-avx512"),
        ("intel", AVX512 | {"avx512_vnni"}, "AVX512", {}, "cpu-x86_64-intel-avx512"),
        ("amd", AVX2, "AVX2", {}, "cpu-x86_64-amd-avx2"),
        ("intel", GRANITE, "AVX2", {}, "cpu-x86_64-intel-avx2-amx"),
        ("intel", GRANITE, "AVX512", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "cpu-x86_64-intel-avx512-avx2"),
        (
            "intel",
            GRANITE,
            "AVX512",
            {"DNNL_MAX_CPU_ISA": "avx512_core_bf16"},
            "cpu-x86_64-intel-avx512-bf16",
        ),
        ("intel", GRANITE, "AVX512", {"ONEDNN_MAX_CPU_ISA": "bogus"}, "cpu-x86_64-intel-avx512-amx"),
    ],
)
def test_an_x86_class_names_vendor_capability_and_what_moves_bits(
    vendor: str, flags: frozenset[str], aten: str, environ: dict[str, str], name: str
) -> None:
    """The name holds the instruction sets that move bits, under the limits set, and no other."""
    assert cpu_class_of(intel(flags, vendor), aten, environ).name == name


def test_the_portable_class_is_one_for_all_x86_cpus() -> None:
    """Under the portable profile Intel and AMD, with and without AVX-512, are one class."""
    names = {
        cpu_class_of(intel(flags, vendor), "AVX2", {}, portable=True).name
        for flags, vendor in ((AVX2, "amd"), (GRANITE, "intel"))
    }
    assert names == {"cpu-x86_64-portable"}
    if cpu_module.architecture() == "x86_64":
        assert cpu_class("portable").name == "cpu-x86_64-portable"


def test_arm_classes_carry_the_brand_and_never_claim_to_be_portable() -> None:
    """Where no portable profile exists the native class is given."""
    apple = CpuInfo("arm64", "apple", "Apple M2", frozenset())
    assert cpu_class_of(apple, "DEFAULT", {}, portable=True).name == "cpu-arm64-apple_m2"
    graviton = parse_cpuinfo(
        "CPU implementer\t: 0x41\nCPU part\t: 0xd40\nFeatures\t: fp asimd sve\n", "arm64"
    )
    assert cpu_class_of(graviton, "SVE256", {}).name == "cpu-arm64-impl_0x41_part_0xd40-sve256"
    assert "sve" in graviton.flags


def test_cpuinfo_of_the_first_processor_is_read() -> None:
    """Vendor, brand and flags come from the first block."""
    text = (
        "processor : 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9B45\nflags\t\t: fpu avx2 fma\n\n"
        "processor : 1\nvendor_id\t: GenuineIntel\nflags : none\n"
    )
    assert parse_cpuinfo(text, "x86_64") == CpuInfo(
        "x86_64", "amd", "AMD EPYC 9B45", frozenset({"fpu", "avx2", "fma"})
    )


def test_sysctl_names_features_as_linux_does() -> None:
    """macOS writes AVX1.0 and SSE4.1 where Linux writes avx and sse4_1."""
    values = {
        "machdep.cpu.vendor": "GenuineIntel",
        "machdep.cpu.brand_string": "Intel(R) Core(TM) i7",
        "machdep.cpu.features": "SSE4.1 AVX1.0 FMA",
        "machdep.cpu.leaf7_features": "AVX2",
    }
    info = parse_sysctl(values, "x86_64")
    assert (info.vendor, onednn_level(info.flags, None)) == ("intel", "avx2")
    assert parse_sysctl({"machdep.cpu.brand_string": "Apple M2"}, "arm64").vendor == "apple"


def test_onednn_limit_has_an_older_name() -> None:
    """ONEDNN_MAX_CPU_ISA wins over DNNL_MAX_CPU_ISA."""
    assert onednn_limit({"DNNL_MAX_CPU_ISA": "AVX2"}) == "avx2"
    assert onednn_limit({"DNNL_MAX_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "SSE41"}) == "sse41"
    assert onednn_limit({}) is None


def test_this_cpu_and_onednn_agree_on_a_limit() -> None:
    """In a fresh process the limits in the environment show in the class."""
    if cpu_module.architecture() != "x86_64" or torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("an x86-64 CPU with AVX2 is needed")
    code = "from seedpin.environment.device import cpu_class; print(cpu_class())"
    env = {**os.environ, "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"cpu-x86_64-{cpu_module.read_cpu().vendor}-avx2"


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        (gpu("NVIDIA H100 80GB HBM3"), "cuda-sm90-nvidia_h100_80gb_hbm3-132sm"),
        (gpu("NVIDIA H100 PCIe", units=114), "cuda-sm90-nvidia_h100_pcie-114sm"),
        (
            gpu("NVIDIA H100 80GB HBM3 MIG 1g.10gb", units=16),
            "cuda-sm90-nvidia_h100_80gb_hbm3_mig_1g_10gb-16sm",
        ),
        (gpu("NVIDIA B200", 10, units=148), "cuda-sm100-nvidia_b200-148sm"),
        (gpu("NVIDIA GB200", 10, units=148), "cuda-sm100-nvidia_gb200-148sm"),
        (gpu("NVIDIA GeForce RTX 4090", 8, 9, 128), "cuda-sm89-nvidia_geforce_rtx_4090-128sm"),
    ],
)
def test_a_cuda_class_names_capability_device_and_multiprocessors(
    properties: SimpleNamespace, name: str
) -> None:
    """All three are in the name, in letters that a file name may hold."""
    assert cuda_class_of(properties).name == name


def test_classes_of_rocm_and_xpu_devices() -> None:
    """ROCm's architecture takes the place of the compute capability; XPU has execution units."""
    amd = SimpleNamespace(
        name="AMD Instinct MI300X", gcnArchName="gfx942:sramecc+:xnack-", multi_processor_count=304
    )
    assert cuda_class_of(amd, hip=True).name == "cuda-gfx942_sramecc_xnack-amd_instinct_mi300x-304cu"
    arc = SimpleNamespace(name="Intel(R) Arc(TM) A770", gpu_eu_count=512)
    assert xpu_class_of(arc).name == "xpu-intel_r_arc_tm_a770-512eu"


def test_identity_is_the_whole_name() -> None:
    """B200 and GB200 are two classes, though one name is part of the other."""
    b200, gb200 = (cuda_class_of(gpu(name, 10)) for name in ("NVIDIA B200", "NVIDIA GB200"))
    assert b200 != gb200
    assert len({b200, gb200, cuda_class_of(gpu("NVIDIA B200", 10))}) == 2
    assert b200 == DeviceClass("cuda", b200.name)


@pytest.mark.parametrize("name", ["cpu.x86", "CPU-x86", "tpu-v5", "", "cpu/x", "cpu-é"])
def test_a_name_that_no_file_could_hold_is_refused(name: str) -> None:
    """A class name is lower case, without dots and slashes, and begins with its kind."""
    with pytest.raises(ConfigError):
        named_class(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine without CUDA is needed")
def test_absent_cuda_is_an_error_that_says_what_to_type() -> None:
    """Asking for CUDA where there is none never falls back to the CPU."""
    with pytest.raises(DeviceUnavailableError, match="CUDA was asked for") as caught:
        device_class("cuda:0")
    assert "device='cpu'" in caught.value.hint
    assert "nvidia-smi" in caught.value.hint


@pytest.mark.parametrize("device", ["cud", "meta", "xpu:99"])
def test_unknown_devices_are_errors(device: str) -> None:
    """A misspelt, unsupported or absent device is named in the error."""
    with pytest.raises(DeviceUnavailableError):
        device_class(device)


def test_an_unknown_profile_is_an_error() -> None:
    """Only the two profiles exist."""
    with pytest.raises(ConfigError, match="fast"):
        cpu_class("fast")


def test_the_default_device_is_taken_from_torch() -> None:
    """Without a device the class is that of torch's default device."""
    assert device_class() == device_class("cpu") == device_class(torch.device("cpu")) == cpu_class("native")


def test_slug_keeps_letters_and_digits_only() -> None:
    """Everything else becomes one underscore."""
    assert slug(" Intel(R) Xeon(R) @ 2.00GHz ") == "intel_r_xeon_r_2_00ghz"
    assert slug("***") == "unknown"
