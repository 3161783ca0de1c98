"""The demo model with its trained weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from seedpin.checking.gate import ClipGate, TensorGate
from seedpin.demo import load_demo


@pytest.mark.seed(1234)
def test_demo_clip(
    seeded_model: Callable[..., Any], golden_video: ClipGate, golden_tensors: TensorGate
) -> None:
    """Clip and latents of the demo model are those of the golden."""
    model = seeded_model(load_demo)
    golden_video.check(model("red ball", steps=6), fps=8)
    golden_tensors.check(model("red ball", steps=6, output="latent"), name="latents")
