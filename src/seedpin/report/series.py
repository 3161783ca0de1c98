"""Metrics over time: the curves of the time line, and the strip that stands for them in the list."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from seedpin.compare.metric import rank, words_of
from seedpin.compare.recorded import Margin, RecordedMetrics, WorstValue

STRIP_BINS = 40


@dataclass(frozen=True, slots=True)
class Series:
    """One metric, a value per frame; None is infinite (PSNR of equal frames).

    ``higher`` says whether higher is better; ``best`` is the value of equal frames, None where that is
    infinite; ``limit`` is the declared one; ``unit`` is "dB", "%" (values are shares, 0 to 1), "levels", ...;
    ``format`` is ".2f" or ".4g".
    """

    name: str
    label: str
    meaning: str
    unit: str
    format: str
    higher: bool
    best: float | None
    values: tuple[float | None, ...]
    limit: float | None
    broken: bool
    worst_frame: int | None
    worst_value: float | None


@dataclass(frozen=True, slots=True)
class Strip:
    """Where in time a clip differs: up to 40 bars of height 0 to 1, 0 for equal frames."""

    bars: tuple[float, ...]
    label: str


def view_series(metrics: RecordedMetrics, margins: Sequence[Margin]) -> tuple[Series, ...]:
    """The series of a clip's metrics, those with a broken limit first. Empty for tensors."""
    levels = "levels" if (metrics.data_range or 0) > 2 else ""
    found = []
    for name in sorted(metrics.frames, key=lambda name: rank(name, "clip")):
        words = words_of(name, metrics)
        margin = next((entry for entry in margins if entry.metric == name), None)
        worst = metrics.worst.get(name, WorstValue(None))
        found.append(
            Series(
                name=name,
                label=words.title,
                meaning=words.meaning,
                unit=words.unit or (levels if words.in_values else ""),
                format=words.format,
                higher=words.higher,
                best=words.equal if math.isfinite(words.equal) else None,
                values=metrics.frames[name],
                limit=None if margin is None else margin.limit,
                broken=margin is not None and not margin.ok,
                worst_frame=worst.frame,
                worst_value=worst.value,
            )
        )
    return tuple(sorted(found, key=lambda one: (not one.broken, one.limit is None)))


def view_strip(metrics: RecordedMetrics | None) -> Strip | None:
    """PSNR as bars: 100 dB is just visible, 20 dB and less is full height. None without frames."""
    frames = {} if metrics is None else metrics.frames
    values, changed = frames.get("psnr"), frames.get("changed")
    if not values or not changed or len(values) < 2:
        return None
    heights = [_height(value, share) for value, share in zip(values, changed, strict=False)]
    size = math.ceil(len(heights) / STRIP_BINS)
    bars = tuple(max(heights[start : start + size]) for start in range(0, len(heights), size))
    differing = sum(height > 0 for height in heights)
    return Strip(bars, f"{differing} of {len(heights)} frames differ")


def _height(psnr: float | None, changed: float | None) -> float:
    if not changed:
        return 0.0
    if psnr is None:
        return 0.15
    return round(min(1.0, max(0.15, (100.0 - psnr) / 80.0)), 3)
