"""Stable Diffusion, tiny and with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from seedpin.checking.gate import ClipGate, TensorGate
from support.tiny_models import stable_diffusion

SETTINGS: dict[str, Any] = {"height": 64, "width": 64, "num_inference_steps": 3, "eta": 0.5}


@pytest.mark.seed(5)
@pytest.mark.parametrize("prompt", ["a green cube", "the red ball"], ids=["cube", "ball"])
def test_text_to_image(seeded_model: Callable[..., Any], golden_image: ClipGate, prompt: str) -> None:
    """Each prompt has a golden of its own, and its picture is identical."""
    pipeline = seeded_model(stable_diffusion)
    golden_image.check(pipeline(prompt, **SETTINGS))


@pytest.mark.seed(5)
def test_seeds_differ_and_repeat(
    seeded_model: Callable[..., Any], golden_image: ClipGate, golden_tensors: TensorGate
) -> None:
    """One model under two seeds: two pictures, each with its golden."""
    pipeline = seeded_model(stable_diffusion)
    golden_image.check(pipeline("a red cube", **SETTINGS), name="seed-5")
    other = seeded_model(pipeline, seed=6)
    golden_image.check(other("a red cube", **SETTINGS), name="seed-6")
    latents = {
        f"seed-{model.pin_info.seed}": model("a red cube", **SETTINGS, output_type="latent").images
        for model in (pipeline, other)
    }
    golden_tensors.check(latents, name="latents")
    assert not latents["seed-5"].equal(latents["seed-6"])
