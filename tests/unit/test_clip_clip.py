"""Tests of seedpin.clip.clip."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from seedpin.clip.clip import Clip
from seedpin.errors import EmptyClipError, UnsupportedClipError, ValueRangeError


def test_facts_are_plain_values() -> None:
    """Facts hold what two clips must share, as values that JSON can hold."""
    clip = Clip(np.zeros((2, 4, 6, 3), np.uint8), fps=8)
    assert clip.facts() == {
        "frames": 2,
        "height": 4,
        "width": 6,
        "channels": 3,
        "dtype": "uint8",
        "fps": 8.0,
    }
    assert {type(value) for value in clip.facts().values()} == {int, str, float}
    assert repr(clip) == "<Clip 2 frames of 4x6 RGB uint8 at 8 fps>"


def test_a_clip_is_immutable() -> None:
    """Neither fields nor pixels of a Clip can be changed, and the source may be."""
    source = np.zeros((2, 4, 6, 3), np.uint8)
    clip = Clip(source)
    source[0] = 9
    assert not clip.frames.any()
    assert not clip.frame(0).flags.writeable
    with pytest.raises(dataclasses.FrozenInstanceError):
        clip.fps = 3  # type: ignore[misc]


def test_a_clip_can_be_pickled() -> None:
    """Clips cross process borders."""
    clip = Clip(np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3), fps=8, source="x")
    back = pickle.loads(pickle.dumps(clip))
    np.testing.assert_array_equal(back.frames, clip.frames)
    assert (back.fps, back.source, back.value_range) == (8, "x", (0, 255))


def test_with_fps_keeps_the_pixels() -> None:
    """Another rate is another Clip over the same memory."""
    clip = Clip(np.zeros((2, 4, 6, 3), np.uint8))
    assert clip.fps is None
    assert clip.with_fps(12).fps == 12
    assert clip.with_fps(12).frames is clip.frames


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 6, 3), np.uint8), np.zeros((2, 4, 6, 2), np.uint8), np.zeros((2, 4, 6, 3), np.int32)],
)
def test_other_arrays_are_refused(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    """A Clip itself takes (T, H, W, C) only."""
    with pytest.raises(UnsupportedClipError, match="a Clip holds"):
        Clip(array)


def test_the_range_must_go_with_the_dtype() -> None:
    """Floats need their range in words, integers have their own."""
    with pytest.raises(ValueRangeError, match=r"value_range=\(0, 255\) does not go with float32"):
        Clip(np.zeros((2, 4, 6, 3), np.float32))
    assert Clip(np.zeros((2, 4, 6, 3), np.uint16), value_range=(0, 65535)).data_range == 65535
    with pytest.raises(EmptyClipError):
        Clip(np.zeros((0, 4, 6, 3), np.uint8))
