"""Goldens changed as one: at every instant, also after a kill, the next reader finds all old or all new.

Payloads are named after their content and come first; they disturb no golden that is there. Then one rename
decides: that of the manifest where one golden changes, that of the journal where several do. What follows a
journal can be finished by anyone. Payloads that no manifest names go last.

Everybody who calls this holds the golden lock.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seedpin.clip.digest import file_digest
from seedpin.errors import DamagedGoldenError, GoldenWriteError, NewerFormatError
from seedpin.goldens.atomic import (
    interrupt_held,
    is_temporary,
    remove,
    remove_folders,
    sync_folder,
    write_folders,
    write_replaced,
    write_temporary,
)
from seedpin.goldens.journal import JOURNAL, journal_bytes, read_journal
from seedpin.goldens.manifest import from_json
from seedpin.goldens.names import is_payload
from seedpin.untrusted import read_plain


@dataclass(frozen=True, slots=True)
class GoldenWrite:
    """One golden: its manifest's path relative to the golden folder, with ``/``, and what it becomes.

    ``manifest`` is the new manifest's bytes, None to delete the golden. ``payloads`` are the files that stand
    beside it, by name, and where each is copied from.
    """

    path: str
    manifest: bytes | None
    payloads: Mapping[str, Path] = field(default_factory=dict)


def write_changes(root: Path, changes: Sequence[GoldenWrite]) -> None:
    """Makes all ``changes`` below the golden folder ``root``, or none.

    Raises:
        GoldenWriteError: the file system refused. Nothing was changed; or, where not even that could be had,
            the message names the journal with which the next reader finishes.
    """
    if not changes:
        return
    with interrupt_held():
        _Commit(root, tuple(changes)).write()


def write_completed(root: Path) -> bool:
    """Finishes what the journal of a process that was killed tells; whether there was one.

    Raises:
        DamagedGoldenError, NewerFormatError: the journal cannot be read.
        GoldenWriteError: the file system refused; the journal stays.
    """
    contents = read_journal(root)
    if contents is None:
        return False
    with interrupt_held():
        try:
            write_folders(root.joinpath(path).parent for path, new in contents.items() if new is not None)
            for path, content in contents.items():
                target = root / path
                if content is None:
                    target.unlink(missing_ok=True)
                elif _present(target) != content:
                    write_replaced(target, content)
            _close(root, contents)
        except OSError as error:
            raise GoldenWriteError(
                f"an update of goldens below {root} that was interrupted could not be finished: {error}",
                hint=f"make {root} writable, then run again",
            ) from error
        _sweep(root, contents)
    return True


class _Commit:
    """One commit under way, with what it takes to undo it."""

    def __init__(self, root: Path, changes: tuple[GoldenWrite, ...]) -> None:
        self.root = root
        self.contents = {change.path: change.manifest for change in changes}
        self.changes = changes
        self.created: list[Path] = []
        self.temporaries: dict[str, Path] = {}
        self.placed: list[Path] = []
        self.before: dict[str, bytes | None] = {}
        self.journal = False
        self.touched: list[str] = []

    def write(self) -> None:
        done = False
        left = ""
        try:
            try:
                self._prepare()
                if len(self.changes) > 1:
                    # Set first: whether a rename that failed took place is for the disk to say.
                    self.journal = True
                    write_replaced(self.root / JOURNAL, journal_bytes(self.contents))
                    sync_folder(self.root)
                self._apply()
                if self.journal:
                    _close(self.root, self.contents)
                done = True
            finally:
                if not done:
                    left = self._undo()
        except OSError as error:
            where = ", ".join(sorted({str((self.root / path).parent) for path in self.contents}))
            raise GoldenWriteError(
                f"goldens could not be written in {where}: {error}; {left or 'nothing was changed'}",
                hint="make room or make the folder writable, then run the update again",
            ) from error
        _sweep(self.root, self.contents)

    def _prepare(self) -> None:
        """Payloads in their places, new manifests beside the old ones; nobody reads either yet."""
        folders = {(self.root / change.path).parent for change in self.changes if change.manifest is not None}
        self.created = write_folders([self.root, *sorted(folders)])
        for change in self.changes:
            target = self.root / change.path
            self.before[change.path] = _present(target)
            for name in sorted(change.payloads):
                self._place(target, target.parent / name, change.payloads[name])
            if change.manifest is not None:
                self.temporaries[change.path] = write_temporary(target.parent, change.manifest)
                if target.exists():
                    shutil.copymode(target, self.temporaries[change.path])
        for folder in folders:
            sync_folder(folder)

    def _place(self, manifest: Path, target: Path, source: Path) -> None:
        there = target.is_file()
        if there:
            digest = file_digest(source)
            if file_digest(target) == digest:
                return
            # What is no more than damaged may be put right; what the golden in place means may not go yet.
            if _recorded(manifest).get(target.name, digest) != digest:
                raise FileExistsError(f"{target} belongs to the golden that is to be replaced")
        temporary = write_temporary(target.parent, source)
        try:
            if not there:
                self.placed.append(target)
            temporary.replace(target)
        finally:
            remove([temporary])

    def _apply(self) -> None:
        for path in self.contents:
            self.touched.append(path)
            target = self.root / path
            if path in self.temporaries:
                self.temporaries[path].replace(target)
            else:
                target.unlink(missing_ok=True)
        for folder in {(self.root / path).parent for path in self.contents}:
            sync_folder(folder)

    def _undo(self) -> str:
        """Puts everything back, the journal last; what could not be, in words."""
        try:
            for path in reversed(self.touched):
                old = self.before[path]
                if old is None:
                    (self.root / path).unlink(missing_ok=True)
                elif _present(self.root / path) != old:
                    write_replaced(self.root / path, old)
            if self.journal:
                (self.root / JOURNAL).unlink(missing_ok=True)
                sync_folder(self.root)
        except OSError as error:
            if self.journal and (self.root / JOURNAL).exists():
                return (
                    f"that could not be undone either ({error}), so {self.root / JOURNAL} keeps what is left "
                    "to do: the next run that can write here makes all of them new"
                )
            return f"the golden {self.touched[-1]} is the new one, which could not be undone ({error})"
        finally:
            remove(self.temporaries.values())
        remove(self.placed)
        remove_folders(self.created)
        return ""


def _close(root: Path, contents: Iterable[str]) -> None:
    """Removes the journal once all that it tells has reached the disk."""
    for folder in {(root / path).parent for path in contents}:
        sync_folder(folder)
    (root / JOURNAL).unlink()
    sync_folder(root)


def _sweep(root: Path, contents: Mapping[str, bytes | None]) -> None:
    """Removes what no manifest names any more, and what processes that were killed left in these folders."""
    for path, content in contents.items():
        target = root / path
        kept = set() if content is None else _names(content, target)
        if kept is not None:
            stem = target.name.removesuffix(".json")
            try:
                others = [other for other in target.parent.iterdir() if other.name not in kept]
            except OSError:
                continue
            remove(other for other in others if is_payload(other.name, stem) or is_temporary(other.name))
        if content is None:
            remove_empty(target.parent, root)
    if root.is_dir():
        remove(path for path in root.iterdir() if is_temporary(path.name))


def remove_empty(folder: Path, root: Path) -> None:
    """Removes ``folder`` and its parents up to ``root``, itself too, as far as they are empty."""
    while folder.is_relative_to(root):
        remove_folders([folder])
        if folder.exists():
            return
        folder = folder.parent


def _names(manifest: bytes, path: Path) -> set[str] | None:
    try:
        return {file.name for file in from_json(manifest, path).files.values()}
    except (DamagedGoldenError, NewerFormatError):
        return None


def _recorded(manifest: Path) -> dict[str, str]:
    """Payload names of the golden in place to their digests; empty where it cannot be read."""
    raw = _present(manifest)
    try:
        files = {} if raw is None else from_json(raw, manifest).files
    except (DamagedGoldenError, NewerFormatError):
        return {}
    return {file.name: file.digest for file in files.values()}


def _present(path: Path) -> bytes | None:
    try:
        return read_plain(path)
    except FileNotFoundError:
        return None
