"""How far two clips are apart, frame by frame. Memory stays at a few frames, whatever the length."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedpin.clip.clip import Clip, Frames
from seedpin.compare.measured import Metrics
from seedpin.compare.metric import OWN
from seedpin.compare.ssim import frame_ssim
from seedpin.errors import ClipError, NonFiniteClipError

ROWS = {row.name: row for row in OWN if row.kind == "clip" and row.compare is None}
CLIP_METRICS = tuple(ROWS)


@dataclass(frozen=True, slots=True)
class ClipMetrics(Metrics):
    """One value per frame and metric; tuples of length T.

    ``ssim``      in [-1, 1], 1 for equal frames (:func:`seedpin.compare.ssim.frame_ssim`)
    ``psnr``      in dB: 10 log10(data_range^2 / mean squared error); infinite for equal frames
    ``max_abs``   largest absolute difference, in the clip's own units (levels for uint8 and uint16)
    ``mean_abs``  mean absolute difference, same units
    ``changed``   share of pixels of which any channel differs, 0 to 1
    ``temporal``  mean of |(o[t] - o[t-1]) - (g[t] - g[t-1])|, same units, 0 at t = 0: flicker that no single
                  frame shows

    ``data_range`` is the width of the value range (255, 65535, 1 or 2).
    """

    ssim: tuple[float, ...]
    psnr: tuple[float, ...]
    max_abs: tuple[float, ...]
    mean_abs: tuple[float, ...]
    changed: tuple[float, ...]
    temporal: tuple[float, ...]
    data_range: float

    @property
    def kind(self) -> str:
        return "clip"

    def values(self, name: str) -> tuple[float, ...]:
        """The values of the metric called ``name``."""
        if name not in CLIP_METRICS:
            raise KeyError(name)
        found: tuple[float, ...] = getattr(self, name)
        return found

    def worst(self, name: str) -> tuple[int, float]:
        """Index and value of the worst frame; of several, the first. What is no number is worst of all."""
        values = self.values(name)
        index = max(range(len(values)), key=lambda at: ROWS[name].badness(values[at]))
        return index, values[index]

    def mean(self, name: str) -> float:
        """The mean over all frames; of PSNR, the one of the mean squared error over the clip."""
        values = self.values(name)
        if name != "psnr":
            return math.fsum(values) / len(values)
        error = math.fsum(10 ** (-value / 10) for value in values) / len(values)
        return -10 * math.log10(error) if error else math.inf

    @property
    def differing(self) -> tuple[int, ...]:
        """The frames in which any value differs."""
        return tuple(index for index, share in enumerate(self.changed) if share > 0)

    @property
    def first_differing(self) -> int | None:
        return next(iter(self.differing), None)

    def span(self, name: str) -> tuple[float, str]:
        span = self.data_range
        return span, f"values span {span:g}, so that flat grey is off by at most {span / 2:g}"

    def summary(self) -> str:
        """How many frames differ, and the first that does; empty if none does."""
        if self.first_differing is None:
            return ""
        count, total = len(self.differing), len(self.ssim)
        return f"{count} of {total} frames differ, the first is frame {self.first_differing}."

    def as_dict(self) -> dict[str, Any]:
        """Strictly JSON-able: an infinite value (PSNR of equal frames) is ``null``.

        ``worst`` and ``mean`` are derived; ``from_dict`` reads ``frames`` and ``data_range`` alone.
        """
        worst = {}
        for name in CLIP_METRICS:
            index, value = self.worst(name)
            worst[name] = {"value": _finite(value), "frame": index, "place": f"frame {index}"}
        return {
            "kind": self.kind,
            "data_range": self.data_range,
            "first_differing": self.first_differing,
            "differing": len(self.differing),
            "worst": worst,
            "mean": {name: _finite(self.mean(name)) for name in CLIP_METRICS},
            "frames": {name: [_finite(value) for value in self.values(name)] for name in CLIP_METRICS},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ClipMetrics:
        """The metrics that ``as_dict`` gave."""
        frames = {name: tuple(_number(value) for value in data["frames"][name]) for name in CLIP_METRICS}
        return cls(**frames, data_range=float(data["data_range"]))


def compare_clips(golden: Clip, obtained: Clip) -> ClipMetrics:
    """The metrics of two clips of the same shape, dtype and value range.

    Only frames that differ are computed; the differences of integers are taken in a type that holds them.

    Raises:
        ClipError: shape, dtype or value range differ: such clips are incomparable, nothing is resized.
        NonFiniteClipError: a frame holds NaN or infinity.
    """
    for fact, old, new in (
        ("shape", golden.frames.shape, obtained.frames.shape),
        ("dtype", golden.dtype, obtained.dtype),
        ("value range", golden.value_range, obtained.value_range),
    ):
        if old != new:
            raise ClipError(
                f"the clips cannot be compared: {fact} {old} in the golden, {new} here",
                hint="compare clips with the same facts; nothing is resized, cut or converted",
            )
    rows = []
    before: Frames | None = None
    for index in range(golden.num_frames):
        row, before = _frame_row(golden.frame(index), obtained.frame(index), before, golden.data_range, index)
        rows.append(row)
    columns = {name: tuple(row[name] for row in rows) for name in CLIP_METRICS}
    return ClipMetrics(**columns, data_range=golden.data_range)


def _frame_row(
    golden: Frames, obtained: Frames, before: Frames | None, data_range: float, index: int
) -> tuple[dict[str, float], Frames | None]:
    """The metrics of one frame, and its difference; None stands for a difference of zero.

    ``before`` is the difference of the frame before.
    """
    row = {"ssim": 1.0, "psnr": math.inf, **dict.fromkeys(CLIP_METRICS[2:], 0.0)}
    if np.array_equal(golden, obtained):
        if before is not None and index:
            row["temporal"] = float(np.abs(before).mean(dtype=np.float64))
        return row, None
    kind = {"uint8": np.int16, "uint16": np.int32}.get(golden.dtype.name, np.float64)
    difference = np.subtract(obtained, golden, dtype=kind)
    magnitude = np.abs(difference)
    highest = float(magnitude.max())
    if not math.isfinite(highest):
        raise NonFiniteClipError(
            f"frame {index} holds NaN or infinity, so it cannot be compared",
            hint="look for the operation that gave it",
        )
    squared = _mean_square(difference)
    row["ssim"] = frame_ssim(golden, obtained, data_range)
    # Differences of subnormal floats square to zero; such frames are as good as equal.
    row["psnr"] = 10 * math.log10(data_range**2 / squared) if squared else math.inf
    row["max_abs"] = highest
    row["mean_abs"] = float(magnitude.mean(dtype=np.float64))
    any_channel = magnitude[..., 0] != 0
    for channel in range(1, magnitude.shape[2]):
        any_channel |= magnitude[..., channel] != 0
    row["changed"] = float(np.count_nonzero(any_channel) / any_channel.size)
    if index:
        step = difference if before is None else np.subtract(difference, before)
        row["temporal"] = float(np.abs(step).mean(dtype=np.float64))
    return row, difference


def _mean_square(difference: Frames) -> float:
    """Mean of the squares; exact for the differences of integers."""
    flat = difference.reshape(-1)
    if flat.dtype == np.float64:
        return float(np.dot(flat, flat)) / flat.size
    wide = flat.astype(np.int64)
    return int(np.dot(wide, wide)) / flat.size


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.inf if value is None else float(value)
