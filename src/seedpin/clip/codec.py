"""Lossless golden files: a clip to bytes and back, bit for bit.

    8-bit, one frame      webp   one lossless WebP image
    8-bit, more frames    zip    0000.webp, 0001.webp, ... stored
    all other             zip    0000.npy, 0001.npy, ... deflated, each the byte planes of a frame:
                                 uint8 of shape (itemsize, H, W, C), least significant byte first

Planes rather than values, because the exponents of neighbouring floats are alike and their last bits are
not: smooth float32 frames deflate to 72 % rather than 87 %, in half the time.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Mapping
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from seedpin.clip.archive import pack, unpack
from seedpin.clip.clip import CHANNELS, DTYPES, Clip, ranges_of
from seedpin.clip.webp import DECODING, LARGEST_SIDE, check_header, decode_webp, encode_webp
from seedpin.errors import DamagedGoldenError, GoldenError, SeedpinError

LARGEST_CLIP = 1 << 35
"""Bytes that decode() takes at most (32 GiB), whatever a manifest says; no more than half of the machine's
memory either."""

_CONTAINER = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux tells a container's limit, of cgroups 2 and 1."""

_LFS = b"version https://git-lfs.github.com/spec/v1"
RESTORE = (
    "restore the file from version control, or write the golden anew with "
    'pytest --update-golden=all --golden-reason "why"'
)


def encode(clip: Clip) -> tuple[str, bytes]:
    """Extension (without dot) and bytes of ``clip``; the same frames give the same bytes.

    What was made is decoded and compared before it is returned. Raises GoldenError if it differs.
    """
    frames = clip.frames
    if not _as_images(frames.dtype, clip.height, clip.width):
        members = (
            (name, planes_of(frame)) for name, frame in zip(_names(len(frames), "npy"), frames, strict=True)
        )
        extension, data = "zip", pack(members, deflate=True)
    elif len(frames) == 1:
        extension, data = "webp", encode_webp(frames[0])
    else:
        images = (
            (name, encode_webp(one)) for name, one in zip(_names(len(frames), "webp"), frames, strict=True)
        )
        extension, data = "zip", pack(images, deflate=False)
    back = decode(data, extension, clip.facts(), value_range=clip.value_range)
    if not np.array_equal(_bits(back.frames), _bits(frames)):
        raise GoldenError(
            f"{clip!r} did not come back bit for bit from its own encoding; nothing was written",
            hint="check the versions of Pillow and libwebp, then report this",
        )
    return extension, data


def decode(
    source: str | PathLike[str] | bytes,
    extension: str,
    facts: Mapping[str, object],
    *,
    value_range: tuple[float, float] | None = None,
) -> Clip:
    """The clip in ``source``, a path or the bytes themselves, which must be what ``facts`` say.

    ``facts`` as `Clip.facts` gives them bound everything that is read: number, names and sizes of members.
    ``value_range`` is that of floats, (0, 1) if left out. The digests are not checked here.

    Raises DamagedGoldenError for whatever cannot be such a clip: missing, truncated, an LFS pointer, hostile.
    """
    data, what = read_bytes(source)
    try:
        return _decode(data, extension, facts, value_range, what)
    except DamagedGoldenError as error:
        raise DamagedGoldenError(error.what, hint=error.hint or RESTORE) from error
    # Bytes from outside make Pillow, zipfile and numpy raise nearly anything; all of it means damage.
    except Exception as error:
        raise DamagedGoldenError(f"{what} cannot be decoded: {reason_of(error)}", hint=RESTORE) from error


def _decode(
    data: bytes,
    extension: str,
    facts: Mapping[str, object],
    value_range: tuple[float, float] | None,
    what: str,
) -> Clip:
    shape, dtype, fps = _checked_facts(facts, what)
    total, frame_shape = shape[0], shape[1:]
    images = _as_images(dtype, *frame_shape[:2])
    if extension != ("webp" if images and total == 1 else "zip"):
        raise DamagedGoldenError(f"{what} has the extension {extension!r}, which its facts do not call for")
    size = int(np.prod(frame_shape)) * dtype.itemsize
    if extension == "webp":
        check_header(data, frame_shape, what)
    else:
        _check_count(data, total, what)
    frames = np.empty(shape, dtype)
    if extension == "webp":
        frames[0] = decode_webp(data, frame_shape, what)
    elif images:
        # Incompressible WebP is a little longer than its pixels, which are RGB even where they are grey.
        largest = 4 * frame_shape[0] * frame_shape[1] * 5 // 4 + 4096
        names = _names(total, "webp")
        for index, member in enumerate(unpack(data, names, largest, deflate=False, what=what)):
            frames[index] = decode_webp(member, frame_shape, f"{names[index]} in {what}")
    else:
        names = _names(total, "npy")
        for index, member in enumerate(unpack(data, names, size + 4096, deflate=True, what=what)):
            frames[index] = from_planes(member, frame_shape, dtype, f"{names[index]} in {what}")
    frames.flags.writeable = False
    return Clip(frames, fps, value_range or ranges_of(dtype.name)[0], what)


def _checked_facts(
    facts: Mapping[str, object], what: str
) -> tuple[tuple[int, int, int, int], np.dtype[Any], float | None]:
    sizes: list[int] = []
    for key in ("frames", "height", "width", "channels"):
        value = facts.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise DamagedGoldenError(f"the facts of {what} say {key}: {value!r}")
        sizes.append(value)
    name, fps = facts.get("dtype"), facts.get("fps")
    if name not in DTYPES or sizes[3] not in CHANNELS:
        raise DamagedGoldenError(f"the facts of {what} say dtype: {name!r}, channels: {sizes[3]}")
    if fps is not None and not isinstance(fps, (int, float)):
        raise DamagedGoldenError(f"the facts of {what} say fps: {fps!r}")
    dtype = np.dtype(str(name))
    check_memory(decoding_bytes(facts), what, "frames")
    return (sizes[0], sizes[1], sizes[2], sizes[3]), dtype, fps


