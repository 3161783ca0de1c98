"""Which axis is what: one fitting layout is used, several are an error, none is ever guessed.

A reading with frames of under 8 pixels a side does not count where another reading has larger frames: no
generator makes those, and otherwise four RGB frames in THWC could never be told from RGBA.

Letters: B batch, T frames, H height, W width, C channels. Sizes are written height x width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from seedpin.clip.clip import CHANNELS, colours, count
from seedpin.errors import AmbiguousLayoutError, EmptyClipError, UnsupportedClipError

LAYOUTS = ("BTCHW", "BCTHW", "BTHWC", "BCHW", "BHWC", "TCHW", "CTHW", "THWC", "CHW", "HWC", "THW", "HW")

_CLIPS = {5: ("BTCHW", "BCTHW", "BTHWC"), 4: ("TCHW", "CTHW", "THWC"), 3: ("CHW", "HWC"), 2: ("HW",)}
_IMAGES = _CLIPS | {4: ("BCHW", "BHWC")}
_LATENTS = "check latents with golden_tensors"
LEAST_SIDE = 8
"""No smaller frame is inferred where another reading has larger ones; 4 RGB frames in THWC are no RGBA."""


def choose_layout(
    shape: tuple[int, ...], what: str, *, layout: str | None = None, single_image: bool = False
) -> str:
    """The one layout that ``shape`` can have, or the ``layout`` that was asked for, checked.

    ``what`` names the object in messages. A layout fits if its channel axis has 1, 3 or 4 entries and,
    with ``single_image``, if it holds one frame. Readings with a side under 8 pixels yield to others.

    Raises AmbiguousLayoutError, EmptyClipError or UnsupportedClipError.
    """
    if layout is not None:
        return _checked(layout, shape, what, single_image=single_image)
    _refuse_empty(shape, what)
    known = (_IMAGES if single_image else _CLIPS).get(len(shape), ())
    fits = [one for one in known if _size(one, "C", shape) in CHANNELS]
    if fits and fits[0][0] == "B" and shape[0] != 1:
        _refuse_batch(shape[0], what, single_image=single_image)
    large = [one for one in fits if min(_size(one, "H", shape), _size(one, "W", shape)) >= LEAST_SIDE]
    fits = large or fits
    several = fits
    if single_image:
        fits = [one for one in fits if _size(one, "T", shape) == 1]
        if several and not fits:
            frames = " or ".join(str(_size(one, "T", shape)) for one in several)
            raise UnsupportedClipError(
                f"{what} holds {frames} frames where one image is expected",
                hint="check a clip with golden_video, or pass the one image that is meant",
            )
    if len(fits) > 1:
        choices = "".join(f'\n    layout="{one}"  {describe_layout(one, shape)}' for one in fits)
        raise AmbiguousLayoutError(
            f"{what} can be read in {len(fits)} ways:{choices}",
            hint="say which is meant, " + " or ".join(f'layout="{one}"' for one in fits) + f"; {_LATENTS}",
        )
    if not fits:
        raise UnsupportedClipError(
            f"{what} fits no layout of frames with 1, 3 or 4 channels"
            + (f" (tried {', '.join(known)})" if known else ""),
            hint=_advice(shape),
        )
    return fits[0]


def describe_layout(layout: str, shape: tuple[int, ...]) -> str:
    """What ``shape`` holds when read as ``layout``, such as ``4 frames of 64x64 RGB``."""
    frames = count(_size(layout, "T", shape), "frame") if "T" in layout else "an image"
    size = f"{_size(layout, 'H', shape)}x{_size(layout, 'W', shape)}"
    return f"{frames} of {size} {colours(_size(layout, 'C', shape))}"


def to_thwc(array: npt.NDArray[Any], layout: str) -> npt.NDArray[Any]:
    """A view of ``array``, which has ``layout`` and a batch of one at most, as (T, H, W, C)."""
    if layout[0] == "B":
        array, layout = array[0], layout[1:]
    if "T" not in layout:
        array, layout = array[np.newaxis], "T" + layout
    if "C" not in layout:
        array, layout = array[..., np.newaxis], layout + "C"
    ordered: npt.NDArray[Any] = array.transpose([layout.index(axis) for axis in "THWC"])
    return ordered


def _size(layout: str, axis: str, shape: tuple[int, ...]) -> int:
    """Entries on ``axis``; 1 where the layout does not have it."""
    return shape[layout.index(axis)] if axis in layout else 1


def _checked(layout: str, shape: tuple[int, ...], what: str, *, single_image: bool) -> str:
    name = str(layout).upper()
    if name not in LAYOUTS:
        raise UnsupportedClipError(f"layout={layout!r} is unknown", hint=f"use one of {', '.join(LAYOUTS)}")
    if len(name) != len(shape):
        raise UnsupportedClipError(
            f'layout="{name}" names {len(name)} axes, but {what} has {len(shape)}',
            hint="choose a layout with as many letters as there are axes",
        )
    _refuse_empty(shape, what)
    channels = _size(name, "C", shape)
    if channels not in CHANNELS:
        raise UnsupportedClipError(
            f'layout="{name}" does not fit {what}: axis {name.index("C")} would be {channels} channels, '
            "and frames have 1, 3 or 4",
            hint=_advice(shape),
        )
    if name[0] == "B" and shape[0] != 1:
        _refuse_batch(shape[0], what, single_image=single_image)
    frames = _size(name, "T", shape)
    if single_image and frames != 1:
        raise UnsupportedClipError(
            f'layout="{name}" reads {frames} frames in {what} where one image is expected',
            hint="check a clip with golden_video, or pass the one image that is meant",
        )
    return name


def _refuse_empty(shape: tuple[int, ...], what: str) -> None:
    if 0 in shape:
        raise EmptyClipError(
            f"{what} is empty: axis {shape.index(0)} has no entries",
            hint="check what the model returned, and the number of frames that was asked for",
        )


def _refuse_batch(batch: int, what: str, *, single_image: bool) -> None:
    noun = "image" if single_image else "clip"
    raise UnsupportedClipError(
        f"{what} is a batch of {batch} {noun}s",
        hint=f"check each {noun} with its own name=, for example "
        f'check({noun}s[0], name="first") and check({noun}s[1], name="second"); {_LATENTS}',
    )


def _advice(shape: tuple[int, ...]) -> str:
    if len(shape) == 3:
        return 'pass layout="THW" for a grey video; ' + _LATENTS
    return "pass frames in one of " + ", ".join(LAYOUTS) + f"; {_LATENTS}"
