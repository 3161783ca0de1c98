"""Structural similarity of two frames, equal to scikit-image's at a fraction of its time."""

from __future__ import annotations

import numpy as np

from seedpin.clip.clip import Frames

WINDOW = 7
_K1, _K2 = 0.01, 0.03
_ROWS = 16  # rows per block: its sums stay in the cache


def window_of(height: int, width: int) -> int:
    """Side of the window: 7, or the largest odd number that fits a smaller frame."""
    side = min(WINDOW, height, width)
    return side if side % 2 else side - 1


def frame_ssim(golden: Frames, obtained: Frames, data_range: float) -> float:
    """Mean SSIM of two frames of shape (H, W, C), equal dtype, in [-1, 1]; 1 for equal frames.

    Equal to scikit-image's ``structural_similarity(golden, obtained, channel_axis=-1, data_range=...)`` on
    float64 input: a uniform 7x7 window, sample covariance, K1 = 0.01, K2 = 0.03, the mean over all windows
    that fit (Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 13(4), 2004). The sums of integer frames are exact.

    A frame whose smaller side is below 7 gets the largest odd window that fits, where scikit-image raises; at
    one pixel nothing but the luminance term is left.
    """
    height, width, _ = golden.shape
    side = window_of(height, width)
    kind = {"uint8": np.int32, "uint16": np.int64}.get(golden.dtype.name, np.float64)
    rows = height - side + 1
    total = 0.0
    for start in range(0, rows, _ROWS):
        stop = min(start + _ROWS, rows) + side - 1
        x = golden[start:stop].astype(kind)
        y = obtained[start:stop].astype(kind)
        total += _sum_of_map(x, y, side, data_range)
    return total / float(rows * (width - side + 1) * golden.shape[2])


def _sum_of_map(x: Frames, y: Frames, side: int, data_range: float) -> float:
    """Sum of the SSIM map over all windows of one block.

    With sums A, B, P, Q of x, y, xy and x^2 + y^2 over a window of n values, all exact integers for uint8
    (n * Q <= 49 * 49 * 2 * 255^2 < 2^31) and uint16:  mean x * mean y = AB / n^2,  cov(x, y) =
    (nP - AB) / (n (n - 1)),  var x + var y = (nQ - A^2 - B^2) / (n (n - 1)).
    """
    n = side * side
    a, b = _box_sums(x, side), _box_sums(y, side)
    p = _box_sums(x * y, side)
    q = _box_sums(x * x + y * y, side)
    # Scaled by n^2 (means) and n (n - 1) (covariances), which cancel between numerator and denominator.
    c1 = (_K1 * data_range) ** 2 * n * n
    c2 = (_K2 * data_range) ** 2 * max(n * (n - 1), 1)
    products = a * b
    squares = a * a + b * b
    numerator = (2.0 * products + c1) * (2.0 * (n * p - products) + c2)
    denominator = (squares + c1) * (n * q - squares + c2)
    numerator /= denominator
    return float(numerator.sum())


def _box_sums(values: Frames, side: int) -> Frames:
    """Sums over all ``side`` x ``side`` windows of (H, W, C), per channel."""
    return _running(_running(values, side, 0), side, 1)


def _running(values: Frames, side: int, axis: int) -> Frames:
    """Sums of ``side`` neighbours along ``axis`` by doubling; no cumulative sum, so floats do not cancel."""
    length = values.shape[axis] - side + 1

    def cut(array: Frames, start: int, count: int) -> Frames:
        part: Frames = array[start : start + count] if axis == 0 else array[:, start : start + count]
        return part

    total: Frames | None = None
    power, width, done = values, 1, 0
    remaining = side
    while True:
        if remaining & 1:
            part = cut(power, done, length)
            total = part if total is None else total + part
            done += width
        remaining >>= 1
        if not remaining:
            return total if total is not None else values
        count = power.shape[axis] - width
        power = cut(power, 0, count) + cut(power, width, count)
        width *= 2
