"""All goldens below a folder: what is there, whether it is whole, and how it is deleted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seedpin.clip.digest import bytes_digest
from seedpin.errors import GoldenError, SeedpinError
from seedpin.goldens.atomic import is_temporary
from seedpin.goldens.commit import GoldenWrite, write_changes
from seedpin.goldens.content import verify_content
from seedpin.goldens.journal import JOURNAL
from seedpin.goldens.manifest import Manifest, from_json
from seedpin.goldens.names import is_payload, key_of_stem, move_command, split_stem
from seedpin.goldens.store import LARGEST_MANIFEST, GoldenKey, GoldenStore, digest_or_none, read_golden
from seedpin.untrusted import read_plain

_MOST_LINKS = 4


@dataclass(frozen=True, slots=True)
class GoldenEntry:
    """One golden: ``stem`` is its path without extension, relative to the root; ``size`` in bytes.

    ``manifest`` is None where it cannot be read; ``problem`` then says why. ``digest`` is that of the
    manifest's bytes.
    """

    stem: str
    path: Path
    device_class: str
    size: int
    manifest: Manifest | None
    problem: str = ""
    digest: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What people call it by: its test, its id, its stem."""
        if self.manifest is None:
            return (self.stem,)
        return self.manifest.test, f"{self.manifest.test}::{self.manifest.check}", self.stem

    @property
    def files(self) -> list[Path]:
        """The golden's files, its manifest last."""
        names = [] if self.manifest is None else [file.name for file in self.manifest.files.values()]
        return [*(self.path.parent / name for name in names), self.path]


@dataclass(frozen=True, slots=True)
class Inventory:
    """``leftovers`` are temporary files of writers that were killed; ``unknown`` belong to no golden."""

    root: Path
    entries: tuple[GoldenEntry, ...] = ()
    leftovers: tuple[Path, ...] = ()
    unknown: tuple[Path, ...] = ()

    def named(self, name: str) -> list[GoldenEntry]:
        """What a test, an id (test and check), a stem or a file of a golden names; else what a part names."""
        path = Path(name)
        if path.is_file():
            there = path.resolve()
            return [entry for entry in self.entries if there in {file.resolve() for file in entry.files}]
        exact = [entry for entry in self.entries if name in entry.names]
        return exact or [entry for entry in self.entries if any(name in text for text in entry.names)]

    def classes(self) -> list[str]:
        return sorted({entry.device_class for entry in self.entries})


def walk_goldens(root: Path) -> Inventory:
    """Every golden below ``root``, where pytest reads it: links are followed. Only manifests are read."""
    files = sorted(golden_files(root))
    entries, owned = [], set()
    for path in files:
        if _is_manifest(path.name):
            entry = _entry(root, path)
            entries.append(entry)
            owned.update(entry.files)
            if entry.manifest is None:  # its files are known by their names alone
                owned.update(
                    other for other in path.parent.glob("*") if other.name.startswith(f"{path.stem}.")
                )
    rest = [path for path in files if path not in owned]
    leftovers = [path for path in rest if _is_leftover(path)]
    return Inventory(
        root, tuple(entries), tuple(leftovers), tuple(path for path in rest if path not in leftovers)
    )


def _is_manifest(name: str) -> bool:
    return name.endswith(".json") and name.count(".") == 2


def _is_leftover(path: Path) -> bool:
    """Whether a writer that was killed left it: the next update of its golden removes it."""
    stem = ".".join(path.name.split(".")[:2])
    return path.name == JOURNAL or is_temporary(path.name) or is_payload(path.name, stem)


def golden_files(root: Path) -> Iterator[Path]:
    """All files below ``root``. Folders that links lead to are walked too, but never in a circle.

    A folder that is named as a manifest is given like a file where no folder of a test lies in it: pytest
    reads it as one. With such folders in it, it is that of a test file, say ``cases.v1.json``.
    """
    waiting: list[tuple[Path, frozenset[Path], int]] = [(root, frozenset(), 0)]
    while waiting:
        folder, above, links = waiting.pop()
        try:
            entries = list(os.scandir(folder))
            above |= {folder.resolve()}
        except OSError:
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir() and _is_manifest(entry.name) and not _holds_folders(path):
                yield path
            if not entry.is_dir():
                yield path
            elif not entry.is_symlink():
                waiting.append((path, above, links))
            elif links < _MOST_LINKS and path.resolve() not in above:
                waiting.append((path, above, links + 1))


def _holds_folders(path: Path) -> bool:
    try:
        return any(entry.is_dir() for entry in os.scandir(path))
    except OSError:
        return False


def _entry(root: Path, path: Path) -> GoldenEntry:
    stem = path.relative_to(root).as_posix().removesuffix(".json")
    device_class = split_stem(path.name)[1]
    try:
        raw = read_plain(path, LARGEST_MANIFEST)
        manifest = from_json(raw, path)
    except (SeedpinError, OSError) as error:
        what = error.what if isinstance(error, SeedpinError) else str(error)
        return GoldenEntry(stem, path, device_class, path.stat().st_size if path.exists() else 0, None, what)
    size = path.stat().st_size + sum(file.bytes for file in manifest.files.values())
    digest = bytes_digest(raw)
    return GoldenEntry(stem, path, device_class, size, manifest, digest=digest)


def verify_entry(entry: GoldenEntry) -> str:
    """Re-reads one golden, its files' digests and its decoded frames'; why it is damaged, or empty."""
    try:
        golden = read_golden(entry.path)
        if golden is None:
            return f"{entry.path} vanished"
        verify_content(golden)
    except (GoldenError, OSError) as error:
        return error.what if isinstance(error, GoldenError) else str(error)
    manifest = golden.manifest
    named = GoldenKey(manifest.test, manifest.check, manifest.device_class).stem
    if named != entry.stem:
        what = _moved(entry, manifest, named)
        return f"{entry.path} is the golden of {manifest.test} ({manifest.check}): {what}"
    return ""


def _moved(entry: GoldenEntry, manifest: Manifest, named: str) -> str:
    """What became of a golden that lies elsewhere than ``named``, and the command with which it follows."""
    root = entry.path.parents[entry.stem.count("/")]
    key = None if (root / f"{named}.json").exists() else key_of_stem(entry.stem)
    if key is None:
        return "it was copied or moved"
    follow = move_command((manifest.test, manifest.check), key)
    return f"it was moved; if its test moved along: {follow}"


def orphans(inventory: Inventory, project: Path) -> list[GoldenEntry]:
    """Goldens whose test file is not there any more."""
    return [
        entry
        for entry in inventory.entries
        if entry.manifest is not None
        and not (project / entry.manifest.test.partition("[")[0].partition("::")[0]).exists()
    ]


def write_pruned(
    store: GoldenStore, entries: Sequence[GoldenEntry], why_not: Callable[[GoldenEntry], str]
) -> Iterator[tuple[GoldenEntry, str]]:
    """Deletes goldens, one after the other, and yields each.

    ``why_not`` is asked once more under the lock: a golden may have come into use, or been written again,
    since it was found unused. What it says is yielded with the golden, which then stays.

    Raises:
        GoldenWriteError: the file system refused; what was not yet deleted stays.
    """
    with store.locked():
        for entry in entries:
            present = digest_or_none(entry.path)
            if present == entry.digest:
                reason = why_not(entry)
            else:
                reason = "it is gone already" if present is None else "it was written again just now"
            if not reason:
                write_changes(store.root, [GoldenWrite(f"{entry.stem}.json", None)])
            yield entry, reason
