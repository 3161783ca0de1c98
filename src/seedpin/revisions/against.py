"""``--golden-against``: the golden of every check is what another revision gives on this machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path

from seedpin.compare.verdict import OTHER_ENVIRONMENT, Decision, Verdict
from seedpin.environment.measured import things_in_words
from seedpin.git import short
from seedpin.kinds.registry import golden_fixtures
from seedpin.revisions.cache import read_index
from seedpin.revisions.results import error_of


@dataclasses.dataclass(frozen=True, slots=True)
class Against:
    """The revision that this session is compared with; ``folder`` is its cache."""

    label: str
    commit: str
    folder: Path

    @property
    def short(self) -> str:
        return short(self.commit)

    def is_new(self, test: str, fixtures: Collection[str], check: str) -> bool:
        """Whether the revision is known to have no such test, or no such check in it."""
        index = read_index(self.folder)
        known = index.tests.get(test)
        if known is None:
            named = not golden_fixtures().isdisjoint(fixtures)
            return named and not error_of(index.errors, test)
        return known.outcome == "absent" or (known.outcome == "passed" and check not in known.checks)

    def why_not(self, test: str) -> str:
        """Why a check that is not new could not be compared."""
        index = read_index(self.folder)
        known = index.tests.get(test)
        if known is None:
            error = error_of(index.errors, test)
            if error:
                return f"its file could not be collected there: {error}"
            return (
                "its fixture is asked for at run time only, so it was not known to be a test with goldens; "
                "name the fixture among the test's arguments"
            )
        if known.outcome == "passed":
            return "it gave a clip of another device class there"
        if known.outcome == "uncollected":
            return f"its file could not be collected there: {known.error}"
        word = "was skipped" if known.outcome == "skipped" else known.outcome
        return f"it {word} there: {known.error}" if known.error else f"it {word} there"

    def reworded(self, decision: Decision, test: str, fixtures: Collection[str], check: str) -> Decision:
        """``decision`` in terms of the revision: same machine, so the environment excuses nothing."""
        if decision.verdict is Verdict.MISSING:
            if self.is_new(test, fixtures, check):
                return dataclasses.replace(decision, reasons=(f"Only here: {self.label} has no such check.",))
            reason = f"It could not be compared with {self.label}: {self.why_not(test)}."
            return dataclasses.replace(decision, reasons=(reason,))
        if decision.verdict is Verdict.INCOMPARABLE:
            reasons = tuple(
                reason.replace("in the golden", f"at {self.short}") for reason in decision.reasons
            )
            return dataclasses.replace(decision, reasons=reasons)
        if decision.verdict in (Verdict.CHANGED, Verdict.ENVIRONMENT_CHANGED):
            return self._changed(decision)
        return decision

    def _changed(self, decision: Decision) -> Decision:
        reasons = [f"Here differs from {self.label} on this machine."]
        moved = decision.verdict is Verdict.ENVIRONMENT_CHANGED
        reasons += decision.reasons[1:-1] if moved else decision.reasons[1:]
        if decision.tier == OTHER_ENVIRONMENT:
            keys = things_in_words(change.key for change in decision.changes if change.moves_bits)
            reasons.append(f"The code sets things otherwise that move bits: {keys}.")
        return dataclasses.replace(decision, verdict=Verdict.CHANGED, reasons=tuple(reasons))

    def next_step(self, verdict: str, test: str) -> str:
        """What to do about a check that did not pass; ``test`` is quoted for a shell."""
        if verdict == "missing":
            return (
                f"see {self.folder.name}/pytest.log under .seedpin/against, "
                "or compare with a revision where it runs"
            )
        return (
            f"git diff {self.short} shows what changed; if it is committed, the commit is found by "
            f"seedpin bisect {test} --good {self.short}"
        )
