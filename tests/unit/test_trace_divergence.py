"""Where two traces part, and in which words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from seedpin.errors import TraceError
from seedpin.records import as_plain, as_record
from seedpin.trace.diff.align import diff
from seedpin.trace.diff.divergence import Divergence, format_divergence
from seedpin.trace.diff.locate import first_divergence
from seedpin.trace.model import Level, Trace
from seedpin.trace.record.recorder import mark, record


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)) for _ in range(3))

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        for block in self.blocks:
            x = x + scale * block(x)
        return x


class Holder:
    def __init__(self) -> None:
        self.model = Model().eval()


def plain(holder: Holder) -> Any:
    latents = torch.randn(1, 4)
    for _ in range(3):
        latents = mark("latents", holder.model(latents))
    return latents.reshape(2, 2, 1, 1)


def traced(
    run: Callable[[Holder], Any] = plain, holder: Holder | None = None, level: Level = "modules"
) -> Trace:
    holder = holder or Holder()
    torch.manual_seed(1)
    with record(holder, level=level) as recorder, torch.no_grad():
        frames = run(holder)
    recorder.clip(frames)
    return recorder.trace()


def found(golden: Trace, here: Trace) -> Divergence:
    divergence = first_divergence(golden, here)
    assert divergence is not None
    return divergence


@pytest.mark.parametrize("level", ["stages", "modules", "ops"])
def test_a_run_does_not_part_from_itself(level: Level) -> None:
    """Two equal runs have no divergence at any level."""
    assert first_divergence(traced(level=level), traced(level=level)) is None


def test_operations_are_compared_with_operations_only() -> None:
    """A trace of every operation is told at no other level."""
    with pytest.raises(TraceError, match="cannot be told at level stages"):
        first_divergence(traced(level="stages"), traced(level="ops"))


def test_the_innermost_module_is_named_with_its_setting() -> None:
    """A changed epsilon names the norm itself, and the setting, also at level stages."""
    holder = Holder()
    holder.model.blocks[1][1].eps = 0.5  # type: ignore[index]
    divergence = found(traced(), traced(holder=holder))
    assert (divergence.kind, divergence.place) == ("module", "model.blocks.1.1")
    assert "inputs and weights agree, the output does not" in divergence.sentence
    assert "eps 1e-05 -> 0.5" in divergence.sentence
    coarse = found(traced(level="stages"), traced(holder=holder, level="stages"))
    assert (coarse.kind, coarse.place) == ("stage", "model")
    assert "model.blocks.1.1 LayerNorm: eps 1e-05 -> 0.5" in coarse.sentence


def test_changed_weights_are_another_finding() -> None:
    """A changed parameter is named as such, at both levels."""
    holder = Holder()
    with torch.no_grad():
        holder.model.blocks[2][0].bias[0] += 1  # type: ignore[index]
    for level in ("stages", "modules"):
        divergence = found(traced(level=level), traced(holder=holder, level=level))
        assert (divergence.kind, divergence.place) == ("weights", "model.blocks.2.0")
        assert divergence.sentence == "the weights of model.blocks.2.0 differ (bias)"


def test_a_new_and_a_lost_draw() -> None:
    """An extra draw is new, and seen from the other side it is lost."""

    def extra(holder: Holder) -> Any:
        torch.rand(2)
        return plain(holder)

    golden, here = traced(), traced(extra)
    assert found(golden, here).sentence.startswith("random draw 0 is new: torch.rand (2,) float32")
    assert found(here, golden).sentence.startswith("random draw 0 is lost: torch.rand (2,) float32")
    assert found(golden, here).kind == "draw"


def test_draws_that_change_places() -> None:
    """Two draws in another order are named as reordered."""

    def drawing(*order: str) -> Callable[[Holder], Any]:
        def run(holder: Holder) -> Any:
            drawn = [getattr(torch, name)(3) for name in order]
            return plain(holder) + drawn[0][0] + drawn[1][0]

        return run

    divergence = found(traced(drawing("randn", "rand")), traced(drawing("rand", "randn")))
    assert divergence.kind == "draw"
    assert divergence.sentence.startswith("random draws changed places: torch.randn (3,) float32")
    assert divergence.sentence.endswith("is draw 1, was draw 0")


def test_another_seed() -> None:
    """A run with another seed parts at its first draw, which starts from another state."""

    def other(holder: Holder) -> Any:
        torch.manual_seed(2)
        return plain(holder)

    divergence = found(traced(), traced(other))
    assert divergence.kind == "draw"
    assert "starts from another state of the global cpu generator" in divergence.sentence


def test_glue_between_two_records() -> None:
    """If an input differs though all before agrees, the code in between is named."""

    def scaled(holder: Holder) -> Any:
        latents = torch.randn(1, 4)
        for _ in range(3):
            latents = mark("latents", holder.model(latents * 1.001))
        return latents.reshape(2, 2, 1, 1)

    divergence = found(traced(), traced(scaled))
    assert divergence.kind == "glue"
    assert "the input `x` differs though everything before agrees" in divergence.sentence
    holder = Holder()
    changed: Any = holder.model
    changed.forward = lambda x: Model.forward(changed, x, 1.1)
    divergence = found(traced(), traced(holder=holder))
    assert (divergence.kind, divergence.place) == ("glue", "model")
    assert divergence.sentence.startswith(
        "model: inputs agree, so do its parts up to blocks.0, its own code does not: "
        "the input `input` of blocks.1 differs"
    )


def test_an_argument_is_named() -> None:
    """A changed plain argument is named with both values, and in how many calls."""

    def argument(holder: Holder) -> Any:
        latents = torch.randn(1, 4)
        for _ in range(3):
            latents = mark("latents", holder.model(latents, scale=0.5))
        return latents.reshape(2, 2, 1, 1)

    divergence = found(traced(), traced(argument))
    assert divergence.kind == "argument"
    assert "the argument `scale` is 0.5 here, was absent (in all of 3 calls)" in divergence.sentence


def test_a_lost_call() -> None:
    """A loop that ends early, or goes on, is named by the call that is gone or new, not by later code."""

    def looped(count: int) -> Callable[[Holder], Any]:
        def run(holder: Holder) -> Any:
            latents = torch.randn(1, 4)
            for _ in range(count):
                latents = mark("latents", holder.model(latents))
            return latents.reshape(2, 2, 1, 1)

        return run

    for golden, here, word in ((3, 2, "is lost"), (2, 3, "is new")):
        divergence = found(traced(looped(golden)), traced(looped(here)))
        assert (divergence.kind, divergence.place) == ("records", "model")
        assert divergence.sentence.startswith(f"model call 2 {word} after mark 'latents' (1)")


CLIPS: list[tuple[str, Callable[[Any], Any], str]] = [
    ("reversed", lambda frames: frames[::-1], "reversed order"),
    ("last", lambda frames: frames[:-1], "the clips agree up to frame 4; the last frame is missing"),
    ("two", lambda frames: frames[:-2], "up to frame 3; the last 2 frames are missing"),
    ("more", lambda frames: np.concatenate([frames, frames]), "up to frame 5; 6 more frames follow"),
    ("first", lambda frames: frames[1:], "1 frames are missing, from frame 0 on"),
    ("order", lambda frames: frames[[0, 2, 1, 3, 4, 5]], "another order, from frame 1 on"),
    ("values", lambda frames: frames + 1, "all 6 frames differ, first frame 0: post-processing"),
]


@pytest.mark.parametrize(("change", "says"), [item[1:] for item in CLIPS], ids=[item[0] for item in CLIPS])
def test_only_the_frames_differ(change: Callable[[Any], Any], says: str) -> None:
    """With equal traces the clip alone tells: frames lost, reversed, shuffled or otherwise changed."""
    frames = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2, 1)
    divergence = found(
        traced(lambda holder: (plain(holder), frames)[1]),
        traced(lambda holder: (plain(holder), change(frames))[1]),
    )
    assert (divergence.kind, divergence.place) == ("clip", "post-processing")
    assert says in divergence.sentence


@pytest.mark.parametrize(("change", "says"), [item[1:] for item in CLIPS], ids=[item[0] for item in CLIPS])
def test_a_plain_function_has_no_post_processing(change: Callable[[Any], Any], says: str) -> None:
    """Where nothing was recorded that computes, the call's own code is the place, and no stage after it."""
    frames = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2, 1)
    divergence = found(traced(lambda _: frames), traced(lambda _: change(frames)))
    assert (divergence.kind, divergence.place) == ("clip", "the call's own code")
    assert says.partition(": ")[0] in divergence.sentence
    assert "post-processing" not in divergence.sentence


