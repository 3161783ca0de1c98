"""``seedpin completion``: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    seedpin completion bash >> ~/.bashrc
    seedpin completion zsh >> ~/.zshrc
    seedpin completion fish > ~/.config/fish/completions/seedpin.fish
    """
    from seedpin.cli import cli

    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(cli, {}, "seedpin", "_SEEDPIN_COMPLETE").source())
