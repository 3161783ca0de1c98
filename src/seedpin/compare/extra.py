"""Metrics of packages that only an extra of seedpin installs. Frames are (H, W, C), float32 in [0, 1]."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from seedpin.errors import MetricError


def gaussian_ssim(golden: npt.NDArray[np.float32], obtained: npt.NDArray[np.float32]) -> float:
    """Mean SSIM, as in its paper, of two frames of at least 11 pixels a side; 1 for equal ones.

    Windows of 11 x 11 with Gaussian weights of 1.5 pixels, and population covariance (Wang, Bovik, Sheikh,
    Simoncelli, IEEE TIP 13(4), 2004), where ``ssim`` has scikit-image's default, a uniform window of 7 x 7.
    Raises MetricError without scikit-image.
    """
    metrics = _imported("skimage.metrics", "ssim_gaussian", extra="skimage")
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


def mean_flip(golden: npt.NDArray[np.float32], obtained: npt.NDArray[np.float32]) -> float:
    """Mean LDR-FLIP error of two sRGB frames (C = 3), in [0, 1]; 0 for equal frames.

    The difference that a person sees who flips between them (Andersson et al., HPG 2020), at 67 pixels a
    degree, the package's default: a 0.7 m wide 4K screen, seen from 0.7 m. Raises MetricError without the
    package flip-evaluator.
    """
    flip = _imported("flip_evaluator", "flip", extra="flip")
    contiguous = [np.ascontiguousarray(frame, dtype=np.float32) for frame in (golden, obtained)]
    return float(flip.evaluate(*contiguous, "LDR", applyMagma=False)[1])


def _imported(module: str, metric: str, *, extra: str) -> Any:
    """``module``, which ``metric`` needs. Raises MetricError that names the extra that installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MetricError(
            f"the metric {metric!r} needs {module}, which cannot be imported: {error}",
            hint=f"pip install 'seedpin[{extra}]'",
        ) from error
