"""Several files written as one: afterwards all are new, or all are as they were, also after Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType

from seedpin.errors import GoldenWriteError

_PREFIX, _SUFFIX = ".seedpin-", ".tmp"


def write_all(sources: Mapping[Path, Path], obsolete: Iterable[Path] = ()) -> None:
    """Writes each target from its source, in the order given, and removes ``obsolete``.

    New content is first complete in temporary files beside the targets; old content stays under a second
    name until the last replacement is done. Callers hold the golden lock.

    Raises:
        GoldenWriteError: the file system refused; what could not be put back is named, and where it lies.
    """
    obsolete = tuple(obsolete)
    with _interrupt_held():
        _write_all(sources, obsolete)
        for folder in {target.parent for target in sources}:  # left by a process that was killed
            _remove(folder.glob(f"{_PREFIX}*{_SUFFIX}"))


def _write_all(sources: Mapping[Path, Path], obsolete: tuple[Path, ...]) -> None:
    folders = sorted({target.parent for target in sources})
    created = [parent for folder in folders for parent in _missing_parents(folder)]
    fresh: dict[Path, Path] = {}
    kept: dict[Path, Path] = {}
    touched: list[Path] = []
    done = False
    lost: list[str] = []
    try:
        try:
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
            for target, source in sources.items():
                fresh[target] = _temporary_name(target)
                _write_copy(source, fresh[target])
                if target.exists():
                    shutil.copymode(target, fresh[target])
            for target in (*sources, *obsolete):
                if target.exists():
                    kept[target] = _temporary_name(target)
                    _write_second_name(target, kept[target])
            for target in (*sources, *obsolete):
                touched.append(target)
                if target in fresh:
                    fresh[target].replace(target)
                else:
                    target.unlink(missing_ok=True)
            done = True
        finally:
            if not done:
                lost = _put_back(touched, kept)
            _remove([*fresh.values(), *kept.values()])
            if not done:
                for parent in created:
                    with contextlib.suppress(OSError):
                        parent.rmdir()
    except OSError as error:
        where = ", ".join(map(str, folders))
        rest = "; ".join(lost) if lost else "nothing was changed"
        raise GoldenWriteError(
            f"goldens could not be written in {where}: {error}; {rest}",
            hint="make room or make the folder writable, then run the update again",
        ) from error


def _put_back(touched: list[Path], kept: dict[Path, Path]) -> list[str]:
    """Undoes what was done to ``touched``; a sentence for each that could not be put back."""
    lost = []
    for target in reversed(touched):
        try:
            if target in kept:
                kept[target].replace(target)
            else:
                target.unlink(missing_ok=True)
        except OSError as error:
            backup = kept.pop(target, None)
            place = f", its old content is in {backup}" if backup is not None else ""
            lost.append(f"{target} could not be put back ({error}){place}")
    return lost


def _missing_parents(folder: Path) -> list[Path]:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    return missing


def _temporary_name(target: Path) -> Path:
    return target.parent / f"{_PREFIX}{os.urandom(8).hex()}{_SUFFIX}"


def _write_copy(source: Path, target: Path) -> None:
    content = source.read_bytes()
    with target.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _write_second_name(target: Path, name: Path) -> None:
    # A link costs no room and works for a file that cannot be read; not every file system has links.
    try:
        name.hardlink_to(target)
    except OSError:
        _write_copy(target, name)
        shutil.copymode(target, name)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _interrupt_held() -> Iterator[None]:
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
