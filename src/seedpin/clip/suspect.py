"""Clips that are valid and yet unlikely to be what was meant: black, constant, static, noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seedpin.clip.clip import Clip, count, short_range

_SMALLEST = 32
"""Below this many pixels a side, chance correlations are too large to tell noise from a picture."""
_MAX_CORRELATION = 0.15
"""Neighbours in i.i.d. noise of 32x32 pixels correlate by 0 +- 0.03, in photographs by 0.4 to 0.99."""
_MIN_SPREAD = 0.1
"""Quartile distance as a share of the value range: 0.5 for uniform noise, 0 for sparse dots on black."""
_MAX_FRAMES = 8
_OFFSETS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0))


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One reason for doubt. ``kind`` is ``black``, ``constant``, ``static`` or ``noise``."""

    kind: str
    message: str


def suspicions(clip: Clip) -> tuple[Suspicion, ...]:
    """Reasons to doubt that ``clip`` is what a model was meant to make; empty for a plausible one.

    black: every colour value is zero, or is at or below the range's minimum (transparency aside).
    constant: every pixel of the clip has the same colour.
    static: more than one frame, all identical.
    noise: up to 8 frames, evenly chosen, all look independent from pixel to pixel (`looks_like_noise`).
    Of black, constant and static only the first that holds is reported.
    """
    still = _stillness(clip)
    if still is not None:
        noticed = [still]
        # A clip without contrast cannot be noise; a static one can.
        if still.kind != "static":
            return tuple(noticed)
    else:
        noticed = []
    chosen = np.unique(np.linspace(0, clip.num_frames - 1, min(clip.num_frames, _MAX_FRAMES)).astype(int))
    if all(looks_like_noise(clip.frame(int(index)), clip.data_range) for index in chosen):
        noticed.append(
            Suspicion(
                "noise", "pixels are independent of their neighbours, as in noise that was never denoised"
            )
        )
    return tuple(noticed)


def looks_like_noise(frame: npt.NDArray[Any], data_range: float) -> bool:
    """Whether a frame (H, W, C) looks like independent noise: wide spread, unrelated neighbours.

    True if the quartiles of the grey values lie at least 0.1 of ``data_range`` apart, and the Pearson
    correlation of pixels at each of six offsets (right, below, both diagonals, two right, two below)
    is within +-0.15. Fine patterns such as stripes and checkerboards correlate at one of them. Frames under
    32x32 pixels are never noise.
    """
    if min(frame.shape[:2]) < _SMALLEST:
        return False
    colours = frame[..., :3] if frame.shape[2] == 4 else frame
    grey = colours.mean(axis=2, dtype=np.float32)
    # One offset settles it for nearly every real picture; the rest is for those that pass.
    if any(abs(_correlation(grey, *offset)) > _MAX_CORRELATION for offset in _OFFSETS):
        return False
    low, high = np.percentile(grey, (25, 75))
    return bool(high - low >= _MIN_SPREAD * data_range)


def _correlation(grey: npt.NDArray[np.float32], down: int, right: int) -> float:
    """Pearson correlation of ``grey`` with itself, moved; 1 where there is no variation."""
    height, width = grey.shape
    here = grey[: height - down, max(0, -right) : width - max(0, right)]
    there = grey[down:, max(0, right) : width + min(0, right)]
    here, there = here - here.mean(), there - there.mean()
    power = float(np.sqrt(np.square(here).sum(dtype=np.float64) * np.square(there).sum(dtype=np.float64)))
    return float((here * there).sum(dtype=np.float64)) / power if power > 0 else 1.0


def _stillness(clip: Clip) -> Suspicion | None:
    first = clip.frame(0)
    if not all(np.array_equal(first, clip.frame(index)) for index in range(1, clip.num_frames)):
        # Frames differ, but all may still lie below the minimum, where nothing can be seen.
        return _blackness(clip)
    black = _blackness(clip)
    if black is not None:
        return black
    if (first == first[0, 0]).all():
        return Suspicion("constant", f"every pixel of the clip has the same colour {first[0, 0].tolist()}")
    if clip.num_frames > 1:
        return Suspicion("static", f"all {count(clip.num_frames, 'frame')} are identical")
    return None


def _blackness(clip: Clip) -> Suspicion | None:
    colours = clip.frames[..., :3] if clip.channels == 4 else clip.frames
    low, high = float(colours.min()), float(colours.max())
    if low == high == 0:
        return Suspicion("black", "every value is zero")
    if high <= clip.value_range[0]:
        return Suspicion(
            "black", f"every value is at or below the minimum of the range {short_range(clip.value_range)}"
        )
    return None
