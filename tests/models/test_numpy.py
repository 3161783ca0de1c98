"""A generator that uses NumPy and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seedpin.checking.gate import ClipGate
from support.tiny_models import stars


@pytest.mark.seed(3)
def test_numpy_generator(seeded_model: Callable[..., Any], golden_video: ClipGate) -> None:
    """Frames of a NumPy function are those of the golden, and the same at each call."""
    generate = seeded_model(stars)
    clip = generate()
    golden_video.check(clip, fps=8)
    assert np.array_equal(generate(frames=6), clip)
