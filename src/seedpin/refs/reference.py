"""Tests of this session run at another commit, as far as that is not known yet."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from filelock import FileLock

from seedpin.config import Config
from seedpin.git import toplevel, write_ignored_folder
from seedpin.plugin.state import VARIABLES
from seedpin.refs.arguments import rewritten, selection_of, settings_of
from seedpin.refs.cache import (
    Index,
    cache_folder,
    environment_key,
    read_index,
    write_index,
    write_retention,
)
from seedpin.refs.collect import Collected, Side, TestOutcome, collect
from seedpin.refs.worktree import checked_out


@dataclass(frozen=True, slots=True)
class Session:
    """What of a pytest session a run at another commit needs. ``settings`` are as they are to hold there."""

    settings: Config
    top: Path
    folder: Path
    arguments: tuple[str, ...]
    positionals: tuple[str, ...]
    variables: Mapping[str, str]

    def cache(self, commit: str) -> Path:
        """Where results of ``commit`` are kept."""
        arguments = settings_of(self.arguments, self.positionals)
        key = environment_key(self.settings, self.top, arguments, self.variables)
        return cache_folder(self.settings.state_path, commit, key)

    def selection_key(self) -> str:
        """Names the selection of tests that the arguments make."""
        text = json.dumps([str(self.folder), selection_of(self.arguments), self.positionals])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def session_of(config: pytest.Config, settings: Config) -> Session:
    """The session of ``config``.

    Raises RevisionError outside of a git repository.
    """
    variables: dict[str, str] = config.stash.get(VARIABLES, dict(os.environ))
    return Session(
        settings=settings,
        top=toplevel(settings.root),
        folder=config.invocation_params.dir.resolve(),
        arguments=tuple(str(argument) for argument in config.invocation_params.args),
        positionals=tuple(config.option.file_or_dir or ()),
        variables=variables,
    )


def run_missing(
    session: Session,
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
    folder = session.cache(commit)
    write_ignored_folder(session.settings.state_path)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f"{folder.name}.lock"):
        index = read_index(folder)
        names = wanted if wanted is not None else index.selections.get(session.selection_key())
        missing = None if names is None else [name for name in names if _unknown(index, name)]
        if missing is None or missing or index.errors:
            started = time.monotonic()
            announce("running there in a temporary worktree ...")
            found = _run(session, commit, folder, index, wanted, missing, narrow)
            index = _merged(index, found, missing, None if narrow else session.selection_key())
            write_index(folder, index)
            ran = sum(outcome.outcome != "absent" for outcome in found.tests.values())
            announce(f"{ran} test(s) ran there in {time.monotonic() - started:.1f} s")
        write_retention(folder)
    return index


def _unknown(index: Index, name: str) -> bool:
    return name not in index.tests or index.tests[name].outcome in ("failed", "uncollected")


def _run(
    session: Session,
    commit: str,
    folder: Path,
    index: Index,
    wanted: Sequence[str] | None,
    missing: Sequence[str] | None,
    narrow: bool,
) -> Collected:
    settings = session.settings
    side = Side(
        golden=folder / "golden",
        folder=session.folder,
        log=folder / "pytest.log",
        trace=settings.trace,
        profile=settings.cpu_profile,
        device_class=settings.device_class,
        rootdir=settings.root if settings.root.is_relative_to(session.top) else None,
    )
    known = [name for name in index.tests if not _unknown(index, name)]
    with checked_out(session.top, commit, settings.worktree_links) as checkout:
        raw, positionals = session.arguments, session.positionals
        if narrow:  # other tests of the same session are of no interest here
            raw, positionals = settings_of(raw, positionals), ()
            files = dict.fromkeys(str(settings.root / name.partition("::")[0]) for name in missing or ())
            raw, positionals = (*raw, *files), tuple(files)
        arguments = rewritten(raw, positionals, checkout, session.folder)
        if arguments.nothing:
            return Collected({}, (), {})
        return collect(
            checkout,
            arguments.passed,
            side,
            wanted=missing if wanted is not None else None,
            known=known,
            selections=arguments.selections,
        )


def _merged(index: Index, found: Collected, missing: Sequence[str] | None, selection: str | None) -> Index:
    tests = {**index.tests, **found.tests}
    for name in {*found.selected, *(missing or ())} - found.tests.keys():
        error = error_of(found.errors, name)
        if error:
            tests[name] = TestOutcome("uncollected", error)
        elif name not in found.selected:
            tests[name] = TestOutcome("absent")
        elif _unknown(index, name):
            tests[name] = TestOutcome("failed", "it did not run")
    selections = dict(index.selections)
    if selection is not None:
        selections[selection] = found.selected
    return replace(index, tests=tests, selections=selections, errors=dict(found.errors))


def error_of(errors: dict[str, str] | object, test: str) -> str:
    """Why the file of ``test`` could not be collected; empty where it could."""
    path = test.partition("[")[0].partition("::")[0]
    if not isinstance(errors, dict):
        return ""
    for place, error in errors.items():
        file = place.partition("::")[0]
        if file in ("", ".", path) or path.startswith(f"{file}/"):
            return str(error)
    return ""
