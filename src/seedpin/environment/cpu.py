"""What a CPU is, as far as it moves bits.

``benchmarks/cpu_bits.py`` prints which instruction sets move bits. Measured on an Intel CPU with AMX, torch
2.13, oneDNN 3.12, one thread: AVX-512 against AVX2 (f32, bf16, f16), AVX512-BF16 (bf16 linear and transposed
convolution), AVX512-FP16 (every f16 product) and AMX (bf16) each move bits of oneDNN; VNNI moves none, with
AVX2 or AVX-512. So the class holds ATen's capability and the highest oneDNN level that moves bits. The levels
above AMX and ``avx2_vnni_2`` are told apart by analogy: no such CPU was measured.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_VENDORS = {
    "GenuineIntel": "intel",
    "AuthenticAMD": "amd",
    "HygonGenuine": "hygon",
    "CentaurHauls": "centaur",
    "  Shanghai  ": "zhaoxin",
}

# oneDNN's levels that were seen (or are expected) to move bits, lowest first: the name in a device class, and
# the flags that the level adds to the one below. An AVX-512 CPU never needs avx2_vnni_2's flags.
_AVX512 = ("avx512f", "avx512bw", "avx512vl", "avx512dq")
ONEDNN_LEVELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("sse41", ("sse4_1",)),
    ("avx", ("sse4_1", "avx")),
    ("avx2", ("avx2", "fma")),
    ("avx2_vnni_2", ("avx2", "fma", "avx_vnni", "avx_vnni_int8", "avx_ne_convert")),
    ("avx512", _AVX512),
    ("bf16", (*_AVX512, "avx512_vnni", "avx512_bf16")),
    ("fp16", (*_AVX512, "avx512_vnni", "avx512_bf16", "avx512_fp16")),
    ("amx", (*_AVX512, "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16")),
    ("amx_fp16", (*_AVX512, "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16")),
)
# Values of ONEDNN_MAX_CPU_ISA -> the highest of the levels above that each allows.
_ONEDNN_LIMITS = {
    "sse41": "sse41",
    "avx": "avx",
    "avx2": "avx2",
    "avx2_vnni": "avx2",
    "avx2_vnni_2": "avx2_vnni_2",
    "avx512_core": "avx512",
    "avx512_core_vnni": "avx512",
    "avx512_core_bf16": "bf16",
    "avx512_core_fp16": "fp16",
    "avx10_1_512": "fp16",
    "avx512_core_amx": "amx",
    "avx10_1_512_amx": "amx",
    "avx512_core_amx_fp16": "amx_fp16",
    "avx10_1_512_amx_fp16": "amx_fp16",
}


@dataclass(frozen=True, slots=True)
class CpuInfo:
    """One CPU: ``architecture`` (``x86_64``, ``arm64``, ...), ``vendor``, ``brand`` and feature ``flags``."""

    architecture: str
    vendor: str
    brand: str
    flags: frozenset[str]


def slug(text: str) -> str:
    """``text`` in the letters of a device class: lower case, ``[a-z0-9_]``, everything else one underscore.

    >>> slug("NVIDIA H100 80GB HBM3")
    'nvidia_h100_80gb_hbm3'
    """
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "unknown"


def architecture() -> str:
    """The architecture, one name per family: ``x86_64``, ``arm64``, else as the system says."""
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}.get(machine, machine or "unknown")


def parse_cpuinfo(text: str, arch: str) -> CpuInfo:
    """Read the first processor of Linux' ``/proc/cpuinfo``."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip().lower(), value.strip())
    vendor = fields.get("vendor_id", "")
    brand = fields.get("model name", "")
    if "cpu implementer" in fields:  # arm64 has no model name: the two codes name the core
        vendor = vendor or f"impl_{fields['cpu implementer']}"
        brand = f"impl_{fields['cpu implementer']}_part_{fields.get('cpu part', 'unknown')}"
    flags = fields.get("flags") or fields.get("features") or ""
    return CpuInfo(arch, _VENDORS.get(vendor, slug(vendor)), brand, frozenset(flags.lower().split()))


def parse_sysctl(values: Mapping[str, str], arch: str) -> CpuInfo:
    """Read macOS' ``machdep.cpu`` values."""
    words = " ".join(values.get(key, "") for key in ("machdep.cpu.features", "machdep.cpu.leaf7_features"))
    renamed = {"avx1.0": "avx", "sse4.1": "sse4_1", "sse4.2": "sse4_2"}
    flags = frozenset(renamed.get(word, word) for word in words.lower().split())
    vendor = values.get("machdep.cpu.vendor") or ("Apple" if arch == "arm64" else "")
    return CpuInfo(
        arch, _VENDORS.get(vendor, slug(vendor)), values.get("machdep.cpu.brand_string", ""), flags
    )


@lru_cache(maxsize=1)
def read_cpu() -> CpuInfo:
    """The CPU of this machine; outside Linux and macOS the flags are those that torch knows."""
    arch = architecture()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        return parse_cpuinfo(cpuinfo.read_text(encoding="utf-8", errors="replace"), arch)
    if platform.system() == "Darwin":
        return parse_sysctl(_sysctl(), arch)
    brand = platform.processor() or os.environ.get("PROCESSOR_IDENTIFIER", "")
    vendor = next((short for long, short in _VENDORS.items() if long in brand), "unknown")
    return CpuInfo(arch, vendor, brand, _flags_from_torch())


def _sysctl() -> dict[str, str]:
    keys = ("vendor", "brand_string", "features", "leaf7_features")
    values = {}
    for key in (f"machdep.cpu.{name}" for name in keys):
        try:
            done = subprocess.run(["/usr/sbin/sysctl", "-n", key], capture_output=True, text=True, timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            values[key] = done.stdout.strip()
    return values


def _flags_from_torch() -> frozenset[str]:
    import torch

    read = getattr(torch.cpu, "get_capabilities", None)
    if read is None:
        return frozenset()
    renamed = {"fma3": "fma", "avx512_f": "avx512f", "avx512_bw": "avx512bw", "avx512_vl": "avx512vl"}
    renamed["avx512_dq"] = "avx512dq"
    return frozenset(renamed.get(key, key) for key, value in read().items() if value is True)


def onednn_limit(environ: Mapping[str, str]) -> str | None:
    """What oneDNN's variable says, lower case; ``DNNL_MAX_CPU_ISA`` is its older name."""
    value = environ.get("ONEDNN_MAX_CPU_ISA") or environ.get("DNNL_MAX_CPU_ISA")
    return value.lower() if value else None


def onednn_level(flags: frozenset[str], limit: str | None) -> str:
    """The highest of :data:`ONEDNN_LEVELS` with these ``flags`` and under ``limit``.

    oneDNN ignores a limit that it does not know, and so does this.
    """
    names = [name for name, _ in ONEDNN_LEVELS]
    highest = names.index(_ONEDNN_LIMITS[limit]) if limit in _ONEDNN_LIMITS else len(names) - 1
    level = "none"
    for name, needed in ONEDNN_LEVELS[: highest + 1]:
        if flags.issuperset(needed):
            level = name
    return level
