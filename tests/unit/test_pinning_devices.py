"""On which accelerators pinned code ran, with stand-ins for their allocators."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import seedpin
from seedpin.pinning.devices import allocations, used_since


class Allocator:
    """Stands for torch.cuda's: ``counts`` are the blocks that each device has handed out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *counts: int, started: bool = True) -> None:
        self.counts = list(counts)
        self.started = started
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: self.started)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(self.counts))
        monkeypatch.setattr(torch.cuda, "memory_stats", self._stats)

    def _stats(self, index: Any = None) -> dict[str, Any]:
        return {"allocation.all.allocated": self.counts[index or 0]}

    def run(self, index: int) -> None:
        self.started = True
        self.counts[index] += 3


@pytest.fixture
def level() -> str:
    """Without switches: these would ask the stand-in for more than it has."""
    return "seeds"


def test_a_count_that_was_set_back_in_the_block_hides_no_device(
    monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    """Code that resets the allocator's statistics, as benchmarks do, ran on that device all the same."""
    gpu = Allocator(monkeypatch, 5, 7)
    with seedpin.pin(1, level=level) as pin:
        gpu.run(1)
        gpu.counts[1] = 0
        gpu.run(1)
    assert pin.devices_used == {"cuda:1"}


def test_a_pin_knows_the_devices_that_its_block_used(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    """What allocated before or after the block is not among them; during the block they are known."""
    gpu = Allocator(monkeypatch, 5, 7)
    with seedpin.pin(1, level=level) as pin:
        assert pin.devices_used == frozenset()
        gpu.run(1)
        assert pin.devices_used == {"cuda:1"}
    gpu.run(0)
    assert pin.devices_used == {"cuda:1"}
    with seedpin.pin(1, level=level) as other:
        pass
    assert other.devices_used == frozenset()


def test_a_device_that_starts_inside_of_a_block_is_one_that_it_used(
    monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    """CUDA is not started to look at it, and what starts later is noticed, also where the block fails."""
    gpu = Allocator(monkeypatch, 0, started=False)
    assert allocations() == {}
    pins = []

    def fail() -> None:
        with seedpin.pin(1, level=level) as pin:
            pins.append(pin)
            gpu.run(0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    (pin,) = pins
    assert pin.devices_used == {"cuda:0"}
    assert used_since({"cuda:0": 3}) == set()


def test_a_seeded_model_knows_the_devices_of_its_calls(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    """A function that computes on a device and gives frames on the CPU is known to use it."""
    gpu = Allocator(monkeypatch, 5)

    def generate(count: int) -> torch.Tensor:
        gpu.run(0)
        return torch.rand(count)

    model = seedpin.seeded_model(generate, level=level)
    assert model.devices_used == set()
    model(3)
    assert model.devices_used == {torch.device("cuda", 0)}
