"""``seedpin status``: the goldens by device class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from seedpin.cli._say import say
from seedpin.cli._shared import age_words, find_project, print_json, print_table, project_options, size_words
from seedpin.errors import RunError
from seedpin.goldens.inventory import GoldenEntry, orphans
from seedpin.run.ledger import Run, pending, runs
from seedpin.run.opening import checked_results


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
@project_options
def command(as_json: bool, root: Path | None, golden_dir: str | None) -> None:
    """Goldens by device class: number, size, age, last reason; goldens without a test; open decisions.

    Exit code: 0.
    """
    project = find_project(root, golden_dir)
    inventory = project.inventory()
    classes = [
        _class_facts(name, [entry for entry in inventory.entries if entry.device_class == name])
        for name in inventory.classes()
    ]
    lost = orphans(inventory, project.root)
    unreadable = [entry for entry in inventory.entries if entry.manifest is None]
    found = runs(project.state)
    awaiting = [result.id for result in pending(found[-1])] if found else []
    broken = _unreadable(found[-1]) if found else None
    if as_json:
        print_json(
            {
                "golden_dir": str(project.goldens),
                "classes": classes,
                "orphans": [entry.stem for entry in lost],
                "unreadable": [entry.stem for entry in unreadable],
                "run": found[-1].id if found else None,
                "pending": awaiting,
                "unreadable_run": None if broken is None else broken.what,
            }
        )
        return
    if not classes:
        say(f"no goldens in {project.goldens}; mint some: pytest --update-golden")
    else:
        rows = [
            (
                str(facts["device_class"]),
                str(facts["goldens"]),
                size_words(facts["bytes"]),
                age_words(facts["newest"]),
                age_words(facts["oldest"]),
                facts["last_reason"] or "-",
            )
            for facts in classes
        ]
        headers = ("device class", "goldens", "size", "newest", "oldest", "last reason")
        print_table(headers, rows, right=(1, 2, 3, 4))
    for entry in lost:
        say(f"without a test file: {entry.stem}")
    for entry in unreadable:
        say(f"unreadable: {entry.stem}")
    if found:
        run = found[-1].id
        say(
            f"run {run}: {len(awaiting)} check(s) await a decision"
            if awaiting
            else f"run {run}: nothing awaits a decision"
        )
    if broken is not None:
        say(f"not counted: {broken.what}")
        say(f"  next: {broken.hint}")


def _unreadable(run: Run) -> RunError | None:
    """Why not all records of a run can be read, if so; one that has not made a check yet is whole."""
    if not run.results_path.exists():
        return None
    try:
        checked_results(run)
    except RunError as error:
        return error
    return None


def _class_facts(name: str, entries: Sequence[GoldenEntry]) -> dict[str, Any]:
    updates = sorted(
        (entry.manifest.updated for entry in entries if entry.manifest is not None),
        key=lambda update: update.when or "",
    )
    return {
        "device_class": name,
        "goldens": len(entries),
        "bytes": sum(entry.size for entry in entries),
        "newest": (updates[-1].when or "") if updates else "",
        "oldest": (updates[0].when or "") if updates else "",
        "last_reason": (updates[-1].reason or "") if updates else "",
    }
