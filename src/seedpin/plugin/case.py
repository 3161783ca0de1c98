"""One check under way: from an exhibit to a verdict and its result."""

from __future__ import annotations

import dataclasses
import shlex
import warnings
from typing import Any

from seedpin.compare.fallback import choose_fallback, parse_fallbacks
from seedpin.compare.tolerance import Tolerance, choose_tolerance, parse_tolerances
from seedpin.compare.verdict import Decision, Reference, Side, Verdict, damaged, decide, missing, unstable
from seedpin.environment.fingerprint import Environment
from seedpin.errors import (
    DamagedGoldenError,
    MovedDrawsWarning,
    NewerFormatError,
    SuspiciousClipError,
    SuspiciousClipWarning,
)
from seedpin.goldens.content import load
from seedpin.goldens.store import Golden, digest_or_none
from seedpin.plugin.circumstances import with_measurements
from seedpin.plugin.evidence import divergence, doubt, fitting, neighbours, other_draws, renamed
from seedpin.plugin.exhibit import Exhibit
from seedpin.plugin.state import EARLIER
from seedpin.refs.against import Against
from seedpin.report.terminal import format_failure
from seedpin.run.attempts import Attempt, attempt_of, unsteady
from seedpin.run.result import CheckResult
from seedpin.trace.divergence import Divergence


