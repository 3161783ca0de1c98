"""Random sources: the registry, lazy devices, third parties."""

from __future__ import annotations

import itertools
import types
import warnings
from importlib import metadata
from typing import Any

import numpy as np
import pytest
import torch

from seedpin.errors import ConfigError, PinError, SeedpinWarning
from seedpin.pinning import sources
from seedpin.pinning.pin import current_pin, pin


class Dice:
    """A third party's source."""

    name = "dice"
    value = 1

    def available(self) -> bool:
        return True

    def get_state(self) -> Any:
        return self.value

    def set_state(self, state: Any) -> None:
        self.value = state

    def seed(self, seed: int) -> None:
        self.value = seed


@pytest.fixture
def dice() -> Any:
    source = Dice()
    sources.register_source(source)
    yield source
    sources.unregister_source("dice")


def test_registered_source_is_pinned(dice: Dice) -> None:
    """A registered source is seeded by a pin and restored after it."""
    with pin(77, level="seeds"):
        assert dice.value == 77
        dice.value = 3
    assert dice.value == 1
    assert "dice" in sources.available_sources()


def test_source_that_comes_late_is_seeded_by_reseed_and_restored() -> None:
    """A source that appears inside of a pin joins at ``reseed``, and gets its state back at the end."""
    source = Dice()
    try:
        with pin(77) as p:
            sources.register_source(source)
            assert source.value == 1
            p.reseed()
            assert source.value == 77
        assert source.value == 1
    finally:
        sources.unregister_source("dice")


def test_registering_twice_is_an_error(dice: Dice) -> None:
    """Another source under a taken name is refused; the same one again is not."""
    sources.register_source(dice)
    with pytest.raises(ConfigError, match="'dice' is registered already"):
        sources.register_source(Dice())


def test_registering_something_else_is_an_error() -> None:
    """An object without the methods is refused, and they are named."""
    broken: Any = object()
    with pytest.raises(ConfigError, match=r"(?s)no random source.*get_state\(\)"):
        sources.register_source(broken)


def _entry(name: str, loaded: Any) -> Any:
    def load() -> Any:
        if isinstance(loaded, Exception):
            raise loaded
        return loaded

    return types.SimpleNamespace(name=name, value=f"{name}_package:source", load=load)


def test_entry_points_join_on_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group may offer a source, a class or a function; a broken one is a named warning, not a crash."""
    asked = []
    other, third = Dice(), Dice()
    other.name, third.name = "other", "third"
    entries = [_entry("dice", Dice), _entry("other", other), _entry("third", lambda: third)]
    entries.append(_entry("rusty", ImportError("no module named rust")))

    def entry_points(group: str) -> list[Any]:
        asked.append(group)
        return entries

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    registry = sources.Registry([])
    assert asked == []
    with pytest.warns(
        SeedpinWarning, match=r"'rusty' \(rusty_package:source.*ImportError: no module named rust"
    ):
        assert list(registry.available()) == ["dice", "other", "third"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.available()
    assert asked == ["seedpin.sources"]


def test_numpy_with_another_bit_generator() -> None:
    """A pin holds NumPy's global generator also after someone put PCG64 behind it."""
    rng: Any = np.random
    old = rng.get_bit_generator()
    rng.set_bit_generator(np.random.PCG64(3))
    try:
        before = rng.get_bit_generator().state
        with pin(1, level="seeds"):
            first = np.random.rand()
        with pin(1, level="seeds"):
            assert np.random.rand() == first
        assert rng.get_bit_generator().state == before
    finally:
        rng.set_bit_generator(old)


def test_numpy_bit_generator_that_the_block_replaced_is_restored() -> None:
    """A model that puts another bit generator behind np.random does not leave it there."""
    rng: Any = np.random
    before, state = rng.get_bit_generator(), str(np.random.get_state(legacy=False))
    with pin(1, level="seeds"):
        rng.set_bit_generator(np.random.PCG64(3))
        np.random.rand()
    assert rng.get_bit_generator() is before
    assert str(np.random.get_state(legacy=False)) == state


