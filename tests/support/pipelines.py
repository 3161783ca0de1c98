# mypy: disable-error-code="no-untyped-call,attr-defined,union-attr"
"""Tiny pipelines with random weights, built offline; each runs in a fraction of a second on a CPU."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["PIPELINES", "build", "demo", "generate", "wan", "wan_frames"]

Frames = npt.NDArray[Any]


def _tokenizer(length: int) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<unk>", "</s>", "a", "red", "ball", "rolls"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="</s>",
        model_max_length=length,
    )


def wan(dtype: torch.dtype = torch.float32, *, dim: int = 12, layers: int = 2, vae_dim: int = 3) -> Any:
    """Wan text-to-video, shapes as in diffusers' own fast test."""
    from diffusers import (
        AutoencoderKLWan,
        FlowMatchEulerDiscreteScheduler,
        WanPipeline,
        WanTransformer3DModel,
    )
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(0)
    vae = AutoencoderKLWan(
        base_dim=vae_dim,
        z_dim=16,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
    )
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=dim,
        in_channels=16,
        out_channels=16,
        text_dim=32,
        freq_dim=256,
        ffn_dim=4 * dim,
        num_layers=layers,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )
    text_encoder = T5EncoderModel(
        T5Config(vocab_size=16, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4)
    )
    pipeline = WanPipeline(
        tokenizer=_tokenizer(16),
        text_encoder=text_encoder.eval(),
        transformer=transformer.eval(),
        vae=vae.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
    )
    pipeline.transformer.to(dtype)
    pipeline.text_encoder.to(dtype)
    pipeline.set_progress_bar_config(disable=True)
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
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionImg2ImgPipeline,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        norm_num_groups=2,
        attention_head_dim=4,
    )
    vae = AutoencoderKL(
        block_out_channels=[8, 16],
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D", "DownEncoderBlock2D"],
        up_block_types=["UpDecoderBlock2D", "UpDecoderBlock2D"],
        latent_channels=4,
        norm_num_groups=2,
    )
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=16,
            hidden_size=32,
            intermediate_size=37,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=16,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
    )
    cls = StableDiffusionImg2ImgPipeline if image_to_image else StableDiffusionPipeline
    pipeline = cls(
        unet=unet.eval(),
        vae=vae.eval(),
        text_encoder=text_encoder.eval(),
        tokenizer=_tokenizer(16),
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=True
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.scheduler.register_to_config(clip_sample=True)  # The pipeline's constructor takes it away.
    pipeline.set_progress_bar_config(disable=True)
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
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PIPELINES[name][0]()


def generate(name: str, pipeline: Any, seed: int = 1) -> Frames:
    """Frames (T, H, W, C) under a fixed seed."""
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PIPELINES[name][1](pipeline)
