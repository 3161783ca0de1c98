"""The canary: the environment as measured, not as named.

Versions and settings can agree while arithmetic does not: another CPU vendor, a kernel provider that was
swapped by an installed package, a driver. So small operations are run on the device itself and hashed
by family, under whatever switches are set at that moment: run it inside the pin.

It leaves no trace: own generators, no gradient, no autocast, past the modes of the user and of recorders.
What cannot run (no kernel for a dtype, refused by a strict pin) is a value, never an error.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from seedpin.environment.device import DeviceClass, device_class
from seedpin.environment.fingerprint import Environment, EnvironmentValue
from seedpin.environment.measured import HOST, UNAVAILABLE, is_measured, measured_key, measured_value

if TYPE_CHECKING:
    import torch

    from seedpin.environment.battery import Family


def with_canary(
    environment: Environment,
    device: DeviceClass,
    *,
    within: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Environment:
    """``environment`` and, as keys that move bits, what operations compute on ``device``.

    Runs once per process for a device and the settings that ``environment`` holds, and each time where
    the user has put kernels in the place of torch's own. ``within`` brings about these settings; it is not
    entered where the answer is known. Without a device of the class ``device`` in use in this process nothing
    can be measured, and ``environment`` comes back as it is.
    """
    where = _torch_device(device)
    if where is None:
        return environment
    known = _unmeasured(environment)
    key = _key(where, device.name, known)
    found = None if key is None else _PROCESS.found.get(key)
    if found is None:
        with within():
            found = measure(where)
        if key is not None:
            _PROCESS.found[key] = found
    return _with(known, found)


@dataclass(slots=True)
class _Process:
    """What was measured in this process, by device and settings."""

    found: dict[tuple[Any, ...], Mapping[str, str]] = field(default_factory=dict)


_PROCESS = _Process()


def _unmeasured(environment: Environment) -> tuple[EnvironmentValue, ...]:
    return tuple(entry for entry in environment.entries if not is_measured(entry.key))


def _with(known: tuple[EnvironmentValue, ...], found: Mapping[str, str]) -> Environment:
    entries = (*known, *(EnvironmentValue(key, value, True) for key, value in found.items()))
    return Environment(tuple(sorted(entries, key=lambda entry: entry.key)))


def _key(device: torch.device, name: str, settings: tuple[EnvironmentValue, ...]) -> tuple[Any, ...] | None:
    """What decides on what operations compute; None where that is not known without running them."""
    import torch

    from seedpin.environment.battery import attention_function

    # What Python code put in the place of torch's own kernels is no setting that can be read elsewhere: the
    # names of the operations, and the attention function (by identity: a cache must not keep it alive).
    kernels = frozenset(getattr(torch.library, "_impls", ()))
    if _any_is_users(kernels, device.type.upper()):
        return None  # The names do not tell two of them apart, and nothing else can be asked.
    attention = attention_function()
    values = tuple((entry.key, entry.value) for entry in settings)
    return (str(device), name, values, kernels, getattr(attention, "__qualname__", ""), id(attention))


@lru_cache(maxsize=4)  # torch itself registers some 1,800, which rarely change
def _any_is_users(kernels: frozenset[str], kind: str) -> bool:
    return any(_is_users(name, kind) for name in kernels)


def _is_users(registered: str, kind: str) -> bool:
    """Whether ``aten/sqrt/CPU`` is an override of the user's, for the host or a device of ``kind``.

    Torch itself registers kernels in Python for accelerators, of operations whose names begin with ``_``.
    """
    library, operation, key = registered.split("/", 2) if registered.count("/") == 2 else ("", "", "")
    return library == "aten" and (key == "CPU" or (key == kind and not operation.startswith("_")))


def measure(device: torch.device) -> dict[str, str]:
    """Digests of what operations compute on ``device`` under the switches that are set; not cached.

    Keys are as in ``measured``. A family whose back end is switched off, or for which there was no memory,
    is left out.
    """
    import torch

    from seedpin.environment import battery

    found = {}
    with _undisturbed(device.type):
        host = torch.device("cpu")
        for family in battery.FAMILIES:
            places = [("", device)]
            if family.place == "numpy" or (family.place == "cpu" and device.type == "cpu"):
                places = [("", host)]
            elif family.place == "cpu" or not _repeats(family, device):
                places = []
            elif family.place == "host" and device.type != "cpu":
                places.append((HOST, host))
            for prefix, place in places:
                for dtype in family.dtypes:
                    digest = _digest(family, battery.Bench(place, getattr(torch, dtype)))
                    if digest:
                        key = measured_key(prefix + family.name, dtype)
                        found[key] = measured_value(family.version, digest)
    battery.values.cache_clear()
    return found


def _repeats(family: Family, device: torch.device) -> bool:
    """False for what cuDNN would choose by a race."""
    import torch

    raced = family.name.startswith("conv") and device.type == "cuda"
    return not (raced and torch.backends.cudnn.benchmark)


def _digest(family: Family, bench: Any) -> str:
    """The family's digest, :data:`UNAVAILABLE`, or nothing for no result."""
    import torch
    import xxhash

    try:
        hashed, results = xxhash.xxh3_64(), 0
        for result in list(family.run(bench)):
            hashed.update(_bytes(result))
            results += 1
        return hashed.hexdigest() if results else ""
    except (MemoryError, torch.OutOfMemoryError):
        return ""
    except Exception:  # whatever a build, a device or a mode cannot do
        return UNAVAILABLE