def decoded_bytes(facts: Mapping[str, object]) -> int:
    """What a clip of these facts takes in memory, in bytes; 0 where they are none."""
    sizes = [facts.get(key) for key in ("frames", "height", "width", "channels")]
    if facts.get("dtype") not in DTYPES or not all(isinstance(size, int) for size in sizes):
        return 0
    return math.prod(cast("list[int]", sizes)) * np.dtype(str(facts["dtype"])).itemsize


def decoding_bytes(facts: Mapping[str, object]) -> int:
    """What decoding a clip of these facts takes at its height, in bytes; 0 where they are none.

    All frames, and besides these what the decoder takes for one, since one is decoded at a time.
    """
    total = decoded_bytes(facts)
    if not total:
        return 0
    frames, height, width = (cast("int", facts[key]) for key in ("frames", "height", "width"))
    if _as_images(np.dtype(str(facts["dtype"])), height, width):
        return total + DECODING * height * width
    return total + 3 * total // max(frames, 1)  # a frame as it was packed, its planes, its values


def check_memory(needed: int, what: str, word: str) -> None:
    """Refuses to decode what would take ``needed`` bytes, if that is too much. Raises DamagedGoldenError."""
    limit = min(LARGEST_CLIP, _memory() // 2)
    if needed > limit:
        raise DamagedGoldenError(
            f"the facts of {what} ask for {needed / 2**30:.1f} GiB of memory to decode its {word}; "
            f"the limit on this machine is {limit / 2**30:.1f}",
            hint=f"if these facts are meant, read it on a machine with more memory; else {RESTORE}",
        )


def _memory() -> int:
    """Bytes of memory that this process may take: the machine's, or its container's where that has less."""
    return min(_machine(), *map(_limit, _CONTAINER))


def _machine() -> int:
    """Bytes of memory of this machine; where that is not told, as many as anything may take."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 2 * LARGEST_CLIP


def _limit(path: str) -> int:
    try:
        return int(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such file, or "max"
        return 2 * LARGEST_CLIP


def _check_count(data: bytes, total: int, what: str) -> None:
    """Refuses a zip of another number of members before anything is made for each."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        count = len(archive.infolist())
    if count != total:
        raise DamagedGoldenError(f"{what} holds {count} members, expected are {total}")


def _as_images(dtype: np.dtype[Any], height: int, width: int) -> bool:
    return dtype == np.uint8 and max(height, width) <= LARGEST_SIDE


def _names(total: int, extension: str) -> list[str]:
    return [f"{index:04d}.{extension}" for index in range(total)]


def planes_of(frame: npt.NDArray[Any]) -> bytes:
    """An array as the bytes of an npy file of its byte planes."""
    little = frame.astype(frame.dtype.newbyteorder("<"), order="C", copy=False)
    planes = np.moveaxis(little.view(np.uint8).reshape(*frame.shape, frame.dtype.itemsize), -1, 0)
    target = BytesIO()
    np.lib.format.write_array(target, np.ascontiguousarray(planes), version=(1, 0), allow_pickle=False)
    return target.getvalue()


def from_planes(data: bytes, shape: tuple[int, ...], dtype: np.dtype[Any], what: str) -> npt.NDArray[Any]:
    """The array of ``shape`` and ``dtype`` that ``planes_of`` made ``data`` of. Raises DamagedGoldenError."""
    stream = BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise DamagedGoldenError(f"{what} is in another version of the npy format")
    stored_shape, fortran, stored = np.lib.format.read_array_header_1_0(stream)
    # Checked before np.load would allocate what the header asks for.
    if stored_shape != (dtype.itemsize, *shape) or fortran or stored != np.uint8:
        raise DamagedGoldenError(
            f"{what} has shape {stored_shape} and dtype {stored}, its facts say otherwise"
        )
    if len(data) - stream.tell() != int(np.prod(stored_shape)):
        raise DamagedGoldenError(
            f"{what} has {len(data) - stream.tell()} bytes of data for shape {stored_shape}"
        )
    planes = np.frombuffer(data, np.uint8, offset=stream.tell()).reshape(stored_shape)
    values = np.ascontiguousarray(np.moveaxis(planes, 0, -1)).view(dtype.newbyteorder("<"))
    frame: npt.NDArray[Any] = values.reshape(shape)
    return frame


def read_bytes(source: str | PathLike[str] | bytes, *, may_be_empty: bool = False) -> tuple[bytes, str]:
    """Bytes and a name for messages. Raises DamagedGoldenError for what cannot be read, or is empty."""
    data, what = (source, "the golden file") if isinstance(source, bytes) else (b"", str(source))
    if not isinstance(source, bytes):
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise DamagedGoldenError(
                f"{what} cannot be read: {error.strerror or error}", hint=RESTORE
            ) from error
    if data.startswith(_LFS):
        raise DamagedGoldenError(
            f"{what} is a Git LFS pointer, the file itself was never fetched", hint="git lfs pull"
        )
    if not data and not may_be_empty:
        raise DamagedGoldenError(f"{what} is empty", hint=RESTORE)
    return data, what


def _bits(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return array.reshape(-1).view(np.uint8)


def reason_of(error: BaseException) -> str:
    if isinstance(error, SeedpinError):
        return error.what
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
