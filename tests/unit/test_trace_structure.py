"""The lines on random draws that a manifest keeps."""

from __future__ import annotations

import torch

from seedpin.trace.diff.draw_lines import moved_draws
from seedpin.trace.draw_lines import compact
from seedpin.trace.record.recorder import record

NOISE = "global cpu: float32 (1, 4, 8, 8)"


def test_draws_are_listed_without_building_a_trace() -> None:
    """Each draw that was seen gives its generator, dtype and shape, in order; what is only known to have
    moved has none."""
    own = torch.Generator().manual_seed(5)
    unseen = torch.rand
    with record() as recorder:
        torch.randn(1, 4, generator=own)
        torch.nn.functional.dropout(torch.ones(3), 0.5)
        torch.zeros(2, dtype=torch.float64).uniform_()
        unseen(2)
    assert recorder.draws() == [
        "own cpu: float32 (1, 4)",
        "global cpu: float32 (3,)",
        "global cpu: float64 (2,)",
    ]
    assert recorder._trace is None
    assert recorder.trace().records[-1].extra["unseen"] == "yes"


def test_long_lists_are_kept_short_and_still_tell_apart() -> None:
    """Equal neighbours share a line, and past 32 lines a hash stands for the others."""
    assert compact([NOISE] * 24) == (f"24 x {NOISE}",)
    many = [f"global cpu: float32 ({index},)" for index in range(40)]
    assert len(compact(many)) == 33
    assert compact(many) != compact([*many[:-1], NOISE])


def test_what_moved_is_told() -> None:
    """Another generator is named as such; other draws are listed, before and after."""
    assert moved_draws([NOISE], [NOISE]) == ""
    assert "global cpu -> own cpu" in moved_draws([f"24 x {NOISE}"], ["24 x own cpu: float32 (1, 4, 8, 8)"])
    assert f"none -> {NOISE}" in moved_draws([], [NOISE])
    assert "(1, 4, 8, 8) -> global cpu: float32 (256,)" in moved_draws(
        [NOISE], ["global cpu: float32 (256,)"]
    )
