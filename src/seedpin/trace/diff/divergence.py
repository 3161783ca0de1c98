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
