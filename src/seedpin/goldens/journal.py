"""The journal: what a commit of several goldens is about to do, kept beside them until it is done.

It holds the new manifests whole, so that whoever comes next can finish the work, or read past it where
nothing can be written. It lies in the golden folder itself: a checkout that got it by accident is whole, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from seedpin.clip.digest import bytes_digest
from seedpin.errors import DamagedGoldenError, NewerFormatError
from seedpin.records import as_plain, read_record
from seedpin.untrusted import read_plain

JOURNAL = ".seedpin-journal"

_FORMAT = 1
_LARGEST = 1 << 28


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A golden's manifest, relative to the golden folder, and its new text; None where it is to go."""

    path: str
    manifest: str | None


@dataclass(frozen=True, slots=True)
class Journal:
    """All that a commit is about to do; ``digest`` is that of ``goldens``."""

    digest: str
    goldens: tuple[JournalEntry, ...]
    format: int = _FORMAT


@dataclass(frozen=True, slots=True)
class _Version:
    format: int


def journal_bytes(contents: Mapping[str, bytes | None]) -> bytes:
    """The journal's content: for each manifest, relative to the golden folder, its new bytes or None."""
    goldens = tuple(
        JournalEntry(path, None if content is None else content.decode("utf-8"))
        for path, content in contents.items()
    )
    data = as_plain(Journal(_digest(goldens), goldens))
    return (json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8")


def read_journal(root: Path) -> dict[str, bytes | None] | None:
    """What ``journal_bytes`` was given; None where nothing is under way below ``root``.

    Raises:
        NewerFormatError: a newer seedpin wrote it.
        DamagedGoldenError: it cannot be read, or would lead out of the golden folder.
    """
    path = root / JOURNAL
    try:
        raw = read_plain(path, _LARGEST)
        version = read_record(_Version, raw).format
        if version > _FORMAT:
            raise NewerFormatError(
                f"{path} has format {version}; this seedpin reads up to {_FORMAT}",
                hint="pip install --upgrade seedpin",
            )
        journal = read_record(Journal, raw)
        if journal.digest != _digest(journal.goldens):
            raise ValueError("its digest does not match")
        return {_checked(entry.path): _content(entry.manifest) for entry in journal.goldens}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise DamagedGoldenError(
            f"{path}, which an interrupted update left, cannot be read: {error}",
            hint=f"delete it (rm '{path}') and restore the goldens from version control "
            f"(git checkout -- '{root}')",
        ) from error


def _digest(goldens: Sequence[JournalEntry]) -> str:
    text = json.dumps([as_plain(entry) for entry in goldens], sort_keys=True, ensure_ascii=True)
    return bytes_digest(text.encode("ascii"))


def _content(manifest: str | None) -> bytes | None:
    return None if manifest is None else manifest.encode("utf-8")


def _checked(path: str) -> str:
    """``path``, once it is sure that it names a manifest below the golden folder."""
    parts = PurePosixPath(path).parts
    if path != "/".join(parts) or not parts or ".." in parts or path.startswith("/") or "\\" in path:
        raise ValueError(f"{path!r} leads out of the golden folder")
    if not path.endswith(".json") or parts[-1].count(".") != 2:
        raise ValueError(f"{path!r} is no manifest")
    return path
