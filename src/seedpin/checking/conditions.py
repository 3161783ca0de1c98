"""Under which pin, on which device and in which environment a clip came about."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from seedpin.environment.canary import with_canary
from seedpin.environment.device import DeviceClass, device_class, named_class
from seedpin.environment.fingerprint import Environment, capture_environment, environment_of_kind
from seedpin.errors import DeviceUnavailableError, UnpinnedClipWarning, UsageError
from seedpin.pinning.devices import has_other_devices
from seedpin.pinning.model import PinInfo
from seedpin.pinning.pin import Pin, current_pin, last_pin, pin
from seedpin.pinning.profiles import verify_profile

if TYPE_CHECKING:
    from seedpin.checking.calls import Call
    from seedpin.checking.context import CheckContext
    from seedpin.checking.state import AttemptState


@dataclass(frozen=True, slots=True)
class Conditions:
    """Seed, level and profile are None where nothing was pinned.

    ``environment`` holds no canary: see :func:`with_measurements`.
    """

    seed: int | None
    level: str | None
    profile: str | None
    device: DeviceClass
    environment: Environment


@dataclass(frozen=True, slots=True)
class CallConditions:
    """What was in force in a call of a model, read at its end while its pin still held.

    cpu: the class of the CPU under the pin's profile. environments: by the kind of device that a clip may
    come from. cpu_only: no other device can have been used.
    """

    cpu: DeviceClass
    environments: Mapping[str, Environment]
    cpu_only: bool


def conditions_of_call(pinned: PinInfo, packages: Iterable[str]) -> CallConditions | None:
    """The conditions now, in a call under ``pinned``; None where they cannot be read.

    Whoever then needs them asks once more, under a pin of its own, and gets the error that is none here.
    """
    try:
        verify_profile(pinned.profile)
        cpu_only = not has_other_devices()
        accelerator = None if cpu_only else torch.accelerator.current_accelerator()
        kinds = ["cpu"] if accelerator is None else ["cpu", accelerator.type]
        environments = {kind: environment_of_kind(kind, pinned, packages=packages) for kind in kinds}
        return CallConditions(device_class("cpu", pinned.profile), environments, cpu_only)
    except Exception:
        return None


def find_conditions(context: CheckContext, devices: frozenset[str], location: str) -> Conditions:
    """Conditions of a clip that is now checked; ``devices`` are accelerators that it lies on.

    Raises UsageError where models ran on devices of several classes, DeviceUnavailableError where an update
    would write goldens of a device that is not here, ProfileTooLateError where the CPU profile was set too
    late to be in force, SeedpinError as ``device_class`` does.
    """
    state, settings = context.state, context.settings
    call = _last_call(state)
    made = _pin_of(call, state)
    seen = None if call is None else call.conditions
    plain = not devices and not state.devices and settings.device_class == "auto"
    if made is not None and seen is not None and seen.cpu_only and plain:
        return Conditions(made.seed, made.level, made.profile, seen.cpu, seen.environments["cpu"])
    pinned = context.pin_behind(_pin_of_this_test(state))
    if pinned is not None:
        # Kept, because the pin under which this check looks at settings is the last one from now on.
        state.devices |= pinned.devices_used
    held = made or current_pin() or pinned
    if held is None:
        path, _, line = location.rpartition(":")
        said = f"{context.test} checks a clip, but nothing was pinned; "
        said += "use seeded_model(...) or `with seedpin.pin(...)`"
        warnings.warn_explicit(said, UnpinnedClipWarning, path, int(line))
        device = _device(context, devices, settings.cpu_profile)
        environment = capture_environment(
            device, None, profile=settings.cpu_profile, packages=settings.packages
        )
        return Conditions(None, None, settings.cpu_profile, device, environment)
    device = _device(context, devices, held.profile)
    if device.kind == "cpu" and settings.device_class == "auto":
        verify_profile(held.profile)
    known = None if seen is None else seen.environments.get(device.kind)
    if known is not None:
        return Conditions(held.seed, held.level, held.profile, device, known)
    with _under_the_pin_again(held.seed, held.level):
        environment = capture_environment(device, held, packages=settings.packages)
    return Conditions(held.seed, held.level, held.profile, device, environment)


def with_measurements(here: Conditions) -> Conditions:
    """``here`` with what operations compute on its device, under its pin.

    Apart from the rest, because a check whose bits are equal needs no reason why they should not be.
    """
    if here.seed is None or here.level is None:
        return replace(here, environment=with_canary(here.environment, here.device))
    again = functools.partial(_under_the_pin_again, here.seed, here.level)
    return replace(here, environment=with_canary(here.environment, here.device, within=again))


def _under_the_pin_again(seed: int, level: str) -> contextlib.AbstractContextManager[object]:
    """Settings as they are under the pin: the same pin again, without a model."""
    return contextlib.nullcontext() if current_pin() else pin(seed, level=level)


def _last_call(state: AttemptState) -> Call | None:
    return next((call for call in reversed(state.calls) if call.pin is not None), None)


def _pin_of(call: Call | None, state: AttemptState) -> PinInfo | None:
    """The pin of the last call; where there was none, of the model that would be called."""
    if call is not None:
        return call.pin
    return state.models[-1].pin_info if state.models else None


def _pin_of_this_test(state: AttemptState) -> Pin | None:
    pinned = last_pin()
    return None if pinned is state.pin_before else pinned


def _device(context: CheckContext, devices: frozenset[str], profile: str) -> DeviceClass:
    update, state, settings = context.update, context.state, context.settings
    if settings.device_class != "auto":
        named = named_class(settings.device_class)
        if update.mode is not None and not update.collect and named.kind != "cpu":
            try:
                device_class(named.kind, profile)
            except DeviceUnavailableError as error:
                raise DeviceUnavailableError(
                    f"goldens for {named.name} are not written here: {error.what}",
                    hint="run the update on a machine with that device",
                ) from None
        return named
    used = {str(device) for model in state.models for device in model.devices_used} | devices | state.devices
    accelerators = {device for device in used if not device.startswith(("cpu", "meta"))}
    classes = {device.name: device for device in (device_class(name, profile) for name in accelerators)}
    if len(classes) > 1:
        raise UsageError(
            f"the models of this test ran on devices of several classes: {', '.join(sorted(classes))}",
            hint="say which one the golden belongs to: --golden-device-class NAME",
        )
    return next(iter(classes.values())) if classes else device_class("cpu", profile)
