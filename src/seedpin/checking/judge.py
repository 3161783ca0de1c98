"""One check, from what was obtained to a verdict and its result: a sequence of steps, each in a function."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

from seedpin.checking.artifact import Artifact
from seedpin.checking.calls import trace_of
from seedpin.checking.conditions import with_measurements
from seedpin.checking.context import CheckContext
from seedpin.checking.evidence import doubt, fitting, neighbours, parting, renamed
from seedpin.checking.keep import write_obtained, write_staged_golden
from seedpin.compare.diagnoses import further_hints
from seedpin.compare.fallback import Fallback, choose_fallback, parse_fallbacks
from seedpin.compare.measured import Metrics
from seedpin.compare.tolerance import Tolerance
from seedpin.compare.verdict import (
    Candidate,
    Decision,
    Reference,
    Verdict,
    damaged,
    decide,
    missing,
    unstable,
)
from seedpin.environment.fingerprint import Environment
from seedpin.errors import (
    DamagedGoldenError,
    MovedDrawsWarning,
    NewerFormatError,
    SuspiciousClipError,
    SuspiciousClipWarning,
)
from seedpin.goldens.content import load
from seedpin.goldens.store import Golden, GoldenKey, digest_or_none
from seedpin.kinds.base import recorded
from seedpin.kinds.measure import with_asked
from seedpin.records import Scalar
from seedpin.run.attempts import Attempt, attempt_of, unsteady
from seedpin.run.message import format_failure
from seedpin.run.result import CheckResult
from seedpin.trace.diff.divergence import Divergence
from seedpin.trace.diff.draw_lines import moved_draws
from seedpin.trace.model import Trace


@dataclasses.dataclass(frozen=True, slots=True)
class StoredGolden:
    """What was found where a golden should be: it, or why it cannot be read, or neither.

    ``fallback``: the declared one through which ``golden`` is another device class's.
    """

    golden: Golden | None = None
    broken: DamagedGoldenError | NewerFormatError | None = None
    fallback: Fallback | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """An artifact held against its golden, as far as the steps have come.

    write: whether it becomes the golden. next_step: what to do, where a step knows. earlier: the attempt
    before this one. trace, divergence: what the calls did, and where that parts from the golden's.
    """

    stored: StoredGolden
    decision: Decision
    metrics: Metrics | None = None
    hints: tuple[str, ...] = ()
    earlier: CheckResult | None = None
    write: bool = False
    next_step: str = ""
    trace: Trace | None = None
    divergence: Divergence | None = None

    @property
    def golden(self) -> Golden | None:
        return self.stored.golden


def judge(artifact: Artifact) -> CheckResult:
    """Compares, decides, keeps and says; nothing under the golden folder is written here.

    Raises SuspiciousClipError and GoldenWriteError in an update.
    """
    stored = find_golden(artifact.context, artifact.key, artifact.obtained.kind.name)
    artifact = measured_if_needed(artifact, stored)
    comparison = compare_with_golden(artifact, stored)
    # A retry and another revision may each overrule what the pixels say, so both come before any writing.
    comparison = classify_attempts(artifact, comparison)
    comparison = reword_for_revision(artifact, comparison)
    comparison = decide_to_write(artifact, comparison)
    comparison = locate(artifact, comparison)
    result = record(artifact, comparison)
    if comparison.write:
        force = stored.broken is not None
        return write_staged_golden(artifact, comparison.golden, comparison.trace, result, force=force)
    if is_new_here(artifact, comparison):
        return dataclasses.replace(result, written="new")
    warn_of_suspicious(artifact, comparison)
    if comparison.decision.passed:
        if comparison.golden is not None:
            take_the_last_step(artifact, comparison.golden)
        return result
    result = write_obtained(artifact, comparison.golden, comparison.trace, comparison.decision, result)
    return say(artifact, comparison, result)


def find_golden(context: CheckContext, key: GoldenKey, kind: str) -> StoredGolden:
    """The golden of this device class; without one, and where none is written, a declared fallback's."""
    try:
        golden = context.store.read(key)
        if golden is not None or context.update.mode is not None or not context.settings.fallback:
            return StoredGolden(golden)
        chosen = choose_fallback(parse_fallbacks(context.settings.fallback, kind=kind), key.device_class)
        if chosen is None:
            return StoredGolden()
        golden = context.store.read(dataclasses.replace(key, device_class=chosen[1].use))
    except (DamagedGoldenError, NewerFormatError) as error:
        return StoredGolden(broken=error)
    return StoredGolden() if golden is None else StoredGolden(golden, fallback=chosen[1])


def measured_if_needed(artifact: Artifact, stored: StoredGolden) -> Artifact:
    """With the environment measured where bits differ, or the golden may be written: a reason is wanted."""
    golden = stored.golden
    equal = golden is not None and artifact.obtained.digest in golden.manifest.accepted_digests()
    if equal and artifact.context.update.mode != "all":
        return artifact
    return dataclasses.replace(artifact, conditions=with_measurements(artifact.conditions))


def compare_with_golden(artifact: Artifact, stored: StoredGolden) -> Comparison:
    """Facts, digests, environment and tolerance: the verdict of the pixels."""
    if stored.broken is not None:
        return Comparison(stored, damaged(stored.broken.what))
    if stored.golden is None:
        key = artifact.key
        others = artifact.context.store.device_classes(key.test, key.check)
        return Comparison(stored, missing(key.device_class, others))
    try:
        limits = _limits(artifact, stored)
        metrics, hints = _measured(artifact, stored.golden, limits)
        return Comparison(stored, _decided(artifact, stored.golden, metrics, limits), metrics, hints)
    except DamagedGoldenError as error:
        return Comparison(dataclasses.replace(stored, broken=error), damaged(error.what))


@dataclasses.dataclass(frozen=True, slots=True)
class _Limits:
    """The tolerance for this device class, and that for another's golden where one stands in for its own."""

    own: Tolerance | None
    fallback: Tolerance | None = None
    falls_back: bool = False

    def names(self) -> tuple[str, ...]:
        """The metrics that are asked for."""
        applicable = self.fallback if self.falls_back else self.own
        return () if applicable is None else tuple(applicable.limits)


def _limits(artifact: Artifact, stored: StoredGolden) -> _Limits:
    own = artifact.tolerance()
    if stored.fallback is None:
        return _Limits(own)
    return _Limits(own, stored.fallback.tolerance or artifact.declared, falls_back=True)


def _measured(artifact: Artifact, golden: Golden, limits: _Limits) -> tuple[Metrics | None, tuple[str, ...]]:
    """Metrics and hints, where bits differ; the golden is decoded here, once.

    Raises DamagedGoldenError, and MetricError for a metric of the limits that cannot be computed.
    """
    obtained, kind, manifest = artifact.obtained, artifact.obtained.kind, golden.manifest
    if obtained.digest in manifest.accepted_digests() or manifest.kind != kind.name:
        return None, ()
    old, new = dict(manifest.facts), dict(obtained.facts)
    old.pop("fps", None), new.pop("fps", None)
    comparable = old == new and manifest.value_range == obtained.value_range
    if not comparable and not kind.can_hint(manifest.facts, obtained.value):
        return None, ()
    expected = load(golden)
    hints = kind.hints(expected, obtained.value)
    if not comparable:
        return None, hints
    hints = (*hints, *further_hints(kind.name, expected, obtained.value))
    metrics, asked = kind.compare(expected, obtained.value), limits.names()
    return (with_asked(metrics, kind, expected, obtained.value, asked) if asked else metrics), hints


def _decided(artifact: Artifact, golden: Golden, metrics: Metrics | None, limits: _Limits) -> Decision:
    manifest, obtained, conditions = golden.manifest, artifact.obtained, artifact.conditions
    return decide(
        Reference(
            facts={**manifest.facts, **_extra_facts(manifest.kind, manifest.value_range)},
            accepted=manifest.accepted_digests(),
            device_class=manifest.device_class,
            environment=Environment.of(manifest.environment),
            seed=manifest.seed,
            level=manifest.level,
            known_bad=manifest.known_bad_digests(),
        ),
        Candidate(
            facts={**obtained.facts, **_extra_facts(obtained.kind.name, obtained.value_range)},
            digest=obtained.digest,
            device_class=artifact.key.device_class,
            environment=conditions.environment,
            seed=conditions.seed,
            level=conditions.level,
        ),
        metrics=metrics,
        tolerance=limits.own,
        fallback=limits.fallback,
        fallback_declared=limits.falls_back,
    )


def _extra_facts(kind: str, value_range: tuple[float, float] | None) -> dict[str, Any]:
    """Facts that are no part of a clip's shape and yet make pixels incomparable."""
    return {"kind": kind, "value_range": None if value_range is None else list(value_range)}


def classify_attempts(artifact: Artifact, comparison: Comparison) -> Comparison:
    """A retry that came to something else than any attempt before it means unstable."""
    key, decision = artifact.key, comparison.decision
    earlier = artifact.context.earlier.get(f"{key.test}::{key.check}", ())
    if not earlier:
        return comparison
    now = Attempt(decision.verdict.value, artifact.obtained.digest, decision.passed)
    reason = unsteady([*map(attempt_of, earlier), now])
    if reason:
        decision = dataclasses.replace(unstable(reason), changes=decision.changes)
    return dataclasses.replace(comparison, decision=decision, earlier=earlier[-1])


def reword_for_revision(artifact: Artifact, comparison: Comparison) -> Comparison:
    """The decision in terms of another revision, if there is one, once it is sure that here repeats."""
    context, decision = artifact.context, comparison.decision
    if context.revision is None:
        return comparison
    if decision.verdict in (Verdict.CHANGED, Verdict.ENVIRONMENT_CHANGED):
        doubted = doubt(artifact, decision)
        if doubted is not None and doubted.decision.verdict is Verdict.UNSTABLE:
            return dataclasses.replace(comparison, decision=doubted.decision)
    decision = context.revision.reworded(decision, context.test, context.fixtures, artifact.key.check)
    return dataclasses.replace(comparison, decision=decision)


def decide_to_write(artifact: Artifact, comparison: Comparison) -> Comparison:
    """Whether an update takes this for the golden: not what is suspicious, nor what does not repeat."""
    update = artifact.context.update
    if not _may_write(update.mode, comparison):
        return comparison
    if not update.collect:
        _refuse_suspicious(artifact)
    if update.thorough or not update.collect:
        doubted = doubt(artifact, comparison.decision)
        if doubted is not None:
            return dataclasses.replace(comparison, decision=doubted.decision, next_step=doubted.hint)
    return dataclasses.replace(comparison, write=True)


def _may_write(mode: str | None, comparison: Comparison) -> bool:
    broken, decision = comparison.stored.broken, comparison.decision
    if mode is None or decision.verdict is Verdict.UNSTABLE or isinstance(broken, NewerFormatError):
        return False
    if mode == "all" or decision.verdict is Verdict.MISSING:
        return True
    return mode == "changed" and broken is None and not decision.passed


def _refuse_suspicious(artifact: Artifact) -> None:
    for suspicion in artifact.obtained.suspicions():
        if suspicion.kind not in artifact.allow:
            raise SuspiciousClipError(
                f"{artifact.key.test} ({artifact.key.check}): {suspicion.message}; "
                "such a clip is refused as a golden",
                hint=f'if it is meant, say so: check(..., allow=("{suspicion.kind}",))',
            )


def locate(artifact: Artifact, comparison: Comparison) -> Comparison:
    """Where the calls part from the golden's; the trace is built here, once, also for those who keep it."""
    golden, decision = comparison.golden, comparison.decision
    identical = golden is not None and decision.verdict is Verdict.IDENTICAL
    if golden is not None and identical and not comparison.write:
        return dataclasses.replace(comparison, decision=_draws_compared(artifact, golden, decision))
    obtained = artifact.obtained
    trace = trace_of(artifact.calls, obtained.items(), obtained.names, obtained.kind.word)
    parted = None if trace is None or golden is None or identical else parting(trace, golden)
    return dataclasses.replace(comparison, trace=trace, divergence=parted)


def _draws_compared(artifact: Artifact, golden: Golden, decision: Decision) -> Decision:
    """Says of equal bits that they were drawn otherwise: a lost ``generator=`` shows nowhere else."""
    before, here = golden.manifest.draws, artifact.draws()
    if before is None or here is None or before == here:
        return decision
    said = moved_draws(before, here)
    update = f"pytest {shlex.quote(artifact.key.test)} --update-golden=all"
    more = f"If it is meant: {update}. More: seedpin explain {MovedDrawsWarning.slug}"
    _warn(artifact, f"{said} {more}", MovedDrawsWarning)
    return dataclasses.replace(decision, reasons=(*decision.reasons, said))


