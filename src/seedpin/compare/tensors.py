"""How far two sets of named tensors are apart: latents, embeddings, whatever is no picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seedpin.compare.measured import Metrics, Place
from seedpin.compare.metric import OWN
from seedpin.errors import ClipError

Array = npt.NDArray[Any]

ROWS = {row.name: row for row in OWN if row.kind == "tensors" and row.compare is None}
TENSOR_METRICS = tuple(ROWS)


@dataclass(frozen=True, slots=True)
class TensorMetric:
    """One tensor. Distances are 0 for equal tensors, and infinite where NaN or infinity stands in one only.

    ``relative_l2``  ||obtained - golden|| / ||golden||; infinite for a golden of zeros
    ``cosine``       cosine *distance*, 1 - cos(golden, obtained), in [0, 2]; never the similarity
    ``max_abs``, ``mean_abs``  of the absolute difference, in the tensor's own units
    ``peak``         largest magnitude in the golden: what an output of zeros would be off by
    ``level``        mean magnitude in the golden: the same on average; None in records of earlier versions
    """

    name: str
    relative_l2: float
    cosine: float
    max_abs: float
    mean_abs: float
    peak: float
    level: float | None = None


@dataclass(frozen=True, slots=True)
class TensorMetrics(Metrics):
    """One :class:`TensorMetric` per tensor, in the order of their names."""

    tensors: tuple[TensorMetric, ...]

    @property
    def kind(self) -> str:
        return "tensors"

    def worst(self, name: str) -> tuple[str, float]:
        """Tensor and value of the largest ``name``; of several, the first. NaN is worst of all."""
        if name not in TENSOR_METRICS:
            raise KeyError(name)
        chosen = max(self.tensors, key=lambda tensor: ROWS[name].badness(float(getattr(tensor, name))))
        return chosen.name, float(getattr(chosen, name))

    def span(self, name: str) -> tuple[float, str] | None:
        peak = max(tensor.peak for tensor in self.tensors)
        level = max(peak if tensor.level is None else tensor.level for tensor in self.tensors)
        if not peak:
            return None
        why = f"an output of zeros is off by {peak:g}, on average by {level:g}"
        return (level if name == "mean_abs" else peak), why

    def place_in_words(self, place: Place) -> str:
        return f"tensor {place}" if place is not None else ""

    def summary(self) -> str:
        """Nothing that the tensors' metrics do not tell."""
        return ""

    def as_dict(self) -> dict[str, Any]:
        """Strictly JSON-able: an infinite value, or none, is ``null``. ``worst`` is derived."""
        worst = {}
        for name in TENSOR_METRICS:
            place, value = self.worst(name)
            worst[name] = {"value": value if math.isfinite(value) else None, "place": place}
        tensors = [
            {
                key: None if isinstance(value, float) and not math.isfinite(value) else value
                for key, value in asdict(tensor).items()
            }
            for tensor in self.tensors
        ]
        return {"kind": self.kind, "worst": worst, "tensors": tensors}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TensorMetrics:
        """The metrics that ``as_dict`` gave."""
        numbers = (*TENSOR_METRICS, "peak")
        return cls(
            tuple(
                TensorMetric(
                    name=str(entry["name"]),
                    **{key: math.inf if entry[key] is None else float(entry[key]) for key in numbers},
                    level=None if entry.get("level") is None else float(entry["level"]),
                )
                for entry in data["tensors"]
            )
        )


