"""Hints: what two clips look like when set side by side. Each is checked on every value before it is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from seedpin.clip.clip import Clip, Frames
from seedpin.compare.regions import region_hints

Formula = Callable[[Frames], Frames]

# Truncating instead of rounding moves every other value on average, fewer in flat and saturated parts.
_ROUNDED = 0.25


def hints(golden: Clip, obtained: Clip) -> tuple[str, ...]:
    """Short sentences on how ``obtained`` follows from ``golden``; empty where nothing simple fits.

    Clips of other sizes get hints too, where one holds the other's frames. "Exactly" means equal on every
    value; range slips of 8-bit and 16-bit clips are checked to within one level, which rounding takes.
    """
    if golden.dtype != obtained.dtype:
        return ()
    g, o = golden.frames, obtained.frames
    if g.shape != o.shape:
        return tuple(_size_hints(g, o))
    if _equal(g, o):
        return ()
    found = (*_order_hints(g, o), *_space_hints(g, o), *_value_hints(golden, obtained), *_frame_hints(g, o))
    return found or tuple(region_hints(g, o))


def _equal(one: Frames, other: Frames) -> bool:
    """Whether two clips, or two frames, are equal; stops at the first frame that is not."""
    return one.shape == other.shape and all(map(np.array_equal, one, other))


def _size_hints(g: Frames, o: Frames) -> Iterator[str]:
    if g.shape[1:] == o.shape[1:]:
        short, long = sorted((g, o), key=len)
        extra = len(long) - len(short)
        subject = (
            ("the obtained clip", "the golden") if len(o) > len(g) else ("the golden", "the obtained clip")
        )
        for start, where in ((0, "end"), (extra, "start")):
            if _equal(long[start : start + len(short)], short):
                frames = "1 more frame" if extra == 1 else f"{extra} more frames"
                yield f"{subject[0]} holds all of {subject[1]} exactly, and {frames} at the {where}"
                return
    elif g.shape[1] != g.shape[2] and _equal(g.swapaxes(1, 2), o):
        yield "height and width are swapped: every frame is exactly the golden's, transposed"


def _order_hints(g: Frames, o: Frames) -> Iterator[str]:
    total = len(g)
    if total > 1 and _equal(o[::-1], g):
        yield "the frames are exactly the golden's in reversed order"
        return
    for shift in range(1, min(total - 1, 5)):
        moving = not _equal(g[shift:], g[:-shift])  # a still clip is its own shift
        for old, new, word in ((g[:-shift], o[shift:], "late"), (g[shift:], o[:-shift], "early")):
            if moving and _equal(old, new):
                yield f"the frames are exactly the golden's, {shift} too {word}"
                return


def _space_hints(g: Frames, o: Frames) -> Iterator[str]:
    changes: list[tuple[str, Formula]] = [
        ("mirrored left to right", lambda x: x[:, :, ::-1]),
        ("upside down", lambda x: x[:, ::-1]),
        ("rotated by 180 degrees", lambda x: x[:, ::-1, ::-1]),
    ]
    if g.shape[1] == g.shape[2]:
        changes.append(("transposed (height and width swapped)", lambda x: x.swapaxes(1, 2)))
    if g.shape[3] >= 3:
        changes.append(("with red and blue swapped (RGB against BGR)", _swap_red_blue))
    for words, change in changes:
        if _equal(change(g), o):
            yield f"the frames are exactly the golden's, {words}"


def _swap_red_blue(frames: Frames) -> Frames:
    swapped: Frames = frames[..., [2, 1, 0, *range(3, frames.shape[3])]]
    return swapped


def _value_hints(golden: Clip, obtained: Clip) -> Iterator[str]:
    g, o = golden.frames, obtained.frames
    low, high = golden.value_range
    if g.dtype.kind == "u":
        yield from _level_hints(g, o, int(high))
    # In turn: what is said, the formula, and whether it stands for values in [0, 1] (else in [-1, 1]).
    span, zero = high - low, low
    formulas: list[tuple[str, Formula]] = [
        ("inverted", lambda x: high - (x - zero)),
        (
            "of half the contrast, as when [-1, 1] is mapped to [0, 1] twice",
            lambda x: (x - zero + span) / 2 + zero,
        ),
        (
            "of twice the contrast, as when [-1, 1] is taken for [0, 1]",
            lambda x: 2 * (x - zero) - span + zero,
        ),
        ("of limited range, 16 to 235 of 255", lambda x: zero + (x - zero) * 219 / 255 + span * 16 / 255),
    ]
    if not any(
        float(np.abs(np.subtract(new, old, dtype=np.float64)).max()) > 0.02 * span
        for old, new in zip(g, o, strict=True)
    ):
        return  # so near, several formulas fit
    for words, formula in formulas:
        if all(_follows(formula, old, new, low, high) for old, new in zip(g, o, strict=True)):
            yield f"the values are the golden's, {words}"


def _follows(formula: Formula, g: Frames, o: Frames, low: float, high: float) -> bool:
    """Whether ``formula`` of one golden frame gives the obtained one: within a level, or float rounding."""
    expected = formula(g.astype(np.float64))
    slack = 1.0 if g.dtype.kind == "u" else 4 * float(np.finfo(g.dtype).eps)
    gap = np.minimum(np.abs(expected - o), np.abs(np.clip(expected, low, high) - o))
    return bool((gap <= slack).all())


def _level_hints(g: Frames, o: Frames, top: int) -> Iterator[str]:
    """Hints on integers: one level everywhere, or one offset everywhere but where values saturate."""
    lowest, highest, offset, differing = 0, 0, None, 0
    moved, kept = np.zeros(g.shape[3], bool), np.zeros(g.shape[3], bool)
    for old, new in zip(g, o, strict=True):
        difference = np.subtract(new, old, dtype=np.int32)
        lowest, highest = min(lowest, int(difference.min())), max(highest, int(difference.max()))
        differing += int(np.count_nonzero(difference))
        moved |= (difference != 0).any(axis=(0, 1))
        kept |= ((difference == 0) & (old > 0) & (old < top)).any(axis=(0, 1))
        inside = difference[(new > 0) & (new < top)]
        if offset is None and inside.size:
            offset = int(inside.flat[0])
    if lowest >= -1 and highest <= 1 and (lowest == 0 or highest == 0):
        word = "up" if highest else "down"
        # An offset moves all values of a channel; truncation moves some and keeps others.
        asked = differing >= _ROUNDED * g.size and bool((moved & kept).any())
        why = ": rounding against truncation?" if asked else ""
        yield f"{differing} of {g.size} values differ, by one level, always {word}{why}"
    if offset and all(
        _equal(np.clip(old.astype(np.int32) + offset, 0, top), new) for old, new in zip(g, o, strict=True)
    ):
        yield f"every value is {offset:+d}, but for saturation: a constant offset of brightness"


def _frame_hints(g: Frames, o: Frames) -> Iterator[str]:
    if len(g) < 3:
        return
    differing = [index for index, (old, new) in enumerate(zip(g, o, strict=True)) if not _equal(old, new)]
    if differing == [0]:
        yield "only the first frame differs"
    elif differing == [len(g) - 1]:
        yield "only the last frame differs"
    elif differing == [0, len(g) - 1]:
        yield "only the first and the last frame differ"
