"""The records of a trace. A trace holds fingerprints, never tensors.

``==`` of two fingerprints is for tables and storage. Whether two *tensors* agree is a question with three
answers, and ``agree``, ``all_agree`` and ``weights_agree`` give them: True (both were read, the bits are
the same), False (they differ), None (not known: one was not read, or one was hashed on a device and the
other on the host). None is no divergence, and nothing may be called equal for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

RecordKind: TypeAlias = Literal["draw", "module", "scheduler", "stage", "mark", "clip", "op"]
Level: TypeAlias = Literal["stages", "modules", "ops"]
RECORD_KINDS: tuple[RecordKind, ...] = get_args(RecordKind)
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True, slots=True)
class Sketch:
    """A few numbers by which two tensors can be said to be near or far apart.

    All are float32. Never compared for equality of runs: only the hash decides that.
    """

    norm: float
    """Euclidean norm, estimated from 512 evenly spaced elements (96 inside of modules)."""
    mean: float
    """Mean of the same elements."""
    abs_max: float
    """Largest magnitude of all elements, so that a lone outlier is seen; inside of modules, of those 96."""
    dot: float
    """Dot product of the same elements with a fixed position-weighted vector: order matters."""
    samples: tuple[float, ...]
    """Elements at fixed, evenly spaced positions (32, or 12 where a trace holds very many tensors)."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One tensor at one moment."""

    hash: str
    """Hex digits: 32 (xxh3_128 of the bytes in logical order) from the host, 16 (a position-weighted
    integer reduction) from an accelerator; empty if the content was not read. Only hashes of one kind can be
    compared: use ``agree``."""
    dtype: str
    shape: tuple[int, ...]
    sketch: Sketch | None = field(default=None, compare=False)
    unread: str = ""
    """Why the content was not read, or only in part, as ``on meta: it has no content``; empty if it was."""

    def __str__(self) -> str:
        return f"{self.dtype} {tuple(self.shape)}"


@dataclass(frozen=True, slots=True)
class Value:
    """Something that is no tensor, by value where it has a stable one, else by type."""

    text: str

    @property
    def opaque(self) -> bool:
        """Whether only the type is known, so that two of them may differ all the same."""
        return self.text.startswith("<")

    def __str__(self) -> str:
        return self.text


Seen: TypeAlias = Fingerprint | Value
Argument: TypeAlias = tuple[str, Seen]


@dataclass(frozen=True, slots=True)
class Record:
    """One event. Records stand in the order in which the events began; ``depth`` nests them."""

    kind: RecordKind
    name: str
    """Qualified name, as ``transformer.blocks.3.attn1``, ``scheduler.step`` or ``torch.randn``."""
    call: int
    """0 for the first call of this name."""
    depth: int
    """How many records were open when this one began."""
    stage: str = ""
    """Innermost named stage around it."""
    step: int | None = None
    """Number of finished scheduler steps of this sampling loop; None outside of one."""
    inputs: tuple[Argument, ...] = ()
    """Of a draw: the generator's state as ``generator``, plain arguments, and the tensors it depends on (of
    ``F.dropout(x)``, ``bernoulli(p)``, ``normal(mean, std)``, ``multinomial``, ``poisson``) by name."""
    outputs: tuple[Argument, ...] = ()
    weights: str = ""
    """Hash of the parameters and buffers that were read, each with its name, dtype and shape, in the order of
    the names: of the module alone, at level ``stages`` of all below it. Compare with ``weights_agree``."""
    site: str = ""
    """``file:line`` of the innermost caller outside of torch and seedpin, where it was looked up."""
    extra: Mapping[str, str] = field(default_factory=dict)
    loop: int | None = None
    """Which sampling loop, from 0: a scheduler that is set anew, or steps on past its end, begins another."""
    unread: tuple[str, ...] = ()
    """Weights of this call that were not read, by qualified name; the reasons are in ``Trace.unread``."""
    rewritten: tuple[tuple[str, str], ...] = ()
    """Weights that are others than when they were last read, as (qualified name, hash): this call is the
    first that saw them changed."""