def record(artifact: Artifact, comparison: Comparison) -> CheckResult:
    """The result, as far as nothing was kept of it and no message made."""
    context, key, obtained, here = artifact.context, artifact.key, artifact.obtained, artifact.conditions
    golden, decision, metrics = comparison.golden, comparison.decision, comparison.metrics
    parted = comparison.divergence
    own = context.store.manifest_path(key)
    path = own if golden is None else golden.path
    return CheckResult(
        test=key.test,
        check=key.check,
        kind=context.fixture,
        verdict=decision.verdict.value,
        device_class=key.device_class,
        golden=path.relative_to(context.store.root).as_posix(),
        message="",
        location=artifact.location,
        tier=decision.tier,
        seed=here.seed,
        level=here.level,
        profile=here.profile,
        golden_digest=None if golden is None else golden.manifest.digest,
        obtained_digest=obtained.digest,
        manifest_digest=(
            golden.manifest_digest if golden is not None and golden.path == own else digest_or_none(own)
        ),
        facts_golden={} if golden is None else golden.manifest.facts,
        facts_obtained=obtained.facts,
        metrics=None if metrics is None else recorded(artifact.obtained.kind, metrics),
        tolerance=None if decision.tolerance is None else _recorded(decision.tolerance),
        margins=decision.margins,
        environment=here.environment.stored(),
        environment_changes=decision.changes,
        measured=decision.measured,
        reasons=decision.reasons,
        hints=_hints(artifact, comparison),
        divergence=parted,
        reason=context.update.reason,
        attempt=context.state.attempt,
    )


def _hints(artifact: Artifact, comparison: Comparison) -> tuple[str, ...]:
    hints = fitting(comparison.hints, comparison.divergence) if comparison.hints else ()
    return (*hints, *neighbours(artifact)) if artifact.context.update.thorough else hints


def _recorded(tolerance: Tolerance) -> dict[str, Scalar]:
    return {"kind": tolerance.kind, **tolerance.as_dict()}


def is_new_here(artifact: Artifact, comparison: Comparison) -> bool:
    """Whether the revision that this is compared with has no such check: no reason to fail."""
    context = artifact.context
    if context.revision is None or comparison.golden is not None:
        return False
    return context.revision.is_new(context.test, context.fixtures, artifact.key.check)


def warn_of_suspicious(artifact: Artifact, comparison: Comparison) -> None:
    if not artifact.obtained.kind.warns or comparison.decision.verdict is Verdict.IDENTICAL:
        return
    for suspicion in artifact.obtained.suspicions():
        if suspicion.kind not in artifact.allow:
            _warn(artifact, suspicion.message, SuspiciousClipWarning)


def _warn(artifact: Artifact, message: str, category: type[Warning]) -> None:
    """Has a warning given at the line of the call of ``check``, once the result is kept."""
    artifact.said.append((f"{artifact.key.test} ({artifact.key.check}): {message}", category))


def take_the_last_step(artifact: Artifact, golden: Golden) -> None:
    """The last step of a check that passed: nothing is written, and nothing is left to compare."""
    artifact.context.last_step(
        golden=golden.path,
        obtained=artifact.context.run.path,
        dump=lambda target: None,
        check=lambda obtained, expected: None,
        stage=False,
    )


def say(artifact: Artifact, comparison: Comparison, result: CheckResult) -> CheckResult:
    """The result with its message: what happened, where, and what to type next."""
    context, decision, broken = artifact.context, comparison.decision, comparison.stored.broken
    hint = comparison.next_step or (broken.hint if broken is not None else "")
    moved = None
    if decision.verdict is Verdict.MISSING and context.revision is None and "::" in context.test:
        moved = renamed(artifact)
    if moved is not None:
        sentence, command = moved
        hint = comparison.next_step or command
        result = dataclasses.replace(result, reasons=(*result.reasons, sentence))
    if context.revision is not None and decision.verdict is not Verdict.UNSTABLE:
        hint = context.revision.next_step(decision.verdict, shlex.quote(artifact.key.test))
    message = format_failure(
        result,
        golden_dir=context.settings.golden_dir,
        run_folder=context.settings.shown(context.run.path),
        hint=hint if context.offered is None else context.offered(result, hint),
        earlier=comparison.earlier,
        reference="" if context.revision is None else context.revision.short,
    )
    return dataclasses.replace(result, message=message)
