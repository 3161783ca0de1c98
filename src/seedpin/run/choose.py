"""Which checks of a run are meant: by id, by part of an id, by an expression as of ``pytest -k``, or all."""

from __future__ import annotations

from collections.abc import Sequence

from _pytest.mark.expression import Expression

from seedpin.config import suggest
from seedpin.errors import DecisionRefusedError, UsageError
from seedpin.run.decide import UNDECIDABLE
from seedpin.run.ledger import Run, decidable, latest_results, pending
from seedpin.run.result import CheckResult


def choose_checks(
    run: Run, names: Sequence[str] = (), expression: str = "", *, everything: bool = False
) -> list[CheckResult]:
    """The checks to decide on.

    ``names`` are ids or unique parts of ids, decided before or not. ``expression`` and ``everything`` choose
    among what is pending. Without any of these the only pending check is meant.

    Raises:
        DecisionRefusedError: several checks await a decision and none was named, or nothing fits.
        UsageError: the expression cannot be read, or two ways of choosing were mixed.
    """
    if names and (expression or everything):
        raise UsageError("ids were given together with -k or --all", hint="choose in one way")
    open_checks = pending(run)
    if names:
        return list({chosen.id: chosen for name in names for chosen in [_named(run, name)]}.values())
    if expression:
        chosen = [result for result in open_checks if matches(expression, result.id)]
        if not chosen:
            raise DecisionRefusedError(
                f"no check of run {run.id} that awaits a decision fits -k {expression!r}",
                hint=_listing(open_checks),
            )
        return chosen
    if everything or len(open_checks) <= 1:
        return open_checks
    raise DecisionRefusedError(
        f"{len(open_checks)} checks of run {run.id} await a decision",
        hint=f"name one, or choose with -k EXPR, or take --all\n{_listing(open_checks)}",
    )


def matches(expression: str, text: str) -> bool:
    """Whether ``text`` fits an expression of substrings with ``and``, ``or``, ``not`` and brackets."""
    lowered = text.lower()
    try:
        compiled = Expression.compile(expression)
        return bool(compiled.evaluate(lambda part, /, **_: part.lower() in lowered))
    except SyntaxError as error:
        raise UsageError(
            f"-k {expression!r} cannot be read: {error}", hint="write for example -k 'wan and not i2v'"
        ) from error


def _named(run: Run, name: str) -> CheckResult:
    candidates = decidable(run)
    exact = [result for result in candidates if result.id == name]
    named = exact or [result for result in candidates if name in result.id]
    if len(named) == 1:
        return named[0]
    if named:
        raise DecisionRefusedError(f"{name!r} names {len(named)} checks", hint=f"name one\n{_listing(named)}")
    everything = latest_results(run)
    others = [result.id for result in everything]
    empty = [result for result in everything if name in result.id and result.verdict in UNDECIDABLE]
    if len(empty) == 1:
        verdict = empty[0].verdict
        raise DecisionRefusedError(
            f"{empty[0].id} is {verdict}: {UNDECIDABLE[verdict]}", hint=f"seedpin explain {verdict}"
        )
    if any(name in other for other in others):
        raise DecisionRefusedError(
            f"{name!r} left no clip to decide on in run {run.id}: it passed, or its clip is gone",
            hint=_listing(candidates) if candidates else "nothing awaits a decision",
        )
    raise DecisionRefusedError(f"no check of run {run.id} is called {name!r}", hint=suggest(name, others))


def named_check(run: Run, name: str) -> CheckResult:
    """The one check of a run, passed or not, that an id or a part of one names. Raises UsageError."""
    everything = latest_results(run)
    exact = [result for result in everything if result.id == name]
    named = exact or [result for result in everything if name in result.id]
    if len(named) == 1:
        return named[0]
    if named:
        raise UsageError(
            f"{name!r} names {len(named)} checks of run {run.id}", hint=f"name one\n{_listing(named)}"
        )
    ids = [result.id for result in everything]
    raise UsageError(f"no check of run {run.id} is called {name!r}", hint=suggest(name, ids))


def split_refused(results: Sequence[CheckResult]) -> tuple[list[CheckResult], list[CheckResult]]:
    """What can be accepted, and what cannot because it is unstable or damaged."""
    good = [result for result in results if result.verdict not in UNDECIDABLE]
    return good, [result for result in results if result.verdict in UNDECIDABLE]


def _listing(results: Sequence[CheckResult]) -> str:
    return "\n".join(f"    {result.id}" for result in results[:20]) or "nothing awaits a decision"
