"""The same tests again in a process of their own, to see what they obtain there."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from seedpin import process
from seedpin.config import Config
from seedpin.errors import ModelError
from seedpin.inner import InnerRequest, read_report
from seedpin.process import REQUEST_VARIABLE, RUN_VARIABLE, inherited, python_code
from seedpin.run.ledger import Run, latest_results
from seedpin.run.result import CheckResult

THREADS = "SEEDPIN_THREADS"
"""Environment variable of ``seedpin probe --threads``: calls run on that many CPU threads."""
BATCH = "SEEDPIN_BATCH"
"""Environment variable of ``seedpin probe --batch``: the argument that sets the size of a batch."""
FRESH_SUSPECTS = (
    "the order of a set (PYTHONHASHSEED)",
    "entropy from uuid, time, os.urandom or id()",
    "a generator made without a seed when a module is imported",
    "autotuning that picked another kernel",
)
NOTHING_REPEATED = "no call of a seeded model came before this check: nothing was repeated at once"
"""Hint of ``seedpin probe`` where only fresh processes can tell."""
# `python -m pytest` puts the working folder on the import path, `pytest` does not.
_WITH_FOLDER = (sys.executable, "-m", "pytest")
_WITHOUT = tuple(python_code("import pytest; sys.exit(pytest.console_main())"))


@dataclass(frozen=True, slots=True)
class Fresh:
    """What a fresh process gave: its exit code, what it printed, and the record of each check by its id.

    ``golden`` holds what its checks obtained, as goldens, for as long as its block lasts. ``problems`` says
    by node id why tests did not pass.
    """

    code: int
    output: str
    results: Mapping[str, CheckResult]
    golden: Path
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Start:
    """How a fresh process is started: in which folder, with which variables.

    ``arguments`` come first and ``last`` after all others, so that these win. ``importable``: whether the
    folder is on the import path.
    """

    folder: Path
    variables: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    last: tuple[str, ...] = ("-p", "no:cacheprovider")
    importable: bool = True
    typed: str = "python -m pytest"
    """The beginning of a command that does the same for a user, as pytest was started."""


@contextmanager
def fresh_run(
    settings: Config,
    selection: Sequence[str],
    *,
    start: Start | None = None,
    only: Sequence[str] = (),
    thorough: bool = False,
    environment: Mapping[str, str] | None = None,
    scratch: Path | None = None,
) -> Iterator[Fresh]:
    """Runs the selected tests (node ids, paths) in a new process; nothing is compared and no golden written.

    start: None for a plain start in the project's root. only: of what is selected, only these node ids.
    thorough: also repeats each call there. scratch: where its files lie until the block ends.

    Raises ModelError where pytest could not run them at all.
    """
    start = start or Start(settings.root, os.environ)
    with tempfile.TemporaryDirectory(prefix="fresh-", dir=scratch) as name:
        folder = Path(name)
        run = folder / "state" / "runs" / "run"
        arguments = [
            *start.arguments,
            *("--rootdir", str(settings.root), *start.last),
            *("--seedpin-collect", "--golden-dir", str(folder / "golden")),
            *(("--seedpin-thorough",) if thorough else ()),
            *("--seedpin-seed", str(settings.seed), "--seedpin-level", settings.level),
            *("--seedpin-cpu-profile", settings.cpu_profile, "--golden-device-class", settings.device_class),
            *("--seedpin-trace", settings.trace),
        ]
        variables = inherited(start.variables) | {**(environment or {}), RUN_VARIABLE: str(run)}
        if only:
            # In reverse: a test that needs what another one left in a shared model does not find it here.
            request = InnerRequest(wanted=tuple(only), reverse=True)
            variables[REQUEST_VARIABLE] = str(request.write(folder))
        python = _WITH_FOLDER if start.importable else _WITHOUT
        done = process.run([*python, *arguments, *selection], start.folder, variables)
        results = {result.id: result for result in latest_results(Run(run))}
        if done.returncode not in (0, 1) or not (results or only):
            shown = shlex.join((only or selection)[:10])
            raise ModelError(
                f"pytest ended with exit code {done.returncode} and {len(results)} check(s) for "
                f"{shown} in a fresh process:\n{done.stdout[-2000:]}{done.stderr[-1000:]}",
                hint=f"{start.typed} {shown}",
            )
        yield Fresh(done.returncode, done.stdout, results, folder / "golden", _problems(folder))


def run_fresh(
    settings: Config,
    selection: Sequence[str],
    *,
    thorough: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Fresh:
    """``fresh_run`` of which only the records are wanted."""
    with fresh_run(settings, selection, thorough=thorough, environment=environment) as fresh:
        return fresh


def _problems(folder: Path) -> dict[str, str]:
    told = read_report(folder)
    words = {"failed": "it failed", "skipped": "it was skipped"}
    problems = {
        node: f"{words[test.outcome]}: {test.error}"
        for node, test in told.outcomes.items()
        if test.outcome in words
    }
    return {**told.errors, **problems}


def differing(here: Mapping[str, str | None], fresh: Fresh) -> list[str]:
    """Ids of the checks whose digest ``here`` is not the one that the fresh process obtained."""
    return [
        name
        for name, digest in here.items()
        if name not in fresh.results or fresh.results[name].obtained_digest != digest
    ]
