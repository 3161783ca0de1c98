"""Hints that scikit-image finds, where it is installed: content that moved, and where frames differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from seedpin.clip.clip import Frames

_CELL = 4
"""Differing pixels of one region are at most about so far apart: noise leaves gaps."""
_MOST_REGIONS = 3
_LARGEST = 0.25
"""Regions whose boxes take a larger share of the frame are no place."""


def region_hints(golden: Frames, obtained: Frames) -> Iterator[str]:
    """Sentences on frames (T, H, W, C) of one shape and dtype that differ; none without scikit-image."""
    if find_spec("skimage") is None:
        return
    moved = _moved(golden, obtained)
    if moved:
        yield moved
        return
    regions = _regions(golden, obtained)
    if regions:
        yield regions


def _moved(golden: Frames, obtained: Frames) -> str:
    """The shift by whole pixels, the same in all frames, that takes the golden to the obtained clip exactly.

    Registration proposes it from one frame; what it proposes is then held against every value.
    """
    registration: Any = import_module("skimage.registration")
    frames = list(zip(golden, obtained, strict=True))
    first = next(at for at, (old, new) in enumerate(frames) if (old != new).any())
    one, other = (frame.mean(axis=2, dtype=np.float64) for frame in frames[first])
    if not one.std() or not other.std():
        return ""  # flat: any shift fits
    shift, _, _ = registration.phase_cross_correlation(other, one, upsample_factor=1)
    down, right = (round(float(step)) for step in shift)
    height, width = one.shape
    if (down, right) == (0, 0) or 2 * abs(down) > height or 2 * abs(right) > width:
        return ""
    words = " and ".join(
        f"{abs(step)} {'pixel' if abs(step) == 1 else 'pixels'} {ways[step > 0]}"
        for step, ways in ((right, ("left", "right")), (down, ("up", "down")))
        if step
    )
    if all(np.array_equal(np.roll(old, (down, right), (0, 1)), new) for old, new in frames):
        return f"the frames are exactly the golden's, rolled {words}: what leaves them enters opposite"
    there = (slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0)))
    here = (slice(max(-down, 0), height - max(down, 0)), slice(max(-right, 0), width - max(right, 0)))
    if all(np.array_equal(old[here], new[there]) for old, new in frames):
        return f"the frames are exactly the golden's, moved {words}: another crop or padding?"
    return ""


def _regions(golden: Frames, obtained: Frames) -> str:
    """Where the pixels lie of which any frame differs, if that is a small part of the frame."""
    measure: Any = import_module("skimage.measure")
    differs = np.zeros(golden.shape[1:3], bool)
    differing = 0
    for old, new in zip(golden, obtained, strict=True):
        pixels = (old != new).any(axis=2)
        differs |= pixels
        differing += bool(pixels.any())
    cells: Frames = measure.label(measure.block_reduce(differs, (_CELL, _CELL), np.max), connectivity=2)
    if not 1 <= cells.max() <= _MOST_REGIONS:
        return ""
    height, width = golden.shape[1:3]
    labels = cells.repeat(_CELL, axis=0).repeat(_CELL, axis=1)[:height, :width]
    boxes = [_box(differs & (labels == number)) for number in range(1, cells.max() + 1)]
    if sum((box[1] - box[0] + 1) * (box[3] - box[2] + 1) for box in boxes) > _LARGEST * differs.size:
        return ""
    where = "; ".join(f"{_span('row', box[:2])}, {_span('column', box[2:])}" for box in boxes)
    count = "one region" if len(boxes) == 1 else f"{len(boxes)} regions"
    which = "" if len(golden) == 1 else f" of {differing} of {len(golden)} frames"
    return f"what differs lies in {count}{which}: {where} (of {height} x {width}, counted from 0)"


def _box(region: Frames) -> tuple[int, int, int, int]:
    """First and last row, first and last column."""
    rows, columns = np.nonzero(region.any(axis=1))[0], np.nonzero(region.any(axis=0))[0]
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def _span(word: str, ends: Sequence[int]) -> str:
    first, last = ends
    return f"{word} {first}" if first == last else f"{word}s {first} to {last}"
