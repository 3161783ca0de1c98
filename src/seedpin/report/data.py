"""Records of a run as what the report shows: its view model. Pure; no file is read here.

``view_run`` gives the list, ``view_check`` one check in full. All of it is JSON-able by ``as_dict``. Numbers
that people read are formatted here, in one place; series stay numbers, for the curve.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seedpin.compare.metric import words_of
from seedpin.compare.recorded import Margin, RecordedMetrics, RecordedTensor
from seedpin.environment.fingerprint import NOT_RECORDED, EnvironmentChange
from seedpin.environment.measured import in_words
from seedpin.records import Facts
from seedpin.report.divergence_rows import DifferenceSeries, view_divergence
from seedpin.report.series import Series, Strip, view_series, view_strip
from seedpin.report.summary import SummaryRow, agreement, deciding_margin, headline, how_much, view_summary
from seedpin.report.terminal import short_digest
from seedpin.run.ledger import RunMeta
from seedpin.run.message import verdict_words
from seedpin.run.result import SEVERITY, CheckResult, by_severity

TONES = {
    "damaged": "bad",
    "invalid": "bad",
    "unstable": "bad",
    "incomparable": "bad",
    "changed": "bad",
    "environment-changed": "warn",
    "missing": "note",
    "unchecked": "note",
    "within-tolerance": "good",
    "identical": "good",
}


@dataclass(frozen=True, slots=True)
class Limit:
    """One declared limit and how much of it was used; ``used`` above 1 is broken, None infinite."""

    label: str
    value: str
    limit: str
    place: str
    frame: int | None
    ok: bool
    used: float | None
    room: str


@dataclass(frozen=True, slots=True)
class Row:
    """A fact or setting on both sides. ``matters`` is False for what cannot move bits."""

    key: str
    golden: str
    here: str
    same: bool
    matters: bool = True


@dataclass(frozen=True, slots=True)
class Command:
    """Something to type. ``name`` is rerun, accept, reject or compare."""

    name: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check in the list; ``search`` is lower-case text, ``strip`` where in time it differs."""

    number: int
    id: str
    path: str
    name: str
    check: str
    kind: str
    verdict: str
    label: str
    tone: str
    device_class: str
    passed: bool
    decidable: bool
    written: str
    brief: str
    search: str
    strip: Strip | None


@dataclass(frozen=True, slots=True)
class CheckView:
    """One check in full. ``primary`` names the series that the time line shows first; ``measured`` are label,
    worst value and place of each metric of a kind that has neither frames nor tensors.
    """

    row: CheckRow
    headline: str
    summary: tuple[SummaryRow, ...]
    reasons: tuple[str, ...]
    hints: tuple[str, ...]
    series: tuple[Series, ...]
    primary: str
    total: int
    first: int | None
    worst: int | None
    limits: tuple[Limit, ...]
    tensors: tuple[Mapping[str, str], ...]
    columns: tuple[tuple[str, str], ...]
    measured: tuple[tuple[str, str, str], ...]
    facts: tuple[Row, ...]
    environment: tuple[Row, ...]
    agreed: str
    surroundings: tuple[Row, ...]
    pin: tuple[tuple[str, str], ...]
    divergence: DifferenceSeries | None
    commands: tuple[Command, ...]
    message: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RunView:
    """The list: ``sentence`` sums it up, ``counts`` are verdict, label, tone and number."""

    id: str
    version: str
    arguments: str
    sentence: str
    tone: str
    counts: tuple[tuple[str, str, str, int], ...]
    classes: tuple[str, ...]
    checks: tuple[CheckRow, ...]
    undecided: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def view_run(run_id: str, meta: RunMeta, results: Sequence[CheckResult]) -> RunView:
    """The list of ``results``, one per check, worst first."""
    rows = tuple(view_row(number, result) for number, result in enumerate(by_severity(list(results))))
    counts = []
    for verdict in SEVERITY:
        count = sum(row.verdict == verdict for row in rows)
        if count:
            counts.append((verdict, verdict_words(verdict), TONES[verdict], count))
    failing = sum(not row.passed for row in rows)
    tone = "good" if not failing else next(row.tone for row in rows if not row.passed)
    return RunView(
        id=run_id,
        version=meta.seedpin,
        arguments=shlex.join(["pytest", *meta.arguments]),
        sentence=_sum(len(rows), failing),
        tone=tone,
        counts=tuple(counts),
        classes=tuple(sorted({row.device_class for row in rows})),
        checks=rows,
        undecided=sum(row.decidable for row in rows),
    )


