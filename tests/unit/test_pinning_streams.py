"""Generators that a call is given and that would draw the pin's own numbers."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import seedpin
from seedpin.environment import battery, canary
from seedpin.errors import SameStreamWarning
from seedpin.options import DEFAULT_SEED
from seedpin.pinning.model import seeded_model


def noise(*, generator: Any = None) -> torch.Tensor:
    own = generator[0] if isinstance(generator, list) else generator
    return torch.randn(3, generator=own if isinstance(own, torch.Generator) else None)


@pytest.mark.parametrize("level", ["strict", "seeds"])
@pytest.mark.parametrize(
    "make",
    [
        lambda seed: torch.Generator().manual_seed(seed),
        lambda seed: [torch.Generator().manual_seed(seed)],
        np.random.RandomState,
        random.Random,
    ],
    ids=["torch", "list", "numpy", "python"],
)
def test_a_generator_with_the_pins_seed_is_warned_about_at_the_callers_line(make: Any, level: str) -> None:
    """A generator that draws the pin's own numbers hides its own loss: argument, seed and line are named."""
    model = seeded_model(noise, seed=5, level=level)
    with pytest.warns(SameStreamWarning, match=r"in generator has the pin's seed \(5\)") as caught:
        model(generator=make(5))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error", SameStreamWarning)
        model(generator=make(6))


def test_a_generator_that_drew_since_or_that_nobody_seeded_is_no_twin() -> None:
    """Only the state counts: after a draw, or never seeded, a generator's numbers are its own."""
    used = torch.Generator().manual_seed(5)
    torch.rand(1, generator=used)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SameStreamWarning)
        seeded_model(noise, seed=5)(generator=used)
        seeded_model(noise, seed=5)(generator=torch.Generator())
        seeded_model(noise, seed=5)(generator=np.random.default_rng(5))


DRAWS: dict[str, Callable[[Any], torch.Tensor]] = {
    "randn": lambda generator: torch.randn(3, generator=generator),
    "rand": lambda generator: torch.rand(3, generator=generator),
    "randint": lambda generator: torch.randint(9, (3,), generator=generator),
    "normal": lambda generator: torch.normal(0.0, 1.0, (3,), generator=generator),
    "normal_": lambda generator: torch.empty(3).normal_(generator=generator),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_bare_pin_says_that_a_generator_with_its_seed_was_drawn_from(draw: Any) -> None:
    """Also one that nothing holds: where it drew is named, once a pin, at the line where the pin began."""
    said = r"pin's seed \(5\) was drawn from at .*streams.py:"

    @seedpin.pin(5)
    def sample() -> None:
        for _ in range(3):
            draw(torch.Generator().manual_seed(5))

    with pytest.warns(SameStreamWarning, match=said) as caught:
        sample()
    assert [(warning.filename, warning.category) for warning in caught] == [(__file__, SameStreamWarning)]


def test_a_bare_pin_is_silent_about_other_generators_and_its_own() -> None:
    """Another seed, the global generator by name, a stream of the pin's, a hole and an inner pin are fine."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with seedpin.pin(5) as pinned:
            for draw in DRAWS.values():
                draw(torch.Generator().manual_seed(6))
                draw(torch.default_generator)
                draw(pinned.generator("noise"))
            with seedpin.unpinned(), warnings.catch_warnings():
                torch.randn(3, generator=torch.Generator().manual_seed(5))
            with seedpin.pin(7):
                torch.randn(3, generator=torch.Generator().manual_seed(5))
        with seedpin.pin(5, level="seeds"):
            torch.randn(3, generator=torch.Generator().manual_seed(5))


def test_the_canary_is_no_twin() -> None:
    """The generator that the canary draws from is not the user's, whatever the pin's seed is."""
    seed = battery.Bench(torch.device("cpu"), torch.float32).generator().initial_seed()
    with warnings.catch_warnings():
        warnings.simplefilter("error", SameStreamWarning)
        with seedpin.pin(seed):
            canary.measure(torch.device("cpu"))


def test_what_looks_at_draws_changes_none_and_goes_with_the_pin() -> None:
    """The draws of a pin are those of the same seeds without one; after it torch's own kernels are alone."""
    torch.manual_seed(5)
    expected = [draw(torch.default_generator) for draw in DRAWS.values()]
    expected += [draw(torch.Generator().manual_seed(6)) for draw in DRAWS.values()]
    with seedpin.pin(5):
        found = [draw(None) for draw in DRAWS.values()]
        found += [draw(torch.Generator().manual_seed(6)) for draw in DRAWS.values()]
        inside = torch._C._dispatch_has_kernel_for_dispatch_key("aten::normal_", "BackendSelect")
    assert all(map(torch.equal, expected, found))
    assert inside
    assert not torch._C._dispatch_has_kernel_for_dispatch_key("aten::normal_", "BackendSelect")


def test_a_seeded_model_says_it_once() -> None:
    """What was said of the arguments is not said again of the draws; a generator of the model's own is."""
    with pytest.warns(SameStreamWarning) as caught:
        seeded_model(noise, seed=5)(generator=torch.Generator().manual_seed(5))
    assert len(caught) == 1
    with pytest.warns(SameStreamWarning, match="was drawn from at"):
        seeded_model(lambda: noise(generator=torch.Generator().manual_seed(5)), seed=5)()


@pytest.mark.parametrize("seed", [0, 1, 42, 123, 1234, 12345, 2**31 - 1, 2**32 - 1])
def test_a_lost_generator_with_a_handwritten_seed_changes_the_bits(seed: int) -> None:
    """Under the default seed no handwritten seed gives the pin's stream, so a lost ``generator=`` shows."""
    assert seed != DEFAULT_SEED
    model = seeded_model(noise)
    assert model.pin_info.seed == DEFAULT_SEED
    assert not torch.equal(model(generator=torch.Generator().manual_seed(seed)), model())