def test_numpy_half_drawn_pair_is_restored() -> None:
    """NumPy's kept second normal value belongs to the state."""
    np.random.seed(1)
    np.random.standard_normal()  # Box-Muller makes two and keeps one
    expected = np.random.get_state(legacy=False)
    with pin(1, level="seeds"):
        np.random.standard_normal(3)
    assert str(np.random.get_state(legacy=False)) == str(expected)


class FakeGenerator:
    """torch makes each with a seed of the operating system's; here a number for each, never given twice."""

    entropy = itertools.count(10**9)

    def __init__(self) -> None:
        self.seed()

    def seed(self) -> int:
        self.state = ("entropy", next(self.entropy), "offset", 0)
        return int(self.state[1])

    def get_state(self) -> Any:
        return self.state

    def set_state(self, state: Any) -> None:
        self.state = state

    def manual_seed(self, seed: int) -> None:
        self.state = ("seed", seed, "offset", 0)

    def draw(self) -> None:
        self.state = (*self.state[:3], self.state[3] + 4)


class FakeCuda:
    """torch.cuda's lazy start, after its source: queue, seed tracker, generators per device."""

    __name__ = "torch.cuda"

    def __init__(self) -> None:
        from torch._utils import _LazySeedTracker

        self._started = False
        self._queued_calls: list[Any] = []
        tracker: Any = _LazySeedTracker
        self._lazy_seed_tracker = tracker()
        self.default_generators: tuple[FakeGenerator, ...] = ()
        self.capturing = False

    def _is_compiled(self) -> bool:
        return True

    def _is_in_bad_fork(self) -> bool:
        return False

    def is_initialized(self) -> bool:
        return self._started

    def is_current_stream_capturing(self) -> bool:
        return self.capturing

    def start(self) -> None:
        self.default_generators = (FakeGenerator(), FakeGenerator())
        self._queued_calls.extend(call for call in self._lazy_seed_tracker.get_calls() if call)
        for call, _ in self._queued_calls:
            call()
        self._started = True

    def _lazy(self, call: Any, queue: Any) -> None:
        call.__module__ = "torch.cuda.random"
        if self._started:
            call()
        else:
            queue(call, [])

    def manual_seed_all(self, seed: int) -> None:
        def call() -> None:
            for generator in self.default_generators:
                generator.manual_seed(seed)

        self._lazy(call, self._lazy_seed_tracker.queue_seed_all)

    def manual_seed(self, seed: int) -> None:
        self._lazy(lambda: self.default_generators[0].manual_seed(seed), self._lazy_seed_tracker.queue_seed)

    def set_rng_state(self, state: Any) -> None:
        def queue(call: Any, tb: Any) -> None:
            self._queued_calls.append((call, tb))

        self._lazy(lambda: self.default_generators[1].set_state(state), queue)

    def states(self) -> list[Any]:
        if not self._started:
            self.start()
        return [generator.state for generator in self.default_generators]


@pytest.fixture
def cuda() -> FakeCuda:
    return FakeCuda()


def _user_seeds(cuda: FakeCuda, how: str) -> None:
    if how in ("all", "all then one"):
        cuda.manual_seed_all(10)
    if how in ("one", "all then one"):
        cuda.manual_seed(20)
    if how == "state":
        cuda.set_rng_state(("seed", 30, "offset", 8))


@pytest.mark.parametrize("started", ["never", "inside", "before"])
@pytest.mark.parametrize("how", ["never", "all", "one", "all then one", "state"])
def test_lazy_device_is_restored_as_if_no_pin_had_been(cuda: FakeCuda, how: str, started: str) -> None:
    """Whenever the device starts, and however the user had seeded it, its states end as without the pin."""
    reference = FakeCuda()
    for device in (cuda, reference):
        _user_seeds(device, how)
        if started == "before":
            device.start()
            device.default_generators[1].draw()
    source = sources.LazyDeviceSource("torch-cuda", cuda)
    before = source.get_state()
    source.seed(1)
    assert cuda.is_initialized() is (started == "before")
    if started == "inside":
        cuda.start()
        assert [state[1] for state in cuda.states()] == [1, 1]
        cuda.default_generators[0].draw()
    cuda.set_rng_state(("seed", 2, "offset", 4))
    source.set_state(before)
    assert _apart_from_entropy(cuda.states()) == _apart_from_entropy(reference.states())


