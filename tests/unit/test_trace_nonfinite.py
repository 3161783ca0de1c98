"""Where the first NaN shows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from seedpin.trace.diff.divergence import Divergence
from seedpin.trace.diff.nonfinite import first_nonfinite
from seedpin.trace.model import Level
from seedpin.trace.record.recorder import mark, record
from seedpin.trace.storage import from_bytes, to_bytes


class Part(nn.Module):
    """Multiplies, and spoils what it gives at one place."""

    def __init__(self, spoil: float | None = None, one: bool = False) -> None:
        super().__init__()
        self.inner = nn.Identity()
        self.spoil = spoil
        self.one = one

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.inner(x * 2)
        if self.spoil is not None:
            x = x.clone()
            x[(..., 77) if self.one else ...] = self.spoil
        return x


class Pipeline:
    def __init__(self, glue: float = 1.0, **spoil: Any) -> None:
        self.encoder = Part(**spoil.get("encoder", {}))
        self.decoder = Part(**spoil.get("decoder", {}))
        self.glue = glue

    def __call__(self, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        hidden = self.encoder(torch.randn(1, 4, 500).to(dtype))
        out: torch.Tensor = self.decoder(hidden if self.glue == 1.0 else hidden / self.glue)
        return out


def found(
    pipeline: Pipeline, level: Level = "stages", dtype: torch.dtype = torch.float32
) -> Divergence | None:
    with record(pipeline, level=level) as recorder, torch.no_grad():
        frames = pipeline(dtype)
    recorder.clip(frames.float())
    return first_nonfinite(from_bytes(to_bytes(recorder.trace())))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("one", [True, False], ids=["one", "all"])
def test_the_first_record_that_holds_a_nan_is_named(dtype: torch.dtype, one: bool) -> None:
    """A NaN is told at the stage whose output first holds one, even a lone one among 2,000 values."""
    place = found(Pipeline(encoder={"spoil": float("nan"), "one": one}), dtype=dtype)
    assert place is not None
    assert (place.kind, place.place) == ("nonfinite", "encoder")
    assert place.sentence.startswith("NaN is first seen in the output of encoder")


def test_inside_of_a_stage_the_module_is_named() -> None:
    """At level modules the innermost module that is seen to hold it comes first."""
    spoiled = Pipeline(encoder={"spoil": float("nan")})
    assert getattr(found(spoiled, "modules"), "place", None) == "encoder"
    spoiled.encoder.inner = Part(float("nan"))  # type: ignore[assignment]
    assert getattr(found(spoiled, "modules"), "place", None) == "encoder.inner"


def test_inputs_that_are_earlier_outputs_are_called_finite() -> None:
    """What stands before the place is called finite where it was looked at, and only there."""
    place = found(Pipeline(decoder={"spoil": float("nan")}))
    assert place is not None
    assert place.sentence == "NaN is first seen in the output of decoder: its inputs are finite"
    place = found(Pipeline(glue=0.5, decoder={"spoil": float("nan")}))
    assert place is not None
    assert "encoder was finite (whether its input `x` is finite was not looked at)" in place.sentence


def test_an_infinity_before_a_nan_is_mentioned() -> None:
    """Infinities are told where there is no NaN, and beside one that comes after them."""
    place = found(Pipeline(encoder={"spoil": float("inf")}))
    assert place is not None
    assert place.sentence.startswith("an infinity is first seen in the output of encoder")
    place = found(Pipeline(encoder={"spoil": float("inf")}, decoder={"spoil": float("nan")}))
    assert place is not None
    assert place.place == "decoder"
    assert "whose input `x` is not finite; an infinity stands before it in encoder" in place.sentence


def test_nothing_is_said_of_a_finite_run() -> None:
    """A run without NaN or infinity has no such place; large finite values are none."""
    assert found(Pipeline(decoder={"spoil": 3e38, "one": True})) is None
    assert found(Pipeline()) is None


def test_marks_and_frames_are_places_too() -> None:
    """A NaN that no stage gave is told at the mark or the frames in which it first shows."""

    class Marked(Pipeline):
        def __call__(self, dtype: torch.dtype = torch.float32) -> torch.Tensor:
            return mark("scaled", super().__call__(dtype) * float("nan"))

    place = found(Marked())
    assert place is not None
    assert place.sentence == "NaN is first seen in mark 'scaled'"

    class Late(Pipeline):
        def __call__(self, dtype: torch.dtype = torch.float32) -> torch.Tensor:
            return super().__call__(dtype) * float("nan")

    place = found(Late())
    assert place is not None
    assert place.sentence == "NaN is first seen in the frames; decoder is finite"
