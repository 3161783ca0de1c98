"""``seedpin bisect NODEID --good REF [--bad REF]``: the commit that changed what a test generates."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from seedpin.cli._say import say
from seedpin.config import find_root, load_config
from seedpin.git import is_dirty, resolve_commit, short, toplevel
from seedpin.revisions.bisect import find_first_bad, new_plan
from seedpin.run.ledger import new_run_id


@click.command("bisect")
@click.argument("nodeid")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--good", metavar="REF", required=True, help="A commit whose output is as it should be.")
@click.option("--bad", metavar="REF", default="HEAD", show_default=True, help="A commit that differs.")
@click.option("--build", metavar="COMMAND", default="", help="Run in each checkout before its test.")
def command(nodeid: str, pytest_arguments: tuple[str, ...], good: str, bad: str, build: str) -> None:
    """Find the first commit at which the checks of NODEID obtain other bits than at --good.

    Everything happens in a temporary worktree: files, index and HEAD stay as they are. What follows `--`
    goes to pytest. Exit code 0: found; 1: there is no difference; 2: an error.
    """
    folder = Path.cwd().resolve()
    root = find_root(folder).resolve()
    settings = load_config(root)
    top = toplevel(root)
    commits = resolve_commit(top, good), resolve_commit(top, bad)
    plan = new_plan(
        top=top,
        root=root,
        state=settings.state_path,
        folder=folder,
        name=new_run_id(),
        selection=(nodeid,),
        arguments=pytest_arguments,
        build=build,
    )
    dirty = is_dirty(top)
    if dirty:
        say("uncommitted changes are no part of the search")
    first = find_first_bad(plan, *commits, settings.worktree_links, say)
    if first is None:
        say(f"{short(commits[0])} and {short(commits[1])} obtain the same bits: nothing to find")
        if dirty:
            say(f"  next: pytest {shlex.quote(nodeid)} --golden-against=HEAD compares what is uncommitted")
        sys.exit(1)
    say("")
    say("first commit that differs:", bold=True)
    say(f"  {first.description}")
    for name, sentence in first.locations.items():
        say(f"  where: {sentence}")
        say(f"         ({name})")
    say(f"  before: {settings.shown(first.before)}")
    say(f"  after:  {settings.shown(first.after)}")
    say(f"  next: git show {short(first.commit)}")
