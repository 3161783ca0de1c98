"""Tests of seedpin.clip.suspect."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from skimage import data

from seedpin.clip.adapt import as_clip
from seedpin.clip.suspect import looks_like_noise, suspicions

H, W = 64, 64


def kinds(frames: npt.NDArray[Any], **options: Any) -> list[str]:
    return [one.kind for one in suspicions(as_clip(frames, layout="THWC", **options))]


def moving(count: int = 4, size: int = 64) -> npt.NDArray[np.uint8]:
    row, column = np.mgrid[:size, :size]
    one = [
        127 + 60 * np.sin((column + 3 * t) / 9)[..., None] * np.cos(row / 7)[..., None] for t in range(count)
    ]
    return np.repeat(np.stack(one), 3, axis=3).astype(np.uint8)


def noise(count: int, channels: int = 3, size: int = 64, seed: int = 0) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, size, size, channels), dtype=np.uint8)


def photograph(name: str) -> npt.NDArray[np.uint8]:
    picture: npt.NDArray[np.uint8] = getattr(data, name)()
    return picture


def test_a_plausible_clip_is_not_suspected() -> None:
    """Moving pictures raise no doubt."""
    assert kinds(moving()) == []
    assert kinds(moving(1)) == []


@pytest.mark.parametrize("alpha", [0, 255])
def test_black(alpha: int) -> None:
    """All-zero clips are black, whatever their transparency."""
    frames = np.zeros((3, H, W, 4), np.uint8)
    frames[..., 3] = alpha
    assert kinds(frames) == ["black"]
    assert kinds(frames[..., :3]) == ["black"]


def test_black_in_a_signed_range() -> None:
    """In (-1, 1), both nothing but zeros and nothing above -1 are black."""
    for value in (0, -1, -1.2):
        assert kinds(np.full((3, H, W, 3), value, np.float32), value_range=(-1, 1)) == ["black"]
    varied = -1 - np.random.default_rng(0).random((3, H, W, 3), dtype=np.float32)
    assert kinds(varied, value_range=(-1, 1)) == ["black"]


def test_constant() -> None:
    """One colour everywhere is constant; one colour per frame is a fade."""
    frames = np.zeros((3, H, W, 3), np.uint8)
    frames[:] = (10, 200, 30)
    found = suspicions(as_clip(frames, layout="THWC"))
    assert [one.kind for one in found] == ["constant"]
    assert "[10, 200, 30]" in found[0].message
    frames[1] += 1
    assert kinds(frames) == []


def test_static() -> None:
    """A clip in which nothing moves is static; an image is not."""
    frames = np.repeat(moving(1), 5, axis=0)
    assert kinds(frames) == ["static"]
    frames[4, 0, 0, 0] ^= 1
    assert kinds(frames) == []
    assert kinds(np.repeat(noise(1), 3, axis=0)) == ["static", "noise"]


@pytest.mark.parametrize("size", [32, 64, 200])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_noise(channels: int, size: int) -> None:
    """Uniform and Gaussian noise are recognised."""
    assert kinds(noise(4, channels, size)) == ["noise"]
    rng = np.random.default_rng(1)
    gauss = np.clip(rng.normal(0, 0.5, (4, size, size, channels)), -1, 1).astype(np.float32)
    assert kinds(gauss, value_range=(-1, 1)) == ["noise"]


def test_one_good_frame_is_no_noise() -> None:
    """Only a clip whose frames are all noise is suspected: a cut to static may be meant."""
    frames = noise(4)
    frames[3] = moving()[0]
    assert kinds(frames) == []


def test_small_frames_are_not_judged() -> None:
    """Under 32 pixels a side chance looks like structure and the reverse."""
    assert kinds(noise(4, 3, 16)) == []


@pytest.mark.parametrize(
    "name",
    ["camera", "coins", "page", "brick", "grass", "gravel", "moon", "text", "clock", "astronaut", "chelsea"],
)
def test_photographs_are_never_noise(name: str) -> None:
    """Photographs, textures and text are not taken for noise, at full size and in small cuts."""
    picture = photograph(name)
    picture = picture[..., np.newaxis] if picture.ndim == 2 else picture
    assert not looks_like_noise(picture, 255)
    for top in range(0, picture.shape[0] - 64, 64):
        for left in range(0, picture.shape[1] - 64, 64):
            assert not looks_like_noise(picture[top : top + 64, left : left + 64], 255)


def test_patterns_are_never_noise() -> None:
    """Gradients, edges, stripes, checkerboards, diagonals and stars are structure."""
    row, column = np.mgrid[:H, :W]
    stars = np.random.default_rng(0).random((H, W)) > 0.95
    patterns = (
        column * 4,
        row + column,
        (column > 31) * 255,
        column % 2 * 255,
        (row + column) % 2 * 255,
        (row + column) % 4 // 2 * 255,
        (row - column) % 4 // 2 * 255,
        (row + 2 * column) % 5 // 2 * 255,
        stars * 255,
    )
    for pattern in patterns:
        assert not looks_like_noise(pattern[..., np.newaxis].astype(np.uint8), 255)


def test_a_grainy_photograph_is_no_noise() -> None:
    """Strong grain over a picture leaves its structure visible."""
    rng = np.random.default_rng(0)
    grainy = np.clip(photograph("camera") + rng.normal(0, 40, (512, 512)), 0, 255).astype(np.uint8)
    assert not looks_like_noise(grainy[..., np.newaxis], 255)
