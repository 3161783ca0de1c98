"""Goldens on disk: where they lie, how they are read and how they are written, all or nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from seedpin.clip.digest import bytes_digest, clip_digest, file_digest
from seedpin.errors import (
    DamagedGoldenError,
    GoldenWriteError,
    KindError,
    StaleGoldenError,
    UnknownKindError,
)
from seedpin.goldens.atomic import remove
from seedpin.goldens.commit import GoldenWrite, write_changes, write_completed
from seedpin.goldens.journal import JOURNAL, read_journal
from seedpin.goldens.manifest import (
    FORMAT,
    LFS_POINTER,
    WRITE_ANEW,
    FileRecord,
    Manifest,
    from_json,
    to_json,
)
from seedpin.goldens.names import (
    check_stem,
    golden_folder,
    is_payload,
    move_command,
    payload_name,
    split_stem,
)
from seedpin.kinds.registry import kind_named
from seedpin.untrusted import check_plain, read_plain

LARGEST_MANIFEST = 1 << 26
"""Bytes; some 900,000 frames have a manifest of this size."""

_LOCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class GoldenKey:
    """What names a golden: the test's node id, the check's name and the device class."""

    test: str
    check: str
    device_class: str

    @property
    def stem(self) -> str:
        """Path of the golden without its extension, relative to the golden folder, with ``/``."""
        return f"{golden_folder(self.test)}/{check_stem(self.check, self.device_class)}"


@dataclass(frozen=True, slots=True)
class Golden:
    """A golden as it was read: its manifest, that file's path and the digest of that file's bytes."""

    manifest: Manifest
    path: Path
    manifest_digest: str

    def file(self, role: str) -> Path:
        return self.path.parent / self.manifest.files[role].name


@dataclass(frozen=True, slots=True)
class StagedGolden:
    """A golden that waits to be written: its staged manifest, its key, and what it replaces.

    ``expected`` is the digest of the manifest that the decision was based on, None for no golden; with
    ``force`` the golden is replaced whatever it has become.
    """

    staged: Path
    key: GoldenKey
    expected: str | None
    force: bool = False


class GoldenStore:
    """The goldens below one folder. ``state`` is the ``.seedpin`` folder, where the lock lies."""

    def __init__(self, root: Path, state: Path) -> None:
        self.root = root
        self.state = state

    def manifest_path(self, key: GoldenKey) -> Path:
        return self.root / f"{key.stem}.json"

    def read(self, key: GoldenKey) -> Golden | None:
        """The golden of ``key`` with its files' digests verified; None where there is none.

        An update that was interrupted is finished first. Raises DamagedGoldenError, NewerFormatError as
        ``read_golden``.
        """
        try:
            return self._read(key)
        except DamagedGoldenError:
            # Another process may have been in the middle of an update; with the lock nobody is.
            with contextlib.suppress(GoldenWriteError), self.locked():
                return self._read(key)
            raise

    def _read(self, key: GoldenKey) -> Golden | None:
        path = self.manifest_path(key)
        # The journal is there for moments only, and whoever misses it by one reads what was before it.
        under_way = (read_journal(self.root) or {}) if os.path.lexists(self.root / JOURNAL) else {}
        name = f"{key.stem}.json"
        if name in under_way:
            try:
                self.write_settled()
            except GoldenWriteError:
                # Nothing can be written here; what the journal tells is as good as done.
                raw = under_way[name]
                golden = None if raw is None else golden_of(raw, path)
            else:
                golden = read_golden(path)
        else:
            golden = read_golden(path)
        if golden is None:
            return None
        manifest = golden.manifest
        named = GoldenKey(manifest.test, manifest.check, manifest.device_class)
        if named != key:
            hint = f"{restore(golden.path)}, or {WRITE_ANEW}"
            moved = named.device_class == key.device_class and not self.manifest_path(named).exists()
            if moved:
                follow = move_command((named.test, named.check), (key.test, key.check))
                hint = f"if its files were moved along with the test: {follow}; else {hint}"
            raise DamagedGoldenError(
                f"{golden.path} is the golden of {_told(named)}, not of {_told(key)}: "
                f"it was {'moved' if moved else 'copied or moved'}",
                hint=hint,
            )
        return golden

    def write_settled(self) -> None:
        """Finishes what a process that was killed while it wrote goldens left, if one did.

        Raises:
            GoldenWriteError: the file system refused, or another process held the lock for a minute.
            DamagedGoldenError, NewerFormatError: what it left cannot be read.
        """
        if read_journal(self.root) is not None:
            with self.locked():
                pass  # whoever takes the lock finishes first

    def device_classes(self, test: str, check: str) -> tuple[str, ...]:
        """Device classes for which this check has a golden, sorted."""
        folder = self.root / golden_folder(test)
        wanted = check_stem(check, "x").partition(".")[0]
        classes = set()
        for path in folder.glob("*.json"):
            name, device_class = split_stem(path.name)
            if name == wanted and path.name.count(".") == 2:
                classes.add(device_class)
        return tuple(sorted(classes))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the lock that makes writers under the golden folder take turns; all is settled then.

        Raises:
            GoldenWriteError: another process held it for a minute, its file cannot be written, or what a
                process that was killed left cannot be finished.
            DamagedGoldenError, NewerFormatError: what it left cannot be read.
        """
        path = self.state / "golden.lock"
        lock = FileLock(path, timeout=_LOCK_SECONDS)
        try:
            self.state.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise GoldenWriteError(
                f"another process has been writing goldens below {self.root} for {_LOCK_SECONDS:.0f} s",
                hint=f"wait for it, or delete {path} if none runs",
            ) from error
        except OSError as error:
            raise GoldenWriteError(
                f"the lock {path} could not be taken: {error}; nothing was changed",
                hint=f"make {self.state} writable, then run the update again",
            ) from error
        try:
            write_completed(self.root)
            yield
        finally:
            lock.release()

    def write_goldens(self, changes: Sequence[StagedGolden]) -> None:
        """Puts staged goldens in their places. Afterwards either all are the new ones or none is.

        Raises:
            StaleGoldenError: a golden is not the expected one any more (not with ``force``).
            NewerFormatError: a golden in place was written by a newer seedpin.
            GoldenWriteError: the file system refused.
        """
        with self.locked():
            write_changes(self.root, [self._change(change) for change in changes])

    def _change(self, change: StagedGolden) -> GoldenWrite:
        target = self.manifest_path(change.key)
        try:
            staged = from_json(change.staged.read_bytes(), change.staged)
        except OSError as error:
            raise GoldenWriteError(
                f"the clip that was to become {target} cannot be read: {error}; nothing was changed",
                hint="run the update again",
            ) from error
        _check_expected(target, staged, change)
        payloads = {file.name: change.staged.parent / file.name for file in staged.files.values()}
        return change_of(change.key, staged, payloads)


