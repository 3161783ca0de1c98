"""What a golden holds, decoded by its kind and held against its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seedpin.clip.suspect import Suspicion
from seedpin.errors import DamagedGoldenError
from seedpin.goldens.manifest import WRITE_ANEW
from seedpin.goldens.names import payload_name
from seedpin.goldens.store import Golden, restore
from seedpin.kinds.base import AnyKind
from seedpin.kinds.registry import kind_named

_TRACE = frozenset({"trace"})


def load(golden: Golden) -> Any:
    """The golden's value (a ``Clip``, named tensors, ...), verified against the digests of its manifest.

    Raises:
        DamagedGoldenError: it cannot be decoded, or is not what the manifest describes.
        UnknownKindError, KindError: its kind is not to be had here.
    """
    manifest = golden.manifest
    kind, path = _file(golden)
    value = kind.decode(path, path.suffix.lstrip("."), manifest.facts, manifest.value_range)
    if kind.digests(value) != manifest.frame_digests:
        raise _other(kind, path)
    return value


def verify_content(golden: Golden) -> tuple[Suspicion, ...]:
    """Decodes a golden whose files are verified, checks every digest, and says what is suspicious in it.

    Raises:
        DamagedGoldenError: it holds other frames or tensors than its manifest tells, or files under names
            that seedpin does not write.
        UnknownKindError, KindError: its kind is not to be had here.
    """
    manifest = golden.manifest
    kind, path = _file(golden)
    stem = golden.path.name.removesuffix(".json")
    for role, file in manifest.files.items():
        extensions = kind.extensions if role == kind.role else _TRACE if role == "trace" else frozenset()
        allowed = {payload_name(stem, file.digest, extension) for extension in extensions}
        if manifest.format == 1:
            allowed |= {f"{stem}.{extension}" for extension in extensions}
        if file.name not in allowed:
            raise DamagedGoldenError(
                f"{golden.path} names a file {file.name!r} ({role}) that seedpin never writes"
            )
    extension = path.suffix.lstrip(".")
    suspicions = kind.verify(path, extension, manifest.facts, manifest.value_range, manifest.frame_digests)
    if suspicions is None:
        raise _other(kind, path)
    return suspicions


def _file(golden: Golden) -> tuple[AnyKind, Path]:
    kind = kind_named(golden.manifest.kind)
    if kind.role not in golden.manifest.files:
        raise DamagedGoldenError(
            f"{golden.path} is of kind {kind.name!r} and names no file with its {kind.word}s"
        )
    return kind, golden.file(kind.role)


def _other(kind: AnyKind, path: Path) -> DamagedGoldenError:
    return DamagedGoldenError(
        f"{path} decodes to other {kind.word}s than its manifest's digests tell",
        hint=f"{restore(path)}, or {WRITE_ANEW}",
    )
