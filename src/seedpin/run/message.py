"""The message of a check that did not pass, as text: what happened, where, and what to type next."""

from __future__ import annotations

import shlex

from seedpin.compare.metric import words_of
from seedpin.compare.recorded import RecordedMetrics
from seedpin.environment.fingerprint import EnvironmentChange, format_difference
from seedpin.environment.measured import is_measured
from seedpin.printing import printable
from seedpin.run.result import CheckResult


def verdict_words(verdict: str) -> str:
    return verdict.replace("-", " ")


def format_metrics(metrics: RecordedMetrics | None) -> str:
    """One line: the worst value of each metric and its frame."""
    if metrics is None:
        return ""
    parts = []
    for metric, entry in metrics.worst.items():
        where = f" in {entry.place}" if entry.place else ""
        parts.append(f"{metric} {words_of(metric, metrics).text(entry.value)}{where}")
    return ", ".join(parts)


def format_failure(
    result: CheckResult,
    *,
    golden_dir: str,
    run_folder: str,
    hint: str = "",
    earlier: CheckResult | None = None,
    reference: str = "",
) -> str:
    """The block that a failing check prints: what happened, where, and what to type next.

    ``reference`` is the revision whose clips stand in the goldens' place, if one does.
    """
    pinned = "unpinned" if result.seed is None else f"seed {result.seed}, {result.level}"
    lines = [
        f"golden_{result.kind}: {verdict_words(result.verdict).upper()}  {result.test} ({result.check})",
        f"  {result.device_class}, {pinned}, at {result.location}",
    ]
    lines += [f"  {reason}" for reason in result.reasons]
    if result.divergence is not None:
        lines.append(f"  where: {result.divergence.sentence}")
    lines += [f"  looks like: {hint_}" for hint_ in result.hints]
    if worst := format_metrics(result.metrics):
        lines.append(f"  worst: {worst}")
    lines += format_environment(result)
    if earlier is not None and earlier.obtained_digest == result.obtained_digest and not earlier.passed:
        lines.append(
            f"  attempt {result.attempt} obtained the same bits as attempt {earlier.attempt}: it is real."
        )
    absent = result.verdict == "missing" or (result.verdict == "invalid" and result.manifest_digest is None)
    place = f"{golden_dir}/{result.golden}{' (none)' if absent else ''}"
    lines.append(f"  {f'at {reference}:' if reference else 'golden:  '} {place}")
    if result.obtained is not None:
        lines.append(f"  obtained: {run_folder}/{result.obtained}")
    hint = hint.replace("pytest --update-golden", f"pytest {shlex.quote(result.test)} --update-golden")
    lines.append(f"  next: {hint or _next_step(result)}")
    lines.append(f"  more: seedpin explain {result.verdict}")
    return "\n".join(printable(line) for line in lines)


def format_environment(result: CheckResult) -> list[str]:
    """What agrees around the code, and a table of what does not.

    Measured operations that differ are told in words by the verdict's reason: their digests say nothing.
    The model of the CPU cannot move bits by itself, but where it differs one wants to know.
    """
    lines = []
    if result.verdict == "changed" and result.tier == "same environment":
        lines.append(f"  environment: {what_agrees(result.measured)}")
    shown = [
        change
        for change in result.environment_changes
        if (change.moves_bits and not is_measured(change.key)) or other_cpu(change)
    ]
    if not shown:
        return lines
    table = format_difference(shown).splitlines()
    return [*(lines or ["  environment:"]), *(f"    {line}" for line in table)]


def what_agrees(measured: int | None) -> str:
    """What was compared and found equal, no more; ``measured`` is the number of operations."""
    if measured is None:
        return "versions and settings agree; what operations compute was not recorded with the golden"
    return f"versions, settings and {measured} measured operations agree"


def other_cpu(change: EnvironmentChange) -> bool:
    return change.key == "cpu_model" and None not in (change.golden, change.here)


def _next_step(result: CheckResult) -> str:
    test = shlex.quote(result.test)
    if result.verdict == "unstable":
        return "find what is random; goldens need a model that repeats under its pin"
    if result.verdict == "environment-changed":
        return f"to see whether code or environment did it: pytest {test} --golden-attribute"
    if result.verdict == "invalid":
        return "hand in what the check can read; the error at the call says more"
    if result.verdict == "unchecked":
        return f"check it, or if it is not meant to be checked any more: seedpin prune --test {test}"
    if result.verdict == "missing":
        return f"look at the obtained clip, then: pytest {test} --update-golden"
    return f'if this is meant: pytest {test} --update-golden --golden-reason "why"'
