"""Frames from files: images, animations, videos, and folders of images.

A path is input that somebody made elsewhere; goldens have a reader of their own, in codec.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageSequence, UnidentifiedImageError

from seedpin.clip.clip import count
from seedpin.errors import EmptyClipError, UnsupportedClipError

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".y4m")

# Exact conversions only: another mode would need a choice of colour space or a loss of bits.
_EXACT = {"1": "L", "L": "L", "LA": "RGBA", "RGB": "RGB", "RGBA": "RGBA", "I;16": "I;16"}


@dataclass(frozen=True, slots=True)
class Reading:
    """Frames (T, H, W, C) of uint8 or uint16 as they stand in a file, and the file's frame rate."""

    frames: npt.NDArray[Any]
    fps: float | None
    source: str


def read_path(path: Path) -> Reading:
    """Frames of a video, an image, an animation, or of all images in a folder in natural order.

    Raises UnsupportedClipError or EmptyClipError.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise UnsupportedClipError(
            f"there is no file or folder {str(path)!r}", hint=f"the path is taken from {str(Path.cwd())!r}"
        )
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        pictures, fps = _read_pictures(path)
        return Reading(_stack(pictures, [path.name] * len(pictures)), fps, f"image file {path.name}")
    if suffix in VIDEO_SUFFIXES:
        return _read_video(path)
    raise UnsupportedClipError(
        f"no reader for {path.name!r}",
        hint=f"images: {' '.join(IMAGE_SUFFIXES)}; videos: {' '.join(VIDEO_SUFFIXES)}; or a folder of images",
    )


def _read_folder(folder: Path) -> Reading:
    paths = [one for one in folder.iterdir() if one.suffix.lower() in IMAGE_SUFFIXES and one.is_file()]
    paths.sort(key=lambda one: _natural(one.name))
    if not paths:
        raise EmptyClipError(
            f"the folder {str(folder)!r} holds no image", hint=f"images are {' '.join(IMAGE_SUFFIXES)}"
        )
    pictures = []
    for path in paths:
        frames, _ = _read_pictures(path)
        if len(frames) != 1:
            raise UnsupportedClipError(
                f"{path.name!r} in the folder {str(folder)!r} is an animation of {len(frames)} frames",
                hint="pass the animation by its own path",
            )
        pictures += frames
    stacked = _stack(pictures, [path.name for path in paths])
    return Reading(stacked, None, f"folder {folder.name} of {count(len(paths), 'image')}")


def _natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key under which ``frame2`` comes before ``frame10``; the name itself settles ``01`` and ``1``."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts], name


def _read_pictures(path: Path) -> tuple[list[npt.NDArray[Any]], float | None]:
    try:
        with Image.open(path) as image:
            _refuse_loss(image, path)
            pictures, durations = [], []
            for frame in ImageSequence.Iterator(image):
                frame.load()
                durations.append(frame.info.get("duration"))
                pictures.append(_exact(frame, path))
    except (
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
    ) as error:
        raise UnsupportedClipError(
            f"the image {path.name!r} cannot be read: {error}", hint="check that the file is complete"
        ) from error
    modes = {picture.mode for picture in pictures}
    if len(modes) > 1 and modes <= {"L", "RGB", "RGBA"}:
        # The first frame of an animation may need fewer channels than the rest.
        widest = max(modes, key=len)
        pictures = [picture.convert(widest) for picture in pictures]
    return [np.asarray(picture) for picture in pictures], _rate(durations)


def _rate(durations: list[float | None]) -> float | None:
    """Frames per second from milliseconds per frame; None where these are absent or vary."""
    if len(durations) < 2 or len(set(durations)) != 1 or not durations[0]:
        return None
    return 1000 / durations[0]


def _exact(image: Image.Image, path: Path) -> Image.Image:
    mode = "I;16" if image.mode.startswith("I;16") else image.mode
    if mode == "P":
        target = "RGBA" if "transparency" in image.info else "RGB"
    elif mode in _EXACT:
        target = _EXACT[mode]
    else:
        raise UnsupportedClipError(
            f"the image {path.name!r} has mode {image.mode!r}, which cannot become RGB without a choice",
            hint='convert it yourself, for example Image.open(path).convert("RGB")',
        )
    if target == "RGB" and "transparency" in image.info:
        target = "RGBA"
    return image.copy() if image.mode == target else image.convert(target)


def _refuse_loss(image: Image.Image, path: Path) -> None:
    """Refuse 16-bit colour, which Pillow opens as 8-bit without a word."""
    for tile in getattr(image, "tile", ()):
        raw = tile[3] if isinstance(tile[3], str) else str(tile[3][0]) if tile[3] else ""
        if ";16" in raw and not image.mode.startswith("I"):
            raise UnsupportedClipError(
                f"the image {path.name!r} has 16-bit colours, which would be cut to 8 bits",
                hint="read it with a library that keeps them and pass the uint16 array",
            )


def _stack(pictures: list[npt.NDArray[Any]], names: list[str]) -> npt.NDArray[Any]:
    first = pictures[0]
    for index, picture in enumerate(pictures):
        if (picture.shape, picture.dtype) != (first.shape, first.dtype):
            raise UnsupportedClipError(
                f"images differ: frame 0 ({names[0]}) has shape {first.shape} and dtype {first.dtype}, "
                f"frame {index} ({names[index]}) has shape {picture.shape} and dtype {picture.dtype}",
                hint="give every frame the same size and mode; nothing is resized",
            )
    stacked = np.stack(pictures)
    return stacked[..., np.newaxis] if stacked.ndim == 3 else stacked


def _read_video(path: Path) -> Reading:
    try:
        import av
        import imageio.v3 as iio
    except ImportError as error:
        raise UnsupportedClipError(
            f"reading the video {path.name!r} needs a decoder that is not installed ({error})",
            hint='pip install "seedpin[video]"',
        ) from error
    try:
        with iio.imopen(path, "r", plugin="pyav") as video:
            facts = video.metadata()
            pixels = _pixel_format(av.VideoFormat(facts["video_format"]), path)
            frames = list(video.iter(format=pixels))
    except UnsupportedClipError:
        raise
    except Exception as error:  # PyAV's errors have no common base besides Exception
        raise UnsupportedClipError(
            f"the video {path.name!r} cannot be read: {error}", hint="check that the file is complete"
        ) from error
    if not frames:
        raise EmptyClipError(
            f"the video {path.name!r} holds no frame", hint="check that the file is complete"
        )
    stacked = _stack([np.asarray(frame) for frame in frames], [path.name] * len(frames))
    fps = facts.get("fps")
    return Reading(stacked, float(fps) if fps else None, f"video file {path.name}")


def _pixel_format(stored: Any, path: Path) -> str:
    """The array format that keeps grey, colour or transparency, and the bits, of what is stored."""
    deep = any(part.bits > 8 for part in stored.components)
    alpha = any(part.is_alpha for part in stored.components)
    if alpha and deep:
        raise UnsupportedClipError(
            f"the video {path.name!r} is stored as {stored.name}: more than 8 bits with transparency",
            hint="decode it yourself and pass the array",
        )
    if len(stored.components) == 1 and not stored.is_rgb:
        return "gray16le" if deep else "gray"
    return "rgba" if alpha else "rgb48le" if deep else "rgb24"
