"""``seedpin`` commands in this process, and a project's run as a CI artifact."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from seedpin.cli import cli
from seedpin.errors import SeedpinError


@dataclass(frozen=True, slots=True)
class Done:
    """A command's exit code, and all that it printed, its error message included."""

    code: int
    out: str


def seedpin(*arguments: str, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> Done:
    """Runs ``seedpin ARGUMENTS`` as the script would."""
    with monkeypatch.context() as patch:
        patch.chdir(cwd)
        result = CliRunner().invoke(cli, list(arguments))
    if isinstance(result.exception, SeedpinError):
        return Done(2, f"{result.output}{result.exception}\n")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.output)


def zip_folder(folder: Path, target: Path) -> Path:
    """A zip of all files below ``folder``, named relative to it."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    return target


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` with its content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
