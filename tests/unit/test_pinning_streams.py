"""Generators that a call is given and that would draw the pin's own numbers."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from seedpin.config import DEFAULT_SEED
from seedpin.errors import SameStreamWarning
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


@pytest.mark.parametrize("seed", [0, 1, 42, 123, 1234, 12345, 2**31 - 1, 2**32 - 1])
def test_a_lost_generator_with_a_handwritten_seed_changes_the_bits(seed: int) -> None:
    """Under the default seed no handwritten seed gives the pin's stream, so a lost ``generator=`` shows."""
    assert seed != DEFAULT_SEED
    model = seeded_model(noise)
    assert model.pin_info.seed == DEFAULT_SEED
    assert not torch.equal(model(generator=torch.Generator().manual_seed(seed)), model())
