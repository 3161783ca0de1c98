"""What a red check makes one ask: what changed, how much, at which frame, and did the environment change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seedpin.compare.metric import words_of
from seedpin.compare.recorded import Margin, RecordedMetrics
from seedpin.environment.measured import families_in_words, is_measured, things_in_words
from seedpin.errors import SeedpinError
from seedpin.kinds.registry import kind_of_fixture
from seedpin.run.message import verdict_words, what_agrees
from seedpin.run.result import CheckResult


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """One of the questions that a red check raises. ``frame`` is where a click leads, if anywhere."""

    question: str
    value: str
    note: str = ""
    tone: str = ""
    frame: int | None = None


def headline(result: CheckResult) -> str:
    if result.written in {"created", "updated"}:
        why = f": {result.reason}" if result.reason else "."
        return f"The golden was {result.written} by this run{why}"
    if result.verdict == "changed":
        return _changed(result)
    moved = _moved(result)
    if result.verdict == "environment-changed" and moved:
        return f"The output changed, and so did {moved}. The code cannot be judged by this alone."
    words = {
        "identical": f"Every {_word(result)} is identical to the golden, bit for bit.",
        "within-tolerance": "The output differs from the golden, within what is declared.",
        "environment-changed": "The output differs from another device's golden. The code cannot be judged.",
        "incomparable": "Golden and output cannot be compared: they are not of the same kind or shape.",
        "missing": f"There is no golden for {result.device_class} yet.",
        "unstable": "The model does not repeat: two runs under the same pin differ.",
        "invalid": "What was handed in is nothing that could be compared.",
        "unchecked": "The test passed without checking this golden.",
        "damaged": "The golden cannot be read.",
    }
    return words.get(result.verdict, verdict_words(result.verdict))


def _word(result: CheckResult) -> str:
    """What one digest of the check is for."""
    try:
        return kind_of_fixture(result.kind).word
    except SeedpinError:  # of a package that is not installed here
        return "value"


def _changed(result: CheckResult) -> str:
    """Only what was looked at is said not to have changed."""
    if result.tier != "same environment":  # bits that are known to be bad, or another revision's
        return result.reasons[0] if result.reasons else "The output changed."
    agrees = what_agrees(result.measured)
    look = "." if result.measured is None else ". Look at the code."
    return f"The output changed; {agrees}{look}"


def view_summary(result: CheckResult, worst: int | None) -> tuple[SummaryRow, ...]:
    """The answers in the order of the questions; ``worst`` is the worst frame, None for none."""
    return (_what(result), *_amount(result), *_where(result, worst), _environment(result))


def _what(result: CheckResult) -> SummaryRow:
    question = "What changed"
    metrics = result.metrics or RecordedMetrics()
    differing, total = metrics.differing, metrics.num_frames
    if differing is not None and total:
        what = "the image" if total == 1 else f"{differing} of {total} frames"
        return SummaryRow(question, what, result.hints[0] if result.hints else "")
    if metrics.summary:
        return SummaryRow(question, metrics.summary)
    if metrics.tensors:
        off = sum(1 for tensor in metrics.tensors if tensor.max_abs != 0)
        return SummaryRow(question, f"{off} of {len(metrics.tensors)} tensors")
    if result.verdict == "incomparable" and result.reasons:
        return SummaryRow(question, result.reasons[0], " ".join(result.reasons[1:]), "bad")
    if result.verdict == "identical":
        return SummaryRow(question, "nothing", tone="good")
    if result.verdict == "missing":
        return SummaryRow(question, "no golden yet", result.device_class)
    return SummaryRow(question, result.reasons[0] if result.reasons else verdict_words(result.verdict))


def _amount(result: CheckResult) -> tuple[SummaryRow, ...]:
    question = "How much"
    if result.verdict == "identical":
        return (SummaryRow(question, "0", "equal bits", "good"),)
    label, value, note = how_much(result)
    if not value:
        # What was compared and has no distance, as a text, differs or does not.
        return () if result.metrics is not None else (SummaryRow(question, "not measured"),)
    broken = any(not margin.ok for margin in result.margins)
    tone = "bad" if broken else "good" if result.passed else ""
    return (SummaryRow(question, value, f"{label}; {note}", tone),)


def how_much(result: CheckResult) -> tuple[str, str, str]:
    """The metric that decided, its worst value, and its limit or further numbers; empty if not measured."""
    margin, metrics = deciding_margin(result.margins), result.metrics or RecordedMetrics()
    if margin is not None:
        words = words_of(margin.metric, metrics)
        sign = "at least" if margin.direction == "min" else "at most"
        return words.title, words.text(margin.value), f"{sign} {words.text(margin.limit)} is declared"
    told = {name: words_of(name, metrics) for name in metrics.worst}
    for name, words in told.items():
        if words.leads:
            beside = [
                row.beside.format(value=row.text(metrics.worst[name].value)) for name, row in told.items()
            ]
            return words.title, words.text(metrics.worst[name].value), ", ".join(filter(None, beside))
    return "", "", ""


def deciding_margin(margins: Sequence[Margin]) -> Margin | None:
    """The broken limit of which most was used, else the one that came nearest; None without limits."""
    return min(margins, key=lambda margin: (margin.ok, -margin.share), default=None)


def _where(result: CheckResult, worst: int | None) -> tuple[SummaryRow, ...]:
    metrics = result.metrics or RecordedMetrics()
    first, total = metrics.first_differing, metrics.num_frames
    if total > 1 and first is not None:
        return (
            SummaryRow("First differing frame", str(first), f"of {total}, counted from 0", frame=first),
            SummaryRow("Worst frame", str(worst), frame=worst),
        )
    places = [entry.place for entry in metrics.worst.values() if entry.place]
    if metrics.tensors and places:
        return (SummaryRow("Worst tensor", places[0]),)
    return ()


def _environment(result: CheckResult) -> SummaryRow:
    question = "Environment"
    keys = [change.key for change in result.environment_changes if change.moves_bits]
    if keys:
        settings = sum(not is_measured(key) for key in keys)
        count = "arithmetic changed"
        if settings:
            count = "1 setting changed" if settings == 1 else f"{settings} settings changed"
            count += " and arithmetic" if settings < len(keys) else ""
        return SummaryRow(question, count, things_in_words(keys), "warn")
    if result.tier == "other class":
        return SummaryRow(question, "another device", f"golden of {_class_of(result.golden)}", "warn")
    if not result.facts_golden:
        return SummaryRow(question, "nothing to compare with")
    if not result.environment and not result.environment_changes:
        return SummaryRow(question, "not recorded")
    return SummaryRow(question, "no difference found", _looked_at(result), "good")


def agreement(result: CheckResult) -> str:
    """What was compared with the golden's and agrees; empty where anything differs or nothing was."""
    moved = any(change.moves_bits for change in result.environment_changes)
    if moved or not result.environment or not result.facts_golden or result.tier == "other class":
        return ""
    said = "No version and no setting that both sides recorded differs"
    if result.measured is None:
        return f"{said}; what operations compute was not compared."
    return f"{said}, and {result.measured} measured operations compute the same bits."


def _looked_at(result: CheckResult) -> str:
    """What "no difference" rests on, and what differs beside it."""
    said = [what_agrees(result.measured)] if not result.passed else []
    both = [change for change in result.environment_changes if None not in (change.golden, change.here)]
    said += [f"{change.key}: {change.here}, not {change.golden}" for change in both]
    alone = len(result.environment_changes) - len(both)
    said += [f"{alone} recorded on one side only"] if alone else []
    return "; ".join(said)


def _moved(result: CheckResult) -> str:
    """What moved, in words, for a sentence."""
    keys = [change.key for change in result.environment_changes if change.moves_bits]
    settings = [key for key in keys if not is_measured(key)]
    parts = [", ".join(settings[:3]) + (" and more" if len(settings) > 3 else "")] if settings else []
    parted = families_in_words(key for key in keys if is_measured(key))
    parts += [f"the bits that this machine computes ({parted})"] if parted else []
    return ", and ".join(parts)


def _class_of(golden: str) -> str:
    parts = golden.rpartition("/")[2].split(".")
    return parts[1] if len(parts) > 2 else "another class"
