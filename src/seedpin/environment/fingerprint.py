"""The environment: software versions and settings that can move bits, and how two of them differ.

The settings are those in force at the moment of the capture. Capture inside the pin, right after the model
ran: after the pin they are back to what they were.

    with pin(1234) as held:
        clip = model()
        environment = capture_environment(device, pin=held)
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from seedpin.environment import settings, versions
from seedpin.environment.cpu import read_cpu
from seedpin.environment.device import DeviceClass
from seedpin.environment.measured import PREFIX, agreeing, comparable, in_words

NOT_RECORDED = "not recorded"


class PinLike(Protocol):
    """What a capture reads of a pin."""

    @property
    def level(self) -> str: ...
    @property
    def profile(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class EnvironmentValue:
    """One version or setting; ``moves_bits`` says whether it can change a clip."""

    key: str
    value: str
    moves_bits: bool


@dataclass(frozen=True, slots=True)
class StoredEnvironment:
    """An environment as files hold it: values by key, apart by whether they can change a clip."""

    informative: Mapping[str, str] = field(default_factory=dict)
    moves_bits: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything was recorded."""
        return bool(self.informative or self.moves_bits)


@dataclass(frozen=True, slots=True)
class Environment:
    """Entries in the order of their keys."""

    entries: tuple[EnvironmentValue, ...] = ()

    def get(self, key: str) -> str | None:
        """The value of ``key``, or None."""
        return next((entry.value for entry in self.entries if entry.key == key), None)

    def stored(self) -> StoredEnvironment:
        """What files hold of it; keys are sorted."""
        return StoredEnvironment(
            informative={entry.key: entry.value for entry in self.entries if not entry.moves_bits},
            moves_bits={entry.key: entry.value for entry in self.entries if entry.moves_bits},
        )

    @classmethod
    def of(cls, stored: StoredEnvironment) -> Environment:
        """The environment whose stored form this is. Entries that this version does not know are kept."""
        found = {key: EnvironmentValue(key, value, False) for key, value in stored.informative.items()}
        found |= {key: EnvironmentValue(key, value, True) for key, value in stored.moves_bits.items()}
        return cls(tuple(found[key] for key in sorted(found)))


@dataclass(frozen=True, slots=True)
class EnvironmentChange:
    """One key whose value differs; ``golden`` or ``here`` is None where that side has no such entry."""

    key: str
    golden: str | None
    here: str | None
    moves_bits: bool


def capture_environment(
    device_class: DeviceClass,
    pin: PinLike | None = None,
    *,
    profile: str | None = None,
    packages: Iterable[str] = (),
) -> Environment:
    """Versions and settings as they are now, for a model on ``device_class``.

    ``pin`` gives level and profile (``profile`` overrides); ``packages`` are further distributions whose
    versions can move bits. Keys that matter only on CUDA are absent for other kinds. Versions are cached, so
    that a second capture costs well under a millisecond.
    """
    return environment_of_kind(device_class.kind, pin, profile=profile, packages=packages)


def environment_of_kind(
    kind: str, pin: PinLike | None = None, *, profile: str | None = None, packages: Iterable[str] = ()
) -> Environment:
    """As ``capture_environment``, for any device of a kind: "cpu", "cuda", "mps" or "xpu"."""
    found = dict(_versions(kind))
    for name in packages:
        found[name] = (versions.package_version(name), True)
    found |= settings.variables(kind)
    found |= settings.torch_settings(kind)
    found["level"] = (pin.level if pin is not None else "unpinned", True)
    chosen = profile or (pin.profile if pin is not None else None)
    if kind == "cpu":
        found["cpu_profile"] = (chosen or "native", True)
    return Environment(tuple(EnvironmentValue(key, *found[key]) for key in sorted(found)))


@cache
def _versions(kind: str) -> Mapping[str, tuple[str, bool]]:
    import torch

    found: dict[str, tuple[str, bool]] = {
        "cpu_model": (read_cpu().brand or "unknown", False),
        "libc": (versions.libc(), True),
        "os": (f"{platform.system()} {platform.release()}", False),
        "python": (platform.python_version(), False),
        "torch": (str(torch.__version__), True),
    }
    moving = {**versions.PACKAGES, **(versions.ACCELERATOR_PACKAGES if kind != "cpu" else {})}
    found |= {key: (versions.first_version(*names), True) for key, names in moving.items()}
    found |= {name: (versions.package_version(name), False) for name in versions.INFORMATIVE_PACKAGES}
    if kind == "cpu":
        found["cpu_count"] = (str(os.cpu_count()), False)
        found |= {key: (value, True) for key, value in versions.torch_build().items()}
    if kind == "cuda":
        found["cuda"] = (str(torch.version.cuda or torch.version.hip), True)
        found["cudnn"] = (str(torch.backends.cudnn.version()), True)  # type: ignore[no-untyped-call]
        found["gpu_count"] = (str(torch.cuda.device_count()), False)
        found["driver"] = (versions.nvidia_driver(), True)
    return found


def difference(golden: Environment, here: Environment) -> tuple[EnvironmentChange, ...]:
    """What differs, keys that can move bits first, each group in the order of its keys.

    A key that only one side has says nothing about the other (another seedpin wrote it, or a package was
    added to the configuration), so it is listed as informative: it can never excuse a change. Operations are
    compared where both sides measured them, in the same way; others are not listed.
    """
    old = {entry.key: entry for entry in golden.entries}
    new = {entry.key: entry for entry in here.entries}
    changes = []
    for key in old.keys() | new.keys():
        before, after = old.get(key), new.get(key)
        if before is not None and after is not None and before.value == after.value:
            continue
        golden_value, here_value = before.value if before else None, after.value if after else None
        if key.startswith(PREFIX) and (None in (before, after) or not comparable(golden_value, here_value)):
            continue
        if before is None or after is None:
            changes.append(EnvironmentChange(key, golden_value, here_value, False))
        else:
            changes.append(
                EnvironmentChange(key, before.value, after.value, before.moves_bits or after.moves_bits)
            )
    return tuple(sorted(changes, key=lambda change: (not change.moves_bits, change.key)))


def measured_in_both(golden: Environment, here: Environment) -> int | None:
    """How many measured operations compute the same bits on both sides; None where none was compared."""
    return agreeing(*({entry.key: entry.value for entry in side.entries} for side in (golden, here)))


def format_difference(changes: Sequence[EnvironmentChange]) -> str:
    """A short aligned table; what cannot move bits is in brackets. Empty for no change."""
    if not changes:
        return ""
    rows = [("", "golden", "here")]
    for change in changes:
        key = in_words(change.key) if change.moves_bits else f"({change.key})"
        rows.append((key, change.golden or NOT_RECORDED, change.here or NOT_RECORDED))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}".rstrip() for a, b, c in rows)
