"""Tests of seedpin.clip.files, through as_clip."""

from __future__ import annotations

import builtins
import struct
import zlib
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from seedpin.clip.adapt import as_clip
from seedpin.errors import EmptyClipError, UnsupportedClipError


def frames(count: int = 6, channels: int = 3) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 48, 64, channels), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_image_files(tmp_path: Path, suffix: str, channels: int) -> None:
    """Lossless images are read as they are stored, from a path or its name."""
    if channels == 1 and suffix == "webp":
        pytest.skip("the format has no grey")
    if channels == 4 and suffix == "bmp":
        pytest.skip("Pillow writes BMP without saying that there is transparency")
    source = frames(1, channels)
    path = tmp_path / f"a.{suffix.upper()}"
    Image.fromarray(source[0].squeeze()).save(
        path, suffix, **({"lossless": True, "exact": True} if suffix == "webp" else {})
    )
    for given in (path, str(path)):
        np.testing.assert_array_equal(as_clip(given, single_image=True).frames, source)
    assert as_clip(path).source == f"image file {path.name}"
    assert as_clip(path).fps is None


def test_palette_images_are_read_as_their_colours(tmp_path: Path) -> None:
    """In a file, a palette is only a way to store colours."""
    picture = Image.fromarray(frames(1)[0]).quantize(16)
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(as_clip(tmp_path / "a.png").frames[0], np.asarray(picture.convert("RGB")))


def test_sixteen_bit_grey_is_kept_and_colour_refused(tmp_path: Path) -> None:
    """Bits are never lost: 16-bit grey becomes uint16, and 16-bit colour, which Pillow cuts, is an error."""
    grey = np.arange(16 * 16, dtype=np.uint16).reshape(16, 16) * 200
    Image.fromarray(grey).save(tmp_path / "grey.png")
    clip = as_clip(tmp_path / "grey.png")
    assert clip.dtype == "uint16"
    np.testing.assert_array_equal(clip.frames[0, ..., 0], grey)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + bytes(12) for _ in range(2))
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    (tmp_path / "colour.png").write_bytes(png)
    with pytest.raises(UnsupportedClipError, match="16-bit colours"):
        as_clip(tmp_path / "colour.png")


def test_animated_webp(tmp_path: Path) -> None:
    """An animation is a clip with the rate of its frames; an uneven one has none."""
    source = frames()
    pictures = [Image.fromarray(one) for one in source]
    for name, duration in (("even", 125), ("uneven", [100, 200, 100, 100, 100, 100])):
        path = tmp_path / f"{name}.webp"
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=duration, lossless=True)
        np.testing.assert_array_equal(as_clip(path).frames, source)
        assert as_clip(path).fps == (8 if name == "even" else None)
    assert as_clip(tmp_path / "even.webp", fps=24).fps == 24
    with pytest.raises(UnsupportedClipError, match="6 frames where one image is expected"):
        as_clip(tmp_path / "even.webp", single_image=True)


def test_animated_gif(tmp_path: Path) -> None:
    """A GIF gives the colours that it shows."""
    source = np.zeros((4, 16, 16, 3), np.uint8)
    for index, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]):
        source[index, 2 + index : 8 + index, 4:9] = colour
    pictures = [Image.fromarray(one) for one in source]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=100)
    clip = as_clip(tmp_path / "a.gif")
    np.testing.assert_array_equal(clip.frames[..., :3], source)
    assert clip.fps == 10


def test_folders_are_sorted_naturally(tmp_path: Path) -> None:
    """frame10 comes after frame9, and other files do not matter."""
    source = frames(12)
    for index in range(12):
        Image.fromarray(source[index]).save(tmp_path / f"frame{index}.png")
    (tmp_path / "notes.txt").write_text("x")
    np.testing.assert_array_equal(as_clip(tmp_path, fps=8).frames, source)
    assert as_clip(tmp_path).source.endswith("of 12 images")


