"""Tests of seedpin.clip.digest."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from seedpin.clip.clip import Clip
from seedpin.clip.digest import array_digest, clip_digest, file_digest, frame_digests, tensor_digest
from seedpin.errors import UnsupportedClipError


def clip(seed: int = 0, fps: float | None = None) -> Clip:
    rng = np.random.default_rng(seed)
    return Clip(rng.integers(0, 256, (3, 8, 10, 3), dtype=np.uint8), fps=fps)


def test_the_format_is_pinned() -> None:
    """Digests stand in manifests, so their definition may never drift."""
    expected = hashlib.sha256(b"seedpin array 1\nuint8\n2,3\n" + bytes(range(6))).hexdigest()
    assert array_digest(np.arange(6, dtype=np.uint8).reshape(2, 3)) == f"sha256:{expected}"
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", clip_digest(frame_digests(clip())))


def test_one_changed_bit_moves_one_digest() -> None:
    """A frame's digest covers each of its bits and no other frame."""
    frames = clip().frames.copy()
    frames[1, 7, 9, 2] ^= 1
    before, after = frame_digests(clip()), frame_digests(Clip(frames))
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]
    assert clip_digest(before) != clip_digest(after)


def test_dtype_and_shape_are_covered() -> None:
    """The same bytes as another shape or dtype are other pixels."""
    array = np.arange(24, dtype=np.uint16)
    digests = {array_digest(one) for one in (array, array.reshape(4, 6), array.view(np.float16))}
    assert len(digests) == 3
    assert array_digest(np.array([0.0])) != array_digest(np.array([-0.0]))


def test_memory_order_is_not_covered() -> None:
    """Byte order and strides are no pixels."""
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert array_digest(array) == array_digest(array.astype(">f4"))
    assert array_digest(array) == array_digest(np.asfortranarray(array))
    assert array_digest(array[:, ::2]) == array_digest(array[:, ::2].copy())
    assert array_digest(np.array(3.0)) != array_digest(np.array([3.0]))
    assert array_digest(np.zeros((0, 3))) != array_digest(np.zeros((3, 0)))


def test_the_rate_is_not_covered_and_the_order_is() -> None:
    """fps is a fact of its own; swapped frames are another clip."""
    assert frame_digests(clip(fps=8)) == frame_digests(clip())
    digests = frame_digests(clip())
    assert clip_digest(digests) != clip_digest(digests[::-1])


def test_arrays_of_objects_are_refused() -> None:
    """Addresses are no content."""
    with pytest.raises(UnsupportedClipError, match="object"):
        array_digest(np.array([object()]))


def test_file_digest(tmp_path: Path) -> None:
    """A file's digest is that of its bytes."""
    path = tmp_path / "x.bin"
    path.write_bytes(b"abc" * 1_000_000)
    assert file_digest(path) == "sha256:" + hashlib.sha256(b"abc" * 1_000_000).hexdigest()


def test_the_format_of_a_tensors_digest_is_pinned() -> None:
    """Name, dtype and shape are covered beside the bytes; booleans are hashed as such, in their shape."""
    values = np.arange(8, dtype=np.uint8)
    expected = hashlib.sha256(b"a|bfloat16|(2, 2)" + array_digest(values).encode()).hexdigest()
    assert tensor_digest("a", "bfloat16", (2, 2), values) == f"sha256:{expected}"
    flags = np.array([[True, False]])
    expected = hashlib.sha256(b"b|bool|(1, 2)" + array_digest(flags).encode()).hexdigest()
    assert tensor_digest("b", "bool", (1, 2), flags.reshape(-1).view(np.uint8)) == f"sha256:{expected}"
