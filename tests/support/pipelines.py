# mypy: disable-error-code="no-untyped-call,attr-defined,union-attr"
"""Tiny pipelines with random weights, built offline; each runs in a fraction of a second on a CPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from support import tiny_models

__all__ = ["PIPELINES", "build", "demo", "generate", "wan", "wan_frames"]

Frames = npt.NDArray[Any]


_WORDS = ("<pad>", "<unk>", "</s>", "a", "red", "ball", "rolls")


def wan(dtype: torch.dtype = torch.float32, *, dim: int = 12, layers: int = 2, vae_dim: int = 3) -> Any:
    """Wan text-to-video, shapes as in diffusers' own fast test."""
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(0)
    vae = tiny_models.wan_vae(vae_dim, [1, 1, 1, 1])
    transformer = tiny_models.wan_transformer(
        attention_head_dim=dim, freq_dim=256, ffn_dim=4 * dim, num_layers=layers
    )
    text_encoder = T5EncoderModel(
        T5Config(vocab_size=16, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4)
    )
    words = tiny_models.tokenizer(16, _WORDS)
    pipeline = tiny_models.wan_pipeline(text_encoder, transformer, vae, words, shift=7.0)
    pipeline.transformer.to(dtype)
    pipeline.text_encoder.to(dtype)
    return pipeline


def wan_frames(pipeline: Any, *, size: int = 16, frames: int = 9, steps: int = 3) -> Frames:
    out = pipeline(
        "a red ball",
        num_frames=frames,
        height=size,
        width=size,
        num_inference_steps=steps,
        max_sequence_length=16,
        output_type="np",
    )
    return np.asarray(out.frames[0])


def _stable_diffusion(image_to_image: bool) -> Any:
    torch.manual_seed(0)
    pipeline = tiny_models.stable_diffusion_of(
        (8, 16),
        [8, 16],
        sample_size=16,
        groups=2,
        vocabulary=16,
        words=_WORDS,
        pipeline_class="StableDiffusionImg2ImgPipeline" if image_to_image else "StableDiffusionPipeline",
    )
    pipeline.scheduler.register_to_config(clip_sample=True)
    return pipeline


def _stable_diffusion_frames(pipeline: Any) -> Frames:
    image = pipeline("a red ball", height=32, width=32, num_inference_steps=3, output_type="pil").images[0]
    return np.asarray(image)[None]


def _image_to_image_frames(pipeline: Any) -> Frames:
    ramp = torch.linspace(0, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    out = pipeline("a red ball", image=ramp, num_inference_steps=4, strength=0.75, output_type="pil")
    return np.asarray(out.images[0])[None]


def demo(dtype: torch.dtype = torch.float32) -> Any:
    """The demo model, untrained; what is zero at its birth is drawn, so that every part matters."""
    from seedpin.demo import DemoPipeline

    torch.manual_seed(0)
    pipeline = DemoPipeline()
    with torch.no_grad():
        for parameter in pipeline.parameters():
            if not parameter.any():
                parameter.normal_(0.0, 0.05)
    return pipeline.to(dtype).eval().requires_grad_(False)


def _demo_frames(pipeline: Any) -> Frames:
    return np.asarray(pipeline("red ball", num_frames=8, steps=3))


def _demo_with_its_own_generator(pipeline: Any) -> Frames:
    own = torch.Generator().manual_seed(9)
    return np.asarray(pipeline("red ball", num_frames=8, steps=3, generator=own))


def _demo_twice(pipeline: Any) -> Frames:
    clips = [pipeline(label, num_frames=4, steps=3) for label in ("red ball", "blue square")]
    return np.concatenate([np.asarray(clip) for clip in clips])


def _stable_diffusion_with_its_own_generator(pipeline: Any) -> Frames:
    own = torch.Generator().manual_seed(9)
    out = pipeline("a red ball", height=32, width=32, num_inference_steps=3, output_type="pil", generator=own)
    return np.asarray(out.images[0])[None]


PIPELINES: dict[str, tuple[Callable[[], Any], Callable[[Any], Frames]]] = {
    "Wan": (wan, wan_frames),
    "Wan bf16": (lambda: wan(torch.bfloat16), wan_frames),
    "Stable Diffusion": (lambda: _stable_diffusion(False), _stable_diffusion_frames),
    "Stable Diffusion img2img": (lambda: _stable_diffusion(True), _image_to_image_frames),
    "demo": (demo, _demo_frames),
    "Stable Diffusion, generator": (
        lambda: _stable_diffusion(False),
        _stable_diffusion_with_its_own_generator,
    ),
    "demo, generator": (demo, _demo_with_its_own_generator),
    "demo, two loops": (demo, _demo_twice),
    "demo bf16": (lambda: demo(torch.bfloat16), _demo_frames),
}


@cache
def build(name: str) -> Any:
    """The pipeline of that name, made once per process."""
    with tiny_models.quiet():
        return PIPELINES[name][0]()


def generate(name: str, pipeline: Any, seed: int = 1) -> Frames:
    """Frames (T, H, W, C) under a fixed seed."""
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PIPELINES[name][1](pipeline)
