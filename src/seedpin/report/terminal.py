"""Check results as text: the terminal summary, the list of what was written."""

from __future__ import annotations

from collections.abc import Sequence

from seedpin.compare.metric import words_of
from seedpin.compare.recorded import Margin, RecordedMetrics
from seedpin.printing import printable
from seedpin.run.message import format_metrics, verdict_words
from seedpin.run.result import SEVERITY, CheckResult, by_severity

_WRITTEN = ("created", "updated", "new")


def format_margins(margins: Sequence[Margin], metrics: RecordedMetrics | None = None) -> str:
    """``psnr 43.10 dB of >= 45.00 dB at frame 7; ...``, broken limits first.

    ``metrics`` are those of the same record, which say how to write what is not seedpin's own.
    """
    parts = []
    for margin in sorted(margins, key=lambda margin: margin.ok):
        sign = ">=" if margin.direction == "min" else "<="
        frame = f" at frame {margin.frame}" if margin.frame is not None else ""
        place = f" in {margin.place}" if margin.place else ""
        mark = "" if margin.ok else " (broken)"
        words = words_of(margin.metric, metrics)
        value, limit = words.text(margin.value), words.text(margin.limit)
        parts.append(f"{margin.metric} {value}, limit {sign} {limit}{frame}{place}{mark}")
    return "; ".join(parts)


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


def format_shared_places(results: Sequence[CheckResult]) -> list[str]:
    """A line for each place at which several checks that did not pass part: one cause, most likely.

    That nothing but the frames differs is no place that two of them share.
    """
    places: dict[str, list[str]] = {}
    for result in results:
        found = result.divergence
        if not result.passed and found is not None and found.kind != "clip" and found.place:
            places.setdefault(found.place, []).append(result.id)
    shared = sorted(((len(ids), place) for place, ids in places.items() if len(ids) > 1), reverse=True)
    return [printable(f"{count} checks part at {place}") for count, place in shared]


def format_ways_to_look(results: Sequence[CheckResult], *, reported: bool) -> str:
    """What to type to see what was obtained beside the goldens; empty where nothing is to be seen."""
    if not any(result.obtained and not result.passed for result in results):
        return ""
    return "to look at them: seedpin review" + ("" if reported else ", or pytest --golden-report for a page")


def _numbers(result: CheckResult) -> str:
    if result.margins:
        return format_margins(result.margins, result.metrics)
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
