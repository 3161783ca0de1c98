"""Pinning: seed every random source, set every determinism switch, and restore them.

Importing this package imports no torch; the names below load their module on first use. ``pin`` and
``audit`` are not among them, because modules here have these names: use ``seedpin.pin``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedpin.pinning.audit import AuditPolicy as AuditPolicy
    from seedpin.pinning.audit import EntropyFinding as EntropyFinding
    from seedpin.pinning.model import PinInfo as PinInfo
    from seedpin.pinning.model import SeededModel as SeededModel
    from seedpin.pinning.model import seeded_model as seeded_model
    from seedpin.pinning.nondeterminism import NondeterministicOp as NondeterministicOp
    from seedpin.pinning.pin import LEVELS as LEVELS
    from seedpin.pinning.pin import Pin as Pin
    from seedpin.pinning.pin import current_pin as current_pin
    from seedpin.pinning.pin import last_pin as last_pin
    from seedpin.pinning.pin import unpinned as unpinned
    from seedpin.pinning.pin import worker_init_fn as worker_init_fn
    from seedpin.pinning.profiles import active_profile as active_profile
    from seedpin.pinning.profiles import apply_profile as apply_profile
    from seedpin.pinning.profiles import environment_for as environment_for
    from seedpin.pinning.profiles import verify_profile as verify_profile
    from seedpin.pinning.sources import RandomSource as RandomSource
    from seedpin.pinning.sources import available_sources as available_sources
    from seedpin.pinning.sources import register_source as register_source
    from seedpin.pinning.sources import unregister_source as unregister_source
    from seedpin.pinning.switch import Switch as Switch
    from seedpin.pinning.switches import SWITCHES as SWITCHES

_NAMES = {
    "audit": ("AuditPolicy", "EntropyFinding"),
    "model": ("PinInfo", "SeededModel", "seeded_model"),
    "nondeterminism": ("NondeterministicOp",),
    "pin": ("LEVELS", "Pin", "current_pin", "last_pin", "unpinned", "worker_init_fn"),
    "profiles": ("active_profile", "apply_profile", "environment_for", "verify_profile"),
    "sources": ("RandomSource", "available_sources", "register_source", "unregister_source"),
    "switch": ("Switch",),
    "switches": ("SWITCHES",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