def _apart_from_entropy(states: list[Any]) -> list[Any]:
    return [(state[0], "?", *state[2:]) if state[0] == "entropy" else state for state in states]


def test_device_that_starts_inside_of_a_pin_is_random_afterwards() -> None:
    """Nobody seeded it, so after the pin it is as random as before: not the pin's seed, nor any same seed."""
    seen = []
    for _ in range(2):
        cuda = FakeCuda()
        sources.REGISTRY.unregister("torch-cuda-fake")
        sources.register_source(sources.LazyDeviceSource("torch-cuda-fake", cuda))
        try:
            with pin(5):
                with pin(6):
                    cuda.start()
                    assert [state[:2] for state in cuda.states()] == [("seed", 6), ("seed", 6)]
                # The outer pin had queued its seed.
                assert [state[:2] for state in cuda.states()] == [("seed", 5), ("seed", 5)]
        finally:
            sources.unregister_source("torch-cuda-fake")
        seen += cuda.states()
    assert {state[0] for state in seen} == {"entropy"}
    assert len({state[1] for state in seen}) == 4


def test_device_that_started_before_the_pin_unseeded_keeps_its_own_random_state(cuda: FakeCuda) -> None:
    """A state that came from the operating system is restored like any other."""
    cuda.start()
    before = cuda.states()
    source = sources.LazyDeviceSource("torch-cuda", cuda)
    state = source.get_state()
    source.seed(1)
    source.set_state(state)
    assert cuda.states() == before


def test_pin_around_a_part_of_a_graph_capture_is_refused(cuda: FakeCuda) -> None:
    """While a CUDA graph is captured a pin can neither begin nor end, and says what to write instead."""
    cuda.start()
    source = sources.LazyDeviceSource("torch-cuda-fake", cuda)
    before = cuda.states()
    sources.register_source(source)
    try:
        cuda.capturing = True
        with (
            pytest.raises(PinError, match=r"(?s)^a CUDA graph is being captured.*next: begin the pin before"),
            pin(1),
        ):
            pytest.fail("the block must not run")
        cuda.capturing = False
        with (
            pytest.raises(
                PinError,
                match=r"after a pin: random source torch-cuda-fake: a CUDA graph.*begin the pin",
            ),
            pin(1),
        ):
            cuda.capturing = True
        cuda.capturing = False
        assert current_pin() is None
        with pin(1):
            cuda.default_generators[0].draw()
    finally:
        sources.unregister_source("torch-cuda-fake")
        for generator, state in zip(cuda.default_generators, before, strict=True):
            generator.set_state(state)


def test_lazy_device_keeps_other_queued_calls(cuda: FakeCuda) -> None:
    """What is queued inside of a pin for the device's start, and is not about random numbers, stays."""
    source = sources.LazyDeviceSource("torch-cuda", cuda)
    before = source.get_state()
    ran: list[int] = []
    cuda._queued_calls.append((lambda: ran.append(1), []))
    source.set_state(before)
    cuda.start()
    assert ran == [1]


def test_lazy_device_is_left_alone_in_a_forked_child(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fork CUDA cannot be used, so a pin does not touch it."""
    source = sources.LazyDeviceSource("torch-cuda", cuda)
    assert source.available()
    monkeypatch.setattr(cuda, "_is_in_bad_fork", lambda: True)
    assert not source.available()


def test_pin_does_not_start_cuda() -> None:
    """A pin leaves CUDA unstarted."""
    is_initialized: Any = torch.cuda.is_initialized
    before = is_initialized()
    with pin(1):
        pass
    assert is_initialized() is before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_draws_repeat_and_are_restored() -> None:
    """Every CUDA device repeats under a pin and continues after it as if it had not been."""
    torch.cuda.manual_seed_all(5)
    torch.rand(3, device="cuda")
    before = torch.cuda.get_rng_state_all()
    drawn = []
    for _ in range(2):
        with pin(1):
            drawn.append(
                [torch.rand(3, device=f"cuda:{i}").tolist() for i in range(torch.cuda.device_count())]
            )
    assert drawn[0] == drawn[1]
    assert all(torch.equal(a, b) for a, b in zip(before, torch.cuda.get_rng_state_all(), strict=True))
