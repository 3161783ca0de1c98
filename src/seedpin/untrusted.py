"""What others wrote: read from plain files only, so many bytes at most."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

_LARGEST_INTEGER = 1 << 63
_DEEPEST = 100


def read_plain(path: Path, largest: int | None = None) -> bytes:
    """The bytes of a file, following links. To open a pipe or a device instead could block for ever.

    Raises:
        OSError: there is no such file, it is none, or it has more than ``largest`` bytes.
    """
    check_plain(path, largest)
    return path.read_bytes()


def check_plain(path: Path, largest: int | None = None) -> int:
    """The size of a file in bytes. Raises OSError as ``read_plain``."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, not a file", str(path))
    if largest is not None and status.st_size > largest:
        raise OSError(errno.EFBIG, f"it has {status.st_size} bytes, the limit is {largest}", str(path))
    return status.st_size


def parse_json(raw: bytes | str) -> Any:
    """The value that ``raw`` holds, once it is sure that it can be compared, printed and written as JSON.

    Raises:
        ValueError: it is no JSON, or holds NaN, an infinity, an integer beyond 64 bits, half a character, or
            values inside of values a hundred deep.
    """
    try:
        value = json.loads(raw, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(f"values lie more than {_DEEPEST} deep in each other") from None
    _check(value)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _check(value: Any) -> None:
    waiting = [(value, 0)]
    while waiting:
        part, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError(f"values lie more than {_DEEPEST} deep in each other")
        if isinstance(part, str):
            _check_text(part)
        elif isinstance(part, float) and not math.isfinite(part):
            raise ValueError("a number is too large")
        elif isinstance(part, int) and not -_LARGEST_INTEGER <= part < 2 * _LARGEST_INTEGER:
            raise ValueError("an integer has more than 64 bits")
        elif isinstance(part, list):
            waiting += [(one, depth + 1) for one in part]
        elif isinstance(part, dict):
            for key in part:
                _check_text(key)
            waiting += [(one, depth + 1) for one in part.values()]


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"a text holds half a character: {text[:40]!r}") from None