def test_growth_reaches_the_frames_and_survives_json() -> None:
    """Distances lead from the place to the frames, and a divergence survives a trip through JSON."""
    holder = Holder()
    holder.model.blocks[1][1].eps = 0.5  # type: ignore[index]
    divergence = found(traced(), traced(holder=holder))
    labels = [name for name, _ in divergence.growth]
    assert labels[0] == "model.blocks.1.1"
    assert labels[-1] == "frames"
    assert all(apart is None or apart > 0 for _, apart in divergence.growth)
    assert as_record(Divergence, json.loads(json.dumps(as_plain(divergence)))) == divergence
    assert divergence.sentence in format_divergence(divergence)
    with pytest.raises(ValueError, match="place is absent"):
        as_record(Divergence, {"kind": "module"})


def test_a_draw_without_consequence_is_no_divergence() -> None:
    """An extra draw from a generator that nothing else uses is not reported when all outputs agree."""

    def aside(holder: Holder) -> Any:
        torch.randn(2, generator=torch.Generator())
        return plain(holder)

    assert first_divergence(traced(), traced(aside)) is None


def test_diff_is_shortest_and_linear_for_equal_sequences() -> None:
    """The alignment keeps what is common and takes long sequences with one edit in its stride."""
    assert diff("abcabba", "cbabac").count((None, 0)) <= 1
    rows = diff("abcabba", "cbabac")
    assert sum(g is None or h is None for g, h in rows) == 5
    assert [g for g, _ in rows if g is not None] == list(range(7))
    assert [h for _, h in rows if h is not None] == list(range(6))
    long = ["a", "b", "c"] * 20_000
    rows = diff(long, [*long[:30_000], "x", *long[30_000:]])
    assert sum(g is None or h is None for g, h in rows) == 1
    asked = 0

    class Counted(int):
        def __eq__(self, other: object) -> bool:
            nonlocal asked
            asked += 1
            return super().__eq__(other)

        __hash__ = int.__hash__

    assert len(diff([Counted(1)] * 3000, [Counted(2)] * 3000)) == 6000
    assert asked < 1_000_000
