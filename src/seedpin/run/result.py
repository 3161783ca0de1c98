"""What one check found: the frozen record that terminal, ledger, report and reviews are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from seedpin.compare.recorded import Margin, RecordedMetrics
from seedpin.environment.fingerprint import EnvironmentChange, StoredEnvironment
from seedpin.records import Facts, Scalar, as_plain
from seedpin.trace.diff.divergence import Divergence

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
VerdictWord = Annotated[str, Meta(pattern=rf"\A({'|'.join(SEVERITY)})\Z")]
PASSING = frozenset({"identical", "within-tolerance"})


@dataclass(frozen=True, slots=True)
class Attribution:
    """Whether code or environment moved the bits: "environment", "code", "both" or "unknown".

    ``sentence`` says the ``conclusion`` in words. ``golden``, ``minting`` and ``here`` are digests of the
    clip: as stored, as ``commit`` gives it in the present environment, and as the present code does; ``how``
    says how that commit is known. ``places`` tell where bits part.
    """

    conclusion: str
    sentence: str
    commit: str = ""
    how: str = ""
    golden: str = ""
    minting: str = ""
    here: str = ""
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check of one attempt of one test; paths use ``/``.

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
    verdict: VerdictWord
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
    facts_golden: Facts = field(default_factory=dict)
    facts_obtained: Facts = field(default_factory=dict)
    metrics: RecordedMetrics | None = None
    tolerance: Mapping[str, Scalar] | None = None
    margins: tuple[Margin, ...] = ()
    environment: StoredEnvironment = field(default_factory=StoredEnvironment)
    environment_changes: tuple[EnvironmentChange, ...] = ()
    measured: int | None = None
    reasons: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    divergence: Divergence | None = None
    written: str | None = None
    attribution: Attribution | None = None
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

    def as_dict(self) -> dict[str, object]:
        """Plain data, as it travels on a report and as JSON holds it."""
        return as_plain(self)


def by_severity(results: list[CheckResult]) -> list[CheckResult]:
    """Worst verdict first, then the largest share of the limit used, then by name."""

    def rank(result: CheckResult) -> tuple[int, float, str]:
        worst = max((margin.share for margin in result.margins), default=0.0)
        return SEVERITY.index(result.verdict), -worst, result.id

    return sorted(results, key=rank)
