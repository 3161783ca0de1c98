"""Frames as a file for other programs: pictures, animations, videos, an array. For people, never for goldens.

What a format cannot hold is converted and told, never silently: whoever looks at an export is to know what it
no longer shows.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from seedpin.clip.clip import Clip, count, short_range
from seedpin.clip.values import eight_bit
from seedpin.errors import ExportError

Pixels = npt.NDArray[np.uint8]

LOSSLESS = frozenset({".png", ".webp"})
STILLS = frozenset({".jpeg", ".jpg"})
VIDEOS = {
    ".mkv": ("libx264", ("-crf", "8")),
    ".mov": ("libx264", ("-crf", "8")),
    ".mp4": ("libx264", ("-crf", "8")),
    ".webm": ("libvpx-vp9", ("-crf", "8", "-b:v", "0")),
}
"""Encoder and its options: a quality at which a difference of a few levels is not smoothed away."""
SUFFIXES = LOSSLESS | STILLS | VIDEOS.keys() | {".gif", ".npy"}

USUAL_RATE = 8.0
"""Frames per second where nobody said; the rate of most small video models."""

_MILLISECONDS = {".gif": 10, ".png": 1, ".webp": 1}
"""The unit of the times between frames."""


def export_clip(clip: Clip, suffix: str, fps: float | None = None) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of a file ``*suffix``, and in words what it does not hold as the clip does.

    suffix: one of `SUFFIXES`. ``.npy`` holds the frames as they are, of shape (T, H, W, C). ``.png`` and
    ``.webp`` hold 8-bit frames exactly, all others are for the eye.
    fps: frames per second, in place of the clip's.

    Raises:
        ExportError: the format is none of these, holds one picture and the clip has several, or its encoder
            is not installed or refuses.
    """
    if suffix not in SUFFIXES:
        raise ExportError(
            f"frames cannot be written as {suffix or 'a file without a suffix'}",
            hint=f"take one of {' '.join(sorted(SUFFIXES))}",
        )
    if suffix == ".npy":
        target = BytesIO()
        np.save(target, clip.frames, allow_pickle=False)
        return target.getvalue(), ()
    if suffix in STILLS and clip.num_frames > 1:
        raise ExportError(
            f"{suffix} holds one picture and the clip has {clip.num_frames} frames",
            hint="choose one with --frame, or take .png, .webp, .gif or .mp4",
        )
    frames, notes = eight_bit(clip.frames, clip.value_range), []
    if clip.dtype != "uint8":
        notes.append(f"{clip.dtype} values of {short_range(clip.value_range)} became 8 bits; .npy keeps them")
    if clip.channels == 4 and suffix not in LOSSLESS:
        frames = _on_white(frames)
        notes.append(f"transparency is shown on white; {' and '.join(sorted(LOSSLESS))} keep it")
    rate = fps or clip.fps
    if clip.num_frames > 1 and rate is None:
        rate = USUAL_RATE
        notes.append(f"nobody said how fast the frames follow each other: {rate:g} fps; --fps says otherwise")
    if suffix in VIDEOS:
        return _video(frames, suffix, rate or USUAL_RATE, notes), tuple(notes)
    return _pictures(frames, suffix, rate, notes), tuple(notes)


def _on_white(frames: Pixels) -> Pixels:
    colour, opacity = frames[..., :3].astype(np.float64), frames[..., 3:].astype(np.float64) / 255
    shown: Pixels = np.rint(colour * opacity + 255 * (1 - opacity)).astype(np.uint8)
    return shown


