"""Goldens put back as they were before a decision, byte for byte."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from seedpin.errors import StaleGoldenError
from seedpin.goldens.commit import GoldenWrite, write_changes
from seedpin.goldens.manifest import from_json
from seedpin.goldens.store import GoldenKey, digest_or_none
from seedpin.run.decide import ProjectFolders
from seedpin.run.ledger import Run, decision_now


@dataclass(frozen=True, slots=True)
class Saved:
    """Copies of a golden's files in ``folder``, the manifest's last; no names where there was no golden."""

    key: GoldenKey
    folder: Path
    names: tuple[str, ...]


def write_saved(folders: ProjectFolders, key: GoldenKey, folder: Path) -> Saved:
    """Copies the golden of ``key`` into ``folder``, which must not exist. Raises OSError."""
    folder.mkdir(parents=True)
    names = _files(folders.store.manifest_path(key))
    parent = folders.store.manifest_path(key).parent
    for name in names:
        shutil.copyfile(parent / name, folder / name)
    return Saved(key, folder, names)


def write_undone(run: Run, folders: ProjectFolders, check: str, saved: Saved, written: str | None) -> None:
    """Puts a golden back. ``written`` is the digest of the manifest that the decision left.

    Raises:
        StaleGoldenError: the golden changed since the decision.
        GoldenWriteError: the file system refused; nothing was changed.
    """
    target = folders.store.manifest_path(saved.key)
    with folders.store.locked():
        present = digest_or_none(target)
        if present != written:
            raise StaleGoldenError(
                f"{target} changed since it was decided: "
                f"it was {written or 'absent'}, it is {present or 'absent'}",
                hint="restore it from version control",
            )
        manifest = (saved.folder / target.name).read_bytes() if saved.names else None
        payloads = {name: saved.folder / name for name in saved.names if name != target.name}
        write_changes(folders.golden_root, [GoldenWrite(f"{saved.key.stem}.json", manifest, payloads)])
    run.write_decision(decision_now(check, "undo", ""))


def _files(manifest: Path) -> tuple[str, ...]:
    """Names of a golden's files that are there, the manifest's last."""
    if not manifest.is_file():
        return ()
    files = from_json(manifest.read_bytes(), manifest).files.values()
    names = [file.name for file in files if (manifest.parent / file.name).is_file()]
    return (*names, manifest.name)
