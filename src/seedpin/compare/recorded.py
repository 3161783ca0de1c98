"""Metrics and margins as a run keeps them. None stands for what JSON has no number for: infinite, or none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Number: TypeAlias = float | None
"""Infinite, or no number, where it is None: PSNR of equal frames, a distance to NaN."""


@dataclass(frozen=True, slots=True)
class WorstValue:
    """The worst value of one metric: ``frame`` is its index in a clip, ``place`` tells where it is."""

    value: Number
    frame: int | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedTensor:
    """One tensor's metrics, as in :class:`~seedpin.compare.tensors.TensorMetric`.

    ``further`` are values of metrics that are not seedpin's own.
    """

    name: str
    relative_l2: Number = None
    cosine: Number = None
    max_abs: Number = None
    mean_abs: Number = None
    peak: Number = None
    level: Number = None
    further: Mapping[str, Number] = field(default_factory=dict)

    def values(self) -> dict[str, Number]:
        """All that is known of the tensor, by name; what earlier versions did not record is left out."""
        own = ("relative_l2", "cosine", "max_abs", "mean_abs", "peak")
        level = {} if self.level is None else {"level": self.level}
        return {**{name: getattr(self, name) for name in own}, **level, **self.further}


@dataclass(frozen=True, slots=True)
class MetricWords:
    """What a reader needs of a metric that is not seedpin's own, as :class:`seedpin.Metric` has it."""

    label: str = ""
    meaning: str = ""
    unit: str = ""
    format: str = ""
    better: str = "lower"
    best: Number = None
    in_values: bool = False


@dataclass(frozen=True, slots=True)
class RecordedMetrics:
    """How far an obtained value was from the golden one.

    ``worst`` and ``mean`` are by metric. What is known besides depends on the kind: a clip has a value per
    frame for each metric in ``frames``, how many frames differ and which is the first; tensors have one entry
    each; sounds a value per second; texts the indices of the entries that differ. ``described`` has the
    words of metrics that are not seedpin's own.
    """

    kind: str = "clip"
    worst: Mapping[str, WorstValue] = field(default_factory=dict)
    summary: str = ""
    data_range: Number = None
    first_differing: int | None = None
    differing: int | None = None
    mean: Mapping[str, Number] = field(default_factory=dict)
    frames: Mapping[str, tuple[Number, ...]] = field(default_factory=dict)
    tensors: tuple[RecordedTensor, ...] = ()
    seconds: Mapping[str, tuple[Number, ...]] = field(default_factory=dict)
    entries: tuple[int, ...] = ()
    described: Mapping[str, MetricWords] = field(default_factory=dict)

    @property
    def num_frames(self) -> int:
        """The number of frames of a clip, 0 of anything else."""
        return len(next(iter(self.frames.values()), ()))


@dataclass(frozen=True, slots=True)
class Margin:
    """One limit held against the worst value. ``margin`` is the room left, negative where it is broken.

    ``frame`` is the worst frame of a clip; ``place`` the worst tensor's name. ``used`` is the share of the
    allowance that was used, above 1 where the limit is broken. ``direction`` is ``min`` where the limit is
    the least allowed value, else ``max``.
    """

    metric: str
    value: Number
    limit: float
    ok: bool
    frame: int | None = None
    place: str | None = None
    margin: Number = None
    used: Number = 0.0
    direction: str = ""

    @property
    def share(self) -> float:
        """The share of the limit that was used, above 1 where it is broken."""
        return math.inf if self.used is None else self.used