def _sum(total: int, failing: int) -> str:
    if total == 0:
        return "This run has no checks."
    checks = "1 check" if total == 1 else f"{total} checks"
    if failing == 0:
        return f"{checks}, nothing needs a decision."
    return f"{failing} of {checks} {'needs' if failing == 1 else 'need'} a decision."


def view_row(number: int, result: CheckResult) -> CheckRow:
    """What the list shows of ``result``."""
    path, _, name = result.test.partition("::")
    label = verdict_words(result.verdict)
    keys = " ".join(in_words(change.key) for change in result.environment_changes)
    search = " ".join((result.id, label, result.device_class, result.kind, result.written or "", keys))
    return CheckRow(
        number=number,
        id=result.id,
        path=path,
        name=name or path,
        check=result.check,
        kind=result.kind,
        verdict=result.verdict,
        label=label,
        tone=TONES.get(result.verdict, "bad"),
        device_class=result.device_class,
        passed=result.passed,
        decidable=result.obtained is not None and not result.passed,
        written=result.written or "",
        brief=_brief(result),
        search=search.lower(),
        strip=view_strip(result.metrics),
    )


def _brief(result: CheckResult) -> str:
    label, value, _ = how_much(result)
    if value:
        return f"{label} {value}"
    if result.passed:
        return ""
    return (result.metrics or RecordedMetrics()).summary or next(iter(result.reasons), "")


def view_check(row: CheckRow, result: CheckResult, *, run: str, run_path: str) -> CheckView:
    """``result`` in full. ``run`` is what ``seedpin accept`` takes, ``run_path`` the run's folder."""
    metrics = result.metrics or RecordedMetrics()
    series = view_series(metrics, result.margins)
    margin = deciding_margin(result.margins)
    primary = _primary(margin, metrics) if series else ""
    worst = next((one.worst_frame for one in series if one.name == primary), None)
    changes = [_change_row(change) for change in result.environment_changes]
    return CheckView(
        row=row,
        headline=headline(result),
        summary=view_summary(result, worst),
        reasons=tuple(result.reasons),
        hints=tuple(result.hints),
        series=series,
        primary=primary,
        total=max((len(one.values) for one in series), default=0),
        first=metrics.first_differing,
        worst=worst,
        limits=tuple(_limit(margin, metrics) for margin in result.margins),
        tensors=tuple(_tensor(tensor, metrics) for tensor in metrics.tensors),
        columns=_columns(metrics),
        measured=_measured(metrics),
        facts=_facts(result),
        environment=tuple(changes),
        agreed=agreement(result),
        surroundings=_surroundings(result),
        pin=_pin(result),
        divergence=view_divergence(result.divergence),
        commands=commands(result, run=run, run_path=run_path),
        message=result.message,
    )


def commands(result: CheckResult, *, run: str, run_path: str) -> tuple[Command, ...]:
    """What to type next: accept, rerun, reject, compare, as far as each applies."""
    found = [Command("rerun", "Run it again", shlex.join(["pytest", result.test]))]
    if result.obtained is not None and not result.passed:
        target = shlex.join([run, result.id])
        found.insert(
            0, Command("accept", "Accept as the new golden", f"seedpin accept {target} --reason 'WHY'")
        )
        found.append(Command("reject", "Reject", f"seedpin reject {target} --reason 'WHY'"))
    if result.verdict == "environment-changed":
        text = shlex.join(["pytest", result.test, "--golden-against=main"])
        found.insert(1, Command("attribute", "Is it the code? Compare on this machine", text))
    if result.obtained is not None and result.golden_copy is not None:
        sides = [f"{run_path}/{result.golden_copy}", f"{run_path}/{result.obtained}"]
        found.append(Command("compare", "Compare both files", shlex.join(["seedpin", "compare", *sides])))
    return tuple(found)