def test_folders_of_unlike_images_are_refused(tmp_path: Path) -> None:
    """The first odd image is named; an empty folder and an animation inside one are errors."""
    with pytest.raises(EmptyClipError, match="holds no image"):
        as_clip(tmp_path)
    Image.new("RGB", (8, 8)).save(tmp_path / "a1.png")
    Image.new("RGB", (8, 9)).save(tmp_path / "a2.png")
    with pytest.raises(UnsupportedClipError, match=r"frame 1 \(a2.png\) has shape \(9, 8, 3\)"):
        as_clip(tmp_path)
    pictures = [Image.fromarray(one) for one in frames(2)]
    pictures[0].save(tmp_path / "a0.webp", save_all=True, append_images=pictures[1:])
    with pytest.raises(UnsupportedClipError, match=r"'a0.webp' .* animation of 2 frames"):
        as_clip(tmp_path)


@pytest.mark.parametrize(
    ("codec", "stored", "channels", "dtype"),
    [
        ("ffv1", "bgr0", 3, "uint8"),
        ("ffv1", "gray", 1, "uint8"),
        ("ffv1", "bgra", 4, "uint8"),
        ("ffv1", "gray16le", 1, "uint16"),
        ("ffv1", "gbrp16le", 3, "uint16"),
    ],
)
def test_lossless_videos(tmp_path: Path, codec: str, stored: str, channels: int, dtype: str) -> None:
    """A lossless video gives back its pixels, channels and bits, and its rate."""
    source = frames(6, channels).astype(dtype) * (257 if dtype == "uint16" else 1)
    given = {
        1: "gray16le" if dtype == "uint16" else "gray",
        3: "rgb48le" if dtype == "uint16" else "rgb24",
        4: "rgba",
    }[channels]
    path = tmp_path / "a.mkv"
    options: dict[str, Any] = {"in_pixel_format": given, "out_pixel_format": stored}
    iio.imwrite(
        path, source.squeeze(-1) if channels == 1 else source, plugin="pyav", codec=codec, fps=12, **options
    )
    clip = as_clip(path)
    assert clip.dtype == dtype
    np.testing.assert_array_equal(clip.frames, source)
    assert clip.fps == 12
    assert clip.source == "video file a.mkv"


def test_lossy_videos_keep_their_facts(tmp_path: Path) -> None:
    """An mp4 gives its number of frames, size and rate."""
    iio.imwrite(tmp_path / "a.mp4", frames(), plugin="pyav", codec="libx264", fps=8)
    assert as_clip(tmp_path / "a.mp4").facts() == {
        "frames": 6,
        "height": 48,
        "width": 64,
        "channels": 3,
        "dtype": "uint8",
        "fps": 8.0,
    }


def test_a_missing_decoder_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyAV the message says what to install."""
    (tmp_path / "a.mp4").write_bytes(b"x")
    honest = builtins.__import__

    def without_av(name: str, *rest: Any, **options: Any) -> Any:
        if name == "av":
            raise ImportError("No module named 'av'")
        return honest(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without_av)
    with pytest.raises(UnsupportedClipError) as caught:
        as_clip(tmp_path / "a.mp4")
    assert caught.value.hint == 'pip install "seedpin[video]"'


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.gif", "a.mp4", "a.mkv"])
def test_broken_files_are_named(tmp_path: Path, name: str) -> None:
    """Garbage and truncated files are errors with the file's name."""
    (tmp_path / name).write_bytes(b"garbage" * 100)
    with pytest.raises(UnsupportedClipError, match=f"{name}.*cannot be read"):
        as_clip(tmp_path / name)


def test_a_truncated_image_is_refused(tmp_path: Path) -> None:
    """Half an image is no image."""
    Image.fromarray(frames(1)[0]).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(UnsupportedClipError, match="cannot be read"):
        as_clip(tmp_path / "a.png")


def test_other_paths_are_refused(tmp_path: Path) -> None:
    """Missing files and unknown kinds say what is read."""
    with pytest.raises(UnsupportedClipError, match="there is no file"):
        as_clip(tmp_path / "no.png")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UnsupportedClipError, match=r"no reader for 'a\.txt'") as caught:
        as_clip(tmp_path / "a.txt")
    assert ".mp4" in caught.value.hint
