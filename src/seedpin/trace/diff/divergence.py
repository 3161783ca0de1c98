"""What is said of the place where two traces part: the record that a report and a result keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from seedpin.errors import TraceError

__all__ = ["Cause", "Divergence"]

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

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "kind": self.kind,
            "place": self.place,
            "step": self.step,
            "sentence": self.sentence,
            "golden_record": self.golden_record,
            "here_record": self.here_record,
            "level": self.level,
            "growth": [list(row) for row in self.growth],
            "hints": list(self.hints),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Divergence:
        """The reverse of ``as_dict``; raises TraceError for anything else."""
        try:
            return cls(
                *(data["kind"], str(data["place"]), data["step"], str(data["sentence"])),
                golden_record=str(data["golden_record"]),
                here_record=str(data["here_record"]),
                growth=tuple((str(name), apart) for name, apart in data["growth"]),
                hints=tuple(str(hint) for hint in data["hints"]),
                level=str(data["level"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TraceError(f"this is no divergence: {error!r}", hint="run the tests again") from error
