"""What is said of the place where two traces part: the record that a report and a result keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Cause: TypeAlias = Literal[
    "draw",
    "module",
    "scheduler",
    "stage",
    "op",
    "glue",
    "argument",
    "weights",
    "records",
    "mark",
    "clip",
    "nonfinite",
]


LEFT_OUT = "…"
"""Begins the row of ``Divergence.growth`` that stands for those that it leaves out."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where two traces part.

    kind: ``draw`` (new, lost, reordered, or from another state), ``module``/``stage``/``scheduler``/``op``
    (inputs and weights agree, the output does not), ``glue`` (an input differs though all before agrees),
    ``argument`` (a value, or a tensor that is there on one side only), ``weights``, ``records`` (a call on
    one side only), ``mark``, ``clip`` (only the frames differ: post-processing). ``nonfinite`` is of one run
    alone: the first NaN or infinity.
    """

    kind: Cause
    place: str
    step: int | None
    sentence: str
    golden_record: str = ""
    here_record: str = ""
    growth: tuple[tuple[str, float | None], ...] = ()
    """(label, relative distance) from the place to the frames; None: not comparable."""
    hints: tuple[str, ...] = ()
    """What else is known: changed hyper-parameters, weights, attention kernels."""
    level: str = ""


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
