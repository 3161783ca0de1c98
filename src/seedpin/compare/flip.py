"""FLIP: the difference that a person sees who flips between two frames (Andersson et al., HPG 2020)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from seedpin.compare.extra import imported


def mean_flip(golden: npt.NDArray[np.float32], obtained: npt.NDArray[np.float32]) -> float:
    """Mean LDR-FLIP error of two sRGB frames of shape (H, W, 3) in [0, 1]; in [0, 1], 0 for equal frames.

    At 67 pixels a degree, the package's default: a 0.7 m wide 4K screen, seen from 0.7 m. Raises MetricError
    without the package flip-evaluator.
    """
    flip: Any = imported("flip_evaluator", "flip", extra="flip")
    contiguous = [np.ascontiguousarray(frame, dtype=np.float32) for frame in (golden, obtained)]
    return float(flip.evaluate(*contiguous, "LDR", applyMagma=False)[1])
