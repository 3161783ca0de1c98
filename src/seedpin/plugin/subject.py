"""What a check holds against a golden: a clip or named tensors, behind one interface."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from seedpin.clip.adapt import as_clip
from seedpin.clip.codec import decode_tensors, decoding_bytes, encode, encode_tensors
from seedpin.clip.digest import clip_digest, frame_digests, tensor_digest
from seedpin.clip.suspect import Suspicion, suspicions
from seedpin.compare.diagnose import hints as clip_hints
from seedpin.compare.metrics import ClipMetrics, compare_clips
from seedpin.compare.tensors import TensorMetrics, compare_tensors, tensor_facts
from seedpin.errors import DamagedGoldenError, EmptyClipError, NonFiniteClipError, UnsupportedClipError
from seedpin.goldens.store import Golden, load_clip

if TYPE_CHECKING:
    import torch


class Subject(Protocol):
    """``kind`` is "clip" or "tensors"; ``role`` names the golden's file. Digests are of values, not files."""

    kind: str
    role: str
    facts: Mapping[str, Any]
    digest: str
    frame_digests: tuple[str, ...]
    value_range: tuple[float, float] | None
    source: str
    devices: frozenset[str]

    def encode(self) -> tuple[str, bytes]:
        """Extension and bytes of the golden's file."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tensors, in the order of ``items``; none for frames."""

    def items(self) -> Iterable[Any]:
        """The frames, or the tensors, for fingerprints."""

    def compare(self, golden: Golden) -> ClipMetrics | TensorMetrics:
        """Metrics against a golden of the same facts. Raises DamagedGoldenError."""

    def hints(self, golden: Golden) -> tuple[str, ...]:
        """What the difference looks like, where that is certain."""

    def suspicions(self) -> tuple[Suspicion, ...]:
        """Why this should not become a golden."""


_MOST_FOR_HINTS = 1 << 28


class ClipSubject:
    """A clip. Arguments as of ``seedpin.as_clip``, and its errors."""

    kind = "clip"
    role = "frames"

    def __init__(self, obj: object, *, single_image: bool, **how: Any) -> None:
        self.clip = as_clip(obj, single_image=single_image, **how)
        self.facts: Mapping[str, Any] = self.clip.facts()
        self.frame_digests = frame_digests(self.clip)
        self.digest = clip_digest(self.frame_digests)
        self.value_range: tuple[float, float] | None = self.clip.value_range
        self.source = self.clip.source
        self.devices = devices_of(obj)

    def encode(self) -> tuple[str, bytes]:
        return encode(self.clip)

    @property
    def names(self) -> tuple[str, ...]:
        return ()

    def items(self) -> Iterable[Any]:
        return self.clip.frames

    def compare(self, golden: Golden) -> ClipMetrics:
        return compare_clips(load_clip(golden), self.clip)

    def hints(self, golden: Golden) -> tuple[str, ...]:
        size = decoding_bytes(golden.manifest.facts)
        if size > _MOST_FOR_HINTS and size > 16 * self.clip.frames.nbytes:
            return ()  # a golden of quite another size is not worth the memory
        return clip_hints(load_clip(golden), self.clip)

    def suspicions(self) -> tuple[Suspicion, ...]:
        return suspicions(self.clip)


class TensorSubject:
    """A tensor or array (then called ``tensor``), or a dict of them by name; any shape.

    Raises:
        UnsupportedClipError: something else.
        EmptyClipError: no tensor, or one without values.
        NonFiniteClipError: NaN or infinity in a floating tensor.
    """

    kind = "tensors"
    role = "tensors"
    value_range: tuple[float, float] | None = None
    source = ""

    def __init__(self, obj: object) -> None:
        self.tensors = _named(obj)
        self.facts: Mapping[str, Any] = tensor_facts(self.tensors)
        names = sorted(self.tensors)
        digests = [_tensor_digest(name, self.tensors[name]) for name in names]
        self.frame_digests = tuple(digests)
        self.digest = clip_digest(self.frame_digests)
        self.devices = devices_of(obj, *self.tensors.values())

    def encode(self) -> tuple[str, bytes]:
        return "safetensors", encode_tensors(self.tensors)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.tensors))

    def items(self) -> Iterable[Any]:
        return (self.tensors[name] for name in sorted(self.tensors))

    def compare(self, golden: Golden) -> TensorMetrics:
        return compare_tensors(load_tensors(golden), self.tensors)

    def hints(self, golden: Golden) -> tuple[str, ...]:
        return ()

    def suspicions(self) -> tuple[Suspicion, ...]:
        flat = [name for name, tensor in self.tensors.items() if tensor.numel() > 1 and not tensor.any()]
        return tuple(Suspicion("zero", f"{name} is all zeros") for name in flat)


def load_tensors(golden: Golden) -> dict[str, torch.Tensor]:
    """The golden's tensors, verified against the digests of its manifest.

    Raises:
        DamagedGoldenError: they cannot be decoded, or are not what the manifest describes.
    """
    path = golden.file("tensors")
    tensors = decode_tensors(path.read_bytes())
    digests = tuple(_tensor_digest(name, tensors[name]) for name in sorted(tensors))
    if digests != golden.manifest.frame_digests:
        raise DamagedGoldenError(
            f"{path} holds other tensors than its manifest's digests tell",
            hint=f"restore it from version control (git checkout -- '{path}')",
        )
    return tensors


def _named(obj: object) -> dict[str, torch.Tensor]:
    import torch

    entries = dict(obj) if isinstance(obj, Mapping) else {"tensor": obj}
    if not entries:
        raise EmptyClipError("an empty dict was given: there are no tensors", hint="pass at least one tensor")
    tensors = {}
    for name, value in entries.items():
        where = f"tensor {name!r}"
        if hasattr(value, "__array__") and not isinstance(value, torch.Tensor):
            import numpy as np

            value = torch.from_numpy(np.array(value))
        if not isinstance(value, torch.Tensor):
            raise UnsupportedClipError(
                f"{where} is a {type(value).__name__}",
                hint="golden_tensors takes a tensor, an array, or a dict of them by name",
            )
        value = value.detach().cpu()
        if value.numel() == 0:
            raise EmptyClipError(f"{where} of shape {tuple(value.shape)} is empty", hint="check the model")
        if value.is_floating_point() or value.is_complex():
            bad = int((~torch.isfinite(value)).sum())
            if bad:
                raise NonFiniteClipError(
                    f"{where} holds {bad} NaN or infinite value(s) of {value.numel()}",
                    hint="look for the operation that gave them",
                )
        tensors[str(name)] = value.contiguous()
    return tensors


def _tensor_digest(name: str, tensor: torch.Tensor) -> str:
    import torch

    values = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
    return tensor_digest(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), values)


def devices_of(*objects: Any) -> frozenset[str]:
    """Accelerators that the objects themselves, or their direct items, lie on."""
    found = set()
    for obj in objects:
        items = obj.values() if isinstance(obj, Mapping) else obj if isinstance(obj, (list, tuple)) else [obj]
        for item in items:
            device = getattr(item, "device", None)
            kind = getattr(device, "type", "cpu")
            if isinstance(kind, str) and kind not in ("cpu", "meta"):
                found.add(str(device))
    return frozenset(found)
