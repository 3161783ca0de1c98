"""A trace as a few lines for the terminal."""

from __future__ import annotations

from collections import Counter

from seedpin.trace.model import RECORD_KINDS, Trace

_PLURAL = {"draw": "draws", "module": "module calls", "scheduler": "scheduler calls", "stage": "stage calls"}


def summarise(trace: Trace) -> str:
    """What a trace holds, in a few lines."""
    counts = Counter(record.kind for record in trace.records)
    parts = [f"{counts[kind]:,} {_PLURAL.get(kind, kind + 's')}" for kind in RECORD_KINDS if counts[kind]]
    steps = 1 + max(
        (record.step for record in trace.records if record.kind == "scheduler" and record.step is not None),
        default=-1,
    )
    stages = list(dict.fromkeys(record.name for record in trace.records if record.kind == "stage"))
    lines = [
        f"trace at level {trace.level}: {', '.join(parts) or 'no records'}"
        + (f", {steps} steps" if steps else "")
    ]
    if stages:
        lines.append(f"  stages: {', '.join(stages)}")
    lines.append(f"  {len(trace.modules):,} modules known, {len(trace.weights):,} weights hashed")
    lines += [f"  note: {note}" for note in trace.notes]
    return "\n".join(lines)
