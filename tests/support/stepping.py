"""A scheduler as diffusers' are, as small as one can be."""

from __future__ import annotations

from typing import Any

import torch


class Scheduler:
    def set_timesteps(self, count: int) -> None:
        self.timesteps = torch.arange(count, 0, -1)

    def step(self, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor) -> torch.Tensor:
        return sample - 0.1 * model_output
