"""Check results as text: the failure's message, the terminal summary, the list of what was written."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from seedpin.environment.measured import is_measured
from seedpin.printing import printable
from seedpin.run.result import SEVERITY, CheckResult, by_severity

UNITS = {"psnr": " dB"}
_WRITTEN = ("created", "updated", "new")
_ARROWS = {"ssim": ".6f", "psnr": ".2f"}


def verdict_words(verdict: str) -> str:
    return verdict.replace("-", " ")


def format_value(metric: str, value: float | None) -> str:
    """A metric's value with its unit; None stands for infinite PSNR, of equal frames."""
    if value is None:
        return "inf"
    if metric == "changed":
        return f"{100 * value:.3g} %"
    return f"{value:{_ARROWS.get(metric, '.4g')}}{UNITS.get(metric, '')}"


def format_margins(margins: Sequence[Mapping[str, Any]]) -> str:
    """``psnr 43.10 dB of >= 45.00 dB at frame 7; ...``, broken limits first."""
    parts = []
    for margin in sorted(margins, key=lambda margin: bool(margin["ok"])):
        metric = margin["metric"]
        sign = ">=" if margin.get("direction") == "min" else "<="
        frame = f" at frame {margin['frame']}" if margin.get("frame") is not None else ""
        place = f" in {margin['place']}" if margin.get("place") else ""
        mark = "" if margin["ok"] else " (broken)"
        value, limit = format_value(metric, margin["value"]), format_value(metric, margin["limit"])
        parts.append(f"{metric} {value}, limit {sign} {limit}{frame}{place}{mark}")
    return "; ".join(parts)


def format_metrics(metrics: Mapping[str, Any] | None) -> str:
    """One line: the worst value of each metric and its frame."""
    if not metrics:
        return ""
    worst: Mapping[str, Mapping[str, Any]] = metrics.get("worst", {})
    parts = []
    for metric, entry in worst.items():
        place = entry.get("place")
        where = f" in {place}" if place else ""
        parts.append(f"{metric} {format_value(metric, entry['value'])}{where}")
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
        lines.append(f"  where: {result.divergence['sentence']}")
    lines += [f"  looks like: {hint_}" for hint_ in result.hints]
    if result.metrics:
        lines.append(f"  worst: {format_metrics(result.metrics)}")
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
        if (change["moves_bits"] and not is_measured(change["key"])) or other_cpu(change)
    ]
    if not shown:
        return lines
    from seedpin.environment.fingerprint import Change, format_difference

    table = format_difference([Change(**change) for change in shown]).splitlines()
    return [*(lines or ["  environment:"]), *(f"    {line}" for line in table)]


def what_agrees(measured: int | None) -> str:
    """What was compared and found equal, no more; ``measured`` is the number of operations."""
    if measured is None:
        return "versions and settings agree; what operations compute was not recorded with the golden"
    return f"versions, settings and {measured} measured operations agree"


def other_cpu(change: Mapping[str, Any]) -> bool:
    return change["key"] == "cpu_model" and None not in (change["golden"], change["here"])


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


def format_summary(results: Sequence[CheckResult]) -> list[str]:
    """The table of checks that were not identical, worst first. Empty for none."""
    rows = [
        (verdict_words(result.verdict), result.id, _numbers(result))
        for result in by_severity([result for result in results if result.verdict != "identical"])
    ]
    if not rows:
        return []
    verdict_width = max(len(row[0]) for row in rows)
    return [
        printable(f"{verdict:<{verdict_width}}  {name}  {numbers}".rstrip())
        for verdict, name, numbers in rows
    ]


def _numbers(result: CheckResult) -> str:
    if result.margins:
        return format_margins(result.margins)
    if result.metrics:
        return format_metrics(result.metrics)
    return result.reasons[0] if result.reasons else ""


def format_tally(results: Sequence[CheckResult]) -> str:
    """``1 changed, 3 identical, 1 created``: what an update wrote counts as that."""
    words = [result.written if result.written in _WRITTEN else result.verdict for result in results]
    return ", ".join(
        f"{words.count(word)} {verdict_words(word)}" for word in (*SEVERITY, *_WRITTEN) if word in words
    )


def format_written(result: CheckResult) -> str:
    """One line for a golden that an update wrote: created, or old -> new with metrics."""
    if result.golden_digest is None or result.written == "created":
        return f"created  {result.golden}  {short_digest(result.obtained_digest)}"
    change = f"{short_digest(result.golden_digest)} -> {short_digest(result.obtained_digest)}"
    numbers = format_metrics(result.metrics) or "; ".join(result.reasons)
    return printable(f"updated  {result.golden}  {change}  {numbers}".rstrip())


def short_digest(digest: str | None) -> str:
    return "none" if digest is None else digest.partition(":")[2][:12]
