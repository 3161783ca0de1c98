"""``seedpin compare A B``: any two clips, without a test."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from seedpin.cli._say import say
from seedpin.cli._shared import find_project, print_json, project_options
from seedpin.environment.measured import things_in_words
from seedpin.errors import UsageError
from seedpin.records import as_plain
from seedpin.run.compared_inputs import ComparedInput, compare_inputs, find_inputs, write_pair
from seedpin.run.ledger import Run, RunMeta
from seedpin.run.message import format_metrics, verdict_words
from seedpin.run.result import CheckResult
from seedpin.version import __version__

Compared = tuple[str, ComparedInput, ComparedInput, CheckResult]


@click.command("compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="All metrics of all frames as JSON.")
@click.option(
    "--html", type=click.Path(path_type=Path, file_okay=False), help="Write a report to this folder."
)
@project_options
def command(
    first: str, second: str, as_json: bool, html: Path | None, root: Path | None, golden_dir: str | None
) -> None:
    """Compare two clips: videos, images, folders of images, goldens, tensors, or two runs check by check.

    Nothing is resized, cut or converted. B is held against A.

    Exit codes: 0 equal, bit for bit; 1 they differ, or cannot be compared; 2 one of them cannot be read.
    """
    project = find_project(root, golden_dir)
    pairs = _pairs(find_inputs(first, project.state), find_inputs(second, project.state), first, second)
    if html is not None:
        page = _write_html(html, pairs)
    if as_json:
        print_json(
            {"a": first, "b": second, "checks": [_as_dict(name, record) for name, *_, record in pairs]}
        )
    else:
        for name, _, _, record in pairs:
            _print(name or f"{first}  {second}", record)
    if html is not None:
        say(str(page), err=as_json)
    if any(record.verdict != "identical" for *_, record in pairs):
        raise SystemExit(1)


def _pairs(
    old: dict[str, ComparedInput], new: dict[str, ComparedInput], first: str, second: str
) -> list[Compared]:
    if len(old) == 1 and len(new) == 1:
        one, other = next(iter(old.values())), next(iter(new.values()))
        return [("", one, other, compare_inputs(one, other))]
    common = [name for name in old if name in new]
    if "" in old or "" in new or not common:
        raise UsageError(
            f"{first} has {len(old)} clip(s) and {second} has {len(new)}: which belong together is not clear",
            hint="name a clip on both sides, or two runs with checks in common",
        )
    for name in sorted(old.keys() ^ new.keys()):
        say(f"only in {first if name in old else second}: {name}", err=True)
    return [(name, old[name], new[name], compare_inputs(old[name], new[name])) for name in common]


def _print(name: str, record: CheckResult) -> None:
    colour = "green" if record.verdict == "identical" else "red"
    say(f"{verdict_words(record.verdict)}  {name}", fg=colour)
    lines = list(record.reasons)
    lines += [f"worst: {worst}"] if (worst := format_metrics(record.metrics)) else []
    lines += [f"looks like: {hint}" for hint in record.hints]
    moved = [change.key for change in record.environment_changes if change.moves_bits]
    lines += [f"environment: {things_in_words(moved)} differ"] if moved else []
    for line in lines:
        say(f"  {line}")


def _as_dict(name: str, record: CheckResult) -> dict[str, object]:
    return {
        "check": name,
        "verdict": record.verdict,
        "reasons": list(record.reasons),
        "hints": list(record.hints),
        "digest_a": record.golden_digest,
        "digest_b": record.obtained_digest,
        "facts_a": dict(record.facts_golden),
        "facts_b": dict(record.facts_obtained),
        "metrics": None if record.metrics is None else as_plain(record.metrics),
        "environment": [as_plain(change) for change in record.environment_changes],
    }


def _write_html(out: Path, pairs: list[Compared]) -> Path:
    from seedpin.report.html import write_report

    with tempfile.TemporaryDirectory(prefix="seedpin-") as folder:
        run = Run(Path(folder) / "runs" / "compare")
        run.write_meta(RunMeta(run="compare", seedpin=__version__))
        for number, (_, one, other, record) in enumerate(pairs):
            write_pair(run, number, one, other, record)
        return write_report(run, out)
