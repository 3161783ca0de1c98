"""The pin: what it seeds, what it holds, and rule 10, restored means restored."""

from __future__ import annotations

import contextlib
import random
import re
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from seedpin.errors import (
    ConfigError,
    DeviceUnavailableError,
    NondeterministicOpError,
    NondeterministicOpWarning,
    PinError,
    SeedError,
)
from seedpin.pinning import sources, switches
from seedpin.pinning.pin import Pin, current_pin, last_pin, pin, unpinned, worker_init_fn
from seedpin.pinning.profiles import active_profile
from support.process import State, draw, everything, spoil


def undeterministic() -> torch.Tensor:
    return torch.zeros(4).put_(torch.tensor([0, 1]), torch.tensor([1.0, 2.0]))


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Any:
    """Every test of this file must itself leave the switches as they were."""
    draw()  # away from the state that a test runner may have seeded
    before = State(switches.snapshot())
    yield
    assert State(switches.snapshot()) == before
    assert current_pin() is None


@pytest.mark.parametrize("level", ["strict", "warn", "seeds"])
def test_rule_10_restored_after_the_block(level: str) -> None:
    """After a pin every generator and every switch is as it was, whatever the block did to them."""
    before = everything()
    with pin(7, level=level):
        spoil()
        assert everything() != before
    assert everything() == before


@pytest.mark.parametrize("error", [ValueError("no"), RuntimeError("no"), KeyboardInterrupt(), SystemExit(3)])
def test_rule_10_restored_after_an_exception(error: BaseException) -> None:
    """An exception leaves the block unchanged, and everything is restored."""
    before = everything()

    @pin(7)
    def block() -> None:
        spoil()
        raise error

    with pytest.raises(type(error)) as caught:
        block()
    assert caught.value is error
    assert everything() == before


def test_rule_10_restored_when_nested() -> None:
    """The end of an inner pin gives back the outer pin's states, and the end of that one the first."""
    before = everything()
    with pin(1):
        draw()
        outer = everything()
        with pin(2, level="seeds"):
            spoil()
            with contextlib.suppress(ZeroDivisionError), pin(3, level="warn"):
                spoil()
                _ = 1 / 0
        assert everything() == outer
    assert everything() == before


def test_rule_10_restored_after_a_failed_start() -> None:
    """A source that refuses its seed is named, and those seeded before it are restored."""

    class Refusing(Counter):
        def seed(self, seed: int) -> None:
            raise OSError("the dongle is missing")

    before = everything()
    sources.register_source(Refusing("refusing"))
    try:
        with (
            pytest.raises(PinError, match="'refusing' cannot be seeded: OSError: the dongle is missing"),
            pin(1),
        ):
            pytest.fail("the block must not run")
    finally:
        sources.unregister_source("refusing")
    assert everything() == before


def test_one_source_that_fails_to_restore_does_not_stop_the_others() -> None:
    """All other sources are restored, and the one that failed is named."""

    class Stuck(Counter):
        def set_state(self, state: Any) -> None:
            raise OSError("stuck")

    before = everything()
    sources.REGISTRY._sources = {"stuck": Stuck("stuck"), **sources.REGISTRY._sources}
    try:
        with pytest.raises(PinError, match="random source stuck: OSError: stuck"), pin(1):
            spoil()
    finally:
        sources.unregister_source("stuck")
    assert everything() == before


class Counter:
    """A source of a third party, with one integer as its state."""

    def __init__(self, name: str = "counter") -> None:
        self.name = name
        self.value = 5

    def available(self) -> bool:
        return True

    def get_state(self) -> int:
        return self.value

    def set_state(self, state: Any) -> None:
        self.value = state

    def seed(self, seed: int) -> None:
        self.value = seed


def test_same_seed_same_draws() -> None:
    """Every source repeats under the same seed and differs under another."""
    with pin(1234):
        first = draw()
    with pin(1234, level="seeds"):
        again = draw()
    with pin(1235):
        other = draw()
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_pin_draws_what_manual_seed_draws() -> None:
    """A pin's streams are those that the frameworks' own seeding functions give."""
    with pin(1234):
        pinned = draw()
    state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(1234)
    np.random.seed(1234)
    torch.manual_seed(1234)
    assert draw() == pinned
    random.setstate(state[0])
    np.random.set_state(state[1])
    torch.set_rng_state(state[2])


def test_initial_weights_repeat() -> None:
    """Weights initialised under a pin are the same each time."""
    made = []
    for _ in range(2):
        draw()
        with pin(3):
            made.append(torch.nn.Conv2d(3, 8, 3).weight.detach())
    assert torch.equal(*made)


