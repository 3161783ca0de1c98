"""What one check found: the frozen record that terminal, ledger, report and reviews are made from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

SCHEMA = 1

SEVERITY = (
    "damaged",
    "invalid",
    "unstable",
    "incomparable",
    "changed",
    "environment-changed",
    "missing",
    "unchecked",
    "within-tolerance",
    "identical",
)
PASSING = frozenset({"identical", "within-tolerance"})


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check of one attempt of one test. JSON-able by ``as_dict``; paths use ``/``.

    ``golden`` is the manifest's path relative to the golden folder; ``obtained`` and ``golden_copy`` are
    manifests relative to the run's folder, kept when the check did not pass. ``manifest_digest`` is the
    digest of the golden's manifest as it was read: a golden that has another one since is stale.
    ``written`` is "created" or "updated" once the golden was written, "refused" when that failed, "kept" of a
    golden that an update met unchecked, and "new" where the revision that this run was compared with has no
    such check. ``attribution`` says whether code or
    environment moved the bits, and how that is known.
    ``measured`` is how many operations compute the same bits as where the golden was minted, None where none
    was compared. Durations are seconds.
    """

    test: str
    check: str
    kind: str
    verdict: str
    device_class: str
    golden: str
    message: str
    location: str = ""
    tier: str = ""
    seed: int | None = None
    level: str | None = None
    profile: str | None = None
    golden_digest: str | None = None
    obtained_digest: str | None = None
    manifest_digest: str | None = None
    obtained: str | None = None
    golden_copy: str | None = None
    facts_golden: Mapping[str, Any] = field(default_factory=dict)
    facts_obtained: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] | None = None
    tolerance: Mapping[str, Any] | None = None
    margins: tuple[Mapping[str, Any], ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    environment_changes: tuple[Mapping[str, Any], ...] = ()
    measured: int | None = None
    reasons: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    divergence: Mapping[str, Any] | None = None
    written: str | None = None
    attribution: Mapping[str, Any] | None = None
    reason: str = ""
    seconds: float = 0.0
    attempt: int = 1
    schema: int = SCHEMA

    @property
    def id(self) -> str:
        """Names the check within a run."""
        return f"{self.test}::{self.check}"

    @property
    def passed(self) -> bool:
        """Whether the check is no reason to fail its test: it passed its gate, or an update accepted it."""
        return self.verdict in PASSING or self.written in {"created", "updated", "staged", "new", "kept"}

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def from_dict(data: Mapping[str, Any]) -> CheckResult:
    """The record that ``as_dict`` gave; fields of later versions are left out.

    Raises:
        KeyError, TypeError: a field without default is absent.
    """
    known = {entry.name for entry in fields(CheckResult)}
    values = {key: value for key, value in data.items() if key in known}
    for key in ("margins", "environment_changes", "reasons", "hints"):
        values[key] = tuple(values.get(key) or ())
    return CheckResult(**values)


def by_severity(results: list[CheckResult]) -> list[CheckResult]:
    """Worst verdict first, then the largest share of the limit used, then by name."""

    def rank(result: CheckResult) -> tuple[int, float, str]:
        worst = max((_used(margin) for margin in result.margins), default=0.0)
        return SEVERITY.index(result.verdict), -worst, result.id

    return sorted(results, key=rank)


def _used(margin: Mapping[str, Any]) -> float:
    """The share of a limit that was used; None in the record stands for infinity."""
    used = margin.get("used", 0.0)
    return math.inf if used is None else float(used)
