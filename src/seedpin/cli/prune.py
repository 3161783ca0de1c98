"""``seedpin prune``: the only thing that deletes goldens."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import click

from seedpin.cli._say import say
from seedpin.cli._shared import Project, find_project, project_options, size_words, tracked
from seedpin.errors import PruneRefusedError, UsageError
from seedpin.goldens.inventory import GoldenEntry, Inventory, walk_goldens, write_pruned
from seedpin.run.ledger import Run, latest_results, runs
from seedpin.run.unused_goldens import (
    Judged,
    Told,
    Unused,
    find_unused,
    last_of_test,
    read_told,
    used_since,
    whole_run,
)


@click.command("prune")
@click.option("--delete", is_flag=True, help="Delete them. Without it they are only listed.")
@click.option("--unchecked", is_flag=True, help="Only goldens that a passing test left out in the last run.")
@click.option(
    "--unseen", is_flag=True, help="Also goldens whose test the last run did not have, though another may."
)
@click.option("--test", "tests", multiple=True, metavar="NODEID", help="Only those of this test.")
@click.option(
    "--class",
    "classes",
    multiple=True,
    metavar="CLASS",
    help="Only goldens of this device class, also of one that the run had no check on.",
)
@project_options
def command(
    delete: bool,
    unchecked: bool,
    unseen: bool,
    tests: tuple[str, ...],
    classes: tuple[str, ...],
    root: Path | None,
    golden_dir: str | None,
) -> None:
    """List goldens that are unused; with --delete, delete them.

    A golden is unused if its test passed and did not check it, if a file that was collected can hold its test
    no more, or if that file is gone. The last run must be of all tests and must have passed; with
    --unchecked or --test it may be any run, and only goldens that their passing test did not check are meant.
    Goldens of other device classes, of skipped tests and those written since are kept, with the reason.

    Unseen are goldens of parameters, or of tests that a file makes as it runs, which the last run did not
    have: an environment variable may have chosen others. They are listed apart, and deleted only with
    --unseen, which --test narrows to one test.

    Exit codes: 0 listed or deleted; 2 the last run was partial or failed, the message says how.
    """
    if unchecked and unseen:
        raise UsageError(
            "--unchecked and --unseen exclude each other",
            hint="run seedpin prune twice, with one each",
        )
    project = find_project(root, golden_dir)
    inventory = walk_goldens(project.goldens)
    parts = _by_run(project, inventory, unchecked, unseen, tests, classes)
    count, kept = 0, [one for _, part in parts for one in part.kept]
    size = 0
    only_unchecked = unchecked or (bool(tests) and not unseen)
    for told, part in parts:
        done, part_size, spared = _prune(project, told, part, delete, only_unchecked, unseen)
        count, size, kept = count + done, size + part_size, kept + spared
    apart = [one for _, part in parts for one in part.unseen]
    for word, some in (("kept", kept), ("unseen", apart)):
        for judged in some:
            say(f"{word:<8} {judged.entry.stem}: {judged.why}")
    others = {name for _, part in parts for name in part.other_classes}
    if others and not classes and not unchecked and not tests:
        say(f"kept     all of other device classes: {', '.join(sorted(others))}")
    flags = [f"--class {name}" for name in classes]
    if apart:
        again = " ".join(["seedpin prune --unseen", *flags])
        say(f"{len(apart)} golden(s) unseen and kept: another run may have their tests; if none has: {again}")
    if delete:
        say(f"{count} golden(s) deleted, {size_words(size)}")
        return
    given = {"--unchecked": unchecked, "--unseen": unseen}
    flags = [
        *(flag for flag, is_given in given.items() if is_given),
        *(f"--test {shlex.quote(test)}" for test in tests),
        *flags,
    ]
    again = f"; delete them: {' '.join(['seedpin prune', *flags, '--delete'])}" if count else ""
    as_of = ", ".join(dict.fromkeys(told.run.id for told, _ in parts))
    say(f"{count} golden(s) unused, {size_words(size)}, as of run {as_of}{again}")


def _by_run(
    project: Project,
    inventory: Inventory,
    unchecked: bool,
    unseen: bool,
    tests: tuple[str, ...],
    classes: tuple[str, ...],
) -> list[tuple[Told, Unused]]:
    """What each run that is asked shows to be unused."""
    unknown = set(classes) - set(inventory.classes())
    if unknown:
        raise UsageError(
            f"there is no golden of the device class {', '.join(sorted(unknown))}",
            hint=f"classes with goldens: {', '.join(inventory.classes()) or 'none'}",
        )
    if tests and not unseen:
        parts = []
        for test in dict.fromkeys(tests):
            told = last_of_test(project.state, test)
            chosen = set(classes or inventory.classes())
            goldens = find_unused(inventory, told, project.root, chosen, tests=[test], only_unchecked=True)
            parts.append((told, goldens))
        return parts
    found_runs = runs(project.state)
    if not found_runs:
        raise PruneRefusedError(
            f"there is no run in {project.state / 'runs'}", hint="run pytest, whole and green, then prune"
        )
    run = found_runs[-1]
    told = read_told(run) if unchecked else whole_run(run, project.config.golden_dir)
    chosen = set(classes) or _classes(run)
    goldens = find_unused(inventory, told, project.root, chosen, tests=tests, only_unchecked=unchecked)
    if unseen:
        goldens = replace(goldens, unused=(*goldens.unused, *goldens.unseen), unseen=())
    return [(told, goldens)]


def _classes(run: Run) -> set[str]:
    return {result.device_class for result in latest_results(run)}


def _prune(
    project: Project, told: Told, part: Unused, delete: bool, only_unchecked: bool, unseen: bool
) -> tuple[int, int, list[Judged]]:
    """Lists or deletes; how many, of what size, and what was spared at the last moment."""
    if not delete:
        for judged in part.unused:
            say(f"unused   {judged.entry.stem}: {judged.why}")
        return len(part.unused), sum(judged.entry.size for judged in part.unused), []

    def why_not(entry: GoldenEntry) -> str:
        return used_since(
            entry, told, project.root, project.state, only_unchecked=only_unchecked, unseen=unseen
        )

    spared, gone = [], []
    entries = [judged.entry for judged in part.unused]
    steps = write_pruned(project.folders.store, entries, why_not)
    for entry, reason in tracked(steps, len(entries), "Deleting goldens"):
        if reason:
            spared.append(Judged(entry, reason))
        else:
            gone.append(entry)
            say(f"deleted  {entry.stem}")
    return len(gone), sum(entry.size for entry in gone), spared