def tensor_facts(tensors: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``{name: {"shape": [...], "dtype": "float32"}}`` of NumPy arrays or torch tensors; JSON-able."""
    return {
        name: {
            "shape": [int(size) for size in tensors[name].shape],
            "dtype": str(tensors[name].dtype).removeprefix("torch."),
        }
        for name in sorted(tensors)
    }


def compare_tensors(golden: Mapping[str, Any], obtained: Mapping[str, Any]) -> TensorMetrics:
    """The metrics of tensors with equal names, shapes and dtypes; NumPy arrays or torch tensors.

    Raises ClipError where the facts differ (:func:`tensor_facts`): nothing is broadcast or converted.
    """
    if not golden or tensor_facts(golden) != tensor_facts(obtained):
        raise ClipError(
            "the tensors cannot be compared: names, shapes or dtypes differ, or there are none",
            hint="compare tensors with the same facts",
        )
    return TensorMetrics(
        tuple(_compare(name, _as_array(golden[name]), _as_array(obtained[name])) for name in sorted(golden))
    )


def _as_array(tensor: Any) -> Array:
    """A NumPy array of the same values; bfloat16, which NumPy lacks, is widened exactly."""
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu()
        if "float" in str(tensor.dtype) and "64" not in str(tensor.dtype):
            tensor = tensor.float()
        tensor = tensor.numpy()
    return np.asarray(tensor)


def _compare(name: str, golden: Array, obtained: Array) -> TensorMetric:
    if golden.dtype.kind in "biu":
        return _compare_integers(name, golden.reshape(-1), obtained.reshape(-1))
    kind = np.complex128 if np.iscomplexobj(golden) else np.float64
    g, o = golden.reshape(-1).astype(kind), obtained.reshape(-1).astype(kind)
    finite = np.abs(g[np.isfinite(g)])
    peak = float(finite.max()) if finite.size else 0.0
    level = _mean(finite) if finite.size else 0.0
    same = (g == o) | ((g != g) & (o != o))
    if same.all():
        return TensorMetric(name, 0.0, 0.0, 0.0, 0.0, peak, level)
    if not (np.isfinite(g) & np.isfinite(o))[~same].all():
        return TensorMetric(name, math.inf, math.inf, math.inf, math.inf, peak, level)
    # Places with the same infinity or NaN on both sides agree; what is left is measured.
    g, o = np.where(np.isfinite(g), g, 0), np.where(np.isfinite(o), o, 0)
    unit = _unit(max(float(np.abs(g).max()), float(np.abs(o).max())))
    magnitude = np.abs(o / unit - g / unit)
    gap, norm_g = _norm(magnitude), _norm(g / unit)
    relative = gap / norm_g if norm_g else math.inf
    with np.errstate(over="ignore"):  # the largest numbers may be further apart than a float can tell
        worst, mean = float(magnitude.max() * unit), float(_mean(magnitude) * unit)
    return TensorMetric(name, relative, _cosine(g, o), worst, mean, peak, level)


def _compare_integers(name: str, golden: Array, obtained: Array) -> TensorMetric:
    """Exact for all 64 bits: float64 holds integers up to 2**53 only."""
    wide = [
        values.astype(np.uint64 if values.dtype.kind == "u" else np.int64).view(np.uint64)
        for values in (golden, obtained)
    ]
    # Modulo 2**64 the larger less the smaller is their distance, whatever their signs.
    magnitude = np.where(golden < obtained, wide[1] - wide[0], wide[0] - wide[1])
    g, o = golden.astype(np.float64), obtained.astype(np.float64)
    peak, level = float(np.abs(g).max()), _mean(np.abs(g))
    if not magnitude.any():
        return TensorMetric(name, 0.0, 0.0, 0.0, 0.0, peak, level)
    distance = magnitude.astype(np.float64)
    norm = _norm(g)
    return TensorMetric(
        name,
        relative_l2=_norm(distance) / norm if norm else math.inf,
        cosine=_cosine(g, o),
        max_abs=float(int(magnitude.max())),
        mean_abs=_mean(distance),
        peak=peak,
        level=level,
    )


def _unit(largest: float) -> float:
    """A power of two by which numbers can be divided without loss, so that their squares are numbers too."""
    if 1e-120 < largest < 1e120 or not largest:
        return 1.0
    return math.ldexp(1.0, max(min(math.frexp(largest)[1], 1000), -1000))


def _norm(values: Array) -> float:
    """The Euclidean norm; of values whose squares are too large or too small, too."""
    unit = _unit(float(np.abs(values).max()))
    return float(np.linalg.norm(values / unit)) * unit


def _mean(values: Array) -> float:
    """The mean of magnitudes; of the largest numbers, too."""
    unit = _unit(float(values.max()))
    return float((values / unit).mean()) * unit


def _cosine(g: Array, o: Array) -> float:
    g, o = g / _unit(float(np.abs(g).max())), o / _unit(float(np.abs(o).max()))
    norm_g, norm_o = _norm(g), _norm(o)
    # Half the squared distance of the unit vectors: exact near zero, where 1 - cos cancels.
    return float(np.linalg.norm(g / norm_g - o / norm_o) ** 2 / 2) if norm_g and norm_o else 1.0