def _pictures(frames: Pixels, suffix: str, rate: float | None, notes: list[str]) -> bytes:
    """One picture, or an animation."""
    import imageio.v3 as iio

    shown = frames[..., 0] if frames.shape[3] == 1 else frames
    options: dict[str, Any] = {"plugin": "pillow", "extension": suffix}
    if suffix == ".webp":
        options |= {"lossless": True, "exact": True}  # colours under transparent pixels too
    if suffix in STILLS:
        options |= {"quality": 98, "subsampling": 0}
    try:
        if len(frames) == 1:
            data: bytes = iio.imwrite("<bytes>", shown[0], **options)
        else:
            assert rate is not None
            unit = _MILLISECONDS[suffix]
            duration = max(1, round(1000 / rate / unit)) * unit
            data = iio.imwrite("<bytes>", shown, is_batch=True, duration=duration, loop=0, **options)
            written = 1000 / duration
            if abs(written - rate) > 1e-9 * rate:
                notes.append(f"{rate:g} fps became {written:.4g}: {suffix} counts in steps of {unit} ms")
    except (OSError, ValueError) as error:  # WebP has a largest side, for one
        raise ExportError(
            f"{count(len(frames), 'frame')} of {frames.shape[1]}x{frames.shape[2]} cannot be written as "
            f"{suffix}: {error}",
            hint="take .mp4 or .npy",
        ) from error
    if suffix == ".gif":
        notes.append(".gif holds at most 256 colours a frame")
    if suffix in STILLS:
        notes.append(f"{suffix} is lossy; .png is not")
    if len(frames) > 1:
        notes += _after_all(data, frames, suffix)
    return data


def _after_all(data: bytes, frames: Pixels, suffix: str) -> list[str]:
    """What an animation does not hold as the frames do, found by reading it."""
    from PIL import Image, ImageSequence

    differs = (frames[1:] != frames[:-1]).any(axis=(1, 2, 3))
    kept = frames[np.concatenate([[True], differs])]
    with Image.open(BytesIO(data)) as image:
        there = [np.asarray(frame.convert("RGBA")) for frame in ImageSequence.Iterator(image)]
    notes = []
    if len(there) < len(frames):
        repeated = count(len(frames) - len(there), "frame")
        notes.append(f"{repeated} like the one before: {suffix} shows that one longer instead")
    if suffix in LOSSLESS:
        wanted = [np.asarray(Image.fromarray(_shaped(frame)).convert("RGBA")) for frame in kept]
        same = len(there) == len(wanted) and all(map(np.array_equal, there, wanted))
        if not same:  # an animated WebP drops what lies under transparent pixels
            notes.append(f"colours of transparent pixels are not kept by an animation as {suffix}")
    return notes


def _shaped(frame: Pixels) -> Pixels:
    return frame[..., 0] if frame.shape[2] == 1 else frame


def _video(frames: Pixels, suffix: str, rate: float, notes: list[str]) -> bytes:
    try:
        import imageio.v3 as iio
        import imageio_ffmpeg  # noqa: F401  (imageio's error would not say what to install)
    except ImportError as error:
        raise ExportError(
            f"writing {suffix} needs an encoder that is not installed ({error})",
            hint="pip install 'seedpin[video]', or take .webp, .png or .gif",
        ) from error
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        # 4:2:0 is what every player takes; it stores colour for pairs of rows and columns.
        frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        notes.append(f"{height}x{width} became {frames.shape[1]}x{frames.shape[2]}: videos have even sides")
    if frames.shape[3] == 1:
        frames = np.repeat(frames, 3, axis=3)
    encoder, options = VIDEOS[suffix]
    try:
        data: bytes = iio.imwrite(
            "<bytes>",
            frames,
            extension=suffix,
            plugin="FFMPEG",
            fps=rate,
            codec=encoder,
            quality=None,
            macro_block_size=1,  # imageio would resize to a multiple of 16
            pixelformat="yuv420p",
            ffmpeg_log_level="error",
            output_params=list(options),
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ExportError(
            f"ffmpeg did not write {suffix} with {encoder}: {error}",
            hint="take another suffix: .webp, .png or .gif",
        ) from error
    notes.append(f"{suffix} is lossy: it is to look at, not to compare")
    return data


def frame_of(clip: Clip, index: int) -> Clip:
    """Frame ``index`` alone; negative ones count from the end. Raises ExportError where there is none."""
    if not -clip.num_frames <= index < clip.num_frames:
        raise ExportError(
            f"there is no frame {index}: the clip has {count(clip.num_frames, 'frame')}",
            hint=f"name one from 0 to {clip.num_frames - 1}",
        )
    index %= clip.num_frames
    return Clip(clip.frames[index : index + 1], None, clip.value_range, clip.source)