def _limit(margin: Margin, metrics: RecordedMetrics) -> Limit:
    words = words_of(margin.metric, metrics)
    sign = "≥" if margin.direction == "min" else "≤"
    return Limit(
        label=words.title,
        value=words.text(margin.value),
        limit=f"{sign} {words.text(margin.limit)}",
        place=(margin.place or "") if margin.frame is None else f"frame {margin.frame}",
        frame=margin.frame,
        ok=margin.ok,
        used=margin.used,
        room="" if margin.margin is None else words.text(margin.margin),
    )


def _primary(margin: Margin | None, metrics: RecordedMetrics) -> str:
    """The series that the time line begins with: of the limit that decided, else the one that tells most."""
    if margin is not None:
        return margin.metric
    return next((name for name in metrics.worst if words_of(name, metrics).leads), "")


def _measured(metrics: RecordedMetrics) -> tuple[tuple[str, str, str], ...]:
    """Label, worst value and place of each metric of a kind that has neither frames nor tensors."""
    if metrics.frames or metrics.tensors:
        return ()
    told = ((words_of(name, metrics), worst) for name, worst in metrics.worst.items())
    return tuple((words.title, words.text(worst.value), worst.place or "") for words, worst in told)


_IN_GOLDEN = {"peak": "Peak in golden"}


def _columns(metrics: RecordedMetrics) -> tuple[tuple[str, str], ...]:
    """Keys and titles of what is known of each tensor."""
    if not metrics.tensors:
        return ()
    known = metrics.tensors[0].values()
    titles = {name: words_of(name, metrics).title for name in metrics.worst if name in known}
    return tuple((key, f"{title[:1].upper()}{title[1:]}") for key, title in (titles | _IN_GOLDEN).items())


def _tensor(tensor: RecordedTensor, metrics: RecordedMetrics) -> Mapping[str, str]:
    told = {key: words_of(key, metrics).text(value) for key, value in tensor.values().items()}
    return {"name": tensor.name, **told}


def _change_row(change: EnvironmentChange) -> Row:
    golden, here = (NOT_RECORDED if one is None else one for one in (change.golden, change.here))
    return Row(in_words(change.key), golden, here, False, change.moves_bits)


def _facts(result: CheckResult) -> tuple[Row, ...]:
    golden, here = result.facts_golden, result.facts_obtained
    keys = [*golden, *(key for key in here if key not in golden)]
    rows = [
        Row(key, _plain(golden, key), _plain(here, key), not golden or golden.get(key) == here.get(key))
        for key in keys
    ]
    old, new = _short(result.golden_digest), _short(result.obtained_digest)
    return (*rows, Row("digest", old, new, old == new, matters=False))


def _plain(facts: Facts, key: str) -> str:
    value = facts.get(key)
    if key not in facts:
        return "—"
    if isinstance(value, Mapping):
        return " ".join(str(part) for part in value.values())
    return "not said" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _short(digest: str | None) -> str:
    return "—" if digest is None else short_digest(digest)


def _surroundings(result: CheckResult) -> tuple[Row, ...]:
    changed = {change.key for change in result.environment_changes}
    moving, other = result.environment.moves_bits, result.environment.informative
    return tuple(
        Row(in_words(key), "", values[key], key not in changed, moves)
        for values, moves in ((moving, True), (other, False))
        for key in sorted(values)
    )


def _pin(result: CheckResult) -> tuple[tuple[str, str], ...]:
    pairs = (
        ("seed", result.seed),
        ("level", result.level),
        ("CPU profile", result.profile),
        ("device class", result.device_class),
        ("tier", result.tier),
        ("golden", result.golden),
        ("called at", result.location),
        ("attempt", result.attempt if result.attempt > 1 else None),
        ("took", f"{result.seconds:.2f} s" if result.seconds else None),
    )
    return tuple((key, str(value)) for key, value in pairs if value not in (None, ""))
