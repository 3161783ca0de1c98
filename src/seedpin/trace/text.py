"""Traces and divergences as text for the terminal."""

from __future__ import annotations

from collections import Counter

from seedpin.trace.distance import LEFT_OUT
from seedpin.trace.divergence import Divergence
from seedpin.trace.model import KINDS, Trace

__all__ = ["format_divergence", "summarise"]

_PLURAL = {"draw": "draws", "module": "module calls", "scheduler": "scheduler calls", "stage": "stage calls"}


def format_divergence(divergence: Divergence) -> str:
    """The sentence, what else is known, and how the difference grows towards the frames."""
    lines = [divergence.sentence]
    lines += [f"  hint: {hint}" for hint in divergence.hints if hint not in divergence.sentence]
    if divergence.golden_record != divergence.here_record:
        lines += [f"  golden: {divergence.golden_record or 'not there'}"]
        lines += [f"  here:   {divergence.here_record or 'not there'}"]
    rows = [
        (name, "" if name.startswith(LEFT_OUT) else _distance(apart)) for name, apart in divergence.growth
    ]
    if rows:
        width = max(len(name) for name, _ in rows)
        lines.append("  relative distance, estimated from samples:")
        lines += [f"    {name:<{width}}  {apart:>8}".rstrip() for name, apart in rows]
    return "\n".join(lines)


def _distance(apart: float | None) -> str:
    if apart is None:
        return "-"
    return "0" if apart == 0 else f"{apart:.1e}"


def summarise(trace: Trace) -> str:
    """What a trace holds, in a few lines."""
    counts = Counter(record.kind for record in trace.records)
    parts = [f"{counts[kind]:,} {_PLURAL.get(kind, kind + 's')}" for kind in KINDS if counts[kind]]
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
