"""All attempts of one check in one session: a retry classifies, it never turns red to green."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from seedpin.run.result import PASSING, SEVERITY, CheckResult

_SETTLED = frozenset({"created", "updated", "new"})


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt came to: its verdict, the digest that it obtained, whether it passed its gate."""

    verdict: str
    digest: str | None
    passed: bool


def attempt_of(result: CheckResult) -> Attempt:
    # "staged" counts as no pass: whether that golden is written depends on what is decided here.
    passed = result.verdict in PASSING or result.written in _SETTLED
    return Attempt(result.verdict, result.obtained_digest, passed)


def unsteady(attempts: Sequence[Attempt], last: str = "this one") -> str:
    """Why attempts of one check, in their order, prove that it does not repeat; empty where they do not.

    Other bits that all pass are no proof: a declared tolerance, or several accepted digests, allow them.
    ``last`` is what the sentence calls the last attempt.
    """
    if len(attempts) < 2 or all(attempt.passed for attempt in attempts):
        return ""
    *earlier, here = attempts
    other = next((one for one in reversed(earlier) if _outcome(one) != _outcome(here)), None)
    if other is not None:
        return (
            f"An earlier attempt in this session {_told(other)}, {last} {_told(here, first=other)}: "
            "the model does not repeat under its pin."
        )
    if any(one.verdict == "unstable" for one in earlier):
        return (
            "An earlier attempt in this session was found unstable: "
            f"that {last} obtained the same bits proves nothing."
        )
    failed = next((one for one in earlier if not one.passed), None)
    if here.passed and failed is not None and failed.verdict in _JUDGED:
        return (
            f"An earlier attempt in this session was {failed.verdict.replace('-', ' ')}, {last} is "
            f"{here.verdict.replace('-', ' ')} with the same bits: the golden, or what is declared for it, "
            "changed during the session."
        )
    return ""


# Verdicts that the same bits against the same golden would meet again.
_JUDGED = frozenset({"changed", "environment-changed", "incomparable", "damaged"})


def _outcome(attempt: Attempt) -> str:
    return attempt.digest or attempt.verdict


def _told(attempt: Attempt, first: Attempt | None = None) -> str:
    if attempt.digest is None:
        return f"was {attempt.verdict.replace('-', ' ')}"
    return f"obtained {attempt.digest}" if first is None or first.digest is None else attempt.digest


def judged(results: Iterable[CheckResult]) -> list[CheckResult]:
    """A further record, unstable, for each check whose records of one session do not agree.

    Given are the records of a whole session in the order of the attempts; a check that was already told to be
    unstable, or whose last attempt was no clip, has none. ``message`` is left empty.
    """
    verdicts = []
    for sequence in by_check(results).values():
        last = sequence[-1]
        if last.verdict in ("unstable", "invalid", "unchecked"):
            continue
        reason = unsteady([attempt_of(result) for result in sequence], last="the last one")
        if reason:
            verdicts.append(
                replace(
                    last,
                    verdict="unstable",
                    reasons=(reason,),
                    written=None,
                    message="",
                    margins=(),
                    hints=(),
                )
            )
    return verdicts


def unheard(results: Iterable[CheckResult]) -> list[CheckResult]:
    """Checks that passed on a later attempt, while an attempt before it ended before it made them.

    Such an attempt (its fixture failed, its process crashed) obtained nothing, so nothing contradicts the
    pass; yet it is no proof that the model repeats. Given are the records as for ``judged``.
    """
    groups = by_check(results).values()
    return [group[-1] for group in groups if group[-1].passed and len(group) < group[-1].attempt]


def by_check(results: Iterable[CheckResult]) -> dict[str, list[CheckResult]]:
    """By its id, the record of each attempt of a check; of several of one attempt the worst."""
    checks: dict[str, dict[int, CheckResult]] = {}
    for result in results:
        attempts = checks.setdefault(result.id, {})
        before = attempts.get(result.attempt)
        if before is None or _severity(result) <= _severity(before):
            attempts[result.attempt] = result
    return {name: [group[number] for number in sorted(group)] for name, group in checks.items()}


def last_of_each(results: Iterable[CheckResult]) -> dict[str, CheckResult]:
    """By its id, the record of the last attempt of each check, in the order of their first appearance."""
    return {name: group[-1] for name, group in by_check(results).items()}


def _severity(result: CheckResult) -> int:
    return SEVERITY.index(result.verdict) if result.verdict in SEVERITY else -1
