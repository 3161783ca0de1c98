"""``seedpin report``: the static report of a run."""

from __future__ import annotations

from pathlib import Path

import click

from seedpin.cli._say import say
from seedpin.cli._shared import find_project, project_options
from seedpin.errors import UsageError
from seedpin.run.opening import open_run


@click.command("report")
@click.argument("source", required=False, metavar="[RUN|FOLDER|ZIP]")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="The folder to write it to.")
@project_options
def command(source: str | None, out: Path | None, root: Path | None, golden_dir: str | None) -> None:
    """Write the report of a run as a folder that opens without a network, and print the page's path.

    Exit codes: 0 written; 2 there is no such run, or the folder cannot be written.
    """
    from seedpin.report.html import write_report

    project = find_project(root, golden_dir)
    with open_run(source, project.state) as run:
        outside = not run.path.resolve().is_relative_to(project.state.resolve())
        target = out or (Path.cwd() / f"seedpin-report-{run.id}" if outside else None)
        try:
            say(write_report(run, target, golden_root=project.goldens))
        except OSError as error:
            raise UsageError(
                f"the report could not be written: {error}", hint="name a folder: --out DIR"
            ) from error
