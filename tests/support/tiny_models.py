"""Tiny models with random weights, built wholly offline; each generates within about a second on one thread.

Every function here is a factory for ``seeded_model``: it draws its weights from the global generator and
seeds nothing. The last layer of each decoder is scaled up, for the pictures of an untrained decoder
are grey within a few levels, and a golden of those would see little.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

WORDS = ("<pad>", "<unk>", "</s>", "a", "red", "green", "ball", "cube", "rolls", "over", "the", "hill")


@contextmanager
def quiet() -> Iterator[None]:
    """The libraries comment on optional packages and on unusual configurations."""
    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _libraries() -> tuple[Any, Any]:
    """diffusers and transformers, imported late, and without their incomplete types."""
    return import_module("diffusers"), import_module("transformers")


def tokenizer(length: int, words: Sequence[str] = WORDS) -> Any:
    """One token a word, padded to ``length``; the first three words are for padding, unknown and the end."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    _, transformers = _libraries()
    vocabulary = {word: index for index, word in enumerate(words)}
    known = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    known.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=known,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="</s>",
        model_max_length=length,
    )


def _scale(module: Any, factor: float) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(factor)


def wan() -> Any:
    """Wan text-to-video: UMT5, a 3-D transformer with rotary positions, a causal 3-D VAE, flow matching."""
    with quiet():
        _, transformers = _libraries()
        text_encoder = transformers.UMT5EncoderModel(
            transformers.UMT5Config(
                vocab_size=len(WORDS), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4
            )
        )
        transformer = wan_transformer(attention_head_dim=16, freq_dim=64, ffn_dim=64)
        vae = wan_vae(base_dim=8, dim_mult=[1, 1, 2, 2])
        _scale(vae.decoder.conv_out, 2.0)
    return wan_pipeline(text_encoder, transformer, vae, tokenizer(16), shift=3.0)


def wan_transformer(**sizes: Any) -> Any:
    return _libraries()[0].WanTransformer3DModel(
        **{
            "patch_size": (1, 2, 2),
            "num_attention_heads": 2,
            "in_channels": 16,
            "out_channels": 16,
            "text_dim": 32,
            "num_layers": 2,
            "cross_attn_norm": True,
            "qk_norm": "rms_norm_across_heads",
            "rope_max_seq_len": 32,
            **sizes,
        }
    )


def wan_vae(base_dim: int, dim_mult: list[int]) -> Any:
    return _libraries()[0].AutoencoderKLWan(
        base_dim=base_dim,
        z_dim=16,
        dim_mult=dim_mult,
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
    )


def wan_pipeline(text_encoder: Any, transformer: Any, vae: Any, words: Any, *, shift: float) -> Any:
    """Wan's text-to-video pipeline of these parts; ``words`` is its tokenizer."""
    diffusers, _ = _libraries()
    with quiet():
        pipeline = diffusers.WanPipeline(
            tokenizer=words,
            text_encoder=text_encoder.eval(),
            transformer=transformer.eval(),
            vae=vae.eval(),
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=shift),
        )
        pipeline.set_progress_bar_config(disable=True)
    return pipeline


def stable_video_diffusion() -> Any:
    """Stable Video Diffusion: CLIP vision, a spatio-temporal UNet, a temporal decoder, Euler."""
    with quiet():
        diffusers, transformers = _libraries()
        unet = diffusers.UNetSpatioTemporalConditionModel(
            block_out_channels=(32, 64),
            layers_per_block=1,
            sample_size=8,
            in_channels=8,
            out_channels=4,
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
            cross_attention_dim=32,
            num_attention_heads=4,
            projection_class_embeddings_input_dim=96,
            addition_time_embed_dim=32,
        )
        vae = diffusers.AutoencoderKLTemporalDecoder(
            block_out_channels=[32, 32, 32, 32],
            down_block_types=["DownEncoderBlock2D"] * 4,
            in_channels=3,
            out_channels=3,
            latent_channels=4,
        )
        _scale(vae.decoder.conv_out, 2.0)
        image_encoder = transformers.CLIPVisionModelWithProjection(
            transformers.CLIPVisionConfig(
                hidden_size=32,
                projection_dim=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                image_size=224,  # what the pipeline resizes to, whatever the model
                intermediate_size=37,
                patch_size=32,
            )
        )
        pipeline = diffusers.StableVideoDiffusionPipeline(
            vae=vae.eval(),
            image_encoder=image_encoder.eval(),
            unet=unet.eval(),
            scheduler=diffusers.EulerDiscreteScheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                interpolation_type="linear",
                num_train_timesteps=1000,
                prediction_type="v_prediction",
                sigma_max=700.0,
                sigma_min=0.002,
                steps_offset=1,
                timestep_spacing="leading",
                timestep_type="continuous",
                use_karras_sigmas=True,
            ),
            feature_extractor=transformers.CLIPImageProcessor(crop_size=224, size=224),
        )
        pipeline.set_progress_bar_config(disable=True)
    return pipeline


def stable_diffusion() -> Any:
    """Stable Diffusion: CLIP text, a UNet, a VAE, and a DDIM that draws noise at every step (eta > 0)."""
    return stable_diffusion_of((16, 32), [16, 16, 32, 32], sample_size=8, groups=4, contrast=2.0)


