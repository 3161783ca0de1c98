"""What a kind of golden is: from what a test hands in to digests, files, metrics and words.

A kind is one object in one file. It turns what a test hands in into its *value* (a ``Clip``, named tensors,
a waveform, a text) and answers all questions about such values; everything else in seedpin asks it, and
never which kind it is. A new one derives from :class:`Kind`, which has answers for what is optional, and is
named by an entry point of the group ``seedpin.kinds`` (see `registry`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from seedpin.clip.digest import array_digest, clip_digest
from seedpin.clip.suspect import Suspicion
from seedpin.compare.measured import Metrics, Place
from seedpin.compare.recorded import RecordedMetrics
from seedpin.errors import ExportError, KindError
from seedpin.records import Facts, RecordError, as_record

V = TypeVar("V")
Range = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture for people: ``pixels`` are uint8 of shape (H, W, 3)."""

    label: str
    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Panel:
    """One thing that the report shows of a check.

    ``form``: "picture" or "audio", whose file is ``data`` with ``extension``, or "text", whose ``rows`` are a
    mark (" ", "+", "-" or "@") and a line.
    """

    label: str
    form: str
    extension: str = ""
    data: bytes = b""
    rows: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DifferingItems(Metrics):
    """Which items of a value differ, by index, where there is no distance: no limit can be declared."""

    of_kind: str
    total: int
    differing: tuple[int, ...]
    first: str

    @property
    def kind(self) -> str:
        return self.of_kind

    def worst(self, name: str) -> tuple[Place, float]:
        raise KeyError(name)

    def summary(self) -> str:
        if not self.differing:
            return ""
        if self.total == 1:
            return f"{self.first[:1].upper()}{self.first[1:]} differs."
        return f"{len(self.differing)} of {self.total} differ, the first is {self.first}."

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "worst": {}, "summary": self.summary(), "entries": list(self.differing)}


@runtime_checkable
class Kind(Protocol[V]):
    """One kind of golden, whose values are ``V``.

    ``name``        what manifests hold; the entry point's name where one brings it
    ``role``        names the golden's file in its manifest
    ``extensions``  of that file, without dot; not "json", which manifests have
    ``opens``       suffixes of files (``.safetensors``) that ``open`` reads
    ``fixtures``    the fixtures are called ``golden_<name>``, one for each of these
    ``word``        what one digest is for: "frame", "tensor", ...
    ``ordered``     whether the first item that differs means anything
    ``warns``       whether suspicious content is worth a warning where it does not become a golden
    """

    name: str
    role: str
    extensions: frozenset[str]
    opens: frozenset[str] = frozenset()
    fixtures: tuple[str, ...]
    word: str
    ordered: bool = True
    warns: bool = False

    # -- from what a test hands in to digests ------------------------------------------------------------

    def adapt(self, obj: object, fixture: str = "", **how: Any) -> V:
        """The value in ``obj``; ``how`` are further arguments of ``check``. Raises ClipError's subclasses."""

    def open(self, path: Path) -> V:
        """The value in a file that is no golden's, for ``seedpin compare``."""
        return self.adapt(path)

    def facts(self, value: V) -> Facts:
        """What two values must share before they can be compared; JSON-able."""

    def items(self, value: V) -> Sequence[Any]:
        """The arrays or tensors that make up the value, one for each digest, for fingerprints in traces."""
        return (value,)

    def names(self, value: V) -> tuple[str, ...]:
        """Names of ``items``; none where they are counted."""
        return ()

    def digests(self, value: V) -> tuple[str, ...]:
        """``sha256:...`` of each item's values: never of an encoded file, which another library moves."""
        return tuple(array_digest(np.asarray(item)) for item in self.items(value))

    def value_range(self, value: V) -> Range | None:
        """The range that the values are said to have, where they are said to have one."""
        return None

    def source(self, value: V) -> str:
        """What the value was read from, in words."""
        return ""

    def guess_facts(self, obj: object, error: Exception, **how: Any) -> Facts:
        """Facts of what ``adapt`` refused with ``error``, as far as they are known. May raise anything."""
        return {}

    def fixture_of(self, facts: Facts) -> str:
        """The fixture that a golden of these facts probably came from."""
        return self.fixtures[0]

    # -- files -------------------------------------------------------------------------------------------

    def encode(self, value: V) -> tuple[str, bytes]:
        """Extension and bytes of the golden's file, lossless; the same value gives the same bytes."""

    def decode(
        self, source: str | PathLike[str] | bytes, extension: str, facts: Facts, value_range: Range | None
    ) -> V:
        """The value in a file, which must be what ``facts`` say: they bound all that is read and allocated.

        Files come from anywhere. Raises DamagedGoldenError for whatever cannot be such a value.
        """

    def count(self, facts: Facts) -> object:
        """How many digests a golden of these facts has; None where facts do not tell."""
        return None

    def verify(
        self,
        source: str | PathLike[str],
        extension: str,
        facts: Facts,
        value_range: Range | None,
        digests: tuple[str, ...],
    ) -> tuple[Suspicion, ...] | None:
        """What is suspicious in a golden's file; None where it holds another value. Raises as ``decode``."""
        value = self.decode(source, extension, facts, value_range)
        return self.suspicions(value) if self.digests(value) == digests else None

    # -- two values --------------------------------------------------------------------------------------

    def compare(self, golden: V, obtained: V) -> Metrics:
        """How far two values of the same facts are apart. By default: which items differ, and no distance."""
        pairs = zip(self.digests(golden), self.digests(obtained), strict=True)
        differing = tuple(index for index, (old, new) in enumerate(pairs) if old != new)
        names = self.names(golden) or range(len(self.items(golden)))
        which = f"{self.word} {names[differing[0]]}" if differing and len(names) > 1 else f"the {self.word}"
        return DifferingItems(self.name, len(names), differing, which)

    def can_hint(self, facts: Facts, obtained: V) -> bool:
        """Whether ``hints`` against a golden of these facts are worth its decoding, whatever the facts."""
        return False

    def hints(self, golden: V, obtained: V) -> tuple[str, ...]:
        """What the difference looks like, where that is certain. Facts may differ."""
        return ()

    def suspicions(self, value: V) -> tuple[Suspicion, ...]:
        """Why this should not become a golden."""
        return ()

    # -- for other programs ----------------------------------------------------------------------------

    @property
    def exports(self) -> frozenset[str]:
        """Suffixes (``.mp4``) that ``export`` writes, beside those of ``extensions``."""
        return frozenset()

    def export(self, value: V, suffix: str, **how: Any) -> tuple[bytes, Sequence[str]]:
        """The bytes of a file ``*suffix`` for other programs, and what it does not hold, in words.

        ``how`` are options of ``seedpin export`` that were given. Raises ExportError.
        """
        extension, data = self.encode(value)
        if suffix != f".{extension}" or how:
            what = f"{self.name} with --{next(iter(how))}" if how else self.name
            raise ExportError(
                f"{what} cannot be written as {suffix or 'a file without a suffix'}",
                hint=f"take one of {' '.join(sorted({*self.exports, f'.{extension}'}))}",
            )
        return data, ()

    # -- for people --------------------------------------------------------------------------------------

    def pictures(
        self, golden: V | None, obtained: V, metrics: RecordedMetrics | None
    ) -> tuple[str, Sequence[Picture]]:
        """Pictures side by side for a contact sheet, and which part of the value they show, in a word."""
        return "", ()

    def panels(
        self, golden: V | None, obtained: V | None, metrics: RecordedMetrics | None
    ) -> Sequence[Panel]:
        """What the report shows beside ``pictures``; one of both values is there."""
        return ()


