"""A clip: frames as one array, with their rate and the range of their values."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seedpin.errors import ClipError, EmptyClipError, UnsupportedClipError, ValueRangeError

Frames = npt.NDArray[Any]

DTYPES = ("uint8", "uint16", "float16", "float32", "float64")
CHANNELS = (1, 3, 4)
FLOAT_RANGES = ((0.0, 1.0), (-1.0, 1.0))
_INTEGER_RANGES = {"uint8": (0.0, 255.0), "uint16": (0.0, 65535.0)}
_COLOURS = {1: "grey", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames as one array; an image is a clip of one frame.

    ``frames`` has shape (T, H, W, C) with C in {1, 3, 4}, is C-contiguous and read-only, and has
    dtype uint8, uint16, float16, float32 or float64. A writable array is copied.
    ``fps`` is in frames per second, or None where nobody said.
    ``value_range`` is (0, 255) for uint8, (0, 65535) for uint16, and (0, 1) or (-1, 1) for floats,
    whose values may overshoot it.

    Raises UnsupportedClipError, EmptyClipError, ValueRangeError or ClipError (a rate that is none).
    """

    frames: Frames
    fps: float | None = None
    value_range: tuple[float, float] = (0, 255)
    source: str = ""

    def __post_init__(self) -> None:
        frames = np.asarray(self.frames)
        if frames.ndim != 4 or frames.shape[3] not in CHANNELS or frames.dtype.name not in DTYPES:
            raise UnsupportedClipError(
                f"a Clip holds frames of shape (T, H, W, C) with C in {CHANNELS} and a dtype among "
                f"{', '.join(DTYPES)}; this has shape {frames.shape} and dtype {frames.dtype}",
                hint="use seedpin.as_clip(...), which takes other layouts",
            )
        if frames.size == 0:
            raise EmptyClipError(
                f"the clip has shape (T, H, W, C) = {frames.shape}: there is nothing to compare",
                hint="check what the model returned",
            )
        if frames.flags.writeable or not frames.flags.c_contiguous or not frames.dtype.isnative:
            # Whoever still holds the original could change the clip after its digest was taken.
            frames = np.array(frames, dtype=frames.dtype.newbyteorder("="), order="C", copy=True)
            frames.flags.writeable = False
        object.__setattr__(self, "frames", frames)
        low, high = (float(edge) for edge in self.value_range)
        object.__setattr__(self, "value_range", (low, high))
        allowed = ranges_of(self.dtype)
        if (low, high) not in allowed:
            raise ValueRangeError(
                f"value_range={short_range((low, high))} does not go with {self.dtype} frames",
                hint="use " + " or ".join(f"value_range={short_range(one)}" for one in allowed),
            )
        if self.fps is not None:
            object.__setattr__(self, "fps", _checked_fps(self.fps))

    @property
    def num_frames(self) -> int:
        return int(self.frames.shape[0])

    @property
    def height(self) -> int:
        return int(self.frames.shape[1])

    @property
    def width(self) -> int:
        return int(self.frames.shape[2])

    @property
    def channels(self) -> int:
        return int(self.frames.shape[3])

    @property
    def dtype(self) -> str:
        return str(self.frames.dtype.name)

    @property
    def data_range(self) -> float:
        """Width of the value range, in units of the values: 255, 65535, 1 or 2."""
        return self.value_range[1] - self.value_range[0]

    def facts(self) -> dict[str, int | float | str | None]:
        """What two clips must share before their pixels can be compared."""
        return {
            "frames": self.num_frames,
            "height": self.height,
            "width": self.width,
            "channels": self.channels,
            "dtype": self.dtype,
            "fps": self.fps,
        }

    def frame(self, index: int) -> Frames:
        """Frame ``index`` as a read-only view of shape (H, W, C)."""
        view: Frames = self.frames[index]
        return view

    def with_fps(self, fps: float | None) -> Clip:
        """The same frames at another rate."""
        return replace(self, fps=fps)

    def __repr__(self) -> str:
        rate = "" if self.fps is None else f" at {self.fps:g} fps"
        return (
            f"<Clip {count(self.num_frames, 'frame')} of {self.height}x{self.width} "
            f"{colours(self.channels)} {self.dtype}{rate}>"
        )


def ranges_of(dtype: str) -> tuple[tuple[float, float], ...]:
    """The value ranges that frames of ``dtype`` can have."""
    return (_INTEGER_RANGES[dtype],) if dtype in _INTEGER_RANGES else FLOAT_RANGES


def short_range(value_range: tuple[float, float]) -> str:
    return f"({value_range[0]:g}, {value_range[1]:g})"


def colours(channels: int) -> str:
    """``grey``, ``RGB`` or ``RGBA``."""
    return _COLOURS.get(channels, f"{channels}-channel")


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _checked_fps(fps: float) -> float:
    try:
        rate = float(fps)
    except (TypeError, ValueError):
        rate = math.nan
    if not (math.isfinite(rate) and rate > 0):
        raise ClipError(
            f"fps={fps!r} is not a frame rate",
            hint="pass a positive number of frames per second, or leave fps out",
        )
    return rate
