"""The device class: the exact hardware identity under which bits are expected to repeat.

Two devices are of one class when the names are equal, and only then: nothing here matches a part of a name.

    cpu-x86_64-portable                     the portable profile, any x86-64 CPU with AVX2
    cpu-x86_64-intel-avx512-amx             vendor, ATen's capability, oneDNN's level where it is another
    cpu-x86_64-amd-avx2
    cpu-arm64-apple_m2                      no x86: the chip's brand, ATen's capability where it has one
    cuda-sm90-nvidia_h100_80gb_hbm3-132sm   compute capability, device name, number of multiprocessors
    mps-apple_m2
    xpu-intel_data_center_gpu_max_1550-448eu

Classes of CUDA, MPS and XPU devices were built from the documentation of torch; they were not exercised on
such a device.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seedpin.environment.cpu import CpuInfo, onednn_level, onednn_limit, read_cpu, slug
from seedpin.errors import ConfigError, DeviceUnavailableError
from seedpin.options import PROFILES

if TYPE_CHECKING:
    import torch

KINDS = ("cpu", "cuda", "mps", "xpu")

PORTABLE = "cpu-x86_64-portable"
PORTABLE_COVERS = (
    "torch's operations; of NumPy + - * /, square roots and integers, not exp, log, power and matrix "
    "products; no code that torch.compile generates"
)


@dataclass(frozen=True, slots=True)
class DeviceClass:
    """One class of devices; ``name`` alone decides equality.

    ``name`` is safe in file names: ``[a-z0-9_-]+``, the kind first, parts joined by ``-``. ``details`` holds
    what the name was made of, for people and reports.
    """

    kind: str = field(compare=False)
    name: str
    details: Mapping[str, str | int] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9_-]+", self.name) or self.name.split("-")[0] != self.kind:
            raise ConfigError(
                f"{self.name!r} is no device class name of kind {self.kind!r}.",
                hint="use lower-case letters, digits, '_' and '-', the kind first: cpu-x86_64-portable.",
            )
        if self.kind not in KINDS:
            raise ConfigError(f"{self.kind!r} is no kind of device.", hint=f"one of {', '.join(KINDS)}.")

    def __str__(self) -> str:
        return self.name


def named_class(name: str) -> DeviceClass:
    """The class called ``name``, as written on a command line. Raises ConfigError."""
    return DeviceClass(name.split("-")[0], name)


def device_class(device: torch.device | str | None = None, profile: str | None = None) -> DeviceClass:
    """The class of ``device`` (``None``: torch's default device) on this machine.

    ``profile`` is the CPU profile, ``None`` for ``native``; it matters only for a CPU. Raises
    DeviceUnavailableError where the device is not there or its kind is not known.
    """
    import torch

    if device is None:
        device = torch.get_default_device() if hasattr(torch, "get_default_device") else "cpu"
    try:
        device = torch.device(device)
    except RuntimeError as error:
        raise DeviceUnavailableError(
            f"{device!r} is no device: {str(error).splitlines()[0]}",
            hint=f"use one of {', '.join(KINDS)}, with an index if needed: 'cuda:0'.",
        ) from None
    if device.type == "cpu":
        return cpu_class(profile)
    if device.type == "cuda":
        return cuda_class(device.index)
    if device.type == "mps":
        return mps_class()
    if device.type == "xpu":
        return xpu_class(device.index)
    raise DeviceUnavailableError(
        f"seedpin has no device class for {device.type!r}.", hint=f"run on one of {', '.join(KINDS)}."
    )


def cpu_class(profile: str | None = None) -> DeviceClass:
    """The class of this machine's CPU under ``profile`` and under the limits set in the environment.

    The portable profile has a class of its own on x86-64 only; elsewhere no such profile was measured, and
    the native class is given. Whether the profile's variables came in time is the pin's to verify.
    """
    import torch

    if profile not in (None, *PROFILES):
        raise ConfigError(f"{profile!r} is no CPU profile.", hint=f"one of {', '.join(PROFILES)}.")
    uses_onednn = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    capability = torch.backends.cpu.get_cpu_capability()
    return cpu_class_of(
        read_cpu(), capability, os.environ, portable=profile == "portable", onednn=uses_onednn
    )


def cpu_class_of(
    cpu: CpuInfo,
    capability: str,
    environ: Mapping[str, str],
    *,
    portable: bool = False,
    onednn: bool = True,
) -> DeviceClass:
    """The class of ``cpu`` where ATen reports ``capability``, such as ``"AVX512"``; pure."""
    aten = slug(capability)
    details: dict[str, str | int] = {"architecture": cpu.architecture, "aten": aten}
    if cpu.architecture != "x86_64":
        parts = ["cpu", slug(cpu.architecture), slug(cpu.brand)]
        if aten not in ("default", "no_avx"):
            parts.append(aten)
        return DeviceClass("cpu", "-".join(parts), details | {"brand": cpu.brand})
    if portable:
        return DeviceClass("cpu", PORTABLE, {"architecture": "x86_64", "profile": "portable"})
    level = onednn_level(cpu.flags, onednn_limit(environ)) if onednn else aten
    details |= {"vendor": cpu.vendor, "brand": cpu.brand, "onednn": level}
    parts = ["cpu", "x86_64", cpu.vendor, aten]
    if level != aten:
        parts.append(level)
    return DeviceClass("cpu", "-".join(parts), details)


def cuda_class(index: int | None = None) -> DeviceClass:
    """The class of CUDA device ``index`` (``None``: the current one). Raises DeviceUnavailableError."""
    import torch

    if not torch.cuda.is_available():
        build = f"torch {torch.__version__} " + (
            f"was built for CUDA {torch.version.cuda} but finds no usable GPU"
            if torch.version.cuda
            else "was built without CUDA"
        )
        raise DeviceUnavailableError(
            f"CUDA was asked for, but {build}.",
            hint="run 'nvidia-smi' and 'python -m torch.utils.collect_env', or use device='cpu'.",
        )
    count = torch.cuda.device_count()
    if index is not None and not 0 <= index < count:
        raise DeviceUnavailableError(
            f"CUDA device {index} was asked for; this process sees {count}.",
            hint=f"use cuda:0 to cuda:{count - 1}, or look at CUDA_VISIBLE_DEVICES.",
        )
    chosen = torch.cuda.current_device() if index is None else index
    return cuda_class_of(torch.cuda.get_device_properties(chosen), hip=torch.version.hip is not None)


def cuda_class_of(properties: Any, *, hip: bool = False) -> DeviceClass:
    """The class named by ``properties`` as ``torch.cuda.get_device_properties`` gives them.

    ``hip``: on ROCm the architecture's name takes the place of the compute capability (``gfx942``).
    """
    if hip:
        capability = slug(str(properties.gcnArchName))
        units = f"{properties.multi_processor_count}cu"
    else:
        capability = f"sm{properties.major}{properties.minor}"
        units = f"{properties.multi_processor_count}sm"
    details: dict[str, str | int] = {
        "capability": capability,
        "device": str(properties.name),
        "multiprocessors": int(properties.multi_processor_count),
    }
    return DeviceClass("cuda", f"cuda-{capability}-{slug(properties.name)}-{units}", details)


def mps_class() -> DeviceClass:
    """The class of Apple's GPU: the chip's brand. Raises DeviceUnavailableError."""
    import torch

    if not torch.backends.mps.is_available():
        raise DeviceUnavailableError(
            "MPS was asked for, but there is none here.",
            hint="MPS needs macOS on Apple silicon and a torch built for it; or use device='cpu'.",
        )
    brand = read_cpu().brand
    return DeviceClass("mps", f"mps-{slug(brand)}", {"chip": brand})


def xpu_class(index: int | None = None) -> DeviceClass:
    """The class of an Intel GPU: its name and, where torch tells it, its execution units."""
    import torch

    xpu = getattr(torch, "xpu", None)
    if xpu is None or not xpu.is_available() or (index is not None and not 0 <= index < xpu.device_count()):
        wanted = "XPU" if index is None else f"XPU device {index}"
        raise DeviceUnavailableError(
            f"{wanted} was asked for, but it is not there.",
            hint="it needs an Intel GPU and a torch built for XPU; or use device='cpu'.",
        )
    return xpu_class_of(xpu.get_device_properties(xpu.current_device() if index is None else index))


def xpu_class_of(properties: Any) -> DeviceClass:
    """The class named by ``properties`` as ``torch.xpu.get_device_properties`` gives them."""
    parts = ["xpu", slug(properties.name)]
    units = getattr(properties, "gpu_eu_count", None)
    if units:
        parts.append(f"{units}eu")
    return DeviceClass("xpu", "-".join(parts), {"device": str(properties.name), "units": int(units or 0)})
