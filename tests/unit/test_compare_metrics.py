from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from skimage import metrics as reference_metrics

from seedpin.clip.clip import Clip
from seedpin.compare.clips import CLIP_METRICS, ClipMetrics, compare_clips
from seedpin.compare.ssim import frame_ssim, window_of
from seedpin.compare.tensors import TensorMetrics, compare_tensors, tensor_facts
from seedpin.errors import ClipError, NonFiniteClipError

# Untyped in some versions of scikit-image and typed in others.
peak_signal_noise_ratio: Any = reference_metrics.peak_signal_noise_ratio
structural_similarity: Any = reference_metrics.structural_similarity

RANGES = {"uint8": 255.0, "uint16": 65535.0, "float16": 1.0, "float32": 1.0, "float64": 2.0}


def pair(dtype: str, shape: tuple[int, ...], noise: float = 0.1) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Two arrays that are ``noise`` apart."""
    rng = np.random.default_rng(7)
    first = rng.random(shape)
    second = np.clip(first + rng.normal(0, noise, shape), 0, 1)
    scale = RANGES[dtype] if dtype.startswith("u") else 1
    return (first * scale).astype(dtype), (second * scale).astype(dtype)


def clip(frames: Any, dtype: str = "uint8") -> Clip:
    array = np.asarray(frames, dtype=dtype)
    ranges = {"uint8": (0.0, 255.0), "uint16": (0.0, 65535.0), "float64": (-1.0, 1.0)}
    return Clip(array, value_range=ranges.get(dtype, (0.0, 1.0)))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", list(RANGES))
def test_ssim_equals_scikit_image(dtype: str, channels: int) -> None:
    """SSIM is scikit-image's, to 1e-7 and better, for every dtype and channel count, over several blocks."""
    golden, obtained = pair(dtype, (45, 38, channels))
    reference = structural_similarity(
        golden.astype("float64"), obtained.astype("float64"), channel_axis=-1, data_range=RANGES[dtype]
    )
    assert abs(frame_ssim(golden, obtained, RANGES[dtype]) - reference) < 1e-12


def test_ssim_sums_do_not_overflow_at_the_extremes() -> None:
    """White against black, and white against white, in integers."""
    for dtype in ("uint8", "uint16"):
        white = np.full((9, 9, 3), int(RANGES[dtype]), dtype)
        reference = structural_similarity(white, white * 0, channel_axis=-1, data_range=RANGES[dtype])
        assert frame_ssim(white, white * 0, RANGES[dtype]) == pytest.approx(reference, abs=1e-12)
        assert frame_ssim(white, white, RANGES[dtype]) == 1.0


@pytest.mark.parametrize(("side", "window"), [(6, 5), (5, 5), (4, 3), (2, 1), (1, 1), (7, 7), (8, 7)])
def test_tiny_frames_get_the_largest_odd_window(side: int, window: int) -> None:
    """A side below 7 is measured in a smaller window, as scikit-image does when told its size."""
    assert window_of(side, 20) == window_of(20, side) == window
    golden, obtained = pair("uint8", (side, 20, 3))
    value = frame_ssim(golden, obtained, 255.0)
    assert -1 <= value < 1
    if window >= 3:
        reference = structural_similarity(golden, obtained, channel_axis=-1, data_range=255, win_size=window)
        assert value == pytest.approx(reference, abs=1e-12)


def test_metrics_equal_their_formulas() -> None:
    """PSNR is scikit-image's; the others are computed as documented."""
    golden, obtained = pair("uint8", (3, 16, 16, 3))
    found = compare_clips(clip(golden), clip(obtained))
    g, o = golden.astype(float), obtained.astype(float)
    for t in range(3):
        assert found.psnr[t] == pytest.approx(peak_signal_noise_ratio(golden[t], obtained[t], data_range=255))
        assert found.max_abs[t] == np.abs(o - g)[t].max()
        assert found.mean_abs[t] == pytest.approx(np.abs(o - g)[t].mean())
        assert found.changed[t] == pytest.approx((o != g)[t].any(-1).mean())
    steps = np.abs(np.diff(o, axis=0) - np.diff(g, axis=0)).mean((1, 2, 3))
    assert found.temporal == pytest.approx((0.0, *steps))
    assert found.mean("psnr") == pytest.approx(peak_signal_noise_ratio(golden, obtained, data_range=255))
    assert found.mean("ssim") == pytest.approx(sum(found.ssim) / 3)


def test_unsigned_subtraction_does_not_wrap() -> None:
    """One level down is a difference of 1, not of 255."""
    for dtype in ("uint8", "uint16"):
        frames = np.full((2, 8, 8, 3), 7, dtype)
        found = compare_clips(clip(frames, dtype), clip(frames - 1, dtype))
        assert found.max_abs == found.mean_abs == (1.0, 1.0)
        assert found.temporal == (0.0, 0.0)


