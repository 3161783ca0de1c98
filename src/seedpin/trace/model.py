"""The records of a trace. A trace holds fingerprints, never tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

__all__ = [
    "KINDS",
    "LEVELS",
    "Argument",
    "Fingerprint",
    "Kind",
    "Level",
    "ModuleInfo",
    "Record",
    "Seen",
    "Sketch",
    "Trace",
    "Value",
]

Kind: TypeAlias = Literal["draw", "module", "scheduler", "stage", "mark", "clip", "op"]
Level: TypeAlias = Literal["stages", "modules", "ops"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True, slots=True)
class Sketch:
    """A few numbers by which two tensors can be said to be near or far apart.

    All are float32. Never compared for equality of runs: only the hash decides that.
    """

    norm: float
    """Euclidean norm, estimated from 512 evenly spaced elements (96 inside of modules)."""
    mean: float
    """Mean of the same elements."""
    abs_max: float
    """Largest magnitude of all elements, so that a lone outlier is seen; inside of modules, of those 96."""
    dot: float
    """Dot product of the same elements with a fixed position-weighted vector: order matters."""
    samples: tuple[float, ...]
    """Elements at fixed, evenly spaced positions (32, or 12 where a trace holds very many tensors)."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One tensor at one moment."""

    hash: str
    """Hex digits: 32 (xxh3_128 of the bytes in logical order) from the host, 16 (a position-weighted
    integer reduction) from an accelerator; empty if the content could not be seen."""
    dtype: str
    shape: tuple[int, ...]
    sketch: Sketch | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.dtype} {_shape(self.shape)}"


@dataclass(frozen=True, slots=True)
class Value:
    """Something that is no tensor, by value where it has a stable one, else by type."""

    text: str

    def __str__(self) -> str:
        return self.text


Seen: TypeAlias = Fingerprint | Value
Argument: TypeAlias = tuple[str, Seen]


@dataclass(frozen=True, slots=True)
class Record:
    """One event. Records stand in the order in which the events began; ``depth`` nests them."""

    kind: Kind
    name: str
    """Qualified name, as ``transformer.blocks.3.attn1``, ``scheduler.step`` or ``torch.randn``."""
    call: int
    """0 for the first call of this name."""
    depth: int
    """How many records were open when this one began."""
    stage: str = ""
    """Innermost named stage around it."""
    step: int | None = None
    """Number of finished scheduler steps; None outside of the sampling loop."""
    inputs: tuple[Argument, ...] = ()
    outputs: tuple[Argument, ...] = ()
    weights: str = ""
    """Hash of parameters and buffers: of the module alone, at level ``stages`` of all below it."""
    site: str = ""
    """``file:line`` of the innermost caller outside of torch and seedpin, where it was looked up."""
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModuleInfo:
    """Class and hyper-parameters of a module or scheduler: what names a changed epsilon."""

    name: str
    cls: str
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Trace:
    """All that was seen of one run."""

    level: Level
    records: tuple[Record, ...]
    modules: tuple[ModuleInfo, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    """Hash of each parameter and buffer that was used, by qualified name."""
    notes: tuple[str, ...] = ()
    """What could not be seen, in words."""
    meta: Mapping[str, str] = field(default_factory=dict)


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
