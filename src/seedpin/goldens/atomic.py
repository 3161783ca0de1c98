"""Single steps on disk that a kill or a loss of power cannot tear, and Ctrl-C held back meanwhile."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType

_PREFIX, _SUFFIX = ".seedpin-", ".tmp"


def is_temporary(name: str) -> bool:
    """Whether ``name`` is one that ``write_temporary`` gives; what bears it was left by a killed process."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def write_temporary(folder: Path, content: bytes | Path) -> Path:
    """A new file in ``folder`` with ``content`` (of a file, if it is a path) that has reached the disk."""
    path = folder / f"{_PREFIX}{os.urandom(8).hex()}{_SUFFIX}"
    done = False
    try:
        with path.open("xb") as stream:
            if isinstance(content, bytes):
                stream.write(content)
            else:
                with content.open("rb") as source:
                    shutil.copyfileobj(source, stream, 1 << 20)
            stream.flush()
            os.fsync(stream.fileno())
        done = True
    finally:
        if not done:
            remove([path])
    return path


def write_replaced(path: Path, content: bytes) -> None:
    """``content`` in the place of ``path``, whose permissions stay; at every instant it is old or new."""
    temporary = write_temporary(path.parent, content)
    try:
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    finally:
        remove([temporary])


def write_folders(folders: Iterable[Path]) -> list[Path]:
    """Makes folders with their parents, and gives those that were not there, innermost first.

    What was made before an OSError is removed again.
    """
    created: list[Path] = []
    try:
        for folder in folders:
            for path in reversed([folder, *folder.parents]):
                if not path.exists():
                    path.mkdir()
                    created.insert(0, path)
                    sync_folder(path.parent)
    except OSError:
        remove_folders(created)
        raise
    return created


def sync_folder(folder: Path) -> None:
    """Makes renames in ``folder`` survive a loss of power, where the file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove(paths: Iterable[Path]) -> None:
    """Removes files, as far as that is possible."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def remove_folders(folders: Iterable[Path]) -> None:
    """Removes folders, as far as they are empty."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


@contextlib.contextmanager
def interrupt_held() -> Iterator[None]:
    """Keeps Ctrl-C until the block's end. Only the main thread gets it, and only there can it be held."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[tuple[int, FrameType | None]] = []
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, lambda number, frame: caught.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)
        if caught and callable(before):
            before(*caught[0])
