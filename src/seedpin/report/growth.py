"""Where two traces parted and how the difference grew from there, as the report draws it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seedpin.trace.diff.distance import LEFT_OUT

SMALLEST = 1e-9


@dataclass(frozen=True, slots=True)
class Growth:
    """One place on the way to the frames. ``share`` is the bar's length, 0 to 1, on a log scale from 1e-9.

    ``text`` is the relative distance, empty where the label stands for rows that were left out; ``share`` is
    None where there is none.
    """

    label: str
    text: str
    share: float | None


@dataclass(frozen=True, slots=True)
class Divergence:
    """One sentence, further lines, and the growth from there on."""

    sentence: str
    lines: tuple[tuple[str, str], ...]
    growth: tuple[Growth, ...]


def view_divergence(data: Mapping[str, Any] | None) -> Divergence | None:
    """``Divergence.as_dict`` of ``seedpin.trace.diff`` as it is drawn; None where nothing was recorded."""
    if not data or not data.get("sentence"):
        return None
    pairs = (
        ("place", "place"),
        ("step", "step"),
        ("golden_record", "golden"),
        ("here_record", "here"),
        ("level", "trace"),
    )
    lines = [(label, str(data[key])) for key, label in pairs if data.get(key) not in (None, "")]
    lines += [("also", str(hint)) for hint in data.get("hints") or ()]
    rows = data.get("growth") or ()
    return Divergence(str(data["sentence"]), tuple(lines), tuple(_growth(str(one), far) for one, far in rows))


def _growth(label: str, distance: float | None) -> Growth:
    if distance is None:
        return Growth(label, "" if label.startswith(LEFT_OUT) else "not comparable", None)
    if distance == 0:
        return Growth(label, "equal", 0.0)
    span = -math.log10(SMALLEST)
    share = (math.log10(max(distance, SMALLEST)) + span) / span
    return Growth(label, f"{distance:.2g}", round(min(1.0, max(0.02, share)), 3))
