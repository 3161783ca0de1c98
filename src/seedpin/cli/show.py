"""``seedpin show``: one golden in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from seedpin.cli._say import say
from seedpin.cli._shared import age_words, find_project, project_options, size_words
from seedpin.environment.measured import family_of, is_measured
from seedpin.errors import UsageError
from seedpin.goldens.inventory import GoldenEntry
from seedpin.report.terminal import short_digest


@click.command("show")
@click.argument("name", metavar="TEST|ID|PATH")
@project_options
def command(name: str, root: Path | None, golden_dir: str | None) -> None:
    """Print what is known of the goldens of a test: facts, pin, environment, why it was last updated.

    NAME is a test, an id (test and check), a path of a golden's file, or a part of one of these.

    Exit codes: 0 found; 2 nothing is called so.
    """
    project = find_project(root, golden_dir)
    inventory = project.inventory()
    found = inventory.named(name)
    if not found:
        raise UsageError(
            f"no golden in {project.goldens} is called {name!r}", hint="seedpin status lists classes"
        )
    if len(found) > 8:
        names = "\n".join(f"    {entry.stem}" for entry in found[:30])
        raise UsageError(f"{name!r} names {len(found)} goldens", hint=f"name fewer\n{names}")
    for number, entry in enumerate(found):
        if number:
            say()
        _print(entry, project.goldens)


def _print(entry: GoldenEntry, root: Path) -> None:
    manifest = entry.manifest
    if manifest is None:
        say(entry.stem)
        say(f"  unreadable: {entry.problem}")
        return
    say(f"{manifest.test} ({manifest.check})", bold=True)
    facts = ", ".join(f"{key} {_plain(value)}" for key, value in manifest.facts.items() if value is not None)
    update = manifest.updated
    when = update.when or ""
    pinned = "unpinned" if manifest.seed is None else f"seed {manifest.seed}, {manifest.level}"
    lines = [
        ("file", f"{root.name}/{entry.stem}.json, {size_words(entry.size)} with its frames"),
        ("device class", manifest.device_class),
        (manifest.kind, facts),
        ("digest", manifest.digest),
        ("pin", pinned),
        ("tolerance", str(dict(manifest.tolerance)) if manifest.tolerance else "none, bits must be equal"),
        ("updated", f"{when} ({age_words(when)} ago)" if when else "not told"),
        ("reason", update.reason or "none given"),
        ("commit", f"{(update.commit or '')[:12]}{' and changes' if update.dirty else ''}"),
    ]
    lines += [("run", update.run)] if update.run else []
    lines += [("also accepted", f"{short_digest(one.digest)}  {one.reason}") for one in manifest.accepted]
    lines += [("known bad", f"{short_digest(one.digest)}  {one.reason}") for one in manifest.known_bad]
    moving = manifest.environment.moves_bits
    named = [key for key in sorted(moving) if not is_measured(key)]
    lines += [("environment", "  ".join(f"{key} {moving[key]}" for key in named))] if named else []
    families = {family_of(key) for key in moving if is_measured(key)}
    told = f"{len(families)} operations measured; to compare: seedpin env --golden FILE"
    lines += [("canary", told if families else "not recorded")]
    for key, value in lines:
        if value:
            say(f"  {key:<13} {value}")


def _plain(value: object) -> str:
    """A fact in words; a tensor's as ``float32 [1, 16, 2]``."""
    if isinstance(value, Mapping):
        return f"{value.get('dtype')} {value.get('shape')}"
    return str(value)
