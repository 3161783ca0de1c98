"""Commands that packages bring by entry points of the group ``seedpin.commands``; seedpin's own go before."""

from __future__ import annotations

from importlib.metadata import entry_points

import click

from seedpin.errors import UsageError

GROUP = "seedpin.commands"


def further_commands() -> list[str]:
    """Their names. Nothing is loaded."""
    return [point.name for point in entry_points(group=GROUP)]


def further_command(name: str) -> click.Command | None:
    """The command that a package brings as ``name``. Raises UsageError where it is none."""
    for point in entry_points(group=GROUP, name=name):
        by = "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"
        try:
            command = point.load()
        except Exception as error:
            raise UsageError(
                f"the command {name!r} of {by} cannot be loaded: {type(error).__name__}: {error}",
                hint="mend or reinstall that package",
            ) from error
        if not isinstance(command, click.Command):
            raise UsageError(
                f"the command {name!r} of {by} is wrong: {point.value} is no click.Command",
                hint=f"mend its entry point of the group {GROUP}",
            )
        return command
    return None
