"""Digests of pixels and of files: ``sha256:`` and 64 hexadecimal digits.

A pixel digest covers dtype, shape and values (little-endian, C order), never an encoded file, so
that another encoder version cannot move it. The rate of a clip is no pixel and not covered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seedpin.clip.clip import Clip
from seedpin.errors import UnsupportedClipError


def array_digest(array: npt.NDArray[Any]) -> str:
    """Digest of one array of numbers or booleans, of any shape.

    Raises UnsupportedClipError for arrays of Python objects, whose bytes are addresses.
    """
    if array.dtype.hasobject:
        raise UnsupportedClipError(
            f"an array of dtype {array.dtype} has no bytes to take a digest of",
            hint="pass an array of numbers",
        )
    little = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    header = f"seedpin array 1\n{array.dtype.name}\n{','.join(map(str, array.shape))}\n"
    state = hashlib.sha256(header.encode("ascii"), usedforsecurity=False)
    # A view as bytes: memoryview.cast refuses empty arrays and some dtypes.
    state.update(little.reshape(-1).view(np.uint8).data)
    return f"sha256:{state.hexdigest()}"


def frame_digests(clip: Clip) -> tuple[str, ...]:
    """One digest per frame, each over its (H, W, C) values."""
    return tuple(array_digest(frame) for frame in clip.frames)


def clip_digest(digests: Iterable[str]) -> str:
    """Digest of a clip from the digests of its frames, in order."""
    lines = "\n".join(["seedpin clip 1", *digests, ""])
    return bytes_digest(lines.encode("ascii"))


def tensor_digest(name: str, dtype: str, shape: tuple[int, ...], values: npt.NDArray[np.uint8]) -> str:
    """Digest of a named tensor, over name, dtype, shape and ``values``: its bytes, flat and uint8.

    dtype: as torch names it ("bfloat16"), whether NumPy knows it or not.
    """
    head = f"{name}|{dtype}|{shape}".encode()
    content = array_digest(values.view(np.bool_).reshape(shape) if dtype == "bool" else values)
    return bytes_digest(head + content.encode())


def bytes_digest(content: bytes) -> str:
    """Digest of a file's bytes that were read already."""
    return f"sha256:{hashlib.sha256(content, usedforsecurity=False).hexdigest()}"


def file_digest(path: str | PathLike[str]) -> str:
    """Digest of a file's bytes. Raises OSError where it cannot be read."""
    state = hashlib.sha256(usedforsecurity=False)
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            state.update(block)
    return f"sha256:{state.hexdigest()}"