def _bytes(result: Any) -> bytes:
    import numpy as np
    import torch

    if not isinstance(result, torch.Tensor):
        return np.ascontiguousarray(result).tobytes()
    plain = torch.view_as_real(result) if result.is_complex() else result
    array: Any = plain.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    raw: bytes = array.tobytes()
    return raw


@contextmanager
def _undisturbed(kind: str) -> Iterator[None]:
    """Whatever the caller has entered does not reach inside, and nothing inside reaches the caller."""
    import numpy as np
    import torch

    with ExitStack() as stack:
        # Function modes (a default device) and dispatch modes (counters, recorders) see none of the rest.
        stack.enter_context(torch._C.DisableTorchFunction())
        stack.enter_context(torch._C._DisableTorchDispatch())
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(np.errstate(all="ignore"))
        stack.enter_context(torch.no_grad())
        for name in {"cpu", kind}:
            if torch.amp.is_autocast_available(name):
                stack.enter_context(torch.autocast(name, enabled=False))
        if kind == "cuda":
            stack.enter_context(_untuned())
        yield


@contextmanager
def _untuned() -> Iterator[None]:
    """TunableOp would race kernels for these small shapes and write them to the user's file."""
    import torch

    tunable: Any = getattr(torch.cuda, "tunable", None)
    try:
        tuning = tunable is not None and tunable.is_enabled() and tunable.tuning_is_enabled()
    except AttributeError:  # a build without it
        tuning = False
    if not tuning:
        yield
        return
    tunable.tuning_enable(False)
    try:
        yield
    finally:
        tunable.tuning_enable(True)


def _torch_device(wanted: DeviceClass) -> torch.device | None:
    """A device of the class that this process uses already; a canary never starts one."""
    import torch

    if wanted.kind == "cpu":
        return torch.device("cpu")
    backend: Any = getattr(torch, wanted.kind, None)
    if backend is None or not backend.is_available():
        return None
    if wanted.kind == "mps":
        return torch.device("mps")
    if not backend.is_initialized():
        return None
    current = backend.current_device()
    for index in (current, *(one for one in range(backend.device_count()) if one != current)):
        if device_class(f"{wanted.kind}:{index}").name == wanted.name:
            return torch.device(wanted.kind, index)
    return None