def test_uint16_and_floats_use_their_own_range() -> None:
    """The same relative change has the same PSNR in every dtype."""
    wide = np.full((1, 8, 8, 1), 1000, "uint16")
    assert compare_clips(clip(wide, "uint16"), clip(wide + 655, "uint16")).psnr[0] == pytest.approx(
        40, abs=0.01
    )
    real = np.zeros((1, 8, 8, 1))
    assert compare_clips(clip(real, "float32"), clip(real + 0.01, "float32")).psnr[0] == pytest.approx(40)
    assert compare_clips(clip(real, "float64"), clip(real + 0.02, "float64")).psnr[0] == pytest.approx(40)
    half = compare_clips(clip(real, "float16"), clip(real + 0.01, "float16"))
    assert half.psnr[0] == pytest.approx(40, abs=0.01)


def test_equal_frames_are_perfect_and_the_first_differing_is_named() -> None:
    """Frames that are equal get SSIM 1 and an infinite PSNR, and are not computed."""
    golden = np.zeros((4, 8, 8, 3), "uint8")
    obtained = golden.copy()
    obtained[2, 1, 1, 0] = 9
    found = compare_clips(clip(golden), clip(obtained))
    assert found.ssim[:2] == (1.0, 1.0)
    assert found.psnr[0] == found.psnr[3] == math.inf
    assert (found.first_differing, found.differing) == (2, (2,))
    assert found.changed[2] == 1 / 64
    assert found.worst("max_abs") == (2, 9.0)
    assert found.worst("psnr")[0] == 2
    assert compare_clips(clip(golden), clip(golden)).first_differing is None


def test_flicker_shows_in_the_temporal_metric() -> None:
    """A brightness that jumps up and down scores twice what a constant offset of that size does not score."""
    golden = np.full((6, 8, 8, 3), 100, "uint8")
    steady = golden + 2
    flicker = golden.copy()
    flicker[1::2] += 2
    constant = compare_clips(clip(golden), clip(steady))
    jumping = compare_clips(clip(golden), clip(flicker))
    assert max(constant.temporal) == 0.0
    assert jumping.temporal == (0.0, 2.0, 2.0, 2.0, 2.0, 2.0)
    assert min(jumping.ssim) > 0.999


@pytest.mark.parametrize("other", [(3, 8, 8, 3), (2, 8, 9, 3), (2, 8, 8, 1)])
def test_clips_of_other_shapes_are_never_compared(other: tuple[int, ...]) -> None:
    """Nothing is resized, truncated or broadcast."""
    with pytest.raises(ClipError, match="cannot be compared"):
        compare_clips(clip(np.zeros((2, 8, 8, 3))), clip(np.zeros(other)))


def test_clips_of_another_dtype_or_range_are_never_compared() -> None:
    """A float clip is not measured against 8 bits, nor [-1, 1] against [0, 1]."""
    frames = np.zeros((1, 8, 8, 3))
    with pytest.raises(ClipError, match="dtype"):
        compare_clips(clip(frames), clip(frames, "float32"))
    signed = Clip(frames.astype("float32"), value_range=(-1.0, 1.0))
    with pytest.raises(ClipError, match="value range"):
        compare_clips(clip(frames, "float32"), signed)


def test_nan_is_an_error_and_never_a_number() -> None:
    """A frame with NaN has no metrics."""
    golden = np.zeros((2, 8, 8, 3), "float32")
    broken = golden.copy()
    broken[1, 0, 0, 0] = np.nan
    with pytest.raises(NonFiniteClipError, match="frame 1"):
        compare_clips(clip(golden, "float32"), clip(broken, "float32"))


def test_clip_metrics_survive_strict_json() -> None:
    """Infinity is null in JSON, and comes back."""
    golden, obtained = pair("uint8", (3, 9, 9, 3))
    obtained[0] = golden[0]
    found = compare_clips(clip(golden), clip(obtained))
    text = json.dumps(found.as_dict(), allow_nan=False)
    assert ClipMetrics.from_dict(json.loads(text)) == found
    worst = json.loads(text)["worst"]
    assert list(worst) == list(CLIP_METRICS)
    assert worst["ssim"]["place"] == f"frame {found.worst('ssim')[0]}"


def test_tensor_metrics_equal_their_formulas() -> None:
    """Relative L2, cosine distance, max-abs and mean-abs per tensor, worst first by name."""
    g = {"a": np.array([3.0, 4.0]), "b": np.array([1.0, 0.0])}
    o = {"a": np.array([3.0, 4.5]), "b": np.array([0.0, 1.0])}
    found = compare_tensors(g, o)
    a, b = found.tensors
    assert (a.relative_l2, a.max_abs, a.mean_abs, a.peak) == pytest.approx((0.1, 0.5, 0.25, 4.0))
    assert b.cosine == pytest.approx(1.0)
    assert found.worst("cosine")[0] == "b"
    assert TensorMetrics.from_dict(json.loads(json.dumps(found.as_dict(), allow_nan=False))) == found


