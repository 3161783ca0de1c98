"""The device class of a golden: from all that the pinned code used, and from where its clip lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seedpin
from seedpin.checking import conditions
from seedpin.checking.calls import Call, CallWatcher, trace_of
from seedpin.checking.conditions import find_conditions
from seedpin.checking.context import CheckContext
from seedpin.checking.state import AttemptState, Update
from seedpin.config import Config
from seedpin.environment.device import DeviceClass
from seedpin.environment.fingerprint import Environment
from seedpin.errors import ProfileTooLateError, UsageError
from seedpin.goldens.store import GoldenStore
from seedpin.kinds.base import obtain
from seedpin.kinds.clip import CLIP
from seedpin.kinds.tensors import TENSORS
from seedpin.pinning.pin import last_pin
from seedpin.run.ledger import Run
from seedpin.trace.record.recorder import record

SETTINGS = Config(root=Path())


class OnDevice:
    """Stands for an array on an accelerator."""

    def __init__(self, name: str, values: Any) -> None:
        self.device = torch.device(name)
        self.values = np.asarray(values)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.values if dtype is None else self.values.astype(dtype)


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What makes contexts of a test that compares; classes are called after devices."""

    def named(device: Any, profile: Any = None) -> DeviceClass:
        kind = str(device).partition(":")[0]
        return DeviceClass(kind, f"{kind}-one{str(device).partition(':')[2].replace('0', '')}")

    monkeypatch.setattr(conditions, "device_class", named)
    monkeypatch.setattr(conditions, "capture_environment", lambda *args, **kwargs: Environment())
    monkeypatch.setattr(conditions, "verify_profile", lambda profile: None)
    return plain_context


def name_of(context: Any, state: AttemptState, devices: frozenset[str] = frozenset()) -> str:
    return find_conditions(context(state), devices, "t.py:1").device.name


def test_a_bare_pin_s_devices_decide(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that come back on the CPU belong to the class of the device that the pin's block used, also at a
    second check; another test's pin does not count."""
    used: dict[str, int] = {}
    monkeypatch.setattr("seedpin.pinning.devices.allocations", lambda: dict(used))
    before = last_pin()
    with seedpin.pin(1, level="seeds"):
        used["cuda:0"] = 1
    state = AttemptState(pin_before=before)
    assert name_of(context, state) == "cuda-one"
    assert name_of(context, state) == "cuda-one"
    assert (
        name_of(context, AttemptState(pin_before=last_pin(), calls=[Call("f", None, _info())])) == "cpu-one"
    )


def _info() -> Any:
    return seedpin.seeded_model(lambda: 1, seed=3, level="seeds").pin_info


def test_the_clip_s_device_decides(context: Any) -> None:
    """What lies on an accelerator belongs to its class though no model and no pin used one."""
    state = AttemptState(calls=[Call("f", None, _info())])
    frames = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
    here = obtain(TENSORS, {"a": np.ones(2), "b": OnDevice("cuda:0", np.ones(2))})
    assert here.devices == {"cuda:0"}
    assert name_of(context, state, here.devices) == "cuda-one"
    assert name_of(context, state, obtain(TENSORS, np.ones(2)).devices) == "cpu-one"
    clip = obtain(CLIP, [OnDevice("cuda:0", frame) for frame in frames])
    assert clip.devices == {"cuda:0"}
    with pytest.raises(UsageError, match="devices of several classes: cuda-one, cuda-one1"):
        name_of(context, state, frozenset({"cuda:0", "cuda:1"}))


@pytest.fixture
def no_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody opens a pin to look at settings."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a second pin was opened")

    monkeypatch.setattr(conditions, "pin", refuse)


def watched(function: Any, **how: Any) -> AttemptState:
    """The state of a test that called ``function`` as a seeded model."""
    state = AttemptState(pin_before=last_pin())
    model = seedpin.seeded_model(function, seed=3, **how)
    watcher = CallWatcher(state.calls, level="stages", packages=("pytest",))
    model.around_call.append(watcher.around)
    model()
    return state


