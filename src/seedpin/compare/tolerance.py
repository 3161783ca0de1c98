"""What a clip may differ by: read from configuration, chosen for a device class, held against metrics."""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from seedpin.compare.measured import Metrics
from seedpin.compare.metric import OWN, OWN_KINDS, Metric, rank
from seedpin.compare.recorded import Margin
from seedpin.compare.registry import REGISTERING, kinds_with_metrics, metric_named, metrics_of
from seedpin.config import suggest
from seedpin.errors import ToleranceError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Limits on the worst item of a value of ``kind``, by metric (`seedpin.compare.metric`), in its order.

    A limit is the least allowed value of a metric of which higher ones are better, else the most.
    ``same_environment``: whether it holds where the environment is the golden's, too. Without it a clip has
    to be exact there, and the tolerance is for another environment only.
    """

    limits: Mapping[str, float]
    kind: str = "clip"
    same_environment: bool = False

    def __post_init__(self) -> None:
        names = sorted(self.limits, key=lambda name: rank(name, self.kind))
        object.__setattr__(self, "limits", {name: self.limits[name] for name in names})

    def as_dict(self) -> dict[str, Any]:
        """The keys as a user writes them; JSON-able; ``parse_tolerance`` reads it."""
        return {**self.limits, "same_environment": self.same_environment}


def parse_tolerance(
    mapping: Mapping[str, Any], where: str, *, kind: str = "clip", same_environment: bool = False
) -> Tolerance:
    """Read one tolerance; ``where`` names its place in errors, ``same_environment`` is that key's default.

    Raises ToleranceError for a key or a value that is none, for no limit at all, and for a limit that
    permits everything.
    """
    if not isinstance(mapping, Mapping):
        raise ToleranceError(
            f"{where}: a tolerance is a table of limits, not {mapping!r}", hint="such as {'psnr': 60}"
        )
    limits: dict[str, float] = {}
    rows: list[Metric] = []
    for key, value in mapping.items():
        if key == "same_environment":
            if not isinstance(value, bool):
                raise ToleranceError(f"{where}: {key} = {value!r}", hint="write true or false")
            same_environment = value
            continue
        metric = metric_named(key, kind)
        if metric is None:
            raise _unknown(key, kind, where)
        limits[key] = _limit(metric, value, where)
        rows.append(metric)
    if not limits:
        names = ", ".join(metric.name for metric in metrics_of(kind))
        raise ToleranceError(
            f"{where}: no limit is declared",
            hint=f"set one of {names}" if names else f"goldens of kind {kind} have none: they are exact",
        )
    if not any(row.alone for row in rows):
        row = rows[0]
        others = ", ".join(metric.name for metric in metrics_of(kind) if metric.alone)
        raise ToleranceError(
            f"{where}: a limit on {row.name} alone guards next to nothing: {row.blind_why}",
            hint=f"declare one on {others} besides",
        )
    return Tolerance(limits, kind, same_environment)


def _unknown(key: str, kind: str, where: str) -> ToleranceError:
    others = [other for other in kinds_with_metrics() if other != kind and metric_named(key, other)]
    other = f" ({key} is for {' and '.join(others)})" if others else ""
    valid = (*(metric.name for metric in metrics_of(kind)), "same_environment")
    return ToleranceError(
        f"{where}: unknown key {key!r}{other}", hint=f"{suggest(str(key), valid)}; {REGISTERING}"
    )


def _limit(metric: Metric, value: Any, where: str) -> float:
    key, number = metric.name, math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:  # an integer, which may have too many digits to print, too
            value = number = math.inf
    low, high = metric.low, metric.high
    if metric.higher and number <= low:
        raise _blind(where, key, number, "garbage reaches that", never=True)
    if not (math.isfinite(number) and low <= number <= high):
        text = f"between {low:g} and {high:g}" if math.isfinite(high) else f"a finite number from {low:g} on"
        raise ToleranceError(f"{where}: {key} = {value!r} is no limit", hint=f"{key} is {text}")
    edge, never = metric.blind_from, not metric.higher and number >= high
    if never or (edge is not None and (number < edge if metric.higher else number >= edge)):
        raise _blind(where, key, number, metric.blind_why or "no value is larger", never=never)
    return number


def _blind(where: str, key: str, limit: float, why: str, *, never: bool = False) -> ToleranceError:
    word = "can never fail" if never else "guards next to nothing"
    return ToleranceError(
        f"{where}: {key} = {limit:g} {word}: {why}",
        hint="choose a limit that a broken output exceeds",
    )


def parse_tolerances(
    table: Mapping[str, Mapping[str, Any]], *, kind: str = "clip", where: str = "tool.seedpin.tolerance"
) -> dict[str, Tolerance]:
    """``[tool.seedpin.tolerance]`` as pattern -> tolerance; patterns without limits of ``kind`` are left out.

    Each table is read as ``parse_kinds`` does, all kinds whatever ``kind`` is, so that a slip shows at once.
    """
    found: dict[str, Tolerance] = {}
    for pattern, limits in table.items():
        if not isinstance(limits, Mapping):
            raise ToleranceError(
                f"[{where}]: {pattern!r} is no table", hint=f'limits stand under [{where}."<device class>"]'
            )
        parsed = parse_kinds(limits, f'[{where}."{pattern}"]')
        if not parsed:
            raise ToleranceError(
                f'[{where}."{pattern}"]: no limit is declared',
                hint=f"set one of {', '.join(dict.fromkeys(metric.name for metric in OWN))}",
            )
        if kind in parsed:
            found[pattern] = parsed[kind]
    return found


def parse_kinds(limits: Mapping[str, Any], place: str) -> dict[str, Tolerance]:
    """The tolerance of each kind that a table of the configuration has limits for.

    Limits of several kinds may stand side by side. What several kinds know, such as ``max_abs``, is a clip's,
    in its own unit; that of another kind stands in a table of the kind's name (``tensors``) below, as may its
    other limits. ``same_environment`` is for all, unless a kind's table has its own.

    Raises ToleranceError for unknown keys.
    """
    shared: dict[str, Any] = {}
    beside: dict[str, dict[str, Any]] = {}
    below: dict[str, Mapping[str, Any]] = {}
    for key, value in limits.items():
        if key == "same_environment":
            shared[key] = value
        elif not _is_kind(key, value):
            beside.setdefault(_kind_of(key), {})[key] = value
        elif isinstance(value, Mapping):
            below[key] = value
        else:
            example = f"{key} = {{{metrics_of(key)[0].name} = 0.01}}"
            raise ToleranceError(f"{place}: {key} = {value!r} is no table", hint=f"such as {example}")
    found = {}
    for kind in dict.fromkeys((*OWN_KINDS, *beside, *below)):
        here, inner = beside.get(kind, {}), below.get(kind, {})
        twice = sorted(here.keys() & inner.keys())
        if twice:
            raise ToleranceError(f"{place}: {', '.join(twice)} is given twice", hint="leave it in one place")
        if here or inner:
            where = f"{place[:-1]}.{kind}]" if inner else place
            found[kind] = parse_tolerance({**shared, **here, **inner}, where, kind=kind)
    return found


def _is_kind(key: str, value: object) -> bool:
    return key in OWN_KINDS or (isinstance(value, Mapping) and key in kinds_with_metrics())


def _kind_of(key: str) -> str:
    """The kind whose limit ``key`` is where it stands beside others; a clip's where that is not clear."""
    own = next((metric.kind for metric in OWN if metric.name == key), None)
    return own or next((kind for kind in kinds_with_metrics() if metric_named(key, kind)), "clip")


