"""Sampling loops and their steps, and what a draw depends on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from seedpin.trace.diff.locate import first_divergence
from seedpin.trace.model import Fingerprint, Trace
from seedpin.trace.record.recorder import record
from support.stepping import Scheduler


class Pipeline:
    def __init__(self) -> None:
        self.net = nn.Linear(4, 4)
        self.scheduler = Scheduler()

    def loop(self, latents: torch.Tensor) -> torch.Tensor:
        for timestep in self.scheduler.timesteps:
            latents = self.scheduler.step(self.net(latents), timestep, latents)
        return latents


def places(run: Callable[[Pipeline], object]) -> list[tuple[str, int | None, int | None]]:
    pipeline = Pipeline()
    with record(pipeline) as recorder, torch.no_grad():
        run(pipeline)
    return [(item.name.rpartition(".")[2], item.loop, item.step) for item in recorder.trace().records]


def test_loops_that_are_set_anew_are_numbered() -> None:
    """Each loop has its number and counts its steps from 0; what follows the last step is in none."""

    def run(pipeline: Pipeline) -> None:
        latents = torch.ones(1, 4)
        for count in (2, 1):
            pipeline.scheduler.set_timesteps(count)
            latents = pipeline.loop(latents)
        pipeline.net(latents)

    assert places(run) == [
        ("set_timesteps", None, None),
        *(("net", 0, 0), ("step", 0, 0), ("net", 0, 1), ("step", 0, 1)),
        ("set_timesteps", None, None),
        *(("net", 1, 0), ("step", 1, 0)),
        ("net", None, None),
    ]


def test_timesteps_that_are_set_twice_before_a_loop_are_one_loop() -> None:
    """Without a step between them no loop has begun."""

    def run(pipeline: Pipeline) -> None:
        pipeline.scheduler.set_timesteps(3)
        pipeline.scheduler.set_timesteps(1)
        pipeline.loop(torch.ones(1, 4))

    assert places(run)[2:] == [("net", 0, 0), ("step", 0, 0)]


def test_a_loop_that_starts_over_without_being_set_is_another_loop() -> None:
    """A scheduler that steps on past its end has begun anew."""

    def run(pipeline: Pipeline) -> None:
        pipeline.scheduler.set_timesteps(1)
        pipeline.loop(pipeline.loop(torch.ones(1, 4)))

    assert [item for item in places(run) if item[0] == "step"] == [("step", 0, 0), ("step", 1, 0)]


DRAWS: dict[str, Callable[[torch.Tensor], object]] = {
    "F.dropout": lambda x: nn.functional.dropout(x, 0.5),
    "F.feature_dropout": lambda x: nn.functional.dropout2d(x.reshape(1, 4, 1, 1), 0.5),
    "F.rrelu": lambda x: nn.functional.rrelu(-x.reshape(1, 4), training=True),
    "torch.bernoulli": lambda x: torch.bernoulli(x),
    "Tensor.bernoulli": lambda x: x.bernoulli(),
    "Tensor.bernoulli_": lambda x: torch.empty(4).bernoulli_(x),
    "torch.normal": lambda x: torch.normal(x, 1.0),
    "torch.multinomial": lambda x: torch.multinomial(x, 1),
    "torch.poisson": lambda x: torch.poisson(x * 50),
}


def drawn(draw: Callable[[torch.Tensor], object], x: torch.Tensor) -> Trace:
    torch.manual_seed(0)
    with record(object()) as recorder:
        draw(x.clone())
    return recorder.trace()


@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_is_blamed_on_its_input(name: str) -> None:
    """A draw whose input tensor changed is told by its input, not as another kernel or device."""
    golden = drawn(DRAWS[name], torch.tensor([0.1, 0.2, 0.3, 0.4]))
    record = golden.records[0]
    assert record.name == name
    tensors = [key for key, seen in record.inputs if isinstance(seen, Fingerprint)]
    assert len(tensors) == 1
    here = drawn(DRAWS[name], torch.tensor([0.9, 0.01, 0.02, 0.5]))
    found = first_divergence(golden, here)
    assert record.outputs != here.records[0].outputs
    assert found is not None
    assert f"the input `{tensors[0]}`" in found.sentence
    assert "another kernel" not in found.sentence


def test_what_a_filled_tensor_held_before_is_no_input() -> None:
    """A method that fills its tensor does not depend on what was in there."""
    one, other = (drawn(lambda x: x.normal_(), torch.full((4,), value)) for value in (0.0, 1.0))
    assert one.records[0].inputs == other.records[0].inputs
    assert one.records[0].outputs == other.records[0].outputs


def test_an_in_place_dropout_is_read_before_it_writes() -> None:
    """Its input is what it was given, though the call has overwritten it."""
    trace = drawn(lambda x: nn.functional.dropout(x, 0.5, inplace=True), torch.ones(4))
    plain = drawn(lambda x: nn.functional.dropout(x, 0.5), torch.ones(4))
    assert dict(trace.records[0].inputs)["input"] == dict(plain.records[0].inputs)["input"]
