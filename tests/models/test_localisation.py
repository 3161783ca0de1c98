"""Slips that really happened, planted in real pipelines: each must be caught and named."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from seedpin.trace.divergence import first_divergence
from seedpin.trace.recorder import record
from support.pipelines import PIPELINES, build, generate
from support.slips import SLIPS, Slip, named_rightly, observe


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


@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: f"{slip.name} {slip.pipeline}".replace(" ", "-"))
def test_slip_is_caught_and_named(slip: Slip) -> None:
    """A planted slip changes the frames, and the sentence names the place where it was planted."""
    frames, golden = observe(slip, "modules", plant=False)
    slipped, here = observe(slip, "modules", plant=True)
    assert frames.shape != slipped.shape or not np.array_equal(frames, slipped)
    divergence = first_divergence(golden, here)
    assert named_rightly(slip, divergence), divergence


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
