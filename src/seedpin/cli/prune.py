"""``seedpin prune``: the only thing that deletes goldens."""

from __future__ import annotations

from pathlib import Path

import click

from seedpin.cli._shared import find_project, project_options, size_words, tracked
from seedpin.errors import PruneRefusedError
from seedpin.goldens.inventory import write_pruned
from seedpin.run.ledger import latest_results, runs
from seedpin.run.unused import find_unused


@click.command("prune")
@click.option("--delete", is_flag=True, help="Delete them. Without it they are only listed.")
@project_options
def command(delete: bool, root: Path | None, golden_dir: str | None) -> None:
    """List goldens that the last run did not ask for; with --delete, delete them.

    The last run must be of all tests and must have passed. Goldens of other device classes, of skipped tests
    and those written since are kept.

    Exit codes: 0 listed or deleted; 2 the last run was partial or failed, the message says how.
    """
    project = find_project(root, golden_dir)
    found = runs(project.state)
    if not found:
        raise PruneRefusedError(
            f"there is no run in {project.state / 'runs'}", hint="run pytest, whole and green, then prune"
        )
    run = found[-1]
    classes = {result.device_class for result in latest_results(run)}
    unused = find_unused(project.inventory(), run, classes)
    count, size = len(unused.entries), size_words(sum(entry.size for entry in unused.entries))
    if delete:
        for entry in tracked(write_pruned(project.place.store, unused.entries), count, "Deleting goldens"):
            click.echo(f"deleted  {entry.stem}")
    else:
        for entry in unused.entries:
            click.echo(f"unused   {entry.stem}")
    for entry in unused.skipped:
        click.echo(f"kept     {entry.stem}: its test was skipped, or it is newer than the run")
    if unused.other_classes:
        click.echo(f"kept     all of other device classes: {', '.join(unused.other_classes)}")
    if delete:
        click.echo(f"{count} golden(s) deleted, {size}")
    else:
        again = "; delete them: seedpin prune --delete" if count else ""
        click.echo(f"{count} golden(s) unused, {size}, as of run {run.id}{again}")
