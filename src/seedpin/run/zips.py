"""One run out of a zip from elsewhere. Whatever is odd about the zip is refused before a byte is written."""

from __future__ import annotations

import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from seedpin.errors import RunError
from seedpin.run.ledger import Run

MOST_MEMBERS = 200_000
LARGEST_MEMBER = 8 << 30
LARGEST_TOTAL = 64 << 30
# Text deflates to about a tenth; only bombs and clips of nothing do better than this.
LARGEST_RATIO = 100
RATIO_MATTERS_FROM = 64 << 20

SAFE_PATH = re.compile(r"[A-Za-z0-9_\-.\[\]=,+@ %~/]+")
_RECORDS = frozenset({"results.jsonl", "run.json", "decisions.jsonl"})
_KEPT = re.compile(r"(obtained|golden)/(.+)\.(json|webp|zip|safetensors|trace|[0-9a-f]{12}\.[a-z0-9]{2,16})")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BLOCK = 1 << 20
_HINT = "fetch the artifact again; if it is refused again, do not use it"


def extract_run(path: Path, folder: Path) -> Run:
    """Extracts the newest run in the zip ``path`` below ``folder``; other files in the zip are left there.

    Raises:
        RunError: it is no zip, holds no run or runs in several places, or a member is not safe.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(members, path)
            prefix = _run_prefix([info.filename for info in members], path)
            chosen = [info for info in members if _wanted(info, prefix, path)]
            _check_room(chosen, folder, path)
            run = Run(folder / _run_name(prefix, path))
            run.path.mkdir()
            for info in chosen:
                _extract(archive, info, run.path / info.filename.removeprefix(prefix), path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise RunError(f"{path} cannot be read as a zip: {error}", hint=_HINT) from error
    return run


def _check_members(members: Sequence[zipfile.ZipInfo], path: Path) -> None:
    if len(members) > MOST_MEMBERS:
        raise _refused(path, f"holds {len(members)} members")
    seen: set[str] = set()
    for info in members:
        name = info.orig_filename
        why = _bad_name(name) or _bad_kind(info)
        if why:
            raise _refused(path, f"holds {name!r}, {why}")
        if info.file_size > LARGEST_MEMBER or _is_bomb(info.file_size, info.compress_size):
            raise _refused(
                path, f"holds {name!r}, which claims {info.file_size} bytes of {info.compress_size}"
            )
        # One file on every file system: case and composition are ignored.
        same = unicodedata.normalize("NFC", name).casefold().rstrip("/")
        if same in seen:
            raise _refused(path, f"holds {name!r} twice")
        seen.add(same)
    files = {unicodedata.normalize("NFC", info.filename).casefold() for info in members if not info.is_dir()}
    for name in seen:
        parts = name.split("/")
        for end in range(1, len(parts)):
            if "/".join(parts[:end]) in files:
                raise _refused(path, f"holds {'/'.join(parts[:end])!r} as a file and as a folder")
    total, packed, size = (
        sum(info.file_size for info in members),
        sum(info.compress_size for info in members),
        path.stat().st_size,
    )
    if packed > size:
        raise _refused(path, "holds members that overlap")
    if total > LARGEST_TOTAL or _is_bomb(total, size):
        raise _refused(path, f"claims to hold {total} bytes in {size}")


def _bad_name(name: str) -> str:
    """Why no honest zip has a member of this name; empty where one can."""
    if not name or any(ord(char) < 32 or ord(char) == 127 for char in name):
        return "a name with control characters"
    if "\\" in name:
        return "a name with backslashes"
    if name.startswith("/"):
        return "an absolute path"
    if ":" in name:
        return "a name with a drive letter or a stream"
    if any(part in {"..", "."} for part in name.split("/")) or "//" in name:
        return "a path that leads elsewhere"
    return ""


def _bad_kind(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "a link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "neither a file nor a folder"
    if (kind == stat.S_IFDIR) != info.is_dir() and kind:
        return "a folder by its name or by its kind, not by both"
    if info.flag_bits & 0x1:
        return "which is encrypted"
    if info.compress_type not in _METHODS:
        return "which is packed in a way that seedpin does not read"
    return ""


def _is_bomb(size: int, packed: int) -> bool:
    return size > RATIO_MATTERS_FROM and size > LARGEST_RATIO * max(1, packed)


def _run_prefix(names: Sequence[str], path: Path) -> str:
    """What stands before ``results.jsonl`` of the newest run."""
    prefixes = [
        name.removesuffix("results.jsonl") for name in names if name.split("/")[-1] == "results.jsonl"
    ]
    prefixes = [
        prefix for prefix in prefixes if not {"obtained", "golden", "report"} & set(prefix.split("/"))
    ]
    if not prefixes:
        raise RunError(
            f"{path} holds no run: there is no results.jsonl in it",
            hint="zip the folder .seedpin, or a run's folder",
        )
    parents = sorted({prefix.rstrip("/").rpartition("/")[0] for prefix in prefixes})
    if len(parents) > 1:
        raise RunError(
            f"{path} holds runs in {len(parents)} places: {', '.join(parents)}",
            hint="unpack it and name one of them",
        )
    return max(prefixes)


def _run_name(prefix: str, path: Path) -> str:
    name = prefix.rstrip("/").rpartition("/")[2] or path.stem
    return re.sub(r"[^A-Za-z0-9_\-]", "_", name)[:80] or "run"


def _wanted(info: zipfile.ZipInfo, prefix: str, path: Path) -> bool:
    """Whether a member belongs to the run; a strange name among its clips is refused."""
    name = info.filename
    if info.is_dir() or not name.startswith(prefix):
        return False
    inner = name.removeprefix(prefix)
    if inner in _RECORDS:
        return True
    if not inner.startswith(("obtained/", "golden/")):
        return False
    if not SAFE_PATH.fullmatch(inner) or not _KEPT.fullmatch(inner):
        raise _refused(path, f"holds {name!r}, which seedpin would not write")
    return True


def _check_room(members: Sequence[zipfile.ZipInfo], folder: Path, path: Path) -> None:
    needed, free = sum(info.file_size for info in members), shutil.disk_usage(folder).free
    if needed > free:
        raise RunError(
            f"the run in {path} needs {needed >> 20} MiB, {folder} has {free >> 20} MiB free",
            hint="make room, or set TMPDIR to a folder with more",
        )


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, path: Path) -> None:
    """Writes one member; more bytes than it claims are never written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    left = info.file_size
    with archive.open(info) as source, target.open("xb") as sink:
        while block := source.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise _refused(path, f"holds {info.filename!r}, which is longer than it claims")
            sink.write(block)
    if left:
        raise _refused(path, f"holds {info.filename!r}, which is shorter than it claims")


def _refused(path: Path, why: str) -> RunError:
    return RunError(f"{path} {why}; nothing of it was used", hint=_HINT)
