"""``seedpin probe NODEID``: does a test's model repeat?"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from seedpin.checking.fresh import (
    BATCH,
    FRESH_SUSPECTS,
    NOTHING_REPEATED,
    THREADS,
    Fresh,
    differing,
    run_fresh,
)
from seedpin.cli._say import say
from seedpin.config import find_root, load_config


@click.command("probe")
@click.argument("selection", nargs=-1, required=True)
@click.option("--processes", default=2, show_default=True, help="Fresh processes, each with a hash seed.")
@click.option("--threads", multiple=True, type=click.IntRange(1), help="Also on so many CPU threads.")
@click.option("--batch", metavar="ARGUMENT", help="Also with this argument of the call set to 2.")
def command(selection: tuple[str, ...], processes: int, threads: tuple[int, ...], batch: str | None) -> None:
    """Run the tests of SELECTION (node ids or paths) under one pin again and again.

    Each call is repeated at once, and after a call with another seed, then the tests run in fresh
    processes. If bits differ, the first operation that differs is named. Exit code 1 if anything does not
    repeat.
    """
    root = find_root(Path.cwd())
    settings = load_config(root)
    here = [_from_root(text, root) for text in selection]
    say(f"seed {settings.seed} unless marked, {settings.level}, cpu profile {settings.cpu_profile}")
    first = run_fresh(settings, here, thorough=True, environment={BATCH: batch} if batch else {})
    unstable = _tell(first)
    digests = {name: result.obtained_digest for name, result in first.results.items()}
    for number in range(processes):
        again = run_fresh(settings, here, environment={"PYTHONHASHSEED": str(1 + number)})
        unstable |= _compare(f"fresh process {number + 1}", digests, again, expected=True)
    for count in threads:
        again = run_fresh(settings, here, environment={THREADS: str(count)})
        _compare(f"{count} CPU thread(s)", digests, again, expected=False)
    say("does not repeat" if unstable else "repeats", fg="red" if unstable else "green", bold=True)
    sys.exit(1 if unstable else 0)


def _from_root(text: str, root: Path) -> str:
    """A node id given relative to the working folder, relative to the project's root."""
    path, separator, rest = text.partition("::")
    file = (Path.cwd() / path).resolve()
    return f"{file.relative_to(root.resolve()).as_posix()}{separator}{rest}" if file.exists() else text


def _tell(first: Fresh) -> bool:
    unstable = False
    for result in first.results.values():
        if result.verdict == "unstable":
            unstable = True
            say(result.message, lines=True)
        elif result.written in ("created", "updated") and NOTHING_REPEATED in result.hints:
            say(f"  not known  {result.id}: {NOTHING_REPEATED}")
        elif result.written in ("created", "updated"):
            say(f"  same bits  {result.id}: repeated at once, and after a call with another seed")
            for hint in result.hints:
                say(f"             {hint}")
        else:
            unstable = True
            say(f"  no result  {result.id}: {result.message or 'its test did not pass'}", lines=True)
    if first.code and not unstable:
        say(first.output, lines=True)
    return unstable or bool(first.code)


def _compare(what: str, digests: Mapping[str, str | None], again: Fresh, *, expected: bool) -> bool:
    """Tells which checks obtained other bits in another process; True if they should have been equal."""
    others = differing(digests, again)
    for name in digests:
        word = "other bits" if name in others else "same bits "
        say(f"  {word} {name}: {what}")
    if others and not expected:
        say("  (the number of threads is part of the environment; a pin uses one)")
    elif others:
        from seedpin.checking.proof import GENERATOR, WEIGHTS

        say(f"  suspects: {'; '.join((*FRESH_SUSPECTS, GENERATOR, WEIGHTS))}")
    return bool(others) and expected
