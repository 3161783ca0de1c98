"""Stable Video Diffusion, tiny and with random weights: a picture becomes a clip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from seedpin.checking.gate import ClipGate, TensorGate
from support.tiny_models import photograph, stable_video_diffusion

# diffusers' Euler scheduler converts a tensor in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SETTINGS: dict[str, Any] = {
    "height": 64,
    "width": 64,
    "num_frames": 5,
    "num_inference_steps": 2,
    "decode_chunk_size": 3,
    "fps": 6,
}


@pytest.mark.seed(77)
def test_image_to_video(
    seeded_model: Callable[..., Any], golden_video: ClipGate, golden_tensors: TensorGate
) -> None:
    """The clip and the latents of every step are those of the golden."""
    pipeline = seeded_model(stable_video_diffusion)
    steps: dict[str, torch.Tensor] = {}

    def keep(_: Any, step: int, __: Any, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        steps[f"step-{step}"] = tensors["latents"].clone()
        return tensors

    golden_video.check(pipeline(photograph(), **SETTINGS, callback_on_step_end=keep), fps=6)
    golden_tensors.check(steps, name="steps")


@pytest.mark.seed(77)
def test_the_noise_that_is_added_to_the_image_is_pinned(
    seeded_model: Callable[..., Any], golden_tensors: TensorGate
) -> None:
    """More of the noise that the pipeline adds to its image gives other latents, the same each time."""
    pipeline = seeded_model(stable_video_diffusion)
    settings = {**SETTINGS, "noise_aug_strength": 0.5, "output_type": "latent"}
    latents = pipeline(photograph(), **settings).frames
    golden_tensors.check(latents, name="latents")
    assert pipeline(photograph(), **settings).frames.equal(latents)
    assert not pipeline(photograph(), **SETTINGS, output_type="latent").frames.equal(latents)
