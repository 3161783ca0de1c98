"""A divergence as text for the terminal."""

from __future__ import annotations

from seedpin.trace.diff.distance import LEFT_OUT
from seedpin.trace.diff.divergence import Divergence


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
