"""How far two values are apart: what their kind measures in any case, and the metrics that limits ask for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from seedpin.compare.measured import Further, MeasuredFurther, Metrics
from seedpin.compare.metric import Metric
from seedpin.compare.registry import metric_named, place_of
from seedpin.errors import MetricError, SeedpinError
from seedpin.kinds.base import Kind

V = TypeVar("V")


def measure(kind: Kind[V], golden: V, obtained: V, limits: Iterable[str] = ()) -> Metrics:
    """The metrics of two values of the same facts; of those with a function, the ones that ``limits`` name.

    Raises MetricError for a function that fails, or gives something else than a number.
    """
    return with_asked(kind.compare(golden, obtained), kind, golden, obtained, limits)


def with_asked(metrics: Metrics, kind: Kind[V], golden: V, obtained: V, limits: Iterable[str]) -> Metrics:
    """``metrics``, and those with a function that ``limits`` name. Raises as ``measure``."""
    rows = [row for name in dict.fromkeys(limits) if (row := metric_named(name, kind.name)) and row.compare]
    further = {row.name: _measure(row, kind, golden, obtained) for row in rows}
    return MeasuredFurther(metrics, further) if further else metrics


def _measure(metric: Metric, kind: Kind[V], golden: V, obtained: V) -> Further:
    items = list(zip(kind.items(golden), kind.items(obtained), strict=True))
    places = _places(kind, golden, len(items))
    if metric.per == "whole":
        values = _numbers(metric, golden, obtained, len(items))
        return Further(metric, values, places if len(values) == len(items) > 1 else ())
    span = kind.value_range(golden)
    found = []
    for place, (old, new) in zip(places, items, strict=True):
        where = f" in {kind.word} {place}"
        one, other = (_prepared(metric, item, span, where) for item in (old, new))
        found.append(_number(metric, _call(metric, one, other, where), where))
    return Further(metric, tuple(found), places)


def _places(kind: Kind[V], value: V, count: int) -> tuple[int | str, ...]:
    if kind.names(value):
        return kind.names(value)
    return tuple(range(count)) if kind.word == "frame" else tuple(f"{kind.word} {at}" for at in range(count))


def _prepared(metric: Metric, item: Any, span: tuple[float, float] | None, where: str) -> Any:
    """A frame as the function takes it; what is no frame as it is."""
    if span is None:
        return item
    height, width, channels = item.shape
    if metric.channels and channels not in metric.channels:
        wanted = " or ".join(map(str, metric.channels))
        raise MetricError(
            f"the metric {metric.name!r} takes frames of {wanted} channels{where}, not of {channels}",
            hint=f"leave {metric.name} out of this check's tolerance, or check frames without the others",
        )
    if min(height, width) < metric.least_side:
        raise MetricError(
            f"the metric {metric.name!r} takes frames of at least {metric.least_side} pixels a side, "
            f"not of {height} x {width}",
            hint=f"leave {metric.name} out of this check's tolerance",
        )
    if not metric.scaled:
        return item
    low, high = span
    return np.subtract(item, low, dtype=np.float32) / np.float32(high - low)


def _call(metric: Metric, golden: Any, obtained: Any, where: str = "") -> Any:
    assert metric.compare is not None
    try:
        return metric.compare(golden, obtained)
    except SeedpinError:
        raise
    except Exception as error:
        raise MetricError(
            f"the metric {metric.name!r} ({place_of(metric)}) failed{where}: {type(error).__name__}: {error}",
            hint="mend its function, or leave it out of the tolerance",
        ) from error


def _numbers(metric: Metric, golden: Any, obtained: Any, count: int) -> tuple[float, ...]:
    """One value for the whole, or one for each item."""
    returned = _call(metric, golden, obtained)
    returned = returned.tolist() if hasattr(returned, "tolist") else returned
    if not isinstance(returned, Sequence) or isinstance(returned, (str, bytes)):
        return (_number(metric, returned),)
    if len(returned) != count:
        raise _wrong(metric, f"gave {len(returned)} values, where one is wanted, or one for each of {count}")
    return tuple(_number(metric, value, f" at index {at}") for at, value in enumerate(returned))


def _number(metric: Metric, value: Any, where: str = "") -> float:
    if hasattr(value, "numel" if hasattr(value, "numel") else "size") and hasattr(value, "item"):
        count = value.numel() if hasattr(value, "numel") else value.size
        if count != 1:
            raise _wrong(metric, f"gave {count} values{where}, where one is wanted")
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(metric, f"gave {value!r:.80}{where}, which is no number")
    if math.isnan(value):
        raise _wrong(metric, f"gave NaN{where}")
    return float(value)


def _wrong(metric: Metric, what: str) -> MetricError:
    return MetricError(
        f"the metric {metric.name!r} ({place_of(metric)}) {what}",
        hint="its function has to return a number (a float, or a tensor or array of one value)",
    )