def change_of(key: GoldenKey, manifest: Manifest, payloads: Mapping[str, Path]) -> GoldenWrite:
    """The golden ``key`` with this manifest, in the present format.

    ``payloads`` says where each file that the manifest names lies now.
    """
    stem = check_stem(key.check, key.device_class)
    files = {
        role: dataclasses.replace(
            file, name=payload_name(stem, file.digest, file.name.rpartition(".")[2].lower())
        )
        for role, file in manifest.files.items()
    }
    content = to_json(dataclasses.replace(manifest, files=files, format=FORMAT))
    sources = {files[role].name: payloads[file.name] for role, file in manifest.files.items()}
    return GoldenWrite(f"{key.stem}.json", content.encode("utf-8"), sources)


def _check_expected(target: Path, staged: Manifest, change: StagedGolden) -> None:
    """Refuses to replace a golden that is not the one that the decision was based on."""
    present, old = None, None
    if target.is_file():
        try:
            present = digest_or_none(target)
            old = from_json(_bytes_of(target), target)
        except DamagedGoldenError:
            if not change.force:
                raise
    if present != change.expected and not change.force and (old is None or old.digest != staged.digest):
        raise StaleGoldenError(
            f"{target} changed since this run read it "
            f"(was {change.expected or 'absent'}, is {present or 'absent'})",
            hint="run the test again, then update",
        )


def read_golden(path: Path) -> Golden | None:
    """The golden whose manifest is ``path``, its sibling files verified; None where there is no such file.

    Raises:
        NewerFormatError: a newer seedpin wrote it.
        DamagedGoldenError: the manifest or a file beside it is absent, truncated, tampered with or an LFS
            pointer.
    """
    try:
        raw = _bytes_of(path)
    except FileNotFoundError:
        return None
    return golden_of(raw, path)


