"""The two networks of the demo model: a small video diffusion transformer and a decoder to RGB."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["Attention", "Block", "Decoder", "Denoiser", "FeedForward", "ResidualConv", "TimestepEmbedding"]


class TimestepEmbedding(nn.Module):
    """Sinusoids of the time step (Vaswani et al. 2017, section 3.5), then a two-layer perceptron.

    Maps (B,) in [0, 1000] to (B, dim).
    """

    def __init__(self, dim: int, frequencies: int = 32) -> None:
        super().__init__()
        # Python floats, not a buffer: they follow neither `.to(dtype)` nor a meta device.
        self.rates = [math.exp(-math.log(1000.0) * index / frequencies) for index in range(frequencies)]
        self.linear_in = nn.Linear(2 * frequencies, dim)
        self.linear_out = nn.Linear(dim, dim)

    def forward(self, timestep: torch.Tensor) -> torch.Tensor:
        angle = timestep.float()[:, None] * torch.tensor(self.rates, device=timestep.device)
        waves = torch.cat([torch.cos(angle), torch.sin(angle)], dim=1).to(self.linear_in.weight.dtype)
        return cast(torch.Tensor, self.linear_out(F.silu(self.linear_in(waves))))


class Attention(nn.Module):
    """Multi-head self-attention along time, one token per frame: (B, T, dim) to (B, T, dim).

    Each head has a learned bias for every distance in time, which starts out favouring one distance: -1, 1,
    -2, 2 and so on, the last head none. A motion is thus followed from the first training step on, as
    convolution-like attention follows neighbours in images (d'Ascoli et al. 2021, arXiv:2103.10697).
    """

    def __init__(self, dim: int, heads: int, max_frames: int) -> None:
        super().__init__()
        self.heads, self.max_frames = heads, max_frames
        self.to_qkv = nn.Linear(dim, 3 * dim)
        self.to_out = nn.Linear(dim, dim)
        distance = torch.arange(1 - max_frames, max_frames, dtype=torch.float32)
        favoured = [(head // 2 + 1) * (-1) ** (head + 1) for head in range(heads - 1)]
        biases = [-2.0 * (distance - offset).abs().clamp(max=4.0) for offset in favoured]
        self.time_bias = nn.Parameter(torch.stack([*biases, torch.zeros_like(distance)]))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        batch, count, dim = tokens.shape
        qkv = self.to_qkv(tokens).reshape(batch, count, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        frame = torch.arange(count, device=tokens.device)
        bias = self.time_bias[:, frame[None, :] - frame[:, None] + self.max_frames - 1]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return cast(torch.Tensor, self.to_out(mixed.transpose(1, 2).reshape(batch, count, dim)))


class FeedForward(nn.Module):
    """Two linear layers with a tanh-approximated GELU between them, applied to each token."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.linear_in = nn.Linear(dim, hidden)
        self.linear_out = nn.Linear(hidden, dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.linear_out(F.gelu(self.linear_in(tokens), approximate="tanh")))


class Block(nn.Module):
    """One transformer block with adaLN-zero conditioning (Peebles and Xie 2023, arXiv:2212.09748)."""

    def __init__(self, dim: int, heads: int, hidden: int, condition_dim: int, max_frames: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(condition_dim, 6 * dim)
        self.norm_attention = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.attention = Attention(dim, heads, max_frames)
        self.norm_feed_forward = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.feed_forward = FeedForward(dim, hidden)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, tokens: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """tokens (B, N, dim), condition (B, condition_dim) after its activation; returns (B, N, dim)."""
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = self.modulation(condition)[:, None].chunk(6, -1)
        tokens = tokens + gate_a * self.attention(self.norm_attention(tokens) * (1 + scale_a) + shift_a)
        hidden = self.norm_feed_forward(tokens) * (1 + scale_f) + shift_f
        return cast(torch.Tensor, tokens + gate_f * self.feed_forward(hidden))


class Denoiser(nn.Module):
    """Class-conditional diffusion transformer along time; a token is one frame of a latent clip.

    Latents are (B, channels, T, size, size) with T at most `max_frames`; the label `num_labels` is the null
    class of classifier-free guidance. The network estimates the clean data and turns the estimate into a
    flow velocity: data fill far fewer dimensions than noise, which matters when tokens are wide (Li and
    He 2025, arXiv:2511.13720).
    """

    def __init__(
        self,
        num_labels: int,
        *,
        channels: int = 4,
        size: int = 8,
        max_frames: int = 16,
        dim: int = 112,
        depth: int = 5,
        heads: int = 7,
        hidden: int = 192,
        condition_dim: int = 32,
    ) -> None:
        super().__init__()
        self.channels, self.size, self.max_frames = channels, size, max_frames
        self.null_label = num_labels
        values = channels * size * size
        self.frame_embed = nn.Linear(values, dim)
        self.position = nn.Parameter(0.1 * torch.randn(max_frames, dim))
        self.time_embed = TimestepEmbedding(condition_dim)
        self.label_embed = nn.Embedding(num_labels + 1, condition_dim)
        self.blocks = nn.ModuleList(
            Block(dim, heads, hidden, condition_dim, max_frames) for _ in range(depth)
        )
        self.norm_out = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.modulation_out = nn.Linear(condition_dim, 2 * dim)
        self.proj_out = nn.Linear(dim, values)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Velocity of `sample`.

        sample: (B, channels, T, size, size). timestep: (B,) in [0, 1000]. label: (B,) int64 in
        [0, num_labels]. Returns the sample's shape and dtype.
        """
        data = self.predict_data(sample, timestep, label)
        # The estimate is divided by the noise level; below 5 % its error would be blown up.
        level = (timestep.float() / 1000.0).clamp(min=0.05).to(sample.dtype)
        return (sample - data) / level[:, None, None, None, None]

    def predict_data(self, sample: torch.Tensor, timestep: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Estimate of the clean latents; arguments and shape as in `forward`."""
        batch, channels, frames, height, width = sample.shape
        tokens = self.frame_embed(sample.transpose(1, 2).flatten(2).to(self.frame_embed.weight.dtype))
        tokens = tokens + self.position[:frames]
        condition = F.silu(self.time_embed(timestep) + self.label_embed(label))
        for block in self.blocks:
            tokens = block(tokens, condition)
        shift, scale = self.modulation_out(condition)[:, None].chunk(2, -1)
        data: torch.Tensor = self.proj_out(self.norm_out(tokens) * (1 + scale) + shift)
        return data.reshape(batch, frames, channels, height, width).transpose(1, 2).to(sample.dtype)


class ResidualConv(nn.Module):
    """A 3 x 3 convolution and SiLU beside a skip path: (N, width, H, W) to the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden + F.silu(self.conv(hidden))


class Decoder(nn.Module):
    """Convolutional decoder of single frames: (N, channels, 8, 8) latents to (N, 3, 64, 64) RGB.

    Output is about [0, 1] but not clamped. Up-sampling is by pixel shuffle, whose gradient, unlike that of
    interpolation, is deterministic on every device. `depth` counts the residual convolutions at 8 x 8,
    16 x 16 and 32 x 32.
    """

    def __init__(self, channels: int = 4, depth: tuple[int, int, int] = (1, 2, 3)) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels, 64, 3, padding=1)
        self.stage_8 = nn.Sequential(*(ResidualConv(64) for _ in range(depth[0])))
        self.up_16 = nn.Conv2d(64, 4 * 32, 1)
        self.stage_16 = nn.Sequential(*(ResidualConv(32) for _ in range(depth[1])))
        self.up_32 = nn.Conv2d(32, 4 * 24, 1)
        self.stage_32 = nn.Sequential(*(ResidualConv(24) for _ in range(depth[2])))
        self.conv_out = nn.Conv2d(24, 12, 3, padding=1)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        hidden = self.stage_8(F.silu(self.conv_in(latent)))
        hidden = self.stage_16(F.silu(F.pixel_shuffle(self.up_16(hidden), 2)))
        hidden = self.stage_32(F.silu(F.pixel_shuffle(self.up_32(hidden), 2)))
        return 0.5 + 0.5 * F.pixel_shuffle(self.conv_out(hidden), 2)
