"""``seedpin review``: the report with buttons that act."""

from __future__ import annotations

import contextlib
import webbrowser
from pathlib import Path

import click

from seedpin.cli._deciding import left_open
from seedpin.cli._say import say
from seedpin.cli._shared import find_project, project_options
from seedpin.run.ledger import pending
from seedpin.run.opening import open_run


@click.command("review")
@click.argument("source", required=False, metavar="[RUN|FOLDER|ZIP]")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port; by default a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Interface to listen on.")
@click.option(
    "--i-know-this-is-not-private",
    "exposed",
    is_flag=True,
    help="Allow a host that other machines can reach. Nothing is encrypted.",
)
@click.option("--open", "open_browser", is_flag=True, help="Open the page in the default browser.")
@project_options
def command(
    source: str | None,
    port: int,
    host: str,
    exposed: bool,
    open_browser: bool,
    root: Path | None,
    golden_dir: str | None,
) -> None:
    """Look at a run in the browser, and accept or reject there; ends with Ctrl-C.

    The page is served on this machine only, to the browser that opens the printed address first.

    Exit codes: 0 ended; 2 there is no such run, or it cannot be served.
    """
    from seedpin.review.server import open_review

    project = find_project(root, golden_dir)
    with (
        open_run(source, project.state) as run,
        open_review(run, project.folders, host=host, port=port, exposed=exposed) as review,
    ):
        say(f"run {run.id}: {len(pending(run))} check(s) await a decision")
        say(f"open {review.guard.url}")
        say("the address works once; Ctrl-C ends the review")
        if open_browser:
            webbrowser.open(review.guard.url)
        with contextlib.suppress(KeyboardInterrupt):
            review.server.run(sockets=[review.socket])
        say(f"run {run.id}: {left_open(run)}")
