"""How far two sets of named tensors are apart: latents, embeddings, whatever is no picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seedpin.errors import ClipError

Array = npt.NDArray[Any]

TENSOR_METRICS = ("relative_l2", "cosine", "max_abs", "mean_abs")


@dataclass(frozen=True, slots=True)
class TensorMetric:
    """One tensor. All values are 0 for equal tensors, and infinite where NaN or infinity stands in one only.

    ``relative_l2``  ||obtained - golden|| / ||golden||; infinite for a golden of zeros
    ``cosine``       cosine *distance*, 1 - cos(golden, obtained), in [0, 2]; never the similarity
    ``max_abs``, ``mean_abs``  of the absolute difference, in the tensor's own units
    ``peak``         largest magnitude in the golden: what an output of zeros would be off by
    """

    name: str
    relative_l2: float
    cosine: float
    max_abs: float
    mean_abs: float
    peak: float


@dataclass(frozen=True, slots=True)
class TensorMetrics:
    """One :class:`TensorMetric` per tensor, in the order of their names."""

    tensors: tuple[TensorMetric, ...]

    def worst(self, name: str) -> tuple[str, float]:
        """Tensor and value of the largest ``name``; of several, the first."""
        if name not in TENSOR_METRICS:
            raise KeyError(name)
        chosen = max(self.tensors, key=lambda tensor: float(getattr(tensor, name)))
        return chosen.name, float(getattr(chosen, name))

    def as_dict(self) -> dict[str, Any]:
        """Strictly JSON-able: an infinite value is ``null``. ``worst`` is derived."""
        worst = {}
        for name in TENSOR_METRICS:
            place, value = self.worst(name)
            worst[name] = {"value": value if math.isfinite(value) else None, "place": place}
        tensors = [
            {key: None if value == math.inf else value for key, value in asdict(tensor).items()}
            for tensor in self.tensors
        ]
        return {"kind": "tensors", "worst": worst, "tensors": tensors}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TensorMetrics:
        """The metrics that ``as_dict`` gave."""
        numbers = (*TENSOR_METRICS, "peak")
        return cls(
            tuple(
                TensorMetric(
                    name=str(entry["name"]),
                    **{key: math.inf if entry[key] is None else float(entry[key]) for key in numbers},
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
    kind = np.complex128 if np.iscomplexobj(golden) else np.float64
    g, o = golden.reshape(-1).astype(kind), obtained.reshape(-1).astype(kind)
    finite = np.abs(g[np.isfinite(g)])
    peak = float(finite.max()) if finite.size else 0.0
    exact = kind is np.complex128 or golden.dtype.kind == "f"
    if np.array_equal(golden, obtained, equal_nan=exact):
        return TensorMetric(name, 0.0, 0.0, 0.0, 0.0, peak)
    same = (g == o) | ((g != g) & (o != o))
    magnitude = np.where(same, 0.0, np.abs(np.subtract(o, g, where=~same, out=np.zeros_like(g))))
    if not np.isfinite(magnitude).all():
        return TensorMetric(name, math.inf, math.inf, math.inf, math.inf, peak)
    # Places with the same infinity or NaN on both sides agree; what is left is measured.
    g, o = np.where(np.isfinite(g), g, 0), np.where(np.isfinite(o), o, 0)
    norm_g, norm_o = float(np.linalg.norm(g)), float(np.linalg.norm(o))
    gap = float(np.linalg.norm(magnitude))
    # Half the squared distance of the unit vectors: exact near zero, where 1 - cos cancels.
    cosine = float(np.linalg.norm(g / norm_g - o / norm_o) ** 2 / 2) if norm_g and norm_o else 1.0
    return TensorMetric(
        name,
        relative_l2=gap / norm_g if norm_g else math.inf,
        cosine=cosine,
        max_abs=float(magnitude.max()),
        mean_abs=float(magnitude.mean()),
        peak=peak,
    )
