"""All goldens below a folder: what is there, whether it is whole, and how it is deleted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seedpin.errors import GoldenError, SeedpinError
from seedpin.goldens.atomic import write_all
from seedpin.goldens.content import verify_content
from seedpin.goldens.manifest import Manifest, from_json
from seedpin.goldens.names import split_stem
from seedpin.goldens.store import GoldenKey, GoldenStore, read_golden


@dataclass(frozen=True, slots=True)
class Entry:
    """One golden: ``stem`` is its path without extension, relative to the root; ``size`` in bytes.

    ``manifest`` is None where it cannot be read; ``problem`` then says why.
    """

    stem: str
    path: Path
    device_class: str
    size: int
    manifest: Manifest | None
    problem: str = ""

    @property
    def files(self) -> list[Path]:
        """The golden's files, its manifest last."""
        names = [] if self.manifest is None else [file.name for file in self.manifest.files.values()]
        return [*(self.path.parent / name for name in names), self.path]


@dataclass(frozen=True, slots=True)
class Inventory:
    """``leftovers`` are temporary files of writers that were killed; ``unknown`` belong to no golden."""

    root: Path
    entries: tuple[Entry, ...] = ()
    leftovers: tuple[Path, ...] = ()
    unknown: tuple[Path, ...] = ()

    def classes(self) -> list[str]:
        return sorted({entry.device_class for entry in self.entries})


def walk_goldens(root: Path) -> Inventory:
    """Every golden below ``root``; only manifests are read. Links are not followed."""
    files = sorted(path for path in root.rglob("*") if path.is_file() or path.is_symlink())
    entries, owned = [], set()
    for path in files:
        if path.suffix == ".json" and path.name.count(".") == 2:
            entry = _entry(root, path)
            entries.append(entry)
            owned.update(entry.files)
            if entry.manifest is None:  # its files are known by their names alone
                owned.update(
                    other for other in path.parent.glob("*") if other.name.startswith(f"{path.stem}.")
                )
    rest = [path for path in files if path not in owned]
    leftovers = [path for path in rest if path.name.startswith(".seedpin-") and path.suffix == ".tmp"]
    return Inventory(
        root, tuple(entries), tuple(leftovers), tuple(path for path in rest if path not in leftovers)
    )


def _entry(root: Path, path: Path) -> Entry:
    stem = path.relative_to(root).as_posix().removesuffix(".json")
    device_class = split_stem(path.name)[1]
    try:
        manifest = from_json(path.read_bytes(), path)
    except (SeedpinError, OSError) as error:
        what = error.what if isinstance(error, SeedpinError) else str(error)
        return Entry(stem, path, device_class, path.stat().st_size if path.exists() else 0, None, what)
    size = path.stat().st_size + sum(file.bytes for file in manifest.files.values())
    return Entry(stem, path, device_class, size, manifest)


def verify_entry(entry: Entry) -> str:
    """Re-reads one golden, its files' digests and its decoded frames'; why it is damaged, or empty."""
    try:
        golden = read_golden(entry.path)
        if golden is None:
            return f"{entry.path} vanished"
        verify_content(golden)
    except (GoldenError, OSError) as error:
        return error.what if isinstance(error, GoldenError) else str(error)
    manifest = golden.manifest
    if GoldenKey(manifest.test, manifest.check, manifest.device_class).stem != entry.stem:
        return f"{entry.path} is the golden of {manifest.test} ({manifest.check}): it was copied or moved"
    return ""


def orphans(inventory: Inventory, project: Path) -> list[Entry]:
    """Goldens whose test file is not there any more."""
    return [
        entry
        for entry in inventory.entries
        if entry.manifest is not None
        and not (project / entry.manifest.test.partition("[")[0].partition("::")[0]).exists()
    ]


def write_pruned(store: GoldenStore, entries: Sequence[Entry]) -> Iterator[Entry]:
    """Deletes goldens, one after the other, and yields each.

    Raises:
        GoldenWriteError: the file system refused; what was not yet deleted stays.
    """
    with store.locked():
        for entry in entries:
            write_all({}, entry.files)
            remove_empty(entry.path.parent, store.root)
            yield entry


def remove_empty(folder: Path, root: Path) -> None:
    """Removes ``folder`` and its parents up to ``root``, itself too, as far as they are empty."""
    with contextlib.suppress(OSError):
        while folder.is_relative_to(root):
            folder.rmdir()
            folder = folder.parent