def test_conditions_are_those_of_the_call(no_pin: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are read where the clip was made, so that what the model set and what was set around it later
    are told apart; a check opens no pin for them."""
    before = torch.get_num_threads()

    def model() -> torch.Tensor:
        torch.set_num_threads(before + 2)
        return torch.rand(2)

    state = watched(model)
    monkeypatch.setenv("XLA_FLAGS", "--later")
    here = find_conditions(plain_context(state), frozenset(), "t.py:1")
    assert (here.seed, here.level) == (3, "strict")
    assert here.environment.get("threads") == str(before + 2)
    assert here.environment.get("deterministic") == "error"
    assert here.environment.get("pytest") == pytest.__version__
    assert here.environment.get("XLA_FLAGS") != "--later"
    assert torch.get_num_threads() == before
    assert state.calls[0].draws == ("global cpu: float32 (2,)",)


def test_where_there_are_other_devices_the_call_s_settings_hold_too(
    no_pin: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an accelerator in the machine the device is looked for, and settings are still the call's."""
    monkeypatch.setattr(conditions, "has_other_devices", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    state = watched(lambda: torch.rand(2))
    seen = state.calls[0].conditions
    assert seen is not None
    assert seen.environments.keys() == {"cpu", "cuda"}
    assert seen.environments["cuda"].get("cudnn_benchmark") == "False"
    assert (
        find_conditions(plain_context(state), frozenset(), "t.py:1").environment == seen.environments["cpu"]
    )


def test_what_a_call_could_not_read_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that came too late is the check's error and not the call's, as if nothing had been read."""

    def late(profile: str) -> None:
        raise ProfileTooLateError("an operation ran before")

    monkeypatch.setattr(conditions, "verify_profile", late)
    state = watched(lambda: torch.rand(2))
    assert state.calls[0].conditions is None
    with pytest.raises(ProfileTooLateError):
        find_conditions(plain_context(state), frozenset(), "t.py:1")


def plain_context(state: AttemptState) -> CheckContext:
    return CheckContext(
        test="t.py::t",
        fixture="video",
        settings=SETTINGS,
        update=Update(None, ""),
        run=Run(Path("run")),
        store=GoldenStore(Path("golden"), Path(".seedpin")),
        state=state,
    )


def test_joined_calls_are_numbered_on(context: Any) -> None:
    """In the trace of several calls each call's records go on where those before ended, name by name; a name
    that is new begins at 0."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))

    def call(times: int, noise: bool) -> Call:
        with record(model, level="modules") as recorder:
            for _ in range(times):
                model(torch.ones(1, 2))
            if noise:
                torch.rand(1)
        return Call("__call__", recorder)

    trace = trace_of([call(2, False), call(1, True), call(1, True)], [np.zeros((2, 2, 3), np.uint8)])
    assert trace is not None
    numbers: dict[tuple[str, str], list[int]] = {}
    for entry in trace.records:
        numbers.setdefault((entry.kind, entry.name), []).append(entry.call)
    assert numbers.pop(("draw", "torch.rand")) == [0, 1]
    clips = [key for key in numbers if key[0] == "clip"]
    assert [numbers.pop(key) for key in clips] == [[0]]
    assert len(numbers) == 3
    assert all(found == [0, 1, 2, 3] for found in numbers.values()), numbers


def test_loops_of_joined_calls_are_numbered_on() -> None:
    """A sampling loop of the second call is not the first loop again."""

    class Scheduler:
        def set_timesteps(self, count: int) -> None:
            self.timesteps = torch.arange(count)

        def step(self, sample: torch.Tensor) -> torch.Tensor:
            return sample + 1

    scheduler = Scheduler()

    def call() -> Call:
        with record(scheduler) as recorder:
            for _ in range(2):
                scheduler.set_timesteps(1)
                scheduler.step(torch.ones(1))
        return Call("__call__", recorder)

    trace = trace_of([call(), call()], [np.zeros((2, 2, 3), np.uint8)])
    assert trace is not None
    assert [entry.loop for entry in trace.records if entry.name.endswith(".step")] == [0, 1, 2, 3]