def test_dropout_repeats() -> None:
    """Dropout masks are the same under the same pin, and differ between two calls within it."""
    masks = []
    for _ in range(2):
        draw()
        with pin(3):
            masks.append([torch.nn.functional.dropout(torch.ones(64)) for _ in range(2)])
    assert torch.equal(masks[0][0], masks[1][0])
    assert torch.equal(masks[0][1], masks[1][1])
    assert not torch.equal(masks[0][0], masks[0][1])


def test_noise_repeats() -> None:
    """Noise repeats from torch, from NumPy, and from a generator derived from the pin."""
    clips = []
    for _ in range(2):
        draw()
        with pin(3) as p:
            named = torch.randn(8, generator=p.generator("noise"))
            clips.append((torch.randn(8), torch.from_numpy(np.random.standard_normal(8)), named))
    assert all(torch.equal(a, b) for a, b in zip(*clips, strict=True))


class Augmented(Dataset[tuple[int, float, float, float]]):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> tuple[int, float, float, float]:
        return (index, *draw())


@pytest.mark.parametrize("workers", [0, 2])
def test_data_loading_order_repeats(workers: int) -> None:
    """Shuffling, and augmentation in workers by Python, NumPy and torch, repeat under a pin."""

    def epoch() -> list[list[float]]:
        with pin(11) as p:
            loader = DataLoader(
                Augmented(),
                batch_size=4,
                shuffle=True,
                num_workers=workers,
                worker_init_fn=worker_init_fn,
                generator=p.generator("loader"),
            )
            return [column.tolist() for batch in loader for column in batch]

    draw()
    first = epoch()
    draw()
    assert epoch() == first
    assert [i for batch in first[::4] for i in batch] != sorted(i for batch in first[::4] for i in batch)


def test_workers_draw_differently() -> None:
    """Two DataLoader workers do not augment with the same numbers."""
    with pin(11):
        loader = DataLoader(Augmented(), batch_size=1, num_workers=2, worker_init_fn=worker_init_fn)
        rows = [[float(column) for column in batch] for batch in loader]
    for column in (1, 2, 3):
        assert len({row[column] for row in rows}) == len(rows)


def test_worker_init_fn_follows_the_worker_seed() -> None:
    """In a worker, Python and NumPy are seeded from the seed that torch gave to this worker."""
    drawn = []
    for seed in (2**40 + 7, 2**40 + 7, 2**40 + 8):
        with pin(1, level="seeds"):
            torch.manual_seed(seed)
            worker_init_fn(0)
            drawn.append((random.random(), float(np.random.rand())))
    assert drawn[0] == drawn[1]
    assert all(a != b for a, b in zip(drawn[0], drawn[2], strict=True))


def test_derive_is_stable() -> None:
    """Named sub-seeds are fixed numbers: the same in every process and release."""
    with pin(0) as zero, pin(1234) as p:
        assert (zero.derive("noise"), p.derive("noise"), p.derive("weights")) == DERIVED
        assert p.derive("räuschen") != p.derive("rauschen")


DERIVED = (4218919553, 179899124, 679235864)


def test_draws_are_the_same_in_another_process() -> None:
    """The same pin gives the same draws in a fresh process with another hash seed."""
    code = (
        "import random, numpy as np, torch\n"
        "from seedpin.pinning.pin import pin\n"
        "with pin(42) as p:\n"
        "    print(random.random(), np.random.rand(), torch.rand(()).item(), p.derive('x'))\n"
    )
    with pin(42) as p:
        here = [*draw(), p.derive("x")]
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert [float(word) for word in there.split()] == here


def test_reseed_starts_again() -> None:
    """``reseed`` puts every source back to the start of the pin's streams."""
    with pin(8) as p:
        first = draw()
        draw()
        p.reseed()
        assert draw() == first


def test_reseed_after_the_end_is_refused() -> None:
    """A pin that has ended seeds nothing, for nothing would restore it."""
    with pin(8) as p:
        pass
    before = everything()
    with pytest.raises(PinError, match="the pin with seed 8 has ended"):
        p.reseed()
    assert everything() == before


def test_current_and_last_pin() -> None:
    """``current_pin`` is the innermost active one, ``last_pin`` also the one that ended last."""
    with pin(1) as outer:
        with pin(2, level="seeds") as inner:
            assert current_pin() is inner
            with unpinned():
                assert current_pin() is None
        assert current_pin() is outer
        assert last_pin() is outer
    assert current_pin() is None
    assert last_pin() is outer
    assert (outer.seed, outer.level, outer.profile) == (1, "strict", active_profile())


def test_pin_decorates() -> None:
    """As a decorator, a pin begins anew at every call."""

    @pin(5)
    def generate() -> tuple[float, float, float]:
        assert isinstance(current_pin(), Pin)
        return draw()

    assert generate() == generate()


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "1", None, True])
def test_bad_seed(seed: Any) -> None:
    """A seed that not every source takes is refused, and the range is named."""
    with pytest.raises(SeedError, match=r"(?s)is no seed.*from 0 to 4294967295"):
        pin(seed)


