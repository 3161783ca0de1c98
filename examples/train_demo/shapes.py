"""Synthetic clips for the demo model: one coloured shape moving over a pastel room.

Every clip is drawn from signed distance functions, so edges are antialiased at any sub-pixel position and
a batch is rendered by a handful of tensor operations.
"""

from __future__ import annotations

import math

import torch

from seedpin.demo.pipeline import COLOURS, SHAPES

SIZE = 64
FRAMES = 16
FLOOR = 54.0
"""Height in pixels, from the top, of the line on which a ball lands."""


def sample_clips(
    labels: torch.Tensor,
    generator: torch.Generator,
    frames: int = FRAMES,
    *,
    spread: float = 0.0,
    rolling: bool = False,
) -> torch.Tensor:
    """Render one clip per label.

    labels: (B,) int64 indices into `seedpin.demo.LABELS`. spread: how much sizes, tempi and paths vary
    beyond the start and the direction, 0 to 1.5. rolling: a square turns with its position instead of by an
    angle of its own. Returns (B, frames, 3, 64, 64) float32 in [0, 1].
    """
    batch = labels.numel()

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(batch, 1, generator=generator)

    time = torch.arange(frames, dtype=torch.float32)[None]
    shape = (labels % len(SHAPES))[:, None]
    radius = 9.5 + uniform(-spread, spread)
    sign = torch.sign(uniform(-1.0, 1.0))

    speed = 1.7 + uniform(-0.3, 0.3) + spread * uniform(-0.3, 0.3)
    drift = _reflect(uniform(0.0, 1000.0) + sign * speed * time, 13.0, SIZE - 13.0)
    phase = torch.frac(time / (11.0 + spread * uniform(-2.0, 2.0)) + uniform(0.0, 1.0))
    bounce = FLOOR - radius - (27.0 + spread * uniform(-4.0, 4.0)) * 4.0 * phase * (1.0 - phase)

    rise = uniform(17.0, 40.0) + spread * uniform(-0.4, 0.4) * time
    turn = uniform(0.0, 2.0 * math.pi) + sign * (0.18 + spread * uniform(-0.05, 0.05)) * time

    swing = uniform(0.0, 2.0 * math.pi) + sign * 2.0 * math.pi / (17.0 + spread * uniform(-2.0, 4.0)) * time
    orbit_x = 32.0 + (15.0 + spread * uniform(-2.0, 2.0)) * torch.cos(swing)
    orbit_y = 28.0 + (9.0 + spread * uniform(-2.0, 2.0)) * torch.sin(swing)

    x = torch.where(shape == 2, orbit_x, drift)
    y = torch.where(shape == 0, bounce, torch.where(shape == 1, rise, orbit_y))
    angle = torch.where(
        shape == 1,
        0.105 * drift if rolling else turn,
        torch.where(shape == 2, 0.35 * torch.sin(swing), torch.zeros(())),
    )
    colour = torch.tensor([rgb for _, rgb in COLOURS])[labels // len(SHAPES)]
    return _render(x, y, angle, radius.expand_as(x), shape.expand_as(x), colour, uniform(0.0, 1.0))


def _reflect(position: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Fold an unbounded line of motion into [low, high], as mirrors at both ends would."""
    span = high - low
    return low + span - torch.abs(torch.remainder(position, 2.0 * span) - span)


def _render(
    x: torch.Tensor,
    y: torch.Tensor,
    angle: torch.Tensor,
    radius: torch.Tensor,
    shape: torch.Tensor,
    colour: torch.Tensor,
    mood: torch.Tensor,
) -> torch.Tensor:
    """Paint wall, floor, shadow and shape; positions are (B, T) in pixels, colour (B, 3), mood (B, 1)."""
    grid = torch.arange(SIZE, dtype=torch.float32) + 0.5
    px, py = grid[None, None, None, :], grid[None, None, :, None]
    x, y, angle, radius, shape = (value[:, :, None, None] for value in (x, y, angle, radius, shape))
    dx, dy = px - x, py - y
    u = dx * torch.cos(angle) + dy * torch.sin(angle)
    v = dy * torch.cos(angle) - dx * torch.sin(angle)

    round_ = torch.sqrt(dx * dx + dy * dy) - radius
    box = torch.maximum(u.abs(), v.abs()) - 0.86 * radius
    # Three half planes at 120 degrees, the point upwards; the centre of mass is the pivot.
    wedge = torch.maximum(v, 0.8660254 * u.abs() - 0.5 * v) - 0.62 * radius
    distance = torch.where(shape == 0, round_, torch.where(shape == 1, box, wedge))
    cover = (0.5 - distance).clamp(0.0, 1.0)[:, :, None]

    height = ((FLOOR - radius - y) / 40.0).clamp(0.0, 1.0)
    ellipse = torch.sqrt((dx / (1.05 * radius)) ** 2 + ((py - FLOOR - 2.0) / 3.5) ** 2)
    shadow = ((1.0 - ellipse) * 3.0).clamp(0.0, 1.0) * (0.45 - 0.3 * height)

    warm, cool = torch.tensor([0.98, 0.90, 0.82]), torch.tensor([0.80, 0.90, 0.98])
    tint = (cool + (warm - cool) * mood)[:, None, :, None, None]
    wall = tint * (0.80 + 0.20 * (py / SIZE))[:, :, None]
    on_floor = ((py - 49.0) + 0.5).clamp(0.0, 1.0)[:, :, None]
    scene = wall * (1.0 - on_floor) + 0.72 * tint * on_floor
    scene = scene * (1.0 - shadow[:, :, None])

    light = torch.exp(-((dx + 0.35 * radius) ** 2 + (dy + 0.4 * radius) ** 2) / (0.5 * radius * radius))
    shade = (0.92 - 0.16 * dy / radius).clamp(0.6, 1.1)[:, :, None]
    paint = colour[:, None, :, None, None] * shade
    paint = paint + (1.0 - paint) * (0.45 * light)[:, :, None]
    return (scene * (1.0 - cover) + paint * cover).clamp(0.0, 1.0)
