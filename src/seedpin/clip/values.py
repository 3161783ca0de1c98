"""What the values of a clip may be: finite, and in the range that they are said to have."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from seedpin.clip.clip import DTYPES, count, ranges_of
from seedpin.errors import NonFiniteClipError, UnsupportedClipError, ValueRangeError


def native_values(array: npt.NDArray[Any], what: str) -> npt.NDArray[Any]:
    """``array`` in a dtype that a clip can hold, with every value kept.

    bfloat16 (of ml_dtypes) is widened to float32, another byte order is turned.
    Raises UnsupportedClipError for every dtype that would have to be converted with a choice.
    """
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    if array.dtype.name in DTYPES:
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    raise UnsupportedClipError(
        f"{what} has values of dtype {array.dtype}; frames are {', '.join(DTYPES)}",
        hint="convert the frames yourself, for example to uint8 in 0..255; "
        "check masks, token ids and latents with golden_tensors",
    )


def settle_range(
    frames: npt.NDArray[Any], value_range: tuple[float, float] | None, what: str
) -> tuple[float, float]:
    """The value range of ``frames`` (T, H, W, C), after checking that the values are finite and within.

    Floats of which nobody said the range must lie in [0, 1] exactly. Where the range was said, values may
    overshoot it, as decoders do; nothing is ever clamped.

    Raises NonFiniteClipError or ValueRangeError.
    """
    if frames.dtype.kind == "f":
        low, high = float(frames.min()), float(frames.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            _refuse_non_finite(frames, what)
    if value_range is not None:
        try:
            start, stop = (float(edge) for edge in value_range)
        except (TypeError, ValueError):
            raise ValueRangeError(
                f"value_range={value_range!r} is not a pair of numbers",
                hint="use value_range=(0, 1) or value_range=(-1, 1)",
            ) from None
        return start, stop
    if frames.dtype.kind == "f" and (low < 0 or high > 1):
        at_low, at_high = (_frame_of(frames, int(index)) for index in (frames.argmin(), frames.argmax()))
        raise ValueRangeError(
            f"{what} has float values from {low:g} (frame {at_low}) to {high:g} (frame {at_high}), "
            "outside of [0, 1]",
            hint="say what the values mean: value_range=(0, 1) or value_range=(-1, 1) (overshoot is kept, "
            "nothing is clamped); convert values in 0..255 to uint8; check raw latents with golden_tensors",
        )
    return ranges_of(frames.dtype.name)[0]


def eight_bit(frames: npt.NDArray[Any], value_range: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Frames of any dtype for the eye: ``value_range`` becomes 0 to 255, what is beyond it is cut."""
    if frames.dtype == np.uint8:
        return frames
    low, high = value_range
    scaled = (frames.astype(np.float64) - low) * (255 / (high - low))
    shown: npt.NDArray[np.uint8] = np.rint(np.clip(np.nan_to_num(scaled), 0, 255)).astype(np.uint8)
    return shown


def _frame_of(frames: npt.NDArray[Any], index: int) -> int:
    return int(np.unravel_index(index, frames.shape)[0])


def _refuse_non_finite(frames: npt.NDArray[Any], what: str) -> None:
    bad = ~np.isfinite(frames)
    nans, total = int(np.isnan(frames).sum()), int(bad.sum())
    kinds = [f"{nans} NaN"] * bool(nans) + [f"{total - nans} infinite"] * (total > nans)
    first = int(bad.argmax())
    frame, row, column, channel = (int(part) for part in np.unravel_index(first, frames.shape))
    touched = int(bad.any(axis=(1, 2, 3)).sum())
    raise NonFiniteClipError(
        f"{what} has {' and '.join(kinds)} of {frames.size} values, in {touched} of "
        f"{count(frames.shape[0], 'frame')}; the first at frame {frame}, row {row}, column {column}, "
        f"channel {channel}",
        hint="look for an overflow in half precision, or a division by zero; "
        "no golden can be made of such a clip",
    )
