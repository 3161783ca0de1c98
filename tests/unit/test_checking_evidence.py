"""What is said beside the place where two runs part."""

from __future__ import annotations

import pytest

from seedpin.checking.evidence import fitting
from seedpin.trace.diff.divergence import Divergence

GUESS = "300 of 768 values differ, by one level, always down: rounding against truncation?"
FACT = "the frames are exactly the golden's, mirrored left to right"


@pytest.mark.parametrize(
    ("parted", "said"),
    [
        (None, (GUESS, FACT)),
        (Divergence("clip", "post-processing", None, ""), (GUESS, FACT)),
        (Divergence("stage", "image_processor.postprocess", None, ""), (GUESS, FACT)),
        (
            Divergence("draw", "draw in prepare_latents", None, ""),
            ("300 of 768 values differ, by one level, always down", FACT),
        ),
    ],
    ids=["no trace", "frames", "processor", "upstream"],
)
def test_a_guess_from_pixels_goes_where_the_trace_knows_better(
    parted: Divergence | None, said: tuple[str, ...]
) -> None:
    """A guess at what was done to the frames is left out where two runs part before the frames were made."""
    assert fitting((GUESS, FACT), parted) == said
