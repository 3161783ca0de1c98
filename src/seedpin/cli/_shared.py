"""What commands share: the project they work on, tables, sizes, ages."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

import click

from seedpin.cli._say import say
from seedpin.config import Config, find_root, load_config
from seedpin.errors import GoldenWriteError
from seedpin.goldens.inventory import Inventory, walk_goldens
from seedpin.options import option
from seedpin.printing import printable, printable_json
from seedpin.run.decide import ProjectFolders

T = TypeVar("T")
Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_MARKS = ("pytest.ini", "tox.ini", "setup.cfg", ".seedpin")


@dataclass(frozen=True, slots=True)
class Project:
    """The project that a command works on."""

    config: Config

    @property
    def root(self) -> Path:
        return self.config.root

    @property
    def goldens(self) -> Path:
        return self.config.golden_path

    @property
    def state(self) -> Path:
        return self.config.state_path

    @property
    def folders(self) -> ProjectFolders:
        return ProjectFolders(self.root, self.goldens, self.state)

    def inventory(self) -> Inventory:
        """All goldens, once an update that was interrupted is finished, where that can be written."""
        with contextlib.suppress(GoldenWriteError):
            self.folders.store.write_settled()
        return walk_goldens(self.goldens)


def project_options(function: Decorated) -> Decorated:
    """``--root`` and ``--golden-dir``, which together make a ``Project`` (see ``find_project``)."""
    root = click.option(
        "--root",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="The project's folder. Default: the nearest one with a pyproject.toml, from here upwards.",
    )
    folder = option("golden_dir")
    goldens = click.option(folder.flag, help=folder.help)
    return root(goldens(function))


def find_project(root: Path | None, golden_dir: str | None) -> Project:
    """The project at ``root``, or the one around the current folder. Raises ConfigError."""
    if root is None:
        here = Path.cwd()
        root = find_root(here)
        if not (root / "pyproject.toml").is_file():
            marked = (
                folder for folder in (here, *here.parents) if any((folder / name).exists() for name in _MARKS)
            )
            root = next(marked, here)
    return Project(load_config(root.resolve(), cli={"golden_dir": golden_dir}))


def on_terminal() -> bool:
    return sys.stdout.isatty()


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """A table with lines on a terminal, columns aligned with spaces elsewhere; ``right`` are indices."""
    if on_terminal():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(header_style="bold", box=None, pad_edge=False)
        for index, header in enumerate(headers):
            table.add_column(header, justify="right" if index in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        Console().print(table)
        return
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[index]) for row in (headers, *rows)) for index in range(len(headers))]
    for row in (headers, *rows):
        cells = (
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        say("  ".join(cells).rstrip())


def print_json(data: object) -> None:
    click.echo(
        printable_json(json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False))
    )


def tracked(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """``items`` with a progress bar, which only a terminal gets."""
    if not sys.stderr.isatty() or total < 2:
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, what, total=total, console=Console(stderr=True), transient=True)


def size_words(size: int) -> str:
    """``12 B``, ``3.4 kB``, ``1.2 MB``: powers of 1000."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def age_words(when: str, now: datetime | None = None) -> str:
    """How long ago a time of a manifest was; empty where it is no such time."""
    try:
        then = datetime.strptime(when, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return ""
    seconds = max(0, int(((now or datetime.now(timezone.utc)) - then).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
