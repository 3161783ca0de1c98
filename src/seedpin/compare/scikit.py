"""Metrics that scikit-image computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from seedpin.compare.extra import imported

SMALLEST = 11
"""The side of its window, so of the smallest frame."""


def gaussian_ssim(golden: npt.NDArray[np.float32], obtained: npt.NDArray[np.float32]) -> float:
    """Mean SSIM, as in its paper, of two frames (H, W, C) in [0, 1], at least 11 a side; 1 for equal ones.

    Windows of 11 x 11 with Gaussian weights of 1.5 pixels, and population covariance (Wang, Bovik, Sheikh,
    Simoncelli, IEEE TIP 13(4), 2004), where ``ssim`` has scikit-image's default, a uniform window of 7 x 7.
    Raises MetricError without scikit-image.
    """
    metrics: Any = imported("skimage.metrics", "ssim_gaussian", extra="skimage")
    return float(
        metrics.structural_similarity(
            golden.astype(np.float64),
            obtained.astype(np.float64),
            channel_axis=-1,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )
