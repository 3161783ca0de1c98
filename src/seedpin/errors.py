"""Every error and warning of seedpin, one class per cause.

    SeedpinError
    |-- UsageError
    |   |-- ConfigError            an unknown or unusable option, in a file or on the command line
    |   |-- ToleranceError         an unknown, contradictory or ambiguous tolerance
    |   |-- MetricError            a metric that is none, or whose function gave no number
    |   |-- KindError              a package brings a kind of golden that cannot be used
    |   |-- DuplicateGoldenError   two checks would share one golden
    |   |-- UpdateRefusedError     an update was asked for where it is not allowed
    |   |-- DecisionRefusedError   a check that cannot be accepted, or a choice that is not clear
    |   |-- PruneRefusedError      nothing tells which goldens are unused
    |   |-- MoveRefusedError       goldens that cannot go where they are to go
    |   `-- ExportError            a golden that cannot be written as the file that was asked for
    |-- PinError
    |   |-- SeedError              a seed outside the range that every source takes
    |   |-- ProfileTooLateError    the CPU profile's variables came after the first operation
    |   |-- NondeterministicOpError  an operation has no deterministic implementation
    |   |-- VendorDefinedOpError   an operation whose bits depend on the CPU's vendor, under `portable`
    |   |-- AutotuneError          max-autotune under a strict pin
    |   |-- ConcurrentPinError     another thread or task holds a pin
    |   |-- DeferredBodyError      a decorated function whose body would run after its pin
    |   |-- DeviceUnavailableError   a device that was asked for is not there
    |   `-- ModelError             the factory failed, or the model gave nothing to check
    |-- ClipError
    |   |-- AmbiguousLayoutError   the axes can be read in more than one way
    |   |-- UnsupportedClipError   no adapter takes this object
    |   |-- EmptyClipError         no frame, or frames without pixels
    |   |-- NonFiniteClipError     NaN or infinity
    |   |-- ValueRangeError        float values outside of the range they are said to have
    |   `-- SuspiciousClipError    a clip that may not become a golden unless allowed in words
    |-- GoldenError
    |   |-- DamagedGoldenError     a golden's files are truncated, tampered with, LFS pointers or unreadable
    |   |-- UnknownKindError       a golden of a kind that nothing installed here knows
    |   |-- NewerFormatError       a golden written by a newer seedpin
    |   |-- StaleGoldenError       the golden changed since it was read
    |   |-- GoldenWriteError       the file system refused a write
    |   `-- UnprovedError          a golden that a fresh process did not obtain
    |-- RunError                   a run that is not there, is incomplete, or is not safe to read
    |-- RevisionError              a revision that git does not know, or that cannot be checked out or run
    |   `-- ForeignImportError     code of here was imported where another revision's was to run
    |-- ReviewError                the review server cannot start
    |-- TraceError                 a trace that cannot be read, or two that cannot be compared
    `-- GoldenMismatch             (also an AssertionError) a check did not pass

A message says what happened, where, and what to type next. ``slug`` names its section in
``docs/messages.md``, which ``seedpin explain SLUG`` prints.
"""

from __future__ import annotations

from typing import ClassVar

from seedpin.printing import printable


class SeedpinError(Exception):
    """Base of all errors of seedpin.

    ``what`` happened and where; ``hint`` is what to do or type next.
    """

    slug: ClassVar[str] = "error"

    def __init__(self, what: str, *, hint: str = "") -> None:
        self.what = what
        self.hint = hint
        super().__init__(what, hint)

    def __str__(self) -> str:
        hint = f"\n  next: {self.hint}" if self.hint else ""
        return printable(f"{self.what}{hint}\n  more: seedpin explain {self.slug}", lines=True)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.hint)


def _rebuild(cls: type[SeedpinError], what: str, hint: str) -> SeedpinError:
    return cls(what, hint=hint)


class UsageError(SeedpinError):
    """seedpin is used in a way that cannot be meant."""

    slug = "usage"


class ConfigError(UsageError):
    """An unknown or unusable option, in a file or on the command line."""

    slug = "config"


class ToleranceError(UsageError):
    """An unknown, contradictory or ambiguous tolerance."""

    slug = "tolerance"


class MetricError(UsageError):
    """A metric that a project or a package brings and that is none, or whose function gave no number."""

    slug = "metric"


class KindError(UsageError):
    """A package brings a kind of golden that cannot be used."""

    slug = "kind"


class DuplicateGoldenError(UsageError):
    """Two checks would share one golden."""

    slug = "duplicate-golden"


class UpdateRefusedError(UsageError):
    """An update was asked for where it is not allowed."""

    slug = "update-refused"


class DecisionRefusedError(UsageError):
    slug = "decision-refused"


class PruneRefusedError(UsageError):
    slug = "prune-refused"


class MoveRefusedError(UsageError):
    """Goldens that cannot go where they are to go."""

    slug = "move-refused"


class ExportError(UsageError):
    """A golden, or an obtained clip, cannot be written as the file that was asked for."""

    slug = "export"


class PinError(SeedpinError):
    """A pin could not be set up, or not all of it restored."""

    slug = "pin"


class SeedError(PinError):
    """A seed outside the range that every source takes."""

    slug = "seed"


class ProfileTooLateError(PinError):
    """The CPU profile's variables came after the first operation."""

    slug = "profile-too-late"


class NondeterministicOpError(PinError):
    """An operation has no deterministic implementation."""

    slug = "nondeterministic-op"


class VendorDefinedOpError(PinError):
    """An operation whose bits depend on the CPU's vendor, under the profile ``portable``."""

    slug = "vendor-defined-op"


class AutotuneError(PinError):
    """Max-autotune under a strict pin."""

    slug = "autotune"


class ConcurrentPinError(PinError):
    """A pin was to begin while another thread, or another task of asyncio, holds one."""

    slug = "concurrent-pin"


class DeferredBodyError(PinError):
    """A pin decorates a generator or an async function, whose body would run after the pin has ended."""

    slug = "deferred-body"


class DeviceUnavailableError(PinError):
    """A device that was asked for is not there."""

    slug = "device-unavailable"


class ModelError(PinError):
    """The factory failed, or the model gave nothing to check."""

    slug = "model"


class ClipError(SeedpinError):
    """What was given cannot be read as a clip."""

    slug = "clip"


class AmbiguousLayoutError(ClipError):
    """The axes can be read in more than one way."""

    slug = "ambiguous-layout"


class UnsupportedClipError(ClipError):
    """No adapter takes this object."""

    slug = "unsupported-clip"


class EmptyClipError(ClipError):
    """No frame, or frames without pixels."""

    slug = "empty-clip"


class NonFiniteClipError(ClipError):
    """NaN or infinity."""

    slug = "non-finite-clip"


class ValueRangeError(ClipError):
    """Float values outside of the range they are said to have."""

    slug = "value-range"


class SuspiciousClipError(ClipError):
    """A clip that may not become a golden unless allowed in words."""

    slug = "suspicious-clip"


class GoldenError(SeedpinError):
    """A golden could not be read or written."""

    slug = "golden"


class DamagedGoldenError(GoldenError):
    """A golden's files are truncated, tampered with, LFS pointers or unreadable."""

    slug = "damaged"


class UnknownKindError(GoldenError):
    """A golden of a kind that nothing installed here knows."""

    slug = "unknown-kind"


class NewerFormatError(GoldenError):
    """A golden written by a newer seedpin."""

    slug = "newer-format"


class StaleGoldenError(GoldenError):
    """The golden changed since it was read."""

    slug = "stale-golden"


class GoldenWriteError(GoldenError):
    """The file system refused a write."""

    slug = "golden-write"


class UnprovedError(GoldenError):
    """A golden that a fresh process did not obtain, for another reason than other bits."""

    slug = "unproved"


class RunError(SeedpinError):
    slug = "run"


class RevisionError(SeedpinError):
    """A revision that git does not know, or that cannot be checked out or run."""

    slug = "revision"


class ForeignImportError(RevisionError):
    """Code of the present work tree was imported where another revision's was to run."""

    slug = "foreign-import"


class ReviewError(SeedpinError):
    slug = "review"


class TraceError(SeedpinError):
    """A trace cannot be read, or two cannot be compared."""

    slug = "trace"


class GoldenMismatch(SeedpinError, AssertionError):  # noqa: N818  (an AssertionError by nature)
    """One or more checks of a test did not pass; also an AssertionError."""

    slug = "mismatch"


class SeedpinWarning(UserWarning):
    """Base of all warnings of seedpin."""

    slug: ClassVar[str] = "warnings"


class CudaStartedEarlyWarning(SeedpinWarning):
    """CUDA was up before seedpin could set ``CUBLAS_WORKSPACE_CONFIG``."""


class SuspiciousClipWarning(SeedpinWarning):
    """A clip is black, constant or otherwise unlikely to be what was meant."""


class UnpinnedClipWarning(SeedpinWarning):
    """A clip was checked though nothing was pinned in its test."""


class NondeterministicOpWarning(SeedpinWarning):
    """An operation without a deterministic implementation ran under a pin of level ``warn``."""


class SameStreamWarning(SeedpinWarning):
    """A generator that was passed to a pinned call has the pin's seed: to lose it would change no bit."""


class PinOrderWarning(SeedpinWarning):
    """A pin ended before one that began inside of it, or was never ended."""


class MovedDrawsWarning(SeedpinWarning):
    """The bits are the golden's, yet other random draws were made: from another generator, more, or fewer."""


class VendorDefinedOpWarning(SeedpinWarning):
    """An operation whose bits depend on the CPU's vendor ran under ``portable`` at level ``warn``."""


class EntropyWarning(SeedpinWarning):
    """A source of randomness that no pin can hold was used during a pinned call."""
