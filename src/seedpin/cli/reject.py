"""``seedpin reject``: obtained clips of a run are not wanted."""

from __future__ import annotations

from pathlib import Path

import click

from seedpin.cli._deciding import chosen_checks, decision_options, left_open
from seedpin.cli._say import say
from seedpin.cli._shared import find_project
from seedpin.run.decide import write_rejected


@click.command("reject")
@decision_options
@click.option("--reason", default="", help="Why it is wrong; kept with the run.")
@click.option("--known-bad", is_flag=True, help="Keep the digest in the golden: these bits never pass again.")
def command(
    arguments: tuple[str, ...],
    expression: str,
    everything: bool,
    reason: str,
    known_bad: bool,
    root: Path | None,
    golden_dir: str | None,
) -> None:
    """Record that obtained clips are not wanted. Goldens stay as they are, but for --known-bad.

    \b
    seedpin reject tests/test_wan.py::test_ball::video --reason "the ball is grey"
    seedpin reject --all --known-bad --reason "NaN in the third block"

    Exit codes: 0 recorded; 2 nothing was recorded, the message says why.
    """
    project = find_project(root, golden_dir)
    with chosen_checks(project, arguments, expression, everything) as (run, _, chosen):
        if not chosen:
            return
        for applied in write_rejected(run, chosen, project.folders, reason, known_bad=known_bad):
            note = "  known to be bad from now on" if applied.effect == "known-bad" else ""
            say(f"rejected  {applied.result.id}{note}")
        say(f"run {run.id}: {len(chosen)} rejected, {left_open(run)}")
