"""Sketches of host tensors: a few numbers that tell how far apart two tensors are."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

STAGE_SAMPLES = 32
MODULE_SAMPLES = 12
"""Samples per tensor; fewer inside of modules, where a trace may hold 25,000 of them within 3 MB."""

GATHERED = {STAGE_SAMPLES: 512, MODULE_SAMPLES: 96}
"""Elements that norm, mean and dot are estimated from: evenly spaced, and the samples are among them."""


@lru_cache(maxsize=4096)
def positions(count: int, samples: int) -> npt.NDArray[np.int64]:
    """Evenly spaced indices into ``count`` elements, int64, (samples,)."""
    return ((2 * np.arange(samples, dtype=np.int64) + 1) * count) // (2 * samples)


# The golden ratio's step is irrational: no stride of a shape falls into step with the weights.
_WEIGHTS = np.cos(np.arange(1024) * 0.6180339887498949 + 1.0).astype(np.float32)


def gather(array: npt.NDArray[Any], samples: int, *, bfloat16: bool = False) -> npt.NDArray[Any]:
    """The elements that a sketch is made of, in the array's own dtype; the last two hold its extremes.

    Cheap, as it runs while the model does. Extremes of all elements only for 32 samples, so that inside of
    modules a lone outlier shows in the hash alone.
    """
    flat = array.reshape(-1)
    if flat.dtype.kind == "c":
        flat = flat.view(flat.real.dtype)
    count = flat.size
    if not count:
        return flat
    wanted = GATHERED[samples]
    picked = flat if count <= wanted else flat.take(positions(count, wanted))
    if samples != STAGE_SAMPLES:
        return picked.copy() if picked is flat else picked
    if bfloat16:  # Bit patterns: without the sign they are ordered like the magnitudes.
        top = np.maximum.reduce(flat & 0x7FFF)
        low = top
    else:
        top, low = np.maximum.reduce(flat), np.minimum.reduce(flat)
    result = np.empty(picked.size + 2, picked.dtype)
    result[:-2] = picked
    result[-2], result[-1] = top, low
    return result


@np.errstate(all="ignore")  # NaN and overflow are the model's affair, and no warning of ours.
def host_sketches(
    gathered: npt.NDArray[Any], counts: npt.NDArray[np.float32], samples: int, *, bfloat16: bool = False
) -> npt.NDArray[np.float32]:
    """Norm, mean, abs-max, dot and the samples, (N, 4 + samples) float32, from N rows that ``gather`` took.

    counts: elements of the whole tensors, (N,).
    """
    result = np.zeros((len(gathered), 4 + samples), np.float32)
    if not gathered.shape[1]:
        return result
    if bfloat16:
        values = (gathered.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    else:
        values = gathered.astype(np.float32)
    part = values[:, :-2] if samples == STAGE_SAMPLES else values
    size = part.shape[1]
    result[:, 0] = np.sqrt(np.einsum("ij,ij->i", part, part) * (counts / size))
    result[:, 1] = part.mean(axis=1)
    result[:, 2] = np.abs(values).max(axis=1)
    result[:, 3] = part @ _WEIGHTS[:size]
    result[:, 4:] = part[:, positions(size, samples)]
    return result
