"""The kind of ``golden_video`` and ``golden_image``: frames."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from seedpin.clip.adapt import as_clip
from seedpin.clip.clip import Clip
from seedpin.clip.codec import decode, decoding_bytes, encode
from seedpin.clip.digest import frame_digests
from seedpin.clip.suspect import Suspicion, suspicions
from seedpin.compare.clips import ClipMetrics, compare_clips
from seedpin.compare.diagnose import hints
from seedpin.compare.recorded import RecordedMetrics
from seedpin.errors import NonFiniteClipError
from seedpin.kinds.base import Kind, Picture, Range
from seedpin.records import Facts

_MOST_FOR_HINTS = 1 << 28


class ClipKind(Kind[Clip]):
    """Frames; an image is a clip of one. ``check``'s arguments are those of ``seedpin.as_clip``."""

    name = "clip"
    role = "frames"
    extensions = frozenset({"webp", "zip"})
    fixtures = ("video", "image")
    word = "frame"
    warns = True

    def adapt(self, obj: object, fixture: str = "", **how: Any) -> Clip:
        return as_clip(obj, single_image=fixture == "image", **how)

    def facts(self, value: Clip) -> Facts:
        return value.facts()

    def items(self, value: Clip) -> Sequence[Any]:
        return list(value.frames)

    def digests(self, value: Clip) -> tuple[str, ...]:
        return frame_digests(value)

    def value_range(self, value: Clip) -> Range | None:
        return value.value_range

    def source(self, value: Clip) -> str:
        return value.source

    def guess_facts(self, obj: object, error: Exception, **how: Any) -> Facts:
        # The shape does not depend on the values, so zeros in their place have the same facts.
        return as_clip(_blank(obj), **how).facts() if isinstance(error, NonFiniteClipError) else {}

    def fixture_of(self, facts: Facts) -> str:
        return "image" if facts.get("frames") == 1 else "video"

    def encode(self, value: Clip) -> tuple[str, bytes]:
        return encode(value)

    def decode(
        self, source: str | PathLike[str] | bytes, extension: str, facts: Facts, value_range: Range | None
    ) -> Clip:
        return decode(source, extension, facts, value_range=value_range)

    def count(self, facts: Facts) -> object:
        return facts.get("frames") or 0

    def compare(self, golden: Clip, obtained: Clip) -> ClipMetrics:
        return compare_clips(golden, obtained)

    def can_hint(self, facts: Facts, obtained: Clip) -> bool:
        size = decoding_bytes(facts)  # a golden of quite another size is not worth the memory
        return size <= _MOST_FOR_HINTS or size <= 16 * obtained.frames.nbytes

    def hints(self, golden: Clip, obtained: Clip) -> tuple[str, ...]:
        return hints(golden, obtained)

    def suspicions(self, value: Clip) -> tuple[Suspicion, ...]:
        return suspicions(value)

    @property
    def exports(self) -> frozenset[str]:
        from seedpin.clip.export import SUFFIXES

        return SUFFIXES

    def export(self, value: Clip, suffix: str, **how: Any) -> tuple[bytes, Sequence[str]]:
        """``fps`` in place of the clip's rate; ``frame`` alone, instead of all."""
        from seedpin.clip.export import export_clip, frame_of

        frame = how.get("frame")
        return export_clip(value if frame is None else frame_of(value, frame), suffix, how.get("fps"))

    def pictures(
        self, golden: Clip | None, obtained: Clip, metrics: RecordedMetrics | None
    ) -> tuple[str, Sequence[Picture]]:
        """The frame with the least PSNR; the difference is stretched so that the largest one is white."""
        worst = None if metrics is None else metrics.worst.get("psnr")
        index = 0 if worst is None else worst.frame or 0
        shown = [_picture("obtained", obtained, index)]
        if golden is not None:
            shown.insert(0, _picture("golden", golden, index))
            if golden.frames.shape == obtained.frames.shape:
                shown.append(_difference(golden, obtained, index))
        return f"frame {index}", shown


def _blank(obj: Any) -> Any:
    """``obj`` with zeros for values."""
    for attribute in ("frames", "images", "videos"):
        if hasattr(obj, attribute):
            return _blank(getattr(obj, attribute))
    if isinstance(obj, (list, tuple)):
        return [_blank(item) for item in obj]
    if hasattr(obj, "detach"):
        return obj.detach().new_zeros(obj.shape, device="cpu")
    return np.zeros_like(np.asarray(obj)) if hasattr(obj, "__array__") else obj


def _picture(label: str, clip: Clip, index: int) -> Picture:
    frame = clip.frame(min(index, clip.num_frames - 1)).astype(np.float64)
    low, high = clip.value_range
    return Picture(label, _rgb((frame - low) / (high - low)))


def _difference(golden: Clip, obtained: Clip, index: int) -> Picture:
    gap = np.abs(obtained.frame(index).astype(np.float64) - golden.frame(index).astype(np.float64))
    most = gap.max()
    return Picture(
        "difference, stretched", _rgb(gap.max(axis=2, keepdims=True) / most if most else gap[..., :1])
    )


def _rgb(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Values in [0, 1] of shape (H, W, C) as RGB pixels."""
    pixels = (np.clip(values, 0, 1) * 255).round().astype(np.uint8)
    rgb = pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2)
    return np.ascontiguousarray(rgb)


CLIP = ClipKind()