AnyKind = Kind[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Obtained:
    """What a test handed in, adapted, with all that a check asks first; digests are of values, not files."""

    kind: AnyKind
    value: Any
    facts: Facts
    digest: str
    digests: tuple[str, ...]
    value_range: Range | None
    source: str
    devices: frozenset[str]

    def items(self) -> Sequence[Any]:
        return self.kind.items(self.value)

    @property
    def names(self) -> tuple[str, ...]:
        return self.kind.names(self.value)

    def suspicions(self) -> tuple[Suspicion, ...]:
        return self.kind.suspicions(self.value)


def obtain(kind: AnyKind, obj: object, fixture: str = "", **how: Any) -> Obtained:
    """``obj`` as ``kind`` reads it. Raises what ``Kind.adapt`` raises."""
    return obtain_value(kind, kind.adapt(obj, fixture, **how), devices_of(obj))


def obtain_value(kind: AnyKind, value: Any, devices: frozenset[str] = frozenset()) -> Obtained:
    """A value of ``kind`` with its facts and digests."""
    digests = kind.digests(value)
    return Obtained(
        kind=kind,
        value=value,
        facts=kind.facts(value),
        digest=clip_digest(digests),
        digests=digests,
        value_range=kind.value_range(value),
        source=kind.source(value),
        devices=devices,
    )


def recorded(kind: AnyKind, metrics: Metrics) -> RecordedMetrics:
    """The metrics of two values as a run keeps them. Raises KindError for what cannot be kept."""
    try:
        return as_record(RecordedMetrics, metrics.as_dict())
    except RecordError as error:
        raise KindError(
            f"the kind {kind.name!r} gives metrics that cannot be kept: {error}",
            hint="its package has to mend what as_dict of its metrics gives",
        ) from error


def devices_of(obj: Any) -> frozenset[str]:
    """Accelerators that an object itself, or its direct items, lie on."""
    items: Iterable[Any]
    items = obj.values() if isinstance(obj, Mapping) else obj if isinstance(obj, (list, tuple)) else [obj]
    devices = set()
    for item in items:
        device = getattr(item, "device", None)
        name = getattr(device, "type", "cpu")
        if isinstance(name, str) and name not in ("cpu", "meta"):
            devices.add(str(device))
    return frozenset(devices)
