"""What ``accept`` and ``reject`` share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from seedpin.cli._say import say
from seedpin.cli._shared import Decorated, Project, project_options
from seedpin.run.choose import choose_checks
from seedpin.run.ledger import Run, pending
from seedpin.run.opening import is_source, open_run
from seedpin.run.result import CheckResult


def decision_options(function: Decorated) -> Decorated:
    """Arguments and options that say which checks are meant."""
    every = click.option("--all", "everything", is_flag=True, help="All that awaits a decision.")
    keyword = click.option("-k", "expression", metavar="EXPR", default="", help="As pytest's -k, on ids.")
    arguments = click.argument("arguments", nargs=-1, metavar="[RUN|FOLDER|ZIP] [IDS]...")
    return arguments(keyword(every(project_options(function))))


@contextmanager
def chosen_checks(
    project: Project, arguments: tuple[str, ...], expression: str, everything: bool
) -> Iterator[tuple[Run, tuple[str, ...], list[CheckResult]]]:
    """The run that is meant, the ids that were named, and the checks of them that await a decision.

    The run is open (a zip unpacked) for as long as the block lasts. That nothing awaits a decision is said.
    """
    source, names = None, arguments
    if arguments and is_source(arguments[0], project.state):
        source, names = arguments[0], arguments[1:]
    with open_run(source, project.state) as run:
        chosen = choose_checks(run, names, expression, everything=everything)
        if not chosen:
            say(f"run {run.id}: nothing awaits a decision")
        yield run, names, chosen


def left_open(run: Run) -> str:
    count = len(pending(run))
    return "nothing left to decide" if not count else f"{count} left to decide"
