"""``seedpin verify``: every golden re-read."""

from __future__ import annotations

from pathlib import Path

import click

from seedpin.cli._say import say
from seedpin.cli._shared import find_project, project_options, tracked
from seedpin.goldens.inventory import verify_entry


@click.command("verify")
@project_options
def command(root: Path | None, golden_dir: str | None) -> None:
    """Re-read every golden: the digests of its files, and of its frames once decoded.

    Leftovers of writers that were killed, and files that belong to no golden, are named.

    Exit codes: 0 all goldens are whole; 1 at least one is damaged.
    """
    project = find_project(root, golden_dir)
    inventory = project.inventory()
    damaged = 0
    for entry in tracked(inventory.entries, len(inventory.entries), "Reading goldens"):
        problem = verify_entry(entry)
        if problem:
            damaged += 1
            say(f"damaged   {entry.stem}: {problem}", fg="red")
    for word, paths in (("leftover", inventory.leftovers), ("unknown", inventory.unknown)):
        for path in paths:
            say(f"{word:<8}  {path.relative_to(inventory.root).as_posix()}")
    total = len(inventory.entries)
    say(f"{total - damaged} of {total} golden(s) whole in {project.goldens}")
    if damaged:
        say("restore damaged ones from version control; more: seedpin explain damaged")
        raise SystemExit(1)
