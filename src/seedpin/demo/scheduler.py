"""Euler sampling along straight flow-matching paths, with the interface of a diffusers scheduler."""

from __future__ import annotations

from typing import NamedTuple

import torch

__all__ = ["FlowEulerScheduler", "StepOutput"]

TRAIN_TIMESTEPS = 1000


class StepOutput(NamedTuple):
    """What one step returns; as in diffusers, element 0 is the next sample."""

    prev_sample: torch.Tensor
    pred_original_sample: torch.Tensor


class FlowEulerScheduler:
    """First-order sampler of the flow ``x(s) = (1 - s) * data + s * noise``.

    The model predicts the velocity ``noise - data`` (Lipman et al. 2023, arXiv:2210.02747; Liu et al. 2022,
    arXiv:2209.03003). Noise levels s fall from 1 to 0 and are moved towards noise by
    ``s' = shift * s / (1 + (shift - 1) * s)`` (Esser et al. 2024, arXiv:2403.03206, eq. 23). Time steps are
    ``1000 * s``.

    shift: positive; 1 keeps an even grid. Raises ValueError otherwise.
    """

    def __init__(self, shift: float = 2.0) -> None:
        if not shift > 0.0:
            raise ValueError(f"shift must be positive, not {shift!r}")
        self.shift = shift
        self.init_noise_sigma = 1.0
        self.set_timesteps(TRAIN_TIMESTEPS)

    def set_timesteps(self, num_inference_steps: int, device: torch.device | str | None = None) -> None:
        """Lay out the grid: `timesteps` (n,) and `sigmas` (n + 1,), both float32 and falling.

        num_inference_steps: at least 1. Raises ValueError otherwise.
        """
        if num_inference_steps < 1:
            raise ValueError(f"num_inference_steps must be at least 1, not {num_inference_steps}")
        # Python floats are IEEE doubles on every machine; a vectorised float32 linspace need not agree.
        even = [1.0 - index / num_inference_steps for index in range(num_inference_steps + 1)]
        levels = [self.shift * level / (1.0 + (self.shift - 1.0) * level) for level in even]
        self.num_inference_steps = num_inference_steps
        self.sigmas = torch.tensor(levels, dtype=torch.float32, device=device)
        self.timesteps = torch.tensor(
            [TRAIN_TIMESTEPS * level for level in levels[:-1]], dtype=torch.float32, device=device
        )

    def index_for_timestep(self, timestep: float | torch.Tensor) -> int:
        """Position of a time step in `timesteps`; raises ValueError for one that is not on the grid."""
        indices = (self.timesteps == torch.as_tensor(timestep, device=self.timesteps.device)).nonzero()
        if indices.numel() != 1:
            raise ValueError(
                f"{float(timestep)} is none of this scheduler's {self.num_inference_steps} time steps; "
                "pass an element of scheduler.timesteps"
            )
        return int(indices.item())

    def step(
        self, model_output: torch.Tensor, timestep: float | torch.Tensor, sample: torch.Tensor
    ) -> StepOutput:
        """Go from one noise level to the next; no random draw, no state kept between calls.

        model_output: velocity, of the sample's shape. timestep: an element of `timesteps`. sample: any shape.
        Returns the next sample and the data as predicted from here, both in the sample's dtype.
        Raises ValueError if the time step is not on the grid.
        """
        index = self.index_for_timestep(timestep)
        here, there = self.sigmas[index], self.sigmas[index + 1]
        velocity = model_output.to(sample.dtype)
        return StepOutput(
            prev_sample=sample + (there - here).to(sample.dtype) * velocity,
            pred_original_sample=sample - here.to(sample.dtype) * velocity,
        )

    def add_noise(self, original: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Mix data (B, ...) with noise of the same shape at time steps (B,) in [0, 1000]; on no grid."""
        level = (timesteps / TRAIN_TIMESTEPS).to(original.dtype).reshape(-1, *(1,) * (original.dim() - 1))
        return original + level * (noise - original)

    def __repr__(self) -> str:
        return f"FlowEulerScheduler(shift={self.shift}, num_inference_steps={self.num_inference_steps})"
