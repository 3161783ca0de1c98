"""What a comparison of two values gives: the metrics of their kind, and those that were asked for besides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from seedpin.compare.metric import Metric, described
from seedpin.records import as_plain

Place = int | str | None
"""The index of a frame, the name of a tensor or of another item; None for the whole."""


class Metrics(Protocol):
    """How far an obtained value is from the golden one, whatever their kind."""

    @property
    def kind(self) -> str:
        """Whose limits can be held against it."""

    def worst(self, name: str) -> tuple[Place, float]:
        """Where the metric ``name`` is worst, and its value there. Raises KeyError."""

    def as_dict(self) -> dict[str, Any]:
        """Strictly JSON-able, with ``kind`` and ``worst``: metric -> ``{"value": ..., "place": ...}``."""

    def summary(self) -> str:
        """How much of it differs, in a sentence; empty where the metrics say it all."""

    def span(self, name: str) -> tuple[float, str] | None:
        """How large values are, and in words why no limit on ``name`` may come near that; None if unknown."""
        return None

    def place_in_words(self, place: Place) -> str:
        """A place that ``worst`` gave, in a sentence; empty for the whole."""
        return f"frame {place}" if isinstance(place, int) else place or ""


@dataclass(frozen=True, slots=True)
class Further:
    """The values of one metric that a limit asked for: one for each place, or one for the whole."""

    metric: Metric
    values: tuple[float, ...]
    places: tuple[int | str, ...] = ()

    def worst(self) -> tuple[Place, float]:
        """The first of the worst values, and its place."""
        index = max(range(len(self.values)), key=lambda at: self.metric.badness(self.values[at]))
        return (self.places[index] if self.places else None), self.values[index]


@dataclass(frozen=True, slots=True)
class MeasuredFurther(Metrics):
    """``metrics`` of a kind's own comparison, with those that limits asked for besides."""

    metrics: Metrics
    further: Mapping[str, Further]

    @property
    def kind(self) -> str:
        return self.metrics.kind

    def worst(self, name: str) -> tuple[Place, float]:
        return self.further[name].worst() if name in self.further else self.metrics.worst(name)

    def as_dict(self) -> dict[str, Any]:
        """As of ``metrics``; ``described`` says of each further one what a reader needs."""
        data = self.metrics.as_dict()
        worst, frames = dict(data["worst"]), dict(data.get("frames") or {})
        tensors = {entry["name"]: dict(entry) for entry in data.get("tensors") or ()}
        for name, values in self.further.items():
            place, value = values.worst()
            worst[name] = {"value": _finite(value), "place": place}
            if isinstance(place, int):
                worst[name] |= {"frame": place, "place": f"frame {place}"}
            if values.places and all(isinstance(place, int) for place in values.places):
                frames[name] = [_finite(value) for value in values.values]
            for at, value in zip(values.places, values.values, strict=False):
                if at in tensors:
                    tensors[at].setdefault("further", {})[name] = _finite(value)
        words = {name: as_plain(described(values.metric)) for name, values in self.further.items()}
        data |= {"worst": worst, "described": words}
        data |= {"frames": frames} if frames else {}
        return data | ({"tensors": list(tensors.values())} if tensors else {})

    def summary(self) -> str:
        return self.metrics.summary()

    def span(self, name: str) -> tuple[float, str] | None:
        return self.metrics.span(name)

    def place_in_words(self, place: Place) -> str:
        return self.metrics.place_in_words(place)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
