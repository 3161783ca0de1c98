from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from seedpin.clip.clip import Clip
from seedpin.compare import regions
from seedpin.compare.diagnose import hints

Array = npt.NDArray[Any]

RNG = np.random.default_rng(3)
GOLDEN = RNG.integers(0, 256, (6, 10, 10, 3)).astype("uint8")


def swapped(x: Array) -> Array:
    flipped: Array = x[..., ::-1]
    return flipped


def shifted(x: Array) -> Array:
    return np.concatenate([x[:1], x[:-1]])


def double(x: Array) -> Array:
    return np.clip(np.rint(2.0 * x - 255), 0, 255).astype("uint8")


def half(x: Array) -> Array:
    return np.rint((x + 255.0) / 2).astype("uint8")


def limited(x: Array) -> Array:
    return np.rint(16 + x * 219.0 / 255).astype("uint8")


def brighter(x: Array) -> Array:
    brightened: Array = np.minimum(x.astype(int) + 12, 255).astype("uint8")
    return brightened


def rounded(x: Array) -> Array:
    return np.where((x > 0) & (x % 3 == 0), x - 1, x).astype("uint8")


def one_frame(index: int) -> Callable[[Array], Array]:
    def change(x: Array) -> Array:
        x = x.copy()
        x[index, 3, 3] ^= 128
        return x

    return change


CASES: list[tuple[Callable[[Array], Array], str]] = [
    (lambda x: x[::-1], "reversed order"),
    (shifted, "1 too late"),
    (lambda x: np.concatenate([x[2:], x[:2]]), "2 too early"),
    (swapped, "red and blue swapped"),
    (lambda x: x[:, :, ::-1], "mirrored"),
    (lambda x: x[:, ::-1], "upside down"),
    (lambda x: x.swapaxes(1, 2), "transposed"),
    (lambda x: 255 - x, "inverted"),
    (double, "twice the contrast"),
    (half, "half the contrast"),
    (limited, "limited range"),
    (brighter, "+12"),
    (rounded, "by one level, always down: rounding against truncation?"),
    (one_frame(0), "only the first frame"),
    (one_frame(5), "only the last frame"),
]


@pytest.mark.parametrize(("change", "words"), CASES, ids=[words for _, words in CASES])
def test_a_simple_cause_is_recognised(change: Callable[[Array], Array], words: str) -> None:
    """Exactly one hint is given, and it names the cause."""
    found = hints(Clip(GOLDEN), Clip(change(GOLDEN)))
    assert len(found) == 1
    assert words in found[0]


@pytest.mark.parametrize(("change", "words"), CASES[:13], ids=[words for _, words in CASES[:13]])
def test_one_wrong_value_silences_a_hint(change: Callable[[Array], Array], words: str) -> None:
    """A hint is checked on every value: two values that do not fit are enough to say nothing."""
    obtained = np.array(change(GOLDEN))
    for value in (obtained[3, 4, 5, :1], obtained[4, 4, 5, :1]):
        value ^= 64
    assert hints(Clip(GOLDEN), Clip(obtained)) == ()


def rolled(x: Array) -> Array:
    return np.roll(x, (3, -2), (1, 2))


def cropped(x: Array) -> Array:
    return np.pad(x, ((0, 0), (1, 0), (2, 0), (0, 0)), mode="edge")[:, :-1, :-2]


def patched(x: Array) -> Array:
    x = x.copy()
    x[1:3, 12:17, 20:27] ^= 255
    return x


def patched_twice(x: Array) -> Array:
    x = patched(x)
    x[2, 0, 0] ^= 255
    return x


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (rolled, "the frames are exactly the golden's, rolled 2 pixels left and 3 pixels down"),
        (cropped, "the frames are exactly the golden's, moved 2 pixels right and 1 pixel down"),
        (
            patched,
            "what differs lies in one region of 2 of 4 frames: rows 12 to 16, columns 20 to 26 (of 40 x",
        ),
        (
            patched_twice,
            "what differs lies in 2 regions of 2 of 4 frames: row 0, column 0; rows 12 to 16, columns",
        ),
    ],
)
def test_what_moved_and_where_it_differs_is_told(change: Callable[[Array], Array], words: str) -> None:
    """Registration and connected regions; a shift is held against every value before it is said."""
    golden = RNG.integers(0, 256, (4, 40, 48, 3)).astype("uint8")
    found = hints(Clip(golden), Clip(change(golden)))
    assert len(found) == 1
    assert found[0].startswith(words)
    if change is rolled or change is cropped:
        obtained = change(golden)
        obtained[3, 20, 20] ^= 64
        obtained[2, 30, 5] ^= 64
        assert not [hint for hint in hints(Clip(golden), Clip(obtained)) if "exactly" in hint]