def golden_of(raw: bytes, path: Path) -> Golden:
    """As ``read_golden``, of a manifest whose bytes were read already."""
    manifest = from_json(raw, path)
    count = len(manifest.frame_digests)
    if clip_digest(manifest.frame_digests) != manifest.digest or _told_count(manifest) not in (None, count):
        raise DamagedGoldenError(
            f"{path} contradicts itself: its digest is not that of its {count} frame digests; it was changed",
            hint=f"{restore(path)}, or {WRITE_ANEW}",
        )
    for record in manifest.files.values():
        _verify_file(path.parent / record.name, record)
    return Golden(manifest, path, bytes_digest(raw))


def _told_count(manifest: Manifest) -> object:
    """How many digests there are to be; None of a kind that is not to be had here."""
    try:
        return kind_named(manifest.kind).count(manifest.facts)
    except (UnknownKindError, KindError):
        return None


def digest_or_none(path: Path) -> str | None:
    """The digest of a file's bytes; None where there is no file that can be read."""
    try:
        return file_digest(path)
    except OSError:
        return None


def _bytes_of(path: Path) -> bytes:
    try:
        return read_plain(path, LARGEST_MANIFEST)
    except FileNotFoundError:
        raise
    except IsADirectoryError:
        raise DamagedGoldenError(
            f"{path} is a folder, not a manifest", hint=f"remove it, then {restore(path)}, or {WRITE_ANEW}"
        ) from None
    except OSError as error:
        raise DamagedGoldenError(
            f"{path} cannot be read: {error}", hint=f"check its permissions, or {WRITE_ANEW}"
        ) from error


def _told(key: GoldenKey) -> str:
    return f"{key.test} ({key.check}, {key.device_class})"


def restore(path: Path) -> str:
    return f"restore it from version control (git checkout -- '{path}')"


def _verify_file(path: Path, record: FileRecord) -> None:
    again = f"{restore(path)}, or {WRITE_ANEW}"
    try:
        size = check_plain(path)
        digest = file_digest(path)
        with path.open("rb") as stream:
            head = stream.read(len(LFS_POINTER))
    except FileNotFoundError:
        raise DamagedGoldenError(f"{path} is missing though its manifest names it", hint=again) from None
    except OSError as error:
        raise DamagedGoldenError(
            f"{path} cannot be read: {error}", hint=f"check its permissions, or {WRITE_ANEW}"
        ) from error
    if head == LFS_POINTER:
        raise DamagedGoldenError(f"{path} is a Git LFS pointer, not the frames", hint="git lfs pull")
    if size != record.bytes:
        raise DamagedGoldenError(
            f"{path} has {size} bytes, its manifest says {record.bytes}: truncated or replaced", hint=again
        )
    if digest != record.digest:
        raise DamagedGoldenError(
            f"{path} does not match its digest in the manifest: it was changed", hint=again
        )


def write_staged(
    folder: Path, stem: str, manifest: Manifest, contents: Mapping[str, tuple[str, bytes]]
) -> Path:
    """Writes a golden under ``folder`` (never the golden folder itself) and returns its manifest's path.

    It takes the place of one that was written there before.

    ``contents`` maps each role (its kind's, "trace") to an extension and the file's bytes; the
    manifest's ``files`` are filled from it.

    Raises:
        GoldenWriteError: the file system refused; what was begun is removed.
    """
    target = folder / f"{stem}.json"
    name = target.name.removesuffix(".json")
    files = {}
    for role, (extension, content) in contents.items():
        digest = bytes_digest(content)
        files[role] = FileRecord(payload_name(name, digest, extension), digest, len(content))
    written: list[Path] = []
    done = False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        names = {file.name for file in files.values()}
        former = (path for path in target.parent.iterdir() if is_payload(path.name, name))
        left = [path for path in former if path.name not in names]
        if left:
            remove(left)
        for role, (_, content) in contents.items():
            path = target.parent / files[role].name
            written.append(path)
            path.write_bytes(content)
        written.append(target)
        target.write_text(
            to_json(dataclasses.replace(manifest, files=files, format=FORMAT)), encoding="utf-8"
        )
        done = True
    except OSError as error:
        raise GoldenWriteError(
            f"the obtained clip could not be kept below {folder}: {error}",
            hint="make room on the disk, then run again",
        ) from error
    finally:
        for path in () if done else written:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
    return target
