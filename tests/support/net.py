"""A small torch model whose slips are chosen by environment variables, and its test."""

from __future__ import annotations

NET = """
import os

import numpy as np
import torch
from torch import nn

COUNT = []


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lift = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8, eps=float(os.environ.get("EPS", "1e-5")))
        self.paint = nn.Conv2d(8, 3, 3, padding=1)

    @torch.no_grad()
    def forward(self, frames=2):
        slip = os.environ.get("SLIP", "")
        if slip == "draw":
            torch.rand(1)
        own = torch.Generator().manual_seed(torch.initial_seed()) if slip == "generator" else None
        ramp = torch.linspace(0, 1, 16).expand(frames, 3, 16, 16)
        if slip == "inner nan":
            self.norm.weight = nn.Parameter(self.norm.weight * float("nan"))
        x = ramp + 0.1 * torch.randn(frames, 3, 16, 16, generator=own)
        if slip == "aside":
            torch.rand(7)
        if slip == "entropy":
            x = x + float(np.random.default_rng().normal()) * 0.01
        if slip == "state":
            COUNT.append(1)
            x = x + 0.1 * len(COUNT)
        if slip == "hash":
            x = x + 0.01 * (hash("a") % 97)
        y = torch.sigmoid(self.paint(torch.relu(self.norm(self.lift(x)))) + ramp)
        y = y.flip(0) if slip == "reversed" else y
        y = y * float("nan") if slip == "nan" else y
        return y.permute(0, 2, 3, 1)
"""

TEST = """
import pytest
from net import Net


@pytest.mark.seed(3)
def test_net(seeded_model, golden_video):
    golden_video.check(seeded_model(Net)(), fps=8)
"""