def test_cosine_is_a_distance() -> None:
    """Equal tensors are 0 apart, opposite ones 2, and tiny angles do not cancel."""
    x = torch.linspace(-1, 1, 101, dtype=torch.float64)
    assert compare_tensors({"x": x}, {"x": x}).worst("cosine")[1] == 0.0
    assert compare_tensors({"x": x}, {"x": -x}).worst("cosine")[1] == pytest.approx(2.0)
    turned = x.clone()
    turned[50] = 1e-9
    expected = 0.5 * (1e-9 / float(x.norm())) ** 2
    assert compare_tensors({"x": x}, {"x": turned}).worst("cosine")[1] == pytest.approx(expected, rel=1e-3)


def test_torch_tensors_of_every_float_dtype_are_taken() -> None:
    """bfloat16 is widened exactly; integers and booleans work, too."""
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int64, torch.bool):
        x = torch.tensor([0, 1, 1]).to(dtype)
        y = torch.tensor([0, 1, 0]).to(dtype)
        assert compare_tensors({"x": x}, {"x": y}).worst("max_abs") == ("x", 1.0)
    assert tensor_facts({"x": torch.zeros(2, 3, dtype=torch.bfloat16)}) == {
        "x": {"shape": [2, 3], "dtype": "bfloat16"}
    }


def test_nan_on_one_side_is_infinitely_far() -> None:
    """A NaN that the golden has, too, is equal; a new one is not."""
    plain, broken = np.array([1.0, 2.0]), np.array([1.0, np.nan])
    assert compare_tensors({"x": plain}, {"x": broken}).worst("max_abs")[1] == math.inf
    both = compare_tensors({"x": broken}, {"x": np.array([1.5, np.nan])})
    assert both.worst("max_abs")[1] == 0.5
    assert compare_tensors({"x": broken}, {"x": broken}).worst("max_abs")[1] == 0.0


@pytest.mark.parametrize(
    "obtained",
    [{"y": np.zeros(2)}, {"x": np.zeros((2, 1))}, {"x": np.zeros(2, "float32")}, {}],
)
def test_tensors_with_other_facts_are_never_compared(obtained: dict[str, Any]) -> None:
    """Another name, shape or dtype is refused; nothing is broadcast."""
    with pytest.raises(ClipError):
        compare_tensors({"x": np.zeros(2)}, obtained)


@pytest.mark.parametrize("size", [1.0, 1e200, 1e307, 1e-200, 1e-307])
def test_tensor_metrics_do_not_depend_on_the_size_of_the_numbers(size: float) -> None:
    """Where squares would be too large or too small for a float, the distances are the same as elsewhere."""
    g, o = np.array([3.0, 4.0, -1.0]), np.array([3.0, 4.5, -1.5])
    plain = compare_tensors({"x": g}, {"x": o}).tensors[0]
    found = compare_tensors({"x": g * size}, {"x": o * size}).tensors[0]
    assert found.relative_l2 == pytest.approx(plain.relative_l2, rel=1e-12)
    assert found.cosine == pytest.approx(plain.cosine, rel=1e-9)
    assert found.max_abs == pytest.approx(0.5 * size)
    assert found.mean_abs == pytest.approx(size / 3)
    both = compare_tensors({"x": g * size * 1j}, {"x": o * size * 1j}).tensors[0]
    assert both.relative_l2 == pytest.approx(plain.relative_l2, rel=1e-12)


def test_the_largest_and_the_smallest_numbers_have_a_distance() -> None:
    """The difference of the largest numbers is beyond a float; it is infinite, and nothing is undefined."""
    largest = float(np.finfo(np.float64).max)
    found = compare_tensors({"x": np.array([largest, 1.0])}, {"x": np.array([-largest, 1.0])})
    assert (found.tensors[0].relative_l2, found.tensors[0].cosine) == pytest.approx((2.0, 2.0))
    assert found.worst("max_abs")[1] == math.inf
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["worst"]["max_abs"]["value"] is None
    tiny = compare_tensors({"x": np.array([5e-324, 1.0])}, {"x": np.array([0.0, 1.0])})
    assert tiny.worst("max_abs")[1] == 5e-324
    assert tiny.worst("relative_l2")[1] > 0


@pytest.mark.parametrize(
    ("dtype", "golden", "obtained", "distance"),
    [
        ("int64", 2**53, 2**53 + 1, 1),
        ("int64", -(2**63), 2**63 - 1, 2**64 - 1),
        ("int64", -(2**53) - 1, -(2**53), 1),
        ("uint64", 2**64 - 1, 2**64 - 2, 1),
        ("uint64", 0, 2**64 - 1, 2**64 - 1),
        ("int8", -128, 127, 255),
        ("bool", True, False, 1),
    ],
)
def test_integers_are_compared_exactly(dtype: str, golden: int, obtained: int, distance: int) -> None:
    """Integers beyond 2**53 differ by what they differ, though a float64 cannot tell them apart."""
    g, o = (
        np.array([5, value]).astype(bool) if dtype == "bool" else np.array([0, value], dtype)
        for value in (golden, obtained)
    )
    for one, other in ((g, o), (o, g)):
        found = compare_tensors({"x": one}, {"x": other}).tensors[0]
        assert found.max_abs == float(distance)
        assert found.relative_l2 > 0
    assert compare_tensors({"x": g}, {"x": g}).worst("max_abs")[1] == 0.0
