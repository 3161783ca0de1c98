"""Where two traces parted and how the difference grew from there, as the report draws it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seedpin.trace.diff.divergence import LEFT_OUT, Divergence

SMALLEST = 1e-9


@dataclass(frozen=True, slots=True)
class DistanceRow:
    """One place on the way to the frames. ``share`` is the bar's length, 0 to 1, on a log scale from 1e-9.

    ``text`` is the relative distance, empty where the label stands for rows that were left out; ``share`` is
    None where there is none.
    """

    label: str
    text: str
    share: float | None


@dataclass(frozen=True, slots=True)
class DifferenceSeries:
    """One sentence, further lines, and the growth from there on."""

    sentence: str
    lines: tuple[tuple[str, str], ...]
    growth: tuple[DistanceRow, ...]


def view_divergence(found: Divergence | None) -> DifferenceSeries | None:
    """A divergence as it is drawn; None where there is none, or nothing to say of it."""
    if found is None or not found.sentence:
        return None
    pairs = (
        ("place", found.place),
        ("step", found.step),
        ("golden", found.golden_record),
        ("here", found.here_record),
        ("trace", found.level),
    )
    lines = [(label, str(value)) for label, value in pairs if value not in (None, "")]
    lines += [("also", hint) for hint in found.hints]
    rows = tuple(_row(label, far) for label, far in found.growth)
    return DifferenceSeries(found.sentence, tuple(lines), rows)


def _row(label: str, distance: float | None) -> DistanceRow:
    if distance is None:
        return DistanceRow(label, "" if label.startswith(LEFT_OUT) else "not comparable", None)
    if distance == 0:
        return DistanceRow(label, "equal", 0.0)
    span = -math.log10(SMALLEST)
    share = (math.log10(max(distance, SMALLEST)) + span) / span
    return DistanceRow(label, f"{distance:.2g}", round(min(1.0, max(0.02, share)), 3))
