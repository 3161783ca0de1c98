"""Runs from anywhere: this project's, a folder that a CI artifact was unpacked to, or a zip.

What comes from elsewhere is hostile until proven otherwise. Of a zip only the files of one run are
extracted, under names that seedpin itself would have written; nothing in it is executed.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from seedpin.errors import RunError
from seedpin.records import RecordError, read_record
from seedpin.run.ledger import GOLDEN, OBTAINED, Run, latest_results, runs
from seedpin.run.result import CheckResult
from seedpin.run.zips import SAFE_PATH, extract_run
from seedpin.untrusted import read_plain

_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")
_LARGEST_RESULTS = 1 << 28
_DEEPEST = 5
_SKIPPED = frozenset({OBTAINED, GOLDEN, "report", ".git", ".venv", "venv", "node_modules", "__pycache__"})
_FETCH = "run pytest again, or fetch the artifact again; if it stays so, do not use it"


def is_source(text: str, state: Path) -> bool:
    """Whether ``text`` names a run, a folder or a zip, rather than a check."""
    if _ID.fullmatch(text) or (state / "runs" / text).is_dir():
        return True
    path = Path(text)
    return path.is_dir() or (path.is_file() and path.suffix.lower() == ".zip")


@contextlib.contextmanager
def open_run(source: str | None, state: Path) -> Iterator[Run]:
    """The run that ``source`` names: a run's id, a folder with runs in it, a zip; None for the last run.

    ``state`` is the project's ``.seedpin`` folder. A zip is extracted for as long as the context lasts;
    decisions on it are kept below ``state``. Records and their paths are checked before the run is given.

    Raises:
        RunError: there is no such run, several fit, or it is not safe to read.
    """
    if source is None:
        found = runs(state)
        if not found:
            raise RunError(
                f"there is no run in {state / 'runs'}", hint="run pytest, or name a folder or a zip"
            )
        checked_results(found[-1])
        yield found[-1]
        return
    own = state / "runs" / source
    if SAFE_PATH.fullmatch(source) and "/" not in source and own.is_dir():
        checked_results(Run(own))
        yield Run(own)
        return
    path = Path(source)
    if path.is_dir():
        run = _only_run(path)
        checked_results(run)
        yield run
        return
    if path.is_file():
        with _from_zip(path, state) as run:
            yield run
        return
    have = ", ".join(run.id for run in runs(state)) or "none"
    raise RunError(f"there is no run, folder or zip {source!r}", hint=f"runs of this project: {have}")


def _only_run(folder: Path) -> Run:
    """The newest run in ``folder``, at any depth; all must lie in one folder."""
    for inner in (folder, folder / ".seedpin" / "runs", folder / "runs"):
        if (inner / "results.jsonl").is_file():
            return Run(inner)
        if inner is not folder and inner.is_dir() and (found := _runs_below(inner, 1)):
            return Run(max(found, key=lambda path: path.name))
    found = _runs_below(folder, _DEEPEST)
    if not found:
        raise RunError(
            f"{folder} holds no run: no results.jsonl is in it or below it",
            hint="name the folder that .seedpin was unpacked to",
        )
    parents = sorted({path.parent for path in found})
    if len(parents) > 1:
        raise RunError(
            f"{folder} holds runs in {len(parents)} places",
            hint=f"name one of them: {', '.join(map(str, parents))}",
        )
    return Run(max(found, key=lambda path: path.name))


def _runs_below(folder: Path, depth: int) -> list[Path]:
    found = []
    for here, names, files in os.walk(folder):
        if "results.jsonl" in files:
            found.append(Path(here))
        level = len(Path(here).relative_to(folder).parts)
        names[:] = [] if level >= depth else sorted(name for name in names if name not in _SKIPPED)
    return found


@contextlib.contextmanager
def _from_zip(path: Path, state: Path) -> Iterator[Run]:
    with tempfile.TemporaryDirectory(prefix="seedpin-") as folder:
        run = extract_run(path, Path(folder))
        # What a zip says has been decided is not asked: decisions on it are those that were made here.
        run = Run(run.path, state / "decisions" / f"{run.id}.jsonl")
        checked_results(run)
        yield run


def contained(folder: Path, relative: str, what: str) -> Path:
    """``folder / relative``, once it is certain to lie in ``folder`` without links.

    Raises:
        RunError: it is absolute, leads elsewhere, has a name that seedpin does not write, or is a link.
    """
    parts = PurePosixPath(relative).parts
    if not SAFE_PATH.fullmatch(relative) or ".." in parts or relative != "/".join(parts):
        raise RunError(f"{what} is {relative!r}, which seedpin would not write", hint=_FETCH)
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise RunError(f"{what} leads over the link {path}", hint=_FETCH)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise RunError(f"{what} is {relative!r}, which leads out of {folder}", hint=_FETCH)
    return path


def checked_results(run: Run) -> list[CheckResult]:
    """The last record of each check, its fields and paths checked; nothing of the clips is read.

    Raises:
        RunError: a field is of another type, or a path leads out of the run or of the golden folder.
    """
    path = run.results_path
    if path.is_symlink() or run.decisions_path.is_symlink():
        raise RunError(f"{run.path} holds links instead of its records", hint=_FETCH)
    if not path.is_file():
        raise RunError(f"{run.path} holds no results.jsonl", hint="name a run's folder, or run pytest")
    if path.stat().st_size > _LARGEST_RESULTS:
        raise RunError(f"{path} has {path.stat().st_size >> 20} MiB, far more than a run writes", hint=_FETCH)
    _check_lines(path)
    results = latest_results(run)
    for result in results:
        _check_record(run, result)
    return results


def _check_lines(path: Path) -> None:
    """Every line is a record; only of the last one a crash may have left a part."""
    lines = read_plain(path, _LARGEST_RESULTS).split(b"\n")[:-1]
    for number, line in enumerate(lines, 1):
        try:
            read_record(CheckResult, line)
        except RecordError as error:
            where = f"a record in {path}, line {number},"
            raise RunError(f"{where} is not what seedpin writes: {error}", hint=_FETCH) from error
        except ValueError as error:
            raise RunError(f"line {number} of {path} is no record: {error}", hint=_FETCH) from error


def _check_record(run: Run, result: CheckResult) -> None:
    where = f"a record in {run.results_path}"
    for name, folder, place in (
        ("obtained", run.path / OBTAINED, OBTAINED),
        ("golden_copy", run.path / GOLDEN, GOLDEN),
    ):
        value = getattr(result, name)
        if value is None:
            continue
        if not value.startswith(f"{place}/") or not value.endswith(".json"):
            raise RunError(f"{where}: {name} is {value!r}, not a manifest below {place}/", hint=_FETCH)
        contained(folder, value.removeprefix(f"{place}/"), f"{where}: {name}")
        contained(run.path, value, f"{where}: {name}")
    if not result.golden.endswith(".json"):
        raise RunError(f"{where}: golden is {result.golden!r}, not a manifest", hint=_FETCH)
    contained(run.path / GOLDEN, result.golden, f"{where}: golden")
