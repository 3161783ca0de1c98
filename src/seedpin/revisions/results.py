"""What tests of this session give at another commit: they are run there as far as that is not known yet."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from seedpin.config import Config
from seedpin.git import toplevel, write_ignored_folder
from seedpin.invocation import Invocation, selection_of, settings_of
from seedpin.revisions.arguments import rewritten
from seedpin.revisions.cache import (
    Index,
    cache_folder,
    environment_key,
    read_index,
    write_index,
    write_retention,
)
from seedpin.revisions.collect import CollectedRun, CollectOptions, TestOutcome, collect
from seedpin.revisions.worktree import checked_out


@dataclass(frozen=True, slots=True)
class RevisionContext:
    """What runs of a session's tests at other commits share. ``top`` is the work tree that git knows.

    ``settings`` are as they are to hold there.
    """

    settings: Config
    top: Path
    invocation: Invocation

    def cache(self, commit: str) -> Path:
        """Where results of ``commit`` are kept."""
        started = self.invocation
        arguments = settings_of(started.arguments, started.positionals)
        key = environment_key(self.settings, self.top, arguments, started.variables)
        return cache_folder(self.settings.state_path, commit, key)

    def selection_key(self) -> str:
        """Names the selection of tests that the arguments make."""
        started = self.invocation
        text = json.dumps([str(started.folder), selection_of(started.arguments), started.positionals])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def revision_context(settings: Config, invocation: Invocation) -> RevisionContext:
    """The context of a session. Raises RevisionError outside of a git repository."""
    return RevisionContext(settings, toplevel(settings.root), invocation)


def run_missing(
    context: RevisionContext,
    commit: str,
    wanted: Sequence[str] | None,
    announce: Callable[[str], None],
    *,
    narrow: bool = False,
) -> Index:
    """What ``commit`` gives for the tests ``wanted`` (None: all that the arguments select).

    Runs only what is unknown or failed there before; with ``narrow`` the session's paths are left aside.
    Raises RevisionError and ForeignImportError as ``collect`` does.
    """
    folder = context.cache(commit)
    write_ignored_folder(context.settings.state_path)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f"{folder.name}.lock"):
        index = read_index(folder)
        names = wanted if wanted is not None else index.selections.get(context.selection_key())
        missing = None if names is None else [name for name in names if _unknown(index, name)]
        if missing is None or missing or index.errors:
            started = time.monotonic()
            announce("running there in a temporary worktree ...")
            collected = _run(context, commit, folder, index, wanted, missing, narrow)
            index = _merged(index, collected, missing, None if narrow else context.selection_key())
            write_index(folder, index)
            ran = sum(outcome.outcome != "absent" for outcome in collected.tests.values())
            announce(f"{ran} test(s) ran there in {time.monotonic() - started:.1f} s")
        write_retention(folder)
    return index


def _unknown(index: Index, name: str) -> bool:
    return name not in index.tests or index.tests[name].outcome in ("failed", "uncollected")


def _run(
    context: RevisionContext,
    commit: str,
    folder: Path,
    index: Index,
    wanted: Sequence[str] | None,
    missing: Sequence[str] | None,
    narrow: bool,
) -> CollectedRun:
    settings = context.settings
    options = CollectOptions(
        golden=folder / "golden",
        folder=context.invocation.folder,
        log=folder / "pytest.log",
        trace=settings.trace,
        profile=settings.cpu_profile,
        device_class=settings.device_class,
        rootdir=settings.root if settings.root.is_relative_to(context.top) else None,
    )
    known = [name for name in index.tests if not _unknown(index, name)]
    with checked_out(context.top, commit, settings.worktree_links) as checkout:
        raw, positionals = context.invocation.arguments, context.invocation.positionals
        if narrow:  # other tests of the same session are of no interest here
            raw, positionals = settings_of(raw, positionals), ()
            files = dict.fromkeys(str(settings.root / name.partition("::")[0]) for name in missing or ())
            raw, positionals = (*raw, *files), tuple(files)
        arguments = rewritten(raw, positionals, checkout, context.invocation.folder)
        if arguments.nothing:
            return CollectedRun({}, (), {})
        return collect(
            checkout,
            arguments.passed,
            options,
            wanted=missing if wanted is not None else None,
            known=known,
            selections=arguments.selections,
        )


def _merged(
    index: Index, collected: CollectedRun, missing: Sequence[str] | None, selection: str | None
) -> Index:
    tests = {**index.tests, **collected.tests}
    for name in {*collected.selected, *(missing or ())} - collected.tests.keys():
        error = error_of(collected.errors, name)
        if error:
            tests[name] = TestOutcome("uncollected", error)
        elif name not in collected.selected:
            tests[name] = TestOutcome("absent")
        elif _unknown(index, name):
            tests[name] = TestOutcome("failed", "it did not run")
    selections = dict(index.selections)
    if selection is not None:
        selections[selection] = collected.selected
    return replace(index, tests=tests, selections=selections, errors=dict(collected.errors))


def error_of(errors: Mapping[str, str], test: str) -> str:
    """Why the file of ``test`` could not be collected; empty where it could."""
    path = test.partition("[")[0].partition("::")[0]
    for collector, error in errors.items():
        file = collector.partition("::")[0]
        if file in ("", ".", path) or path.startswith(f"{file}/"):
            return error
    return ""
