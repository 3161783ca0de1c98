"""One 8-bit frame as lossless WebP: any browser shows it, and the bits come back as they were."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, WebPImagePlugin

from seedpin.errors import DamagedGoldenError

LARGEST_SIDE = 16383
"""Pixels a side that the format can hold."""

DECODING = 24
"""Bytes of memory for each pixel at the height of decoding: libwebp has two canvases and its own picture, of
4 each, Pillow copies of these. benchmarks/webp_memory.py measured 18.0 to 24.0 (Pillow 13.0)."""

_HEADER = 25
_LIMIT_LOCK = threading.Lock()


def encode_webp(frame: npt.NDArray[np.uint8]) -> bytes:
    """A frame (H, W, C) of uint8, C in {1, 3, 4}, neither side above ``LARGEST_SIDE``.

    Grey is stored as RGB, since the format has no grey. ``exact`` keeps colours under transparent pixels.
    """
    colours = np.repeat(frame, 3, axis=2) if frame.shape[2] == 1 else frame
    target = BytesIO()
    Image.fromarray(colours).save(target, "WEBP", lossless=True, exact=True, method=0)
    return target.getvalue()


def decode_webp(data: bytes, shape: tuple[int, int, int], what: str) -> npt.NDArray[Any]:
    """The frame of ``shape`` (H, W, C) in ``data``.

    The header is compared with ``shape`` before anything is decoded, so that a small file cannot ask for a
    lot of memory. Raises DamagedGoldenError, and what Pillow raises for damaged bytes.
    """
    check_header(data, shape, what)
    with _sized(shape[0] * shape[1]), WebPImagePlugin.WebPImageFile(BytesIO(data)) as image:
        pixels = np.asarray(image)
    if pixels.shape == (*shape[:2], 3) and shape[2] == 4:
        # An encoder leaves out a channel of transparency that is opaque everywhere.
        return np.dstack([pixels, np.full(shape[:2], 255, np.uint8)])
    if pixels.shape == (*shape[:2], 3) and shape[2] == 1:
        if not ((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all()):
            raise DamagedGoldenError(f"{what} has colours, and its facts say grey")
        return pixels[..., :1]
    if pixels.shape != shape:
        raise DamagedGoldenError(f"{what} has shape {pixels.shape}, its facts say {shape}")
    return pixels


@contextmanager
def _sized(pixels: int) -> Iterator[None]:
    """Lift Pillow's limit on pixels for a picture that is above it and whose size is known to be right."""
    if Image.MAX_IMAGE_PIXELS is None or pixels <= Image.MAX_IMAGE_PIXELS:
        yield
        return
    # The limit is global: without the lock two threads could each restore what the other had set.
    with _LIMIT_LOCK:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def check_header(data: bytes, shape: tuple[int, int, int], what: str) -> None:
    """Compares what a WebP file's header says with ``shape`` (H, W, C). Raises DamagedGoldenError."""
    # RIFF container: "RIFF", size, "WEBP", then one chunk "VP8L", size, 0x2f, 14 bits of width - 1,
    # 14 bits of height - 1 (developers.google.com/speed/webp/docs/webp_lossless_bitstream_specification).
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise DamagedGoldenError(f"{what} is not a WebP image")
    declared = int.from_bytes(data[4:8], "little") + 8
    if declared > len(data):
        raise DamagedGoldenError(f"{what} is truncated: {len(data)} of {declared} bytes")
    if declared < len(data):
        raise DamagedGoldenError(f"{what} has {len(data) - declared} bytes too many")
    if len(data) < _HEADER or data[12:16] != b"VP8L" or data[20] != 0x2F:
        raise DamagedGoldenError(f"{what} is not a lossless WebP image")
    packed = int.from_bytes(data[21:25], "little")
    width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if (height, width) != shape[:2]:
        raise DamagedGoldenError(f"{what} is {height}x{width}, its facts say {shape[0]}x{shape[1]}")
