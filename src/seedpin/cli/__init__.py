"""The command line: ``seedpin COMMAND``. One module per command, imported when it is called.

Exit codes: 0 done and all well; 1 a comparison or a verification found a difference; 2 wrong usage or
an error of seedpin's (its message says what to type next); 130 interrupted.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from seedpin.cli._further import further_command, further_commands
from seedpin.cli._say import say
from seedpin.errors import SeedpinError, UsageError
from seedpin.version import __version__

COMMANDS: dict[str, str] = {
    "bisect": "Find the commit that changed what a test generates.",
    "accept": "Make obtained clips of a run goldens: from here, or from a CI artifact.",
    "reject": "Record that obtained clips are not wanted.",
    "review": "Look at a run in the browser, and accept or reject there.",
    "report": "Write the report of a run as a folder that opens without a network.",
    "status": "Goldens by device class: number, size, age, last reason.",
    "show": "What is known of a golden.",
    "compare": "Compare any two clips, without a test.",
    "export": "Write a golden, or what a run obtained, as .mp4, .gif, .png, .wav and others.",
    "verify": "Re-read every golden and check its digests.",
    "mv": "Move the goldens of a test that was renamed or moved.",
    "prune": "List, or delete, goldens that no test asks for.",
    "completion": "Print the completion script of bash, zsh or fish.",
    "demo": "Mint a golden with the embedded video model, break the model, see the gate fail.",
    "env": "Show device class, environment and settings.",
    "trace": "Show a stored trace, or where two of them part.",
    "probe": "Repeat a test's calls in growing distance; name the first operation that differs.",
    "explain": "Print the help on a message, by its slug.",
}


def _does(name: str) -> str:
    """A command in a line; one that a package brings and that cannot be loaded is listed all the same."""
    if name in COMMANDS:
        return COMMANDS[name]
    try:
        command = further_command(name)
    except UsageError as error:
        return error.what
    return "" if command is None else command.get_short_help_str(limit=80)


class _Lazy(click.Group):
    """Imports a command's module only when the command runs; the list of commands costs nothing."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted({*COMMANDS, *further_commands()})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return further_command(name)
        command = import_module(f"seedpin.cli.{name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _does(name)) for name in self.list_commands(context)])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="seedpin")
def cli() -> None:
    """Seed-pinned regression testing of generative video and image models."""


def main() -> None:
    """Entry point of the ``seedpin`` script."""
    try:
        cli.main(prog_name="seedpin", standalone_mode=True)
    except SeedpinError as error:
        say(f"seedpin: {error}", lines=True, err=True)
        sys.exit(2)
