"""How far apart two fingerprints are, and how a difference grows on its way to the frames."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from seedpin.trace.diff.divergence import LEFT_OUT
from seedpin.trace.diff.wording import label
from seedpin.trace.model import Fingerprint, Record, agree

_ROWS = 16
_MOST_ROWS = 32
_FEWEST_STEPS = 3
_TINY = 1e-30

T = TypeVar("T")


def distance(golden: Fingerprint, here: Fingerprint) -> float | None:
    """Relative distance, estimated from two sketches: 0 for equal bits, about 1 for unrelated content.

    It is the largest of: Euclidean distance of the samples over their norm, difference of the norms, of
    abs-max and of the position-weighted dot products, each over the larger norm or magnitude. None where
    shapes differ or a sketch is missing.
    """
    if agree(golden, here):
        return 0.0
    a, b = golden.sketch, here.sketch
    if golden.shape != here.shape or a is None or b is None or len(a.samples) != len(b.samples):
        return None
    # The largest of four, as each is blind to something: samples to a lone outlier, norms to what changed
    # places, the largest magnitude to all but one element.
    apart = math.dist(a.samples, b.samples)
    scale = max(math.hypot(*a.samples), math.hypot(*b.samples), _TINY)
    norm = max(abs(a.norm), abs(b.norm), _TINY)
    parts = (
        apart / scale,
        abs(a.norm - b.norm) / norm,
        abs(a.abs_max - b.abs_max) / max(a.abs_max, b.abs_max, _TINY),
        abs(a.dot - b.dot) / norm,
    )
    return None if any(math.isnan(part) for part in parts) else min(max(parts), 1e9)


def record_distance(golden: Record, here: Record) -> float | None:
    """Largest distance among outputs of the same name; None where none can be compared."""
    others = dict(here.outputs)
    distances = [
        distance(item, other)
        for name, item in golden.outputs
        if isinstance(item, Fingerprint) and isinstance(other := others.get(name), Fingerprint)
    ]
    known = [item for item in distances if item is not None]
    return max(known) if known else None


def distances_on_the_way(
    pairs: Sequence[tuple[Record, Record]], start: int
) -> tuple[tuple[str, float | None], ...]:
    """Distances from ``pairs[start]`` on: that record, then stages, scheduler steps, marks, frames.

    Of a long loop only some steps are told, each whole; what comes once is always told. A row that begins
    with ``LEFT_OUT`` says how many rows a gap has.
    """
    rows: list[tuple[Record, float | None]] = []
    for index, (golden, here) in enumerate(pairs[start:]):
        outer = golden.kind in ("stage", "mark", "clip") or golden.name.endswith(".step")
        if index and not outer:
            continue
        apart = record_distance(golden, here)
        if apart is not None or golden.kind == "clip":
            rows.append((golden, apart))
    told: list[tuple[str, float | None]] = []
    before = -1
    for index in _told([record for record, _ in rows]):
        if index > before + 1:
            told.append((f"{LEFT_OUT} {index - before - 1} more, left out", None))
        told.append((label(rows[index][0]), rows[index][1]))
        before = index
    return tuple(told)


def _told(records: Sequence[Record]) -> list[int]:
    """Which of these records a list of distances names."""
    if len(records) <= _ROWS:
        return list(range(len(records)))
    times = Counter(record.name for record in records)
    steps = Counter((record.loop, record.step) for record in records if times[record.name] > 1)
    once = sum(times[record.name] == 1 for record in records)
    room = (_ROWS - once) // max(steps.values(), default=1)
    kept = _spread(list(steps), max(_FEWEST_STEPS, room))
    chosen = [
        index
        for index, record in enumerate(records)
        if index == 0 or times[record.name] == 1 or (record.loop, record.step) in kept
    ]
    return _spread(chosen, _MOST_ROWS)


def _spread(items: list[T], count: int) -> list[T]:
    """At most ``count`` of the items, evenly, the first and the last among them."""
    if len(items) <= count:
        return items
    return [items[round(index * (len(items) - 1) / (count - 1))] for index in range(count)]
