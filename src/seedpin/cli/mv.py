"""``seedpin mv``: goldens follow a test that was renamed or moved."""

from __future__ import annotations

from pathlib import Path

import click

from seedpin.cli._say import say
from seedpin.cli._shared import find_project, project_options
from seedpin.goldens.move import plan_moves, write_moved


@click.command("mv")
@click.argument("old")
@click.argument("new")
@click.option("-n", "--dry-run", is_flag=True, help="Only list what would be moved.")
@project_options
def command(old: str, new: str, dry_run: bool, root: Path | None, golden_dir: str | None) -> None:
    """Give the goldens of OLD, of all device classes, to NEW.

    OLD and NEW are of one kind: a folder, a test file, a class, a test (with all of its parameters), or a
    check as test::check. No golden is ever overwritten, and all are moved or none.

    \b
    seedpin mv tests/test_wan.py::test_ball tests/test_wan.py::test_red_ball
    seedpin mv tests/test_wan.py tests/video/test_wan.py

    Exit codes: 0 moved or listed; 2 nothing was moved, the message says why.
    """
    project = find_project(root, golden_dir)
    moves = plan_moves(project.inventory(), old, new)
    if not dry_run:
        write_moved(project.folders.store, moves)
    word = "would move" if dry_run else "moved"
    for move in moves:
        where = "in its place" if move.stem == move.entry.stem else f"-> {move.stem}"
        say(f"{word}  {move.entry.stem}  {where}")
    count = f"{len(moves)} golden(s)"
    say(f"{count} to move" if dry_run else f"{count} moved, their bits are as they were")
