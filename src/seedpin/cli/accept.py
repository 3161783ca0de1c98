"""``seedpin accept``: obtained clips of a run become goldens here."""

from __future__ import annotations

from pathlib import Path

import click

from seedpin.cli._deciding import chosen_checks, decision_options, left_open
from seedpin.cli._say import say
from seedpin.cli._shared import find_project, tracked
from seedpin.report.terminal import short_digest
from seedpin.run.choose import split_refused
from seedpin.run.decide import AppliedDecision, write_accepted
from seedpin.run.message import format_metrics


@click.command("accept")
@decision_options
@click.option("--reason", required=True, help="Why this is right now; kept in the golden's manifest.")
@click.option("--also", is_flag=True, help="Accept these bits besides the golden's, which stays as it is.")
@click.option(
    "--allow",
    multiple=True,
    type=click.Choice(["black", "constant", "static", "noise", "zero"]),
    help="A kind of suspicious content that may become a golden.",
)
def command(
    arguments: tuple[str, ...],
    expression: str,
    everything: bool,
    reason: str,
    also: bool,
    allow: tuple[str, ...],
    root: Path | None,
    golden_dir: str | None,
) -> None:
    """Make obtained clips goldens: of the last run, of a run, or of a folder or zip from another machine.

    Nothing is generated and no GPU is needed. A golden that has changed since the run is never replaced.

    \b
    seedpin accept --all --reason "new scheduler"
    seedpin accept 20260301-021507-4f2a -k "wan and not i2v" --reason "torch 2.13"
    seedpin accept ~/Downloads/golden-run.zip tests/test_wan.py::test_ball::video --reason "brighter ball"

    Exit codes: 0 all that was meant is accepted; 1 unstable or damaged checks were left out of --all or -k;
    2 nothing was accepted, the message says why.
    """
    project = find_project(root, golden_dir)
    with chosen_checks(project, arguments, expression, everything) as (run, names, chosen):
        if not chosen:
            return
        good, refused = (chosen, []) if names or len(chosen) == 1 else split_refused(chosen)
        clips = tracked(good, len(good), "Checking clips")
        decided = write_accepted(run, clips, project.folders, reason, also=also, allow=allow)
        for applied in decided:
            say(_line(applied))
        for result in refused:
            say(f"left out  {result.id}: {result.verdict}", err=True)
        say(f"run {run.id}: {len(decided)} accepted, {left_open(run)}")
    if refused:
        raise SystemExit(1)


def _line(applied: AppliedDecision) -> str:
    """``updated  <id>  old -> new  metrics``."""
    words = {"also": "accepted besides", "already": "already the golden"}
    change = f"{short_digest(applied.old)} -> {short_digest(applied.new)}"
    if applied.effect in {"created", "already"}:
        change = short_digest(applied.new)
    numbers = format_metrics(applied.result.metrics) or "; ".join(applied.result.reasons)
    return f"{words.get(applied.effect, applied.effect)}  {applied.result.id}  {change}  {numbers}".rstrip()