def choose_tolerance(
    table: Mapping[str, T], device_class_name: str, *, where: str = "tool.seedpin.tolerance"
) -> tuple[str, T] | None:
    """The pattern of ``table`` for a device class, with what it stands for; None where none matches.

    A pattern (``*``, ``?``, ``[...]``) has to match the whole name. The exact name beats patterns, then the
    one with most literal characters wins. Raises ToleranceError on a tie.
    """
    if device_class_name in table:
        return device_class_name, table[device_class_name]
    matching = [pattern for pattern in table if fnmatch.fnmatchcase(device_class_name, pattern)]
    if not matching:
        return None
    most = max(map(_literals, matching))
    winners = [pattern for pattern in matching if _literals(pattern) == most]
    if len(winners) > 1:
        names = " and ".join(f'"{pattern}"' for pattern in winners)
        raise ToleranceError(
            f"[{where}]: {names} match {device_class_name} equally well",
            hint=f'make one more specific, or add [{where}."{device_class_name}"]',
        )
    return winners[0], table[winners[0]]


def _literals(pattern: str) -> int:
    return len(re.sub(r"\[!?\]?[^\]]*\]|[*?]", "", pattern))


def check_limits(tolerance: Tolerance, metrics: Metrics) -> tuple[Margin, ...]:
    """Each declared limit against the worst frame or tensor. NaN never passes.

    Raises ToleranceError where the kinds differ, or a limit permits everything at this data range.
    """
    expected = metrics.kind
    if tolerance.kind != expected:
        names = ", ".join(metric.name for metric in metrics_of(expected))
        raise ToleranceError(
            f"a tolerance for {tolerance.kind} was held against {expected}",
            hint=f"limits for {expected} are {names}",
        )
    rows = {name: metric_named(name, expected) or Metric(name) for name in tolerance.limits}
    for name, limit in tolerance.limits.items():
        _refuse_blind(rows[name], limit, metrics)
    return tuple(_margin(rows[name], limit, metrics) for name, limit in tolerance.limits.items())


def _margin(metric: Metric, limit: float, metrics: Metrics) -> Margin:
    place, value = metrics.worst(metric.name)
    return Margin(
        metric=metric.name,
        value=_finite(value),
        limit=limit,
        ok=metric.holds(value, limit),
        frame=place if isinstance(place, int) else None,
        place=place if isinstance(place, str) else None,
        margin=_finite(value - limit if metric.higher else limit - value),
        used=_finite(metric.used(value, limit)),
        direction="min" if metric.higher else "max",
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _refuse_blind(metric: Metric, limit: float, metrics: Metrics) -> None:
    span = metrics.span(metric.name) if metric.blind_share is not None else None
    if span is None or metric.blind_share is None:
        return
    size, why = span
    if limit >= metric.blind_share * size:
        raise _blind("tolerance", metric.name, limit, why, never=limit >= size)
