"""Slips that really happened, planted in real pipelines: each must be caught and named."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from seedpin.trace.diff.locate import first_divergence
from seedpin.trace.diff.nonfinite import first_nonfinite
from seedpin.trace.model import Level
from seedpin.trace.record.recorder import record
from support.further_slips import FURTHER
from support.pipelines import PIPELINES, build, generate
from support.slips import SLIPS, STABLE_DIFFUSION, Edit, Slip, named_rightly, observe


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other take most of the time of such small models."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_there_are_seventeen_kinds() -> None:
    """Every kind of slip that the project promises to name is planted at least once."""
    assert len({slip.name for slip in SLIPS}) == 17
    assert len({slip.name for slip in FURTHER}) == 8


@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: f"{slip.name} {slip.pipeline}".replace(" ", "-"))
def test_slip_is_caught_and_named(slip: Slip) -> None:
    """A planted slip changes the frames, and the sentence names the place where it was planted."""
    frames, golden = observe(slip, "modules", plant=False)
    slipped, here = observe(slip, "modules", plant=True)
    assert frames.shape != slipped.shape or not np.array_equal(frames, slipped)
    divergence = first_divergence(golden, here)
    assert named_rightly(slip, divergence), divergence


@pytest.mark.parametrize("level", ["stages", "modules"])
@pytest.mark.parametrize("slip", FURTHER, ids=lambda slip: f"{slip.name} {slip.pipeline}".replace(" ", "-"))
def test_further_slips_are_named_at_both_levels(slip: Slip, level: Level) -> None:
    """What other projects did wrong is named with its place and in the right words, at each level."""
    frames, golden = observe(slip, level, plant=False)
    slipped, here = observe(slip, level, plant=True)
    assert frames.shape != slipped.shape or not np.array_equal(frames, slipped)
    divergence = first_divergence(golden, here)
    assert named_rightly(slip, divergence), divergence


def test_two_levels_are_compared_at_the_coarser() -> None:
    """A run at modules against a golden at stages names the stage, and says at which level."""
    slip = next(slip for slip in SLIPS if (slip.name, slip.pipeline) == ("epsilon of a norm", "Wan"))
    _, golden = observe(slip, "stages", plant=False)
    _, here = observe(slip, "modules", plant=True)
    assert first_divergence(golden, observe(slip, "modules", plant=False)[1]) is None
    divergence = first_divergence(golden, here)
    assert divergence is not None
    assert divergence.place == "transformer"
    assert "eps 1e-06 -> 0.001" in divergence.sentence
    assert "compared at level stages" in divergence.sentence


def test_a_nan_is_placed() -> None:
    """A NaN from code between the last step and the decoder is told there, and what was not looked at."""
    edit = Edit(f"{STABLE_DIFFUSION}.__call__", "latents / self.vae.config.scaling_factor", "latents * 0 / 0")
    _, trace = observe(Slip("NaN", "Stable Diffusion", (edit,)), "stages", plant=True)
    place = first_nonfinite(trace)
    assert place is not None
    assert place.place == "vae.decode"
    assert "scheduler.step 2 was finite (whether its input `z` is finite was not looked at)" in place.sentence


@pytest.mark.parametrize("name", PIPELINES)
def test_recording_changes_no_bit(name: str) -> None:
    """At each level the frames and the generator's state are those of an unrecorded run."""
    pipeline = build(name)
    plain = generate(name, pipeline)
    state = torch.get_rng_state()
    traces = []
    for level in ("stages", "modules", "stages", "modules"):
        with record(pipeline, level=level) as recorder:
            frames = generate(name, pipeline)
        np.testing.assert_array_equal(frames, plain)
        assert torch.equal(torch.get_rng_state(), state)
        recorder.clip(frames)
        traces.append(recorder.trace())
    assert first_divergence(traces[0], traces[2]) is None
    assert first_divergence(traces[1], traces[3]) is None
