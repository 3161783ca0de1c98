"""What a golden holds, held against its manifest; without torch, for tensors too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seedpin.clip.digest import clip_digest, tensor_digest
from seedpin.clip.suspect import Suspicion, suspicions
from seedpin.errors import DamagedGoldenError
from seedpin.goldens.names import payload_name
from seedpin.goldens.store import Golden, load_clip

EXTENSIONS: Mapping[str, frozenset[str]] = {
    "frames": frozenset({"webp", "zip"}),
    "tensors": frozenset({"safetensors"}),
    "trace": frozenset({"trace"}),
}
_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "U16": "uint16",
    "I32": "int32",
    "U32": "uint32",
    "I64": "int64",
    "U64": "uint64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
}


def verify_content(golden: Golden) -> tuple[Suspicion, ...]:
    """Decodes a golden whose files are verified, checks every digest, and says what is suspicious in it.

    Raises:
        DamagedGoldenError: it holds other frames or tensors than its manifest tells, or files under names
            that seedpin does not write.
    """
    manifest = golden.manifest
    for role, file in manifest.files.items():
        stem, extensions = golden.path.name.removesuffix(".json"), EXTENSIONS.get(role, frozenset())
        allowed = {payload_name(stem, file.digest, extension) for extension in extensions}
        if manifest.format == 1:
            allowed |= {f"{stem}.{extension}" for extension in extensions}
        if file.name not in allowed:
            raise DamagedGoldenError(
                f"{golden.path} names a file {file.name!r} ({role}) that seedpin never writes"
            )
    role = "frames" if manifest.kind == "clip" else manifest.kind
    if role not in ("frames", "tensors") or role not in manifest.files:
        raise DamagedGoldenError(f"{golden.path} is of kind {manifest.kind!r} and names no such file")
    if role == "frames":
        return suspicions(load_clip(golden))
    return _verify_tensors(golden.file(role), manifest.frame_digests, manifest.facts)


def _verify_tensors(path: Path, digests: tuple[str, ...], facts: Mapping[str, Any]) -> tuple[Suspicion, ...]:
    found, shapes, suspect = [], {}, []
    for name, dtype, shape, values in _tensors(path.read_bytes(), str(path)):
        found.append(tensor_digest(name, dtype, shape, values))
        shapes[name] = {"shape": list(shape), "dtype": dtype}
        if values.size > 1 and not values.any():
            suspect.append(Suspicion("zero", f"{name} is all zeros"))
    if tuple(found) != digests or shapes != facts:
        raise DamagedGoldenError(f"{path} holds other tensors than its manifest tells")
    return tuple(suspect)


def tensors_digest(data: bytes) -> str:
    """The digest of all tensors in the bytes of a safetensors file. Raises DamagedGoldenError."""
    return clip_digest(tensor_digest(*entry) for entry in _tensors(data, "the file"))


def _tensors(data: bytes, what: str) -> list[tuple[str, str, tuple[int, ...], npt.NDArray[np.uint8]]]:
    """Name, dtype, shape and bytes of each tensor, in the order of their names."""
    from safetensors import SafetensorError, deserialize

    try:
        entries = sorted(deserialize(data), key=lambda entry: entry[0])  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise DamagedGoldenError(f"{what} cannot be decoded: {error}") from error
    return [
        (
            str(name),
            _DTYPES.get(str(entry["dtype"]), str(entry["dtype"])),
            tuple(int(size) for size in entry["shape"]),
            np.frombuffer(bytes(entry["data"]), np.uint8),
        )
        for name, entry in entries
    ]