def stable_diffusion_of(
    unet_channels: tuple[int, int],
    vae_channels: list[int],
    *,
    sample_size: int,
    groups: int,
    contrast: float = 1.0,
    vocabulary: int = len(WORDS),
    words: Sequence[str] = WORDS,
    pipeline_class: str = "StableDiffusionPipeline",
) -> Any:
    """A Stable Diffusion of these sizes; the decoder's last layer is multiplied by ``contrast``."""
    with quiet():
        diffusers, transformers = _libraries()
        unet = diffusers.UNet2DConditionModel(
            block_out_channels=unet_channels,
            layers_per_block=1,
            sample_size=sample_size,
            in_channels=4,
            out_channels=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            norm_num_groups=groups,
            attention_head_dim=4,
        )
        vae = diffusers.AutoencoderKL(
            block_out_channels=vae_channels,
            in_channels=3,
            out_channels=3,
            down_block_types=["DownEncoderBlock2D"] * len(vae_channels),
            up_block_types=["UpDecoderBlock2D"] * len(vae_channels),
            latent_channels=4,
            norm_num_groups=groups,
        )
        _scale(vae.decoder.conv_out, contrast)
        text_encoder = transformers.CLIPTextModel(
            transformers.CLIPTextConfig(
                vocab_size=vocabulary,
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
        pipeline = getattr(diffusers, pipeline_class)(
            unet=unet.eval(),
            vae=vae.eval(),
            text_encoder=text_encoder.eval(),
            tokenizer=tokenizer(16, words),
            scheduler=diffusers.DDIMScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
    return pipeline


class Sketcher(nn.Module):
    """A plain module that generates: noise sampled inside, dropout that stays active.

    ``forward(frames)`` gives float32 (T, C, H, W) in [0, 1] of 32 x 32 pixels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lift = nn.Linear(8, 16 * 4 * 4)
        self.mix = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in range(3))
        self.drop = nn.Dropout(0.1)
        self.paint = nn.Conv2d(16, 3, 1)
        _scale(self.mix, 2.5)

    def forward(self, frames: int) -> torch.Tensor:
        start, end = torch.randn(2, 8)
        share = torch.arange(frames)[:, None] / (frames - 1)
        hidden = self.lift(start + share * (end - start)).reshape(frames, 16, 4, 4)
        for layer in self.mix:
            hidden = functional.interpolate(hidden, scale_factor=2.0, mode="bilinear", align_corners=False)
            hidden = self.drop(functional.leaky_relu(layer(hidden)))
        picture: torch.Tensor = self.paint(hidden)
        # A clamp rather than a sigmoid: exact zeros and ones are part of real clips.
        return (picture + 0.5).clamp(0.0, 1.0)


def train_and_sample(steps: int = 12) -> Mapping[str, torch.Tensor]:
    """Trains an autoencoder on moving dots and samples it: the four places where randomness enters.

    Initial weights, order of the data, dropout, and the noise that the samples are decoded from. Gives
    ``loss`` (steps,), ``order`` (steps, 8), ``weights`` and ``samples`` (8, 1, 12, 12) in [0, 1].
    """
    offsets = torch.arange(32)
    clips = torch.zeros(32, 12, 12)
    clips[offsets, offsets % 11, (offsets * 5) % 11] = 1.0
    encode = nn.Sequential(nn.Flatten(), nn.Linear(144, 24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, 4))
    decode = nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 144))
    optimizer = torch.optim.SGD([*encode.parameters(), *decode.parameters()], lr=0.3, momentum=0.9)
    loader = DataLoader(TensorDataset(clips, offsets), batch_size=8, shuffle=True)
    losses: list[torch.Tensor] = []
    order: list[torch.Tensor] = []
    while len(losses) < steps:
        for batch, indices in loader:
            loss = functional.mse_loss(decode(encode(batch)), batch.flatten(1)) * 10
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            losses.append(loss.detach())
            order.append(indices)
    with torch.no_grad():
        samples = (decode(torch.randn(8, 4)) + 0.3).clamp(0.0, 1.0).reshape(8, 1, 12, 12)
    weights = torch.cat([parameter.detach().flatten() for parameter in decode.parameters()])
    return {
        "loss": torch.stack(losses[:steps]),
        "order": torch.stack(order[:steps]),
        "weights": weights,
        "samples": samples,
    }


def stars(frames: int = 6, size: int = 40) -> npt.NDArray[np.uint8]:
    """NumPy alone: stars that drift over a sky, uint8 (T, H, W, C).

    It draws from the global generator, and from one that the global one seeds.
    Only + - x / and square roots: NumPy's exp, log and power differ between CPUs.
    """
    fresh = np.random.default_rng(np.random.randint(2**31))
    places = np.random.random((24, 2)) * size
    drift = fresh.standard_normal((24, 2))
    light = fresh.integers(96, 256, size=(24, 3))
    y, x = np.mgrid[0:size, 0:size]
    clip = np.empty((frames, size, size, 3), np.uint8)
    for index in range(frames):
        sky = np.stack([16 + y / 2, 24 + x / 4, 48 + (x + y) / 2], axis=-1)
        for (row, column), colour in zip((places + index * drift) % size, light, strict=True):
            distance = np.sqrt((y - row) ** 2 + (x - column) ** 2)
            sky += colour * np.clip(1.5 - distance, 0.0, 1.0)[..., None]
        clip[index] = np.clip(sky, 0, 255).astype(np.uint8)
    return clip


def photograph(size: int = 64) -> Any:
    """A PIL image to animate: a lit ball over a ground, computed in integers."""
    from PIL import Image

    y, x = np.mgrid[0:size, 0:size]
    picture = np.stack([40 + 2 * y, 90 + y, 200 - 2 * y], axis=-1)
    inside = (x - size // 3) ** 2 + (y - size // 2) ** 2 < (size // 5) ** 2
    picture[inside] = np.stack([255 - 2 * x, 60 + x, 30 + y], axis=-1)[inside]
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
