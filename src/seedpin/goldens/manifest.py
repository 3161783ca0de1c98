"""The manifest of a golden: a readable, diffable JSON file with sorted keys."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from seedpin.errors import DamagedGoldenError, NewerFormatError
from seedpin.untrusted import parse_json

FORMAT = 2
"""1 named payloads ``<stem>.<extension>``; 2 names them after their content (see `names.payload_name`)."""

WRITE_ANEW = 'write it anew: pytest --update-golden=all --golden-reason "why"'
"""The next step where a golden is beyond repair: its old reason is lost with it."""

LFS_POINTER = b"version https://git-lfs"

_DIGEST = re.compile(r"sha256:[0-9a-f]{1,64}")
_FILE_NAME = re.compile(r"[A-Za-z0-9_\-.\[\]=,+@ %~]+")
_CONFLICT = re.compile(rb"^<{7}( |$).*^={7}$.*^>{7}( |$)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file that stands beside the manifest: its name, its ``sha256:`` digest and its size in bytes."""

    name: str
    digest: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of one golden.

    ``facts`` are frame count, size, channels, dtype and fps (for tensors: shapes and dtypes).
    ``accepted`` and ``known_bad`` list further digests, each with its ``digest`` and ``reason``.
    ``tolerance`` is what was declared when it was minted; ``updated`` says when, why and at which commit.
    ``born`` says how it was found that the test repeats: ``probe`` is "fresh", "twice" or "off", and ``why``
    what else is to know of it.
    ``draws`` are the random draws behind it (generator, dtype, shape), None where they were not watched.
    """

    test: str
    check: str
    kind: str
    device_class: str
    facts: Mapping[str, Any]
    digest: str
    frame_digests: tuple[str, ...]
    files: Mapping[str, FileRecord]
    device: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    level: str | None = None
    profile: str | None = None
    value_range: tuple[float, float] | None = None
    source: str = ""
    accepted: tuple[Mapping[str, str], ...] = ()
    known_bad: tuple[Mapping[str, str], ...] = ()
    tolerance: Mapping[str, Any] | None = None
    updated: Mapping[str, Any] = field(default_factory=dict)
    born: Mapping[str, Any] = field(default_factory=dict)
    draws: tuple[str, ...] | None = None
    format: int = FORMAT

    def accepted_digests(self) -> frozenset[str]:
        return frozenset({self.digest, *(entry["digest"] for entry in self.accepted)})

    def known_bad_digests(self) -> Mapping[str, str]:
        """Digest to reason."""
        return {entry["digest"]: entry.get("reason", "") for entry in self.known_bad}


def to_json(manifest: Manifest) -> str:
    """The manifest as JSON text, keys sorted, with a final newline."""
    data: dict[str, Any] = {}
    for entry in fields(Manifest):
        value = getattr(manifest, entry.name)
        if entry.name == "files":
            value = {
                role: {"name": file.name, "digest": file.digest, "bytes": file.bytes}
                for role, file in value.items()
            }
        data[entry.name] = value
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
        data = parse_json(raw)
    except ValueError as error:
        raise _damaged(path, f"no JSON ({error})") from error
    if not isinstance(data, dict):
        raise _damaged(path, "no JSON object")
    version = data.get("format")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _damaged(path, "it has no format version")
    if version > FORMAT:
        raise NewerFormatError(
            f"{path} has format {version}; this seedpin reads up to {FORMAT}",
            hint="pip install --upgrade seedpin",
        )
    try:
        return _build(data)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, f"a field is absent or of another type ({error!r})") from error


def _build(data: dict[str, Any]) -> Manifest:
    unknown = data.keys() - {entry.name for entry in fields(Manifest)}
    if unknown:
        raise ValueError(f"unknown fields {sorted(unknown)}")
    values = dict(data)
    values["files"] = {
        role: FileRecord(file["name"], file["digest"], file["bytes"]) for role, file in data["files"].items()
    }
    for file in values["files"].values():
        if not _FILE_NAME.fullmatch(file.name) or file.name in {".", ".."}:
            raise ValueError(f"file name {file.name!r}")
        if not _DIGEST.fullmatch(file.digest) or type(file.bytes) is not int or file.bytes < 0:
            raise ValueError(f"digest {file.digest!r}, bytes {file.bytes!r}")
    for key in ("accepted", "known_bad"):
        values[key] = tuple(dict(entry) for entry in data.get(key, ()))
        if any(not _DIGEST.fullmatch(entry["digest"]) for entry in values[key]):
            raise ValueError(f"{key} without digest")
        if any(not isinstance(entry.get("reason", ""), str) for entry in values[key]):
            raise ValueError(f"{key} with a reason that is no text")
    values["frame_digests"] = tuple(data["frame_digests"])
    if data.get("draws") is not None:
        values["draws"] = tuple(data["draws"])
    if not all(_DIGEST.fullmatch(digest) for digest in (data["digest"], *values["frame_digests"])):
        raise ValueError("a digest is none")
    low_high = data.get("value_range")
    values["value_range"] = None if low_high is None else (float(low_high[0]), float(low_high[1]))
    manifest = Manifest(**values)
    _check_types(manifest)
    return manifest


def _check_types(manifest: Manifest) -> None:
    for name in ("test", "check", "kind", "device_class", "digest", "source"):
        if not isinstance(getattr(manifest, name), str):
            raise TypeError(f"{name} is no text")
    if not manifest.kind.isidentifier():
        raise ValueError(f"kind {manifest.kind!r}")
    if manifest.draws is not None and not all(isinstance(line, str) for line in manifest.draws):
        raise TypeError("a draw is no text")
    for name in ("level", "profile"):
        if not isinstance(getattr(manifest, name), (str, type(None))):
            raise TypeError(f"{name} is no text")
    if manifest.seed is not None and type(manifest.seed) is not int:
        raise TypeError("seed is no integer")
    if not isinstance(manifest.tolerance, (dict, type(None))):
        raise TypeError("tolerance is no object")
    for name in ("facts", "device", "environment", "updated", "born"):
        if not isinstance(getattr(manifest, name), dict):
            raise TypeError(f"{name} is no object")
    if any(not isinstance(part, dict) for part in manifest.environment.values()):
        raise TypeError("environment is no object of objects")


def _damaged(path: Path, why: str) -> DamagedGoldenError:
    return DamagedGoldenError(
        f"{path} is not a readable manifest: {why}",
        hint=f"restore it from version control (git checkout -- '{path}'), or {WRITE_ANEW}",
    )
