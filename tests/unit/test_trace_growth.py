"""Which places the list of distances names on the way to the frames."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seedpin.report.divergence_rows import view_divergence
from seedpin.trace.diff.distance import distances_on_the_way
from seedpin.trace.diff.divergence import LEFT_OUT, Divergence, format_divergence
from seedpin.trace.diff.locate import first_divergence
from seedpin.trace.model import Fingerprint, Record, RecordKind, Sketch
from seedpin.trace.record.recorder import record

Row = tuple[Record, Record]


def _pair(kind: RecordKind, name: str, call: int = 0, step: int | None = None) -> Row:
    def one(value: float) -> Record:
        seen = Fingerprint(f"{value}", "float32", (1,), Sketch(value, value, value, value, (value,)))
        return Record(kind, name, call, 0, "", step, outputs=(("", seen),))

    return one(1.0), one(1.5)


def _run(steps: int, calls: int = 2) -> list[Row]:
    """A pipeline: text, in each step ``calls`` of the denoiser and one of the scheduler, decoder, frames."""
    rows = [_pair("stage", "text_encoder")]
    for step in range(steps):
        rows += [_pair("stage", "transformer", step * calls + call, step) for call in range(calls)]
        rows.append(_pair("scheduler", "scheduler.step", step, step))
    return [*rows, _pair("stage", "vae.decode", 0, steps), _pair("clip", "clip")]


def test_what_comes_once_is_never_left_out() -> None:
    """Of many steps whole ones stay, the first and last among them, and each gap is told with its size."""
    rows = [label for label, _ in distances_on_the_way(_run(50), 0)]
    assert rows[0] == "text_encoder"
    assert rows[-2:] == ["vae.decode, step 50", "frames"]
    told = [label for label in rows if not label.startswith(LEFT_OUT)]
    kept = [label.rpartition(" ")[2] for label in told if label.startswith("scheduler")]
    assert kept[0] == "0"
    assert kept[-1] == "49"
    assert len(told) == 3 + 3 * len(kept)
    assert len(told) <= 16
    gaps = [int(label.split()[1]) for label in rows if label.startswith(LEFT_OUT)]
    assert len(gaps) == len(kept) - 1
    assert sum(gaps) + len(told) == 3 + 50 * 3


def test_a_short_run_is_told_whole() -> None:
    """Four steps with guidance fit."""
    rows = distances_on_the_way(_run(4), 0)
    assert len(rows) == 3 + 4 * 3
    assert not any(label.startswith(LEFT_OUT) for label, _ in rows)


def test_a_large_step_is_thinned_as_well() -> None:
    """Where one step alone holds hundreds of calls the list stays short and ends at the frames."""
    rows = [label for label, _ in distances_on_the_way(_run(1, calls=400), 0)]
    assert len(rows) <= 64
    assert rows[0] == "text_encoder"
    assert rows[-1] == "frames"


def test_gaps_are_drawn_as_gaps() -> None:
    """Neither terminal nor report takes a gap for a place that cannot be compared."""
    found = Divergence("module", "a", None, "it parts", growth=distances_on_the_way(_run(50), 0))
    gaps = [line for line in format_divergence(found).splitlines() if LEFT_OUT in line]
    assert gaps
    assert all(line.rstrip().endswith("left out") for line in gaps)
    view = view_divergence(found)
    assert view is not None
    assert {one.text for one in view.growth if one.label.startswith(LEFT_OUT)} == {""}


class Holder:
    def __init__(self, factor: float) -> None:
        self.model = Wrapped(factor).eval()


class Wrapped(nn.Module):
    """Hands on what its last part gave, as it is or scaled."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.last = nn.Linear(16, 16)
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.last(x)
        return out if self.factor == 1 else out * self.factor


def test_the_place_itself_has_a_distance() -> None:
    """Also where one side hands on the very tensor of its last part, which was sampled more coarsely."""
    traces = []
    for factor in (1.0, 1.5):
        holder = Holder(factor)
        with record(holder, level="modules") as recorder, torch.no_grad():
            out = holder.model(torch.ones(8, 16))
        recorder.clip(out.reshape(1, 8, 16, 1))
        traces.append(recorder.trace())
    parted = first_divergence(*traces)
    assert parted is not None
    assert [name for name, _ in parted.growth] == ["model", "frames"]
    assert parted.growth[0][1] == pytest.approx(1 / 3, rel=0.05)
