"""The manifest of a golden: a readable, diffable JSON file with sorted keys."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import msgspec

from seedpin.environment.fingerprint import StoredEnvironment
from seedpin.errors import DamagedGoldenError, NewerFormatError
from seedpin.records import Count, Digest, Facts, Scalar, as_plain, read_record

FORMAT = 2
"""1 named payloads ``<stem>.<extension>``; 2 names them after their content (see `names.payload_name`)."""

WRITE_ANEW = 'write it anew: pytest --update-golden=all --golden-reason "why"'
"""The next step where a golden is beyond repair: its old reason is lost with it."""

LFS_POINTER = b"version https://git-lfs"

_FILE_NAME = re.compile(r"[A-Za-z0-9_\-.\[\]=,+@ %~]+")
_CONFLICT = re.compile(rb"^<{7}( |$).*^={7}$.*^>{7}( |$)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file that stands beside the manifest: its name, its ``sha256:`` digest and its size in bytes."""

    name: str
    digest: Digest
    bytes: Count

    def __post_init__(self) -> None:
        if not _FILE_NAME.fullmatch(self.name) or self.name in {".", ".."}:
            raise ValueError(f"file name {self.name!r}")


@dataclass(frozen=True, slots=True)
class NotedDigest:
    """A further digest of a golden, accepted or known to be bad, and why."""

    digest: Digest
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Provenance:
    """When (UTC), why, by which seedpin and at which commit a golden was written last; None is not recorded.

    ``dirty`` says whether tracked files differed from the commit; ``run`` is the run whose clip was accepted;
    ``moved`` is when its test was renamed, ``moved_from`` the test's name before.
    """

    when: str | None = None
    reason: str | None = None
    seedpin: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    run: str | None = None
    moved: str | None = None
    moved_from: str | None = None


@dataclass(frozen=True, slots=True)
class Born:
    """How it was found that a test repeats: ``probe`` is "fresh", "twice" or "off", ``why`` says more."""

    probe: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of one golden.

    ``facts`` are frame count, size, channels, dtype and fps (for tensors: shapes and dtypes).
    ``tolerance`` holds the limits that were declared when it was minted.
    ``draws`` are the random draws behind it (generator, dtype, shape), None where they were not watched.
    """

    test: str
    check: str
    kind: str
    device_class: str
    facts: Facts
    digest: Digest
    frame_digests: tuple[Digest, ...]
    files: Mapping[str, FileRecord]
    device: Mapping[str, Scalar] = field(default_factory=dict)
    environment: StoredEnvironment = field(default_factory=StoredEnvironment)
    seed: int | None = None
    level: str | None = None
    profile: str | None = None
    value_range: tuple[float, float] | None = None
    source: str = ""
    accepted: tuple[NotedDigest, ...] = ()
    known_bad: tuple[NotedDigest, ...] = ()
    tolerance: Mapping[str, float | bool] | None = None
    updated: Provenance = field(default_factory=Provenance)
    born: Born = field(default_factory=Born)
    draws: tuple[str, ...] | None = None
    format: int = FORMAT

    def accepted_digests(self) -> frozenset[str]:
        return frozenset({self.digest, *(noted.digest for noted in self.accepted)})

    def known_bad_digests(self) -> Mapping[str, str]:
        """Digest to reason."""
        return {noted.digest: noted.reason for noted in self.known_bad}


def to_json(manifest: Manifest) -> str:
    """The manifest as JSON text, keys sorted, with a final newline; what is not recorded is left out."""
    data = as_plain(manifest)
    for name, record in (("updated", manifest.updated), ("born", manifest.born)):
        data[name] = {key: value for key, value in as_plain(record).items() if value is not None}
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(raw: bytes, path: Path) -> Manifest:
    """The manifest that ``raw`` holds; ``path`` is named in errors.

    Raises:
        NewerFormatError: a newer seedpin wrote it.
        DamagedGoldenError: it is an LFS pointer, no JSON, git has left both sides of a merge in it, or a
            field is absent or of another type.
    """
    if raw.startswith(LFS_POINTER):
        raise DamagedGoldenError(f"{path} is a Git LFS pointer, not the manifest", hint="git lfs pull")
    if _CONFLICT.search(raw.replace(b"\r\n", b"\n")):
        quoted = shlex.quote(str(path))
        raise DamagedGoldenError(
            f"{path} holds merge conflict markers: both sides of a merge changed this golden",
            hint=f"keep one side whole: git checkout --ours -- {quoted} (or --theirs), then git add -A -- "
            f"{shlex.quote(str(path.parent))}; or {WRITE_ANEW}",
        )
    try:
        fields_there = read_record(dict[str, msgspec.Raw], raw)
    except ValueError as error:
        raise _damaged(path, f"no JSON object ({error})") from error
    version = _version(fields_there)
    if version < 1:
        raise _damaged(path, "it has no format version")
    if version > FORMAT:
        raise NewerFormatError(
            f"{path} has format {version}; this seedpin reads up to {FORMAT}",
            hint="pip install --upgrade seedpin",
        )
    unknown = fields_there.keys() - {entry.name for entry in fields(Manifest)}
    if unknown:
        raise _damaged(path, f"unknown fields {sorted(unknown)}")
    try:
        manifest = read_record(Manifest, raw)
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if not manifest.kind.isidentifier():
        raise _damaged(path, f"kind {manifest.kind!r}")
    return manifest


def _version(there: Mapping[str, msgspec.Raw]) -> int:
    """The format's version, 0 where there is none."""
    try:
        return read_record(int, bytes(there["format"]))
    except (KeyError, ValueError):
        return 0


def _damaged(path: Path, why: str) -> DamagedGoldenError:
    return DamagedGoldenError(
        f"{path} is not a readable manifest: {why}",
        hint=f"restore it from version control (git checkout -- '{path}'), or {WRITE_ANEW}",
    )
