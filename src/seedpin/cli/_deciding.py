"""What ``accept`` and ``reject`` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from seedpin.cli._shared import Project, project_options
from seedpin.run.intake import is_source
from seedpin.run.ledger import Run, pending

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def decision_options(function: Decorated) -> Decorated:
    """Arguments and options that say which checks are meant."""
    every = click.option("--all", "everything", is_flag=True, help="All that awaits a decision.")
    keyword = click.option("-k", "expression", metavar="EXPR", default="", help="As pytest's -k, on ids.")
    arguments = click.argument("arguments", nargs=-1, metavar="[RUN|FOLDER|ZIP] [IDS]...")
    return arguments(keyword(every(project_options(function))))


def split_source(arguments: tuple[str, ...], project: Project) -> tuple[str | None, tuple[str, ...]]:
    """The run, folder or zip, if the first argument names one, and the ids."""
    if arguments and is_source(arguments[0], project.state):
        return arguments[0], arguments[1:]
    return None, arguments


def left_open(run: Run) -> str:
    count = len(pending(run))
    return "nothing left to decide" if not count else f"{count} left to decide"
