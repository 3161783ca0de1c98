"""The demo pipeline: from a class label and torch's random state to a clip."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Literal

import torch
from safetensors.torch import load
from torch import nn

from seedpin.demo.model import Decoder, Denoiser
from seedpin.demo.scheduler import FlowEulerScheduler

__all__ = ["COLOURS", "FPS", "LABELS", "SHAPES", "WEIGHTS", "DemoPipeline", "load_demo"]

COLOURS: tuple[tuple[str, tuple[float, float, float]], ...] = (
    ("red", (0.88, 0.18, 0.16)),
    ("green", (0.16, 0.66, 0.28)),
    ("blue", (0.16, 0.36, 0.88)),
    ("yellow", (0.96, 0.74, 0.10)),
)
"""Name and base paint, RGB in [0, 1], of each colour."""

SHAPES = ("ball", "square", "triangle")
"""Each shape has its own motion: a ball bounces, a square tumbles as it drifts, a triangle circles."""

LABELS: tuple[str, ...] = tuple(f"{colour} {shape}" for colour, _ in COLOURS for shape in SHAPES)
"""Name of each class, in the order of the class index."""

FPS = 8
"""Frames per second at which the motion looks natural."""

WEIGHTS = "weights.safetensors"


class DemoPipeline(nn.Module):
    """A small latent video diffusion model: `denoiser`, `scheduler`, then `decoder`.

    Built directly, it has random weights; `from_package` loads the trained ones.
    """

    __call__: Callable[..., torch.Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.denoiser = Denoiser(len(LABELS))
        self.decoder = Decoder()
        self.scheduler = FlowEulerScheduler()

    @classmethod
    def from_package(cls, dtype: torch.dtype = torch.float32) -> DemoPipeline:
        """Load the trained weights (stored as float16) in `dtype`, on the CPU, ready for inference.

        Raises FileNotFoundError if the package was installed without its weights.
        """
        stored = load(files("seedpin.demo").joinpath(WEIGHTS).read_bytes())
        with torch.device("meta"):  # No random draw: loading must not move the caller's generators.
            pipeline = cls()
        pipeline = pipeline.to(dtype).to_empty(device="cpu")
        # load_state_dict copies into torch's own aligned memory; views of the file could be misaligned,
        # which changes the bits of some CPU kernels.
        pipeline.load_state_dict(stored)
        return pipeline.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(
        self,
        label: int | str = 0,
        *,
        num_frames: int = 16,
        steps: int = 24,
        guidance: float = 2.0,
        generator: torch.Generator | None = None,
        output: Literal["uint8", "float", "latent"] = "uint8",
    ) -> torch.Tensor:
        """Generate one clip.

        label: class index or a name of `LABELS`. num_frames: 1 to 16. steps: at least 1. guidance:
        scale of classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598), 1 for none. generator:
        source of the initial noise, torch's global one if None; nothing else is random.

        Returns (T, 64, 64, 3) uint8 (rounded) or float32 in [0, 1]; for "latent", the float32 latents
        (4, T, 8, 8). Raises ValueError for an argument out of its range.
        """
        index = _label_index(label)
        if not 1 <= num_frames <= self.denoiser.max_frames:
            raise ValueError(f"num_frames must be 1 to {self.denoiser.max_frames}, not {num_frames}")
        if output not in ("uint8", "float", "latent"):
            raise ValueError(f'output must be "uint8", "float" or "latent", not {output!r}')

        latents = self.prepare_latents(num_frames, generator)
        self.scheduler.set_timesteps(steps, device=latents.device)
        for timestep in self.scheduler.timesteps:
            velocity = self.guided_velocity(latents, timestep, index, guidance)
            latents = self.scheduler.step(velocity, timestep, latents).prev_sample
        return latents[0] if output == "latent" else self.decode(latents, output)

    def prepare_latents(self, num_frames: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Draw the initial noise: (1, 4, num_frames, 8, 8) float32 on the model's device."""
        device = self.denoiser.proj_out.weight.device
        shape = (1, self.denoiser.channels, num_frames, self.denoiser.size, self.denoiser.size)
        drawn_on = device if generator is None else generator.device
        noise = torch.randn(shape, generator=generator, device=drawn_on, dtype=torch.float32)
        return noise.to(device) * self.scheduler.init_noise_sigma

    def guided_velocity(
        self, latents: torch.Tensor, timestep: torch.Tensor, label: int, guidance: float
    ) -> torch.Tensor:
        """Velocity for latents (1, 4, T, 8, 8), both halves of the guidance in one batch; float32."""
        labels = [label] if guidance == 1.0 else [label, self.denoiser.null_label]
        count = len(labels)
        velocity: torch.Tensor = self.denoiser(
            latents.to(self.denoiser.proj_out.weight.dtype).expand(count, -1, -1, -1, -1),
            timestep.expand(count),
            torch.tensor(labels, device=latents.device),
        )
        velocity = velocity.float()
        if count == 1:
            return velocity
        asked, null = velocity.chunk(2)
        return null + guidance * (asked - null)

    def decode(self, latents: torch.Tensor, output: Literal["uint8", "float"] = "uint8") -> torch.Tensor:
        """Latents (1, 4, T, 8, 8) to frames (T, 64, 64, 3), uint8 or float32 in [0, 1]."""
        frames = latents[0].transpose(0, 1).to(self.decoder.conv_in.weight.dtype)
        decoded: torch.Tensor = self.decoder(frames)
        pixels = decoded.float().clamp(0.0, 1.0).permute(0, 2, 3, 1).contiguous()
        return pixels if output == "float" else (pixels * 255.0).round().to(torch.uint8)


def load_demo(dtype: torch.dtype = torch.float32) -> DemoPipeline:
    """Factory form of `DemoPipeline.from_package`."""
    return DemoPipeline.from_package(dtype)


def _label_index(label: int | str) -> int:
    if isinstance(label, str) and label in LABELS:
        return LABELS.index(label)
    if isinstance(label, int) and 0 <= label < len(LABELS):
        return label
    raise ValueError(f"label must be 0 to {len(LABELS) - 1} or one of {', '.join(LABELS)}, not {label!r}")