@dataclasses.dataclass(frozen=True, slots=True)
class Case(Exhibit):
    """One check under way."""

    location: str
    allow: frozenset[str]

    def judge(self) -> CheckResult:
        store = self.desk.store
        golden, broken = None, None
        try:
            golden = store.read(self.key)
        except (DamagedGoldenError, NewerFormatError) as error:
            broken = error
        if broken is None and golden is None and self.desk.update.mode is None:
            return self._without_golden()
        return self._against(golden, broken)

    def _without_golden(self) -> CheckResult:
        """No golden for this class: a declared fallback's, or missing."""
        fallbacks = parse_fallbacks(self.desk.settings.fallback, kind=self.subject.kind.name)
        chosen = choose_fallback(fallbacks, self.key.device_class)
        if chosen is not None:
            fallback = chosen[1]
            try:
                golden = self.desk.store.read(dataclasses.replace(self.key, device_class=fallback.use))
            except (DamagedGoldenError, NewerFormatError) as error:
                return self._against(None, error)
            if golden is not None:
                return self._against(golden, None, fallback=fallback.tolerance, fallback_declared=True)
        return self._against(None, None)

    def _against(
        self,
        golden: Golden | None,
        broken: DamagedGoldenError | NewerFormatError | None,
        *,
        fallback: Tolerance | None = None,
        fallback_declared: bool = False,
    ) -> CheckResult:
        if self._needs_a_reason(golden):
            measured = dataclasses.replace(self, here=with_measurements(self.here))
            return measured._judged(golden, broken, fallback, fallback_declared)
        return self._judged(golden, broken, fallback, fallback_declared)

    def _needs_a_reason(self, golden: Golden | None) -> bool:
        """Whether the environment is to be measured: bits differ, or the golden may be written."""
        if golden is None or self.desk.update.mode == "all":
            return True
        return self.subject.digest not in golden.manifest.accepted_digests()

    def _judged(
        self,
        golden: Golden | None,
        broken: DamagedGoldenError | NewerFormatError | None,
        fallback: Tolerance | None,
        fallback_declared: bool,
    ) -> CheckResult:
        metrics: Any = None
        hints: tuple[str, ...] = ()
        others = self.desk.store.device_classes(self.key.test, self.key.check)
        if broken is not None:
            decision = damaged(broken.what)
        elif golden is None:
            decision = missing(self.key.device_class, others)
        else:
            try:
                metrics, hints = self._measure(golden)
                decision = self._decide(golden, metrics, fallback, fallback_declared)
            except DamagedGoldenError as error:
                broken, decision = error, damaged(error.what)
        decision, earlier = self._classified(decision)
        against = self.desk.against
        if against is not None:
            decision = self._versus(against, decision)
        write = self._may_write(decision, broken)
        update = self.desk.update
        what_to_do = ""
        if write and not update.collect:
            self._refuse_suspicious()
        if write and (update.thorough or not update.collect):
            doubted = doubt(self, self.declared or self._class_tolerance(), decision)
            if doubted is not None:
                write = False
                decision, what_to_do = doubted.decision, doubted.hint
        parted = None
        if golden is not None and decision.verdict is not Verdict.IDENTICAL:
            parted = divergence(self, golden)
        elif golden is not None and not write:
            decision = self._draws_compared(golden, decision)
        result = self._result(golden, decision, metrics, hints, parted)
        if write:
            tolerance = self.declared or self._class_tolerance()
            return self.stage(golden, result, tolerance, force=broken is not None)
        if against is not None and golden is None and against.is_new(self.desk.request.node, self.key.check):
            return dataclasses.replace(result, written="new")
        if self.subject.kind.warns and decision.verdict is not Verdict.IDENTICAL:
            for suspicion in self.subject.suspicions():
                if suspicion.kind not in self.allow:
                    path, _, line = self.location.rpartition(":")
                    said = f"{self.key.test} ({self.key.check}): {suspicion.message}"
                    warnings.warn_explicit(said, SuspiciousClipWarning, path, int(line))
        if decision.passed:
            if golden is not None:
                self.hold_against(golden, decision)
            return result
        result = self.keep(golden, decision, result)
        hint = what_to_do or (broken.hint if broken is not None else "")
        found = renamed(self) if decision.verdict is Verdict.MISSING and against is None else None
        if found is not None:
            sentence, command = found
            hint = what_to_do or command
            result = dataclasses.replace(result, reasons=(*result.reasons, sentence))
        if against is not None and decision.verdict is not Verdict.UNSTABLE:
            hint = against.next_step(decision.verdict, shlex.quote(self.key.test))
        return dataclasses.replace(
            result,
            message=format_failure(
                result,
                golden_dir=self.desk.settings.golden_dir,
                run_folder=self.desk.settings.shown(self.desk.run.path),
                hint=hint,
                earlier=earlier,
                reference="" if against is None else against.short,
            ),
        )

    def _draws_compared(self, golden: Golden, decision: Decision) -> Decision:
        """Says of equal bits that they were drawn otherwise: a lost ``generator=`` shows nowhere else."""
        said = other_draws(self, golden)
        if not said:
            return decision
        path, _, line = self.location.rpartition(":")
        update = f"pytest {shlex.quote(self.key.test)} --update-golden=all"
        more = f"If it is meant: {update}. More: seedpin explain {MovedDrawsWarning.slug}"
        message = f"{self.key.test} ({self.key.check}): {said} {more}"
        warnings.warn_explicit(message, MovedDrawsWarning, path, int(line))
        return dataclasses.replace(decision, reasons=(*decision.reasons, said))

    def _versus(self, against: Against, decision: Decision) -> Decision:
        """The decision in terms of another revision, once it is sure that here repeats."""
        if decision.verdict in (Verdict.CHANGED, Verdict.ENVIRONMENT_CHANGED):
            doubted = doubt(self, self.declared or self._class_tolerance(), decision)
            if doubted is not None and doubted.decision.verdict is Verdict.UNSTABLE:
                return doubted.decision
        return against.reworded(decision, self.desk.request.node, self.key.check)

    def _measure(self, golden: Golden) -> tuple[Any, tuple[str, ...]]:
        """Metrics and hints, where facts agree and bits do not."""
        manifest, obtained, kind = golden.manifest, self.subject, self.subject.kind
        if obtained.digest in manifest.accepted_digests() or manifest.kind != kind.name:
            return None, ()
        same_shape = {key: value for key, value in manifest.facts.items() if key != "fps"} == {
            key: value for key, value in obtained.facts.items() if key != "fps"
        }
        comparable = same_shape and manifest.value_range == obtained.value_range
        if not comparable and not kind.can_hint(manifest.facts, obtained.value):
            return None, ()
        value = load(golden)
        hints = kind.hints(value, obtained.value)
        return kind.compare(value, obtained.value) if comparable else None, hints

    def _decide(
        self, golden: Golden, metrics: Any, fallback: Tolerance | None, fallback_declared: bool
    ) -> Decision:
        manifest = golden.manifest
        return decide(
            Reference(
                facts={**manifest.facts, **_extra_facts(manifest.kind, manifest.value_range)},
                accepted=manifest.accepted_digests(),
                device_class=manifest.device_class,
                environment=Environment.from_dict(manifest.environment),
                seed=manifest.seed,
                level=manifest.level,
                known_bad=manifest.known_bad_digests(),
            ),
            Side(
                facts={
                    **self.subject.facts,
                    **_extra_facts(self.subject.kind.name, self.subject.value_range),
                },
                digest=self.subject.digest,
                device_class=self.key.device_class,
                environment=self.here.environment,
                seed=self.here.seed,
                level=self.here.level,
            ),
            metrics=metrics,
            tolerance=self.declared or self._class_tolerance(),
            fallback=fallback or (self.declared if fallback_declared else None),
            fallback_declared=fallback_declared,
        )

    def _class_tolerance(self) -> Tolerance | None:
        table = parse_tolerances(self.desk.settings.tolerance, kind=self.subject.kind.name)
        chosen = choose_tolerance(table, self.key.device_class)
        return None if chosen is None else chosen[1]

    def _classified(self, decision: Decision) -> tuple[Decision, CheckResult | None]:
        """Rule 8: a retry that came to something else than any attempt before it means unstable."""
        earlier = self.desk.request.config.stash[EARLIER].get(f"{self.key.test}::{self.key.check}", [])
        if not earlier:
            return decision, None
        now = Attempt(decision.verdict.value, self.subject.digest, decision.passed)
        reason = unsteady([*map(attempt_of, earlier), now])
        if reason:
            decision = dataclasses.replace(unstable(reason), changes=decision.changes)
        return decision, earlier[-1]

    def _may_write(self, decision: Decision, broken: Exception | None) -> bool:
        mode = self.desk.update.mode
        if mode is None or decision.verdict is Verdict.UNSTABLE or isinstance(broken, NewerFormatError):
            return False
        if mode == "all" or decision.verdict is Verdict.MISSING:
            return True
        return mode == "changed" and broken is None and not decision.passed

    def _result(
        self,
        golden: Golden | None,
        decision: Decision,
        metrics: Any,
        hints: tuple[str, ...],
        parted: Divergence | None,
    ) -> CheckResult:
        here = self.here
        path = self.desk.store.manifest_path(self.key) if golden is None else golden.path
        own = self.desk.store.manifest_path(self.key)
        return CheckResult(
            test=self.key.test,
            check=self.key.check,
            kind=self.desk.fixture,
            verdict=decision.verdict.value,
            device_class=self.key.device_class,
            golden=path.relative_to(self.desk.store.root).as_posix(),
            message="",
            location=self.location,
            tier=decision.tier,
            seed=here.seed,
            level=here.level,
            profile=here.profile,
            golden_digest=None if golden is None else golden.manifest.digest,
            obtained_digest=self.subject.digest,
            manifest_digest=(
                golden.manifest_digest if golden is not None and golden.path == own else digest_or_none(own)
            ),
            facts_golden={} if golden is None else dict(golden.manifest.facts),
            facts_obtained=dict(self.subject.facts),
            metrics=None if metrics is None else metrics.as_dict(),
            tolerance=None if decision.tolerance is None else dataclasses.asdict(decision.tolerance),
            margins=tuple(margin.as_dict() for margin in decision.margins),
            environment=here.environment.as_dict(),
            environment_changes=tuple(change.as_dict() for change in decision.changes),
            measured=decision.measured,
            reasons=decision.reasons,
            hints=(*fitting(hints, parted), *neighbours(self)),
            divergence=None if parted is None else parted.as_dict(),
            reason=self.desk.update.reason,
            attempt=self.desk.state.attempt,
        )

    def _refuse_suspicious(self) -> None:
        for suspicion in self.subject.suspicions():
            if suspicion.kind not in self.allow:
                raise SuspiciousClipError(
                    f"{self.key.test} ({self.key.check}): {suspicion.message}; "
                    "such a clip is refused as a golden",
                    hint=f'if it is meant, say so: check(..., allow=("{suspicion.kind}",))',
                )


def _extra_facts(kind: str, value_range: tuple[float, float] | None) -> dict[str, Any]:
    """Facts that are no part of a clip's shape and yet make pixels incomparable."""
    return {"kind": kind, "value_range": None if value_range is None else list(value_range)}
