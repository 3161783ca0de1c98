"""Seed-pinned regression testing of generative models.

Importing this package imports nothing heavy: names below load their module on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from seedpin.version import __version__

if TYPE_CHECKING:
    from seedpin.checking.gate import ClipGate as ClipGate
    from seedpin.checking.gate import Gate as Gate
    from seedpin.checking.gate import TensorGate as TensorGate
    from seedpin.checking.script import check as check
    from seedpin.clip.adapt import as_clip as as_clip
    from seedpin.clip.clip import Clip as Clip
    from seedpin.compare.diagnoses import register_diagnosis as register_diagnosis
    from seedpin.compare.metric import Metric as Metric
    from seedpin.compare.registry import register_metric as register_metric
    from seedpin.environment.device import DeviceClass as DeviceClass
    from seedpin.environment.device import device_class as device_class
    from seedpin.environment.fingerprint import Environment as Environment
    from seedpin.errors import GoldenMismatch as GoldenMismatch
    from seedpin.errors import SeedpinError as SeedpinError
    from seedpin.errors import SeedpinWarning as SeedpinWarning
    from seedpin.kinds.base import Kind as Kind
    from seedpin.pinning.model import SeededModel as SeededModel
    from seedpin.pinning.model import seeded_model as seeded_model
    from seedpin.pinning.pin import Pin as Pin
    from seedpin.pinning.pin import current_pin as current_pin
    from seedpin.pinning.pin import pin as pin
    from seedpin.pinning.pin import unpinned as unpinned
    from seedpin.pinning.pin import worker_init_fn as worker_init_fn
    from seedpin.pinning.sources import RandomSource as RandomSource
    from seedpin.pinning.sources import register_source as register_source
    from seedpin.run.result import CheckResult as CheckResult
    from seedpin.trace.record.recorder import mark as mark

_HOME = {
    "CheckResult": "seedpin.run.result",
    "Clip": "seedpin.clip.clip",
    "ClipGate": "seedpin.checking.gate",
    "DeviceClass": "seedpin.environment.device",
    "Environment": "seedpin.environment.fingerprint",
    "Gate": "seedpin.checking.gate",
    "GoldenMismatch": "seedpin.errors",
    "Kind": "seedpin.kinds.base",
    "Metric": "seedpin.compare.metric",
    "Pin": "seedpin.pinning.pin",
    "RandomSource": "seedpin.pinning.sources",
    "SeededModel": "seedpin.pinning.model",
    "SeedpinError": "seedpin.errors",
    "SeedpinWarning": "seedpin.errors",
    "TensorGate": "seedpin.checking.gate",
    "as_clip": "seedpin.clip.adapt",
    "check": "seedpin.checking.script",
    "current_pin": "seedpin.pinning.pin",
    "device_class": "seedpin.environment.device",
    "mark": "seedpin.trace.record.recorder",
    "pin": "seedpin.pinning.pin",
    "register_diagnosis": "seedpin.compare.diagnoses",
    "register_metric": "seedpin.compare.registry",
    "register_source": "seedpin.pinning.sources",
    "seeded_model": "seedpin.pinning.model",
    "unpinned": "seedpin.pinning.pin",
    "worker_init_fn": "seedpin.pinning.pin",
}

__all__ = [
    "CheckResult",
    "Clip",
    "ClipGate",
    "DeviceClass",
    "Environment",
    "Gate",
    "GoldenMismatch",
    "Kind",
    "Metric",
    "Pin",
    "RandomSource",
    "SeededModel",
    "SeedpinError",
    "SeedpinWarning",
    "TensorGate",
    "__version__",
    "as_clip",
    "check",
    "current_pin",
    "device_class",
    "mark",
    "pin",
    "register_diagnosis",
    "register_metric",
    "register_source",
    "seeded_model",
    "unpinned",
    "worker_init_fn",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'seedpin' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