def test_without_scikit_image_there_are_fewer_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of an installation that only its extra brings."""
    monkeypatch.setattr(regions, "find_spec", lambda name: None)
    golden = RNG.integers(0, 256, (4, 40, 48, 3)).astype("uint8")
    assert hints(Clip(golden), Clip(rolled(golden))) == ()


def test_equal_clips_and_noise_get_no_hint() -> None:
    """Nothing is said where nothing simple fits."""
    assert hints(Clip(GOLDEN), Clip(GOLDEN)) == ()
    noise = RNG.integers(0, 256, GOLDEN.shape).astype("uint8")
    assert hints(Clip(GOLDEN), Clip(noise)) == ()
    assert hints(Clip(GOLDEN), Clip(GOLDEN.astype("float32") / 255, value_range=(0, 1))) == ()


def test_range_slips_of_floats_are_recognised() -> None:
    """[-1, 1] mapped to [0, 1] twice, in both ranges."""
    for low in (0.0, -1.0):
        frames = (GOLDEN / 255.0 * (1 - low) + low).astype("float32")
        golden = Clip(frames, value_range=(low, 1.0))
        found = hints(golden, Clip((frames + np.float32(1)) / np.float32(2), value_range=(low, 1.0)))
        assert len(found) == 1
        assert "mapped to [0, 1] twice" in found[0]


def test_extra_frames_are_located() -> None:
    """A clip that is longer at one end by whole frames says so, in both directions."""
    longer = np.concatenate([GOLDEN, GOLDEN[:1] ^ 1])
    assert hints(Clip(GOLDEN), Clip(longer)) == (
        "the obtained clip holds all of the golden exactly, and 1 more frame at the end",
    )
    assert hints(Clip(longer[::-1]), Clip(GOLDEN[::-1])) == (
        "the golden holds all of the obtained clip exactly, and 1 more frame at the start",
    )


def test_swapped_sides_are_recognised() -> None:
    """Height and width in the wrong order are named though the clips are incomparable."""
    wide = GOLDEN[:, :6]
    assert "height and width are swapped" in hints(Clip(wide), Clip(wide.swapaxes(1, 2)))[0]


def test_a_still_clip_is_not_called_late() -> None:
    """Frames that do not move are their own shift, so nothing is said about order."""
    still = np.repeat(GOLDEN[:1], 5, axis=0)
    obtained = still.copy()
    obtained[4] = GOLDEN[1]
    assert hints(Clip(still), Clip(obtained)) == ("only the last frame differs",)


@pytest.mark.parametrize(
    ("share", "asked"), [(1, False), (2, True), (3, False), (4, True), (10, False), (1000, False)]
)
def test_rounding_is_asked_about_only_where_many_values_differ(share: int, asked: bool) -> None:
    """A lone value that is one level off is no evidence of truncation, nor is all of a channel (1, 3)."""
    flat = np.full(GOLDEN.size, 100, "uint8")
    obtained = flat.copy()
    obtained[::share] += 1
    count = len(flat[::share])
    found = hints(Clip(flat.reshape(GOLDEN.shape)), Clip(obtained.reshape(GOLDEN.shape)))
    told = [hint for hint in found if "by one level, always up" in hint]
    assert told[0].startswith(f"{count} of {GOLDEN.size} values differ")
    assert told[0].endswith("rounding against truncation?") == asked


def test_a_channel_that_is_one_level_brighter_throughout_is_no_rounding() -> None:
    """Truncation moves some values of a channel and keeps others; an offset moves all but saturated ones."""
    golden = (np.arange(2 * 8 * 8 * 3) % 256).reshape(2, 8, 8, 3).astype("uint8")
    obtained = golden.copy()
    obtained[..., 0] = np.clip(obtained[..., 0].astype("int32") + 1, 0, 255)
    told = hints(Clip(golden), Clip(obtained))
    assert any("by one level, always up" in hint for hint in told)
    assert not any("truncation" in hint for hint in told)
