"""What a clip may differ by: read from configuration, chosen for a device class, held against metrics."""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from seedpin.compare.metrics import CLIP_METRICS, HIGHER_IS_BETTER, ClipMetrics, Metrics
from seedpin.compare.tensors import TENSOR_METRICS, TensorMetrics
from seedpin.config import suggest
from seedpin.errors import ToleranceError

KEYS = {"clip": CLIP_METRICS, "tensors": TENSOR_METRICS}
T = TypeVar("T")

# From these on a limit lets content through that has nothing to do with the golden. The figures are what such
# content reached against photographs (benchmarks/blind_limits.py), with room.
_BLIND_FROM = {"psnr": 20.0, "ssim": 0.5, "changed": 0.85, "cosine": 0.02, "relative_l2": 0.2}
_BLIND_WHY = {
    "psnr": "against photographs another one reached 19.3 dB, black 10.8 dB and noise 10.4 dB",
    "ssim": "against photographs another one reached 0.47",
    "changed": "against photographs black frames differed in 0.9 of the pixels",
    "cosine": "this is a distance, 0 for equal tensors, not a similarity; "
    "of photographs another one is at 0.03, flat grey at 0.007",
    "relative_l2": "an output of zeros has 1, of photographs another one has 0.24",
}
# The same for limits in the clip's own units, as shares of its range.
_BLIND_SHARES = {"max_abs": 0.5, "mean_abs": 0.08, "temporal": 0.08}


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Limits on the worst frame (of ``kind`` "clip") or the worst tensor ("tensors"); None is no limit.

    ``ssim`` and ``psnr`` (dB) are the least allowed, all others the most; units as in
    :class:`~seedpin.compare.metrics.ClipMetrics` and :class:`~seedpin.compare.tensors.TensorMetric`.
    ``same_environment``: whether it holds where the environment is the golden's, too. Without it a clip has
    to be exact there, and the tolerance is for another environment only.
    """

    kind: str = "clip"
    ssim: float | None = None
    psnr: float | None = None
    max_abs: float | None = None
    mean_abs: float | None = None
    changed: float | None = None
    temporal: float | None = None
    relative_l2: float | None = None
    cosine: float | None = None
    same_environment: bool = False

    def limits(self) -> dict[str, float]:
        """The limits that are set, by metric."""
        found = {name: getattr(self, name) for name in KEYS[self.kind]}
        return {name: limit for name, limit in found.items() if limit is not None}

    def as_dict(self) -> dict[str, Any]:
        """The keys as a user writes them; JSON-able; ``parse_tolerance`` reads it."""
        return {**self.limits(), "same_environment": self.same_environment}


@dataclass(frozen=True, slots=True)
class Margin:
    """One limit held against the worst value. ``margin`` is the room left, negative where it is broken.

    ``frame`` is the worst frame of a clip; ``place`` the worst tensor's name. ``used`` is the share of the
    allowance that was used, above 1 where the limit is broken.
    """

    metric: str
    limit: float
    value: float
    frame: int | None
    place: str | None
    ok: bool
    margin: float
    used: float

    @property
    def direction(self) -> str:
        """``min`` where the limit is the least allowed value, else ``max``."""
        return "min" if self.metric in HIGHER_IS_BETTER else "max"

    def as_dict(self) -> dict[str, Any]:
        """Strictly JSON-able: infinite values are ``null``."""
        data: dict[str, Any] = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        for key in ("value", "margin", "used"):
            data[key] = data[key] if math.isfinite(data[key]) else None
        return {**data, "direction": self.direction}


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
    valid = (*KEYS[kind], "same_environment")
    limits: dict[str, float] = {}
    for key, value in mapping.items():
        if key not in valid:
            other = f" ({key} is for {_other(kind)})" if key in KEYS[_other(kind)] else ""
            raise ToleranceError(f"{where}: unknown key {key!r}{other}", hint=suggest(str(key), valid))
        if key == "same_environment":
            if not isinstance(value, bool):
                raise ToleranceError(f"{where}: {key} = {value!r}", hint="write true or false")
            same_environment = value
        else:
            limits[key] = _limit(key, value, where)
    if not limits:
        raise ToleranceError(f"{where}: no limit is declared", hint=f"set one of {', '.join(KEYS[kind])}")
    return Tolerance(kind=kind, same_environment=same_environment, **limits)


def _other(kind: str) -> str:
    return "tensors" if kind == "clip" else "clip"


def _limit(key: str, value: Any, where: str) -> float:
    number = math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:  # an integer, which may have too many digits to print, too
            value = number = math.inf
    low, high = {"ssim": (0.0, 1.0), "cosine": (0.0, 2.0), "changed": (0.0, 1.0)}.get(key, (0.0, math.inf))
    if key in HIGHER_IS_BETTER and number <= 0:
        raise _blind(where, key, number, "garbage reaches that", never=True)
    if not (math.isfinite(number) and low <= number <= high):
        text = f"between {low:g} and {high:g}" if math.isfinite(high) else "a finite number from 0 on"
        raise ToleranceError(f"{where}: {key} = {value!r} is no limit", hint=f"{key} is {text}")
    edge = _BLIND_FROM.get(key)
    if edge is not None and (number < edge if key in HIGHER_IS_BETTER else number >= edge):
        raise _blind(where, key, number, _BLIND_WHY[key], never=key == "changed" and number >= 1)
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
                hint=f"set one of {', '.join(dict.fromkeys(key for keys in KEYS.values() for key in keys))}",
            )
        if kind in parsed:
            found[pattern] = parsed[kind]
    return found


def parse_kinds(limits: Mapping[str, Any], place: str) -> dict[str, Tolerance]:
    """The tolerance of each kind that a table of the configuration has limits for.

    Limits that only one kind knows may stand side by side. ``max_abs`` and ``mean_abs`` are a clip's, in its
    own unit; those of tensors stand in a table ``tensors`` below, as may their other limits.
    ``same_environment`` is for all, unless ``tensors`` has its own. Raises ToleranceError for unknown keys.
    """
    below = limits.get("tensors", {})
    if not isinstance(below, Mapping):
        raise ToleranceError(
            f"{place}: tensors = {below!r} is no table", hint="such as tensors = {max_abs = 0.01}"
        )
    only_tensors = set(KEYS["tensors"]) - set(KEYS["clip"])
    beside = {key: value for key, value in limits.items() if key in only_tensors}
    twice = sorted(beside.keys() & below.keys())
    if twice:
        raise ToleranceError(f"{place}: {', '.join(twice)} is given twice", hint="leave it in one place")
    shared = {key: value for key, value in limits.items() if key == "same_environment"}
    clip = {key: value for key, value in limits.items() if key not in {*beside, *shared, "tensors"}}
    found = {}
    if clip:
        found["clip"] = parse_tolerance({**shared, **clip}, place)
    if beside or below:
        inner = f"{place[:-1]}.tensors]" if below else place
        found["tensors"] = parse_tolerance({**shared, **beside, **below}, inner, kind="tensors")
    return found


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
        raise ToleranceError(
            f"a tolerance for {tolerance.kind} was held against {expected}",
            hint=f"limits for {expected} are {', '.join(KEYS[expected])}",
        )
    _refuse_blind(tolerance, metrics)
    return tuple(_margin(metric, limit, metrics) for metric, limit in tolerance.limits().items())


def _margin(metric: str, limit: float, metrics: Metrics) -> Margin:
    place, value = metrics.worst(metric)
    if metric in HIGHER_IS_BETTER:
        ok, margin = value >= limit, value - limit
        used = (
            (1 - value) / (1 - limit)
            if metric == "ssim" and limit < 1
            else limit / value
            if value > 0
            else math.inf
        )
    else:
        ok, margin = value <= limit, limit - value
        used = value / limit if limit else (math.inf if value else 0.0)
    frame, name = (place, None) if isinstance(place, int) else (None, place)
    return Margin(metric, limit, value, frame, name, ok, margin, used)


def _refuse_blind(tolerance: Tolerance, metrics: Metrics) -> None:
    limits = tolerance.limits()
    if isinstance(metrics, ClipMetrics):
        span = metrics.data_range
        edges = {key: (share * span, span) for key, share in _BLIND_SHARES.items()}
        why = f"values span {span:g}, so that flat grey is off by at most {span / 2:g}"
    elif isinstance(metrics, TensorMetrics):
        peak = max(tensor.peak for tensor in metrics.tensors)
        level = max(peak if tensor.level is None else tensor.level for tensor in metrics.tensors)
        edges = {"max_abs": (peak / 2, peak), "mean_abs": (level / 2, level)} if peak else {}
        why = f"an output of zeros is off by {peak:g}, on average by {level:g}"
    else:
        return
    for key, (edge, most) in edges.items():
        if limits.get(key, -1.0) >= edge:
            raise _blind("tolerance", key, limits[key], why, never=limits[key] >= most)
