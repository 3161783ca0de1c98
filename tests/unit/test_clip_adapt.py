"""Tests of seedpin.clip.adapt and seedpin.clip.layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from seedpin.clip.adapt import as_clip
from seedpin.clip.clip import Clip
from seedpin.clip.layout import LAYOUTS, choose_layout, describe_layout, to_thwc
from seedpin.errors import (
    AmbiguousLayoutError,
    ClipError,
    EmptyClipError,
    NonFiniteClipError,
    UnsupportedClipError,
    ValueRangeError,
)

T, H, W = 5, 16, 24


def frames(channels: int = 3, count: int = T, seed: int = 0) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, H, W, channels), dtype=np.uint8)


def arranged(thwc: npt.NDArray[Any], layout: str) -> npt.NDArray[Any]:
    """``thwc`` (T, H, W, C) with its axes as ``layout`` names them."""
    axes = {"T": 0, "H": 1, "W": 2, "C": 3}
    kept = [axes[axis] for axis in layout if axis != "B"]
    dropped = [axis for axis in range(4) if axis not in kept]
    moved = thwc.transpose(kept + dropped).reshape([thwc.shape[axis] for axis in kept])
    result: npt.NDArray[Any] = moved[np.newaxis] if layout[0] == "B" else moved
    return result


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("torch_tensor", [False, True])
def test_every_layout_gives_the_same_pixels(layout: str, torch_tensor: bool) -> None:
    """Each layout, asked for in words, puts every pixel at its (frame, row, column, channel)."""
    source = frames(3 if "C" in layout else 1, T if "T" in layout else 1)
    array = np.ascontiguousarray(arranged(source, layout))
    clip = as_clip(torch.from_numpy(array) if torch_tensor else array, layout=layout)
    np.testing.assert_array_equal(clip.frames, source)
    assert clip.source.endswith(layout)


@pytest.mark.parametrize("layout", [one for one in LAYOUTS if one not in ("THW", "BCHW", "BHWC")])
def test_the_only_fitting_layout_is_used(layout: str) -> None:
    """A shape that fits one layout needs no layout=."""
    source = frames(3 if "C" in layout else 1, T if "T" in layout else 1)
    assert choose_layout(arranged(source, layout).shape, "x") == layout


@pytest.mark.parametrize(
    ("shape", "choices"),
    [
        ((4, 3, 16, 24), ["TCHW", "CTHW"]),
        ((1, 4, 3, 16, 24), ["BTCHW", "BCTHW"]),
        ((1, 3, 16, 24), ["TCHW", "CTHW"]),
        ((3, 3, 24, 3), ["TCHW", "CTHW", "THWC"]),
        ((3, 16, 3), ["CHW", "HWC"]),
    ],
)
def test_an_ambiguous_layout_is_an_error_that_names_the_choices(
    shape: tuple[int, ...], choices: list[str]
) -> None:
    """Several fitting layouts are never guessed between, and each is named with its meaning and keyword."""
    with pytest.raises(AmbiguousLayoutError) as caught:
        as_clip(np.zeros(shape, np.uint8))
    for choice in choices:
        assert f'layout="{choice}"' in caught.value.hint
        assert describe_layout(choice, shape) in caught.value.what
    assert caught.value.hint.count("layout=") == len(choices)


@pytest.mark.parametrize(
    "shape", [(1, 4, 4, 60, 90), (1, 16, 4, 60, 90), (1, 16, 5, 60, 90), (2, 4, 6, 60, 90)]
)
def test_what_may_be_latents_is_told_where_latents_go(shape: tuple[int, ...]) -> None:
    """Whatever is wrong with them as frames (axes, channels, values, a batch), the next step has both."""
    with pytest.raises(ClipError) as caught:
        as_clip(torch.randn(shape, generator=torch.Generator().manual_seed(1)))
    assert "latents with golden_tensors" in caught.value.hint


@pytest.mark.parametrize("shape", [(4, 16, 24, 3), (3, 64, 64, 3), (1, 16, 16, 1)])
def test_readings_with_tiny_frames_yield_to_others(shape: tuple[int, ...]) -> None:
    """A few channels-last frames are no clip whose frames are 1 to 4 pixels wide."""
    assert as_clip(np.full(shape, 7, np.uint8)).frames.shape == shape


def test_the_meaning_of_a_layout_is_spelled_out() -> None:
    """The choices of an ambiguous layout read like a sentence."""
    assert describe_layout("TCHW", (4, 3, 64, 64)) == "4 frames of 64x64 RGB"
    assert describe_layout("CTHW", (4, 1, 64, 32)) == "1 frame of 64x32 RGBA"


def test_a_layout_in_words_settles_an_ambiguity() -> None:
    """layout= chooses among the fitting layouts."""
    array = np.ascontiguousarray(arranged(frames(3, 4), "TCHW"))
    np.testing.assert_array_equal(as_clip(array, layout="TCHW").frames, frames(3, 4))
    assert as_clip(array, layout="CTHW").facts()["channels"] == 4


@pytest.mark.parametrize(
    ("layout", "says"),
    [
        ("TCHW", "axis 1 would be 5 channels"),
        ("THW", "names 3 axes"),
        ("XYZ", "is unknown"),
    ],
)
def test_a_layout_that_does_not_fit_says_why(layout: str, says: str) -> None:
    """An explicit layout is checked, not believed."""
    with pytest.raises(UnsupportedClipError, match=says):
        as_clip(np.zeros((3, 5, 16, 24), np.uint8), layout=layout)


@pytest.mark.parametrize("shape", [(5, 7, 16, 24), (17, 16, 24), (7,), (), (1, 1, 5, 3, 8, 8), (16, 5, 9, 8)])
def test_a_shape_that_fits_nothing_is_named(shape: tuple[int, ...]) -> None:
    """No fitting layout is an error with the shape and with what to do about latents."""
    with pytest.raises(UnsupportedClipError) as caught:
        as_clip(np.zeros(shape, np.uint8))
    assert str(shape) in caught.value.what
    assert "golden_tensors" in caught.value.hint


def test_a_batch_asks_for_one_check_per_clip() -> None:
    """Several clips in one array are refused with the way out."""
    for layout in (None, "BTCHW"):
        with pytest.raises(UnsupportedClipError, match="batch of 2 clips") as caught:
            as_clip(np.zeros((2, 5, 3, 8, 8), np.uint8), layout=layout)
        assert "each clip with its own name=" in caught.value.hint


def test_a_single_image_settles_what_a_clip_leaves_open() -> None:
    """With single_image, (1, 3, H, W) is one RGB image and not three grey frames."""
    image = frames(3, 1)
    bchw = np.ascontiguousarray(arranged(image, "BCHW"))
    with pytest.raises(AmbiguousLayoutError):
        as_clip(bchw)
    np.testing.assert_array_equal(as_clip(bchw, single_image=True).frames, image)
    np.testing.assert_array_equal(as_clip(image, single_image=True).frames, image)
    np.testing.assert_array_equal(as_clip(bchw[None], single_image=True).frames, image)


@pytest.mark.parametrize(
    "several",
    [
        np.zeros((2, 3, 16, 24), np.uint8),
        np.zeros((1, 2, 3, 16, 24), np.uint8),
        [Image.new("RGB", (8, 8))] * 2,
        [np.zeros((3, 8, 8), np.uint8)] * 2,
        Clip(np.zeros((2, 8, 8, 3), np.uint8)),
    ],
)
def test_a_single_image_refuses_several(several: object) -> None:
    """One image is expected: two are an error, in whatever form they come."""
    with pytest.raises(UnsupportedClipError, match=r"one image is expected|batch of 2 images"):
        as_clip(several, single_image=True)
    with pytest.raises(UnsupportedClipError):
        as_clip(np.zeros((2, 3, 16, 24), np.uint8), layout="TCHW", single_image=True)


def test_bfloat16_is_widened_exactly() -> None:
    """A bfloat16 clip becomes float32 with the same values."""
    tensor = torch.rand(T, 3, H, W, generator=torch.Generator().manual_seed(0)).bfloat16()
    clip = as_clip(tensor)
    assert clip.dtype == "float32"
    assert clip.source == "torch.bfloat16 TCHW"
    assert torch.equal(torch.from_numpy(clip.frames.copy()).permute(0, 3, 1, 2).bfloat16(), tensor)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "uint16"])
def test_dtypes_are_kept(dtype: str) -> None:
    """No dtype that a clip can hold is converted, from torch and from numpy in either byte order."""
    array = (frames() / 255 if dtype.startswith("f") else frames()).astype(dtype)
    for given in (array, array.astype(np.dtype(dtype).newbyteorder(">")), torch.from_numpy(array)):
        clip = as_clip(given)
        assert clip.dtype == dtype
        assert clip.frames.dtype.isnative
        np.testing.assert_array_equal(clip.frames, array)


@pytest.mark.parametrize("dtype", ["bool", "int64", "int8", "uint32", "complex64"])
def test_other_dtypes_are_refused(dtype: str) -> None:
    """A dtype that is no frame is an error that names golden_tensors."""
    with pytest.raises(UnsupportedClipError, match=dtype) as caught:
        as_clip(np.zeros((T, H, W, 3), dtype))
    assert "golden_tensors" in caught.value.hint


def test_tensors_without_values_are_refused() -> None:
    """Meta and sparse tensors are named rather than crashed on."""
    with pytest.raises(UnsupportedClipError, match="meta"):
        as_clip(torch.zeros(T, 3, H, W, device="meta"))
    with pytest.raises(UnsupportedClipError, match="sparse"):
        as_clip(torch.zeros(T, 3, H, W).to_sparse())


def test_a_tensor_that_requires_grad_is_taken() -> None:
    """The output of a model outside no_grad() is detached."""
    clip = as_clip(torch.full((T, 3, H, W), 0.5, requires_grad=True))
    assert float(clip.frames.max()) == 0.5


def test_the_clip_does_not_share_memory_with_its_source() -> None:
    """A buffer that the model reuses cannot change a clip that was taken from it."""
    source = frames()
    tensor = torch.from_numpy(source.copy())
    from_array, from_tensor = as_clip(source), as_clip(tensor, layout="THWC")
    source[:] = 0
    tensor.zero_()
    assert from_array.frames.any()
    assert from_tensor.frames.any()
    with pytest.raises(ValueError, match="read-only"):
        from_array.frames[0] = 1


def test_floats_outside_of_the_unit_range_ask_what_they_mean() -> None:
    """Unsaid floats must lie in [0, 1]; the message names the extremes, their frames and the choices."""
    array = np.full((T, H, W, 3), 0.5, np.float32)
    array[2, 0, 0, 0], array[4, 0, 0, 0] = -1.5, 1.25
    with pytest.raises(ValueRangeError) as caught:
        as_clip(array)
    assert "from -1.5 (frame 2) to 1.25 (frame 4)" in caught.value.what
    for choice in ("value_range=(0, 1)", "value_range=(-1, 1)", "golden_tensors"):
        assert choice in caught.value.hint
    with pytest.raises(ValueRangeError):
        as_clip(np.full((T, H, W, 3), np.nextafter(np.float32(1), np.float32(2))))


@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1)])
def test_a_range_in_words_keeps_overshoot(value_range: tuple[float, float]) -> None:
    """Values are never clamped: decoders overshoot, and that is part of the golden."""
    array = np.linspace(-1.1, 1.2, T * H * W * 3, dtype=np.float32).reshape(T, H, W, 3)
    clip = as_clip(array, value_range=value_range)
    np.testing.assert_array_equal(clip.frames, array)
    assert clip.value_range == value_range
    assert clip.data_range == value_range[1] - value_range[0]


@pytest.mark.parametrize("value_range", [(0, 255), (-2, 2), 5, (0, "x"), (1, 0)])
def test_other_ranges_are_refused(value_range: Any) -> None:
    """Floats have one of two ranges, and integers their own."""
    with pytest.raises(ValueRangeError, match="value_range"):
        as_clip(np.zeros((T, H, W, 3), np.float32), value_range=value_range)
    with pytest.raises(ValueRangeError):
        as_clip(frames(), value_range=(0, 1))


def test_non_finite_values_are_counted_and_placed() -> None:
    """NaN and infinity are refused with their number and the first position."""
    array = np.zeros((T, H, W, 3), np.float32)
    array[1, 2, 3, 1] = np.nan
    array[4, 0, 0, 0] = np.inf
    for told in (None, (-1, 1)):
        with pytest.raises(NonFiniteClipError) as caught:
            as_clip(array, value_range=told)
        assert "1 NaN and 1 infinite of 5760 values, in 2 of 5 frames" in caught.value.what
        assert "the first at frame 1, row 2, column 3, channel 1" in caught.value.what


@pytest.mark.parametrize("shape", [(0, H, W, 3), (T, 0, W, 3), (1, 0, 3, H, W), (0, 0, 3)])
def test_empty_arrays_are_refused(shape: tuple[int, ...]) -> None:
    """A clip without frames or pixels names the empty axis."""
    with pytest.raises(EmptyClipError, match="axis"):
        as_clip(np.zeros(shape, np.uint8))
    with pytest.raises(EmptyClipError):
        as_clip([])


def test_none_is_told_apart() -> None:
    """A model that forgets its return gets a message about that."""
    with pytest.raises(UnsupportedClipError, match="the model returned None"):
        as_clip(None)


@pytest.mark.parametrize("thing", [42, {"a": 1}, object(), [1, 2], iter([])])
def test_other_objects_are_named(thing: object) -> None:
    """What no adapter takes is an error with the type and the list of what is taken."""
    with pytest.raises(UnsupportedClipError) as caught:
        as_clip(thing)
    assert "torch tensor" in caught.value.hint


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4)])
def test_lists_of_pictures(mode: str, channels: int) -> None:
    """PIL images become frames as they are, also as a batch of one and as a single image."""
    source = frames(channels)
    pictures = [Image.fromarray(one.squeeze()) for one in source]
    assert pictures[0].mode == mode
    for given in (pictures, tuple(pictures), [pictures], (pictures,)):
        clip = as_clip(given, fps=8)
        np.testing.assert_array_equal(clip.frames, source)
        assert clip.source == f"list of 5 PIL images ({mode})"
        assert clip.fps == 8
    np.testing.assert_array_equal(as_clip(pictures[0]).frames, source[:1])


def test_pictures_of_another_mode_are_refused() -> None:
    """A palette image is not converted silently."""
    with pytest.raises(UnsupportedClipError, match=r"frame 1 of .* mode 'P'") as caught:
        as_clip([Image.new("RGB", (8, 8)), Image.new("P", (8, 8))])
    assert '.convert("RGB")' in caught.value.hint


def test_the_first_odd_picture_is_named() -> None:
    """Frames of different sizes or modes are an error, never resized."""
    good = Image.new("RGB", (8, 8))
    with pytest.raises(UnsupportedClipError, match="frame 0 is 8x8 RGB, frame 2 is 8x9 RGB"):
        as_clip([good, good, Image.new("RGB", (9, 8)), Image.new("L", (8, 8))])
    with pytest.raises(UnsupportedClipError, match="frame 1 is 8x8 L"):
        as_clip([good, Image.new("L", (8, 8))])
    with pytest.raises(EmptyClipError):
        as_clip([Image.new("RGB", (0, 8))])


def test_batches_of_pictures_are_refused() -> None:
    """Two inner lists are two clips."""
    with pytest.raises(UnsupportedClipError, match="batch of 2 clips"):
        as_clip([[Image.new("RGB", (8, 8))], [Image.new("RGB", (8, 8))]])


def test_mixed_lists_are_refused() -> None:
    """Frames beside something else are an error that names the first odd item."""
    with pytest.raises(UnsupportedClipError, match=r"item 0 is a .*Image, item 1 is a numpy.ndarray"):
        as_clip([Image.new("RGB", (8, 8)), np.zeros((8, 8, 3), np.uint8)])


@pytest.mark.parametrize("layout", ["HWC", "CHW", "HW"])
@pytest.mark.parametrize("told", [None, "", "T"])
def test_lists_of_frame_arrays(layout: str, told: str | None) -> None:
    """A list of arrays is a list of frames, whose layout may be given with or without T."""
    source = frames(1 if layout == "HW" else 3)
    arrays = list(arranged(source, "T" + layout))
    asked = None if told is None else told + layout
    np.testing.assert_array_equal(as_clip(arrays, layout=asked).frames, source)
    tensors = [torch.from_numpy(np.ascontiguousarray(one)) for one in arrays]
    np.testing.assert_array_equal(as_clip(tensors, layout=asked).frames, source)
    with pytest.raises(UnsupportedClipError, match="frame 1 has shape"):
        as_clip([arrays[0], arrays[1][..., :-1]])


def test_a_list_with_one_clip_is_unpacked() -> None:
    """A tuple around one array, as return_dict=False gives it, is a batch of one."""
    source = frames()
    for given in ((source,), [source[None]], [torch.from_numpy(source)]):
        np.testing.assert_array_equal(as_clip(given).frames, source)
    with pytest.raises(UnsupportedClipError, match="batch of 2 clips"):
        as_clip([source, source])


def test_objects_with_an_array_interface_are_taken() -> None:
    """Arrays of other libraries come in through __array__."""

    class Foreign:
        def __array__(self, dtype: object = None, copy: object = None) -> npt.NDArray[np.uint8]:
            return frames()

    np.testing.assert_array_equal(as_clip(Foreign()).frames, frames())


def test_a_clip_passes_through() -> None:
    """A Clip keeps its pixels, and takes a new rate where one is given."""
    clip = as_clip(frames(), fps=8)
    assert as_clip(clip).fps == 8
    assert as_clip(clip, fps=24).fps == 24
    assert as_clip(clip).frames is clip.frames
    ranged = as_clip(np.zeros((T, H, W, 3), np.float32), value_range=(-1, 1))
    assert as_clip(ranged).value_range == (-1, 1)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), "fast"])
def test_a_rate_that_is_none_is_refused(fps: Any) -> None:
    """fps must be a positive number."""
    with pytest.raises(ClipError, match="is not a frame rate"):
        as_clip(frames(), fps=fps)


def test_to_thwc_is_a_view() -> None:
    """Turning axes copies nothing; the one copy is the Clip's."""
    array = np.zeros((1, 3, T, H, W), np.uint8)
    assert np.shares_memory(to_thwc(array, "BCTHW"), array)
