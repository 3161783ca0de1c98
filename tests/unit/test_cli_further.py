"""Commands that packages bring: listed, run, and told apart from seedpin's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from seedpin.cli import COMMANDS, cli
from seedpin.errors import UsageError

MODULE = """
import click


@click.command()
def greet():
    \"\"\"Say hello.\"\"\"
    click.echo("hello")
"""


def bring(folder: Path, monkeypatch: pytest.MonkeyPatch, *entries: str) -> None:
    """An installed distribution with these entry points of the group ``seedpin.commands``."""
    info = folder / "acme-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("\n".join(("[seedpin.commands]", *entries, "")))
    (folder / "acme_greeting.py").write_text(MODULE)
    monkeypatch.syspath_prepend(folder)


def test_a_package_brings_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs by its name, and the help lists it with the first sentence of its own."""
    bring(tmp_path, monkeypatch, "greet = acme_greeting:greet")
    assert CliRunner().invoke(cli, ["greet"]).output == "hello\n"
    listed = CliRunner().invoke(cli, ["--help"]).output
    assert "greet       Say hello." in listed
    assert all(name in listed for name in COMMANDS)


def test_seedpin_s_own_commands_go_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No package takes the place of `accept` or another."""
    bring(tmp_path, monkeypatch, "verify = acme_greeting:greet")
    assert "Re-read every golden" in CliRunner().invoke(cli, ["verify", "--help"]).output


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("greet = acme_greeting:nothing", "the command 'greet' of acme 1.2 cannot be loaded: AttributeError"),
        ("greet = json:dumps", "the command 'greet' of acme 1.2 is wrong: json:dumps is no click.Command"),
    ],
)
def test_a_command_that_cannot_be_used_names_its_package(
    entry: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running it is an error; the help, and all other commands, go on."""
    bring(tmp_path, monkeypatch, entry)
    result = CliRunner().invoke(cli, ["greet"])
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)
    listed = CliRunner().invoke(cli, ["--help"])
    assert listed.exit_code == 0
    assert "the command 'greet' of acme 1.2" in listed.output
