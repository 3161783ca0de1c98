"""``seedpin export``: a golden, or what a run obtained, as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from seedpin.cli._say import say
from seedpin.cli._shared import Project, find_project, project_options, size_words
from seedpin.errors import ExportError, UsageError
from seedpin.goldens.atomic import write_replaced
from seedpin.goldens.content import load
from seedpin.goldens.store import Golden, read_golden
from seedpin.kinds.registry import kind_named, kind_of_fixture
from seedpin.report.media import find_kept
from seedpin.run.choose import named_check
from seedpin.run.ledger import Run
from seedpin.run.opening import open_run


@click.command("export")
@click.argument("name", metavar="TEST|ID|PATH")
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--obtained", is_flag=True, help="What the last run obtained there, instead of the golden.")
@click.option("--run", "source", metavar="RUN|FOLDER|ZIP", help="Take both from this run.")
@click.option("--frame", type=int, help="One frame alone; -1 is the last.")
@click.option(
    "--fps", type=click.FloatRange(min=0, min_open=True), help="Frames a second, in place of its own."
)
@project_options
def command(
    name: str,
    out: Path,
    obtained: bool,
    source: str | None,
    frame: int | None,
    fps: float | None,
    root: Path | None,
    golden_dir: str | None,
) -> None:
    """Write a golden as a file that other programs open: the suffix of OUT says as what.

    NAME is a test, an id (test and check), a path of a golden's file, or a part of one of these. Frames
    become .mp4, .webm, .mov, .mkv, .gif, .png, .webp, .jpg or .npy; sound .wav, a text .txt, tensors
    .safetensors. What the format cannot hold is told. The golden stays as it is; a file OUT is replaced.

    Exit codes: 0 written; 2 nothing is called so, it cannot be written so, or it is damaged.
    """
    project = find_project(root, golden_dir)
    target = Path.cwd() / out
    _refuse_golden_folder(project, target)
    how = {key: value for key, value in (("frame", frame), ("fps", fps)) if value is not None}
    if not obtained and source is None:
        _export(_read(_path_of(project, name)), target, how)
        return
    with open_run(source, project.state) as run:
        _export(_kept(run, name, project, obtained=obtained), target, how)


def _kept(run: Run, name: str, project: Project, *, obtained: bool) -> Golden:
    """The golden that a check of the run met, or what it obtained."""
    result = named_check(run, name)
    notes: list[str] = []
    role = kind_of_fixture(result.kind).role
    golden, clip = find_kept(run.path, result, project.goldens, role, notes)
    wanted = clip if obtained else golden
    if wanted is None:
        what = "what was obtained" if obtained else "the golden"
        raise ExportError(
            ": ".join([f"{what} of {result.id} is not to be had from run {run.id}", *notes]),
            hint="a check that passes keeps neither: leave out --run and --obtained for the golden",
        )
    return wanted


def _refuse_golden_folder(project: Project, target: Path) -> None:
    """Goldens are written by updates and accepts alone; a link that leads there is looked through."""
    if target.resolve().is_relative_to(project.goldens.resolve()):
        raise ExportError(
            f"{target} lies in the folder of the goldens, and export writes none",
            hint="name a file elsewhere",
        )


def _path_of(project: Project, name: str) -> Path:
    """The manifest of the one golden that ``name`` means; it may be one of another project's, by its path."""
    path = Path(name)
    entries = project.inventory().named(name)
    if len(entries) == 1:
        return entries[0].path
    if entries:
        listing = "\n".join(f"    {entry.stem}" for entry in entries[:30])
        raise UsageError(f"{name!r} names {len(entries)} goldens", hint=f"name one\n{listing}")
    if path.is_file() and path.suffix == ".json":
        return path
    raise UsageError(
        f"no golden in {project.goldens} is called {name!r}", hint="seedpin status lists classes"
    )


def _read(path: Path) -> Golden:
    golden = read_golden(path)
    if golden is None:
        raise UsageError(f"there is no golden {path}", hint="run the test again")
    return golden


def _export(golden: Golden, target: Path, how: dict[str, Any]) -> None:
    kind = kind_named(golden.manifest.kind)
    data, notes = kind.export(load(golden), target.suffix.lower(), **how)
    try:
        write_replaced(target, data)
    except OSError as error:
        raise ExportError(f"{target} cannot be written: {error}", hint="name another file") from error
    say(f"{target}  {size_words(len(data))}")
    for note in notes:
        say(f"  note: {note}")