@pytest.mark.parametrize("seed", [0, 2**32 - 1, np.int64(7)])
def test_good_seed(seed: Any) -> None:
    """Both ends of the range, and NumPy integers, are seeds."""
    with pin(seed) as p:
        assert p.seed == seed


def test_bad_level() -> None:
    """An unknown level names those that exist."""
    with pytest.raises(ConfigError, match=r"(?s)unknown level 'stric'.*strict, warn, seeds"):
        pin(1, level="stric")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_absent_device_is_named() -> None:
    """A generator on a device that is not there is a named error."""
    with pin(1) as p, pytest.raises(DeviceUnavailableError, match=r"(?s)'cuda:1' was asked for.*next:"):
        p.generator("noise", device="cuda:1")


def test_strict_names_the_undeterministic_op() -> None:
    """Under strict, torch's RuntimeError becomes an error with the operation, the line and what to type."""
    with pytest.raises(NondeterministicOpError) as caught, pin(9):
        undeterministic()
    message = str(caught.value)
    assert message.startswith(
        "put_ has no deterministic implementation, and ran under a strict pin (seed 9) at "
    )
    assert f"{__file__}:" in message
    assert "--seedpin-level=warn" in message
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_warn_collects_the_undeterministic_op() -> None:
    """Under warn, the operation runs, is recorded with its line, and is warned about once at the end."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pin(9, level="warn") as p:
            undeterministic()
            torch.zeros(4).put_(torch.tensor([0]), torch.tensor([1.0]))
    assert [(w.category, w.filename) for w in caught] == [(NondeterministicOpWarning, __file__)]
    assert re.search(r"2 operation\(s\).*\(seed 9\): put_ at .*test_pinning_pin.py:", str(caught[0].message))
    assert [found.op for found in p.warnings] == ["put_", "put_"]
    assert p.warnings[0].file == __file__


def test_warn_passes_other_warnings_on() -> None:
    """Only torch's warnings about determinism are collected; all others reach the user."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pin(9, level="warn") as p:
            warnings.warn("mine", stacklevel=1)
    assert [str(w.message) for w in caught] == ["mine"]
    assert p.warnings == ()


def test_seeds_leaves_the_switches_alone() -> None:
    """At level ``seeds`` only the generators are held."""
    before = switches.snapshot()
    with pin(1, level="seeds") as p:
        assert switches.snapshot() == before
        undeterministic()
    assert p.warnings == ()


def test_unpinned_is_a_hole() -> None:
    """Inside, the outer streams and switches hold; two holes do not draw the same; the pin resumes."""
    start = sources.snapshot()
    plain = [draw(), draw()]
    sources.restore(start)
    with pin(4):
        whole = [draw(), draw(), draw()]
    threads = torch.get_num_threads()
    with pin(4):
        seen = [draw()]
        with unpinned():
            assert torch.get_num_threads() == threads
            assert torch.get_deterministic_debug_mode() == 0
            first = draw()
        seen.append(draw())
        with pin(5), unpinned():
            second = draw()
        seen.append(draw())
    assert seen == whole
    assert [first, second] == plain
    after = draw()
    sources.restore(start)
    assert [draw(), draw(), draw()][2] == after
    sources.restore(start)


def test_unpinned_holds_a_pin_of_its_own() -> None:
    """A pin within a hole within a pin restores the hole, and a hole within that sees the hole's state."""
    with pin(4), unpinned():
        state = everything()
        with pin(6):
            draw()
            with unpinned():
                assert everything() == state
        assert everything() == state


def test_unpinned_outside_of_a_pin_does_nothing() -> None:
    """Without an active pin nothing is saved, restored or changed."""
    before = everything()
    with unpinned():
        torch.rand(1)
        changed = everything()
    assert everything() == changed
    assert changed != before
    torch.default_generator.set_state(torch.tensor(before["torch-cpu"], dtype=torch.uint8))


def test_unpinned_resumes_after_an_exception() -> None:
    """After an exception in the hole the pinned streams resume; what the hole did outside stays."""
    start = sources.snapshot(), switches.snapshot()
    with pin(4):
        expected = [draw(), draw()]
    with pin(4):
        seen = [draw()]
        with contextlib.suppress(ValueError), unpinned():
            spoil()
            raise ValueError("x")
        seen.append(draw())
        assert torch.get_deterministic_debug_mode() == 2
        assert torch.backends.cudnn.benchmark is False
    assert seen == expected
    assert torch.backends.cudnn.benchmark is True
    assert torch.get_num_threads() == 3
    sources.restore(start[0])
    switches.restore(start[1])