@dataclass(frozen=True, slots=True)
class ModuleInfo:
    """Class and hyper-parameters of a module or scheduler: what names a changed epsilon."""

    name: str
    cls: str
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Given:
    """What one pinned call was given, by parameter; of tensors the hash, of generators seed and state."""

    name: str
    """The method's, ``__call__`` for the model itself."""
    arguments: tuple[Argument, ...]
    defaults: tuple[str, ...] = ()
    """Names of those that the caller left at the signature's default."""


@dataclass(frozen=True, slots=True)
class Trace:
    """All that was seen of one run."""

    level: Level
    records: tuple[Record, ...]
    modules: tuple[ModuleInfo, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    """Hash of each parameter and buffer that was used and read, by qualified name, as it was at first: 16 hex
    digits, after ``device:`` where an accelerator made them. Compare with ``hashes_agree``."""
    notes: tuple[str, ...] = ()
    """What could not be seen, in words."""
    meta: Mapping[str, str] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    """Why a parameter or buffer was not read, by qualified name: nothing may be said of its value."""
    calls: tuple[Given, ...] | None = None
    """The pinned calls' own arguments; None where they were not recorded, as by an older version."""


FORMAT_1 = "v1:"
"""Begins a sum of weights that a trace of format 1 holds. Such a trace names weights that are shared by the
first of their names alone."""


def agree(golden: Seen | None, here: Seen | None) -> bool | None:
    """Whether two things that were seen are the same: None where that is not known."""
    if not isinstance(golden, Fingerprint) or not isinstance(here, Fingerprint):
        equal = golden == here
        return None if equal and isinstance(golden, Value) and golden.opaque else equal
    if (golden.dtype, golden.shape) != (here.dtype, here.shape):
        return False
    same = hashes_agree(golden.hash, here.hash)
    if golden.unread or here.unread:
        # Of what was read in part, the part may differ; that it is the same says nothing of the rest.
        return False if same is False and golden.unread == here.unread else None
    return same


def all_agree(golden: Sequence[Argument], here: Sequence[Argument]) -> bool | None:
    """Whether all of two records' inputs (or outputs) are the same: False if any differs or is on one side
    only, None if none differs as far as they were read."""
    left, right = dict(golden), dict(here)
    if left.keys() != right.keys():
        return False
    answers = [agree(seen, right[name]) for name, seen in left.items()]
    return False if False in answers else None if None in answers else True


def hashes_agree(golden: str, here: str) -> bool | None:
    """Whether two hashes are the same: None if one is empty (not read) or they are of different kinds."""
    if not golden or not here or _kind_of_hash(golden) != _kind_of_hash(here):
        return None
    return golden == here


def weights_agree(golden: Record, here: Record) -> bool | None:
    """Whether two calls had the same weights: None if some were not read, or the hashes cannot be compared.

    Where it is None, ``Trace.weights`` of both sides may still tell for each name.
    """
    if not (golden.unread or here.unread):
        # No weights at all is as good a fact as any.
        same = golden.weights == here.weights
        return same if not (golden.weights and here.weights) else hashes_agree(golden.weights, here.weights)
    if golden.unread == here.unread and hashes_agree(golden.weights, here.weights) is False:
        return False
    return None


def names_a_path(setting: str, value: str = "") -> bool:
    """Whether a hyper-parameter holds a place on a disk, which says nothing of the code: it is no suspect."""
    text = value.strip("'\"")
    return (
        setting.lstrip("_") in _PATHS
        or setting.endswith(("_path", "_dir", "_folder", "_file"))
        or text.startswith(("/", "~/", "\\\\"))
        or text[1:3] in (":\\", ":/")
    )


_PATHS = frozenset(["name_or_path", "path", "dir", "folder", "file", "filename", "cache", "checkpoint"])


def _kind_of_hash(text: str) -> tuple[str, int]:
    kind, _, digits = text.rpartition(":")
    return kind, len(digits)
