"""The same tests again in a process of their own, to see what they obtain there."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seedpin.config import Config
from seedpin.errors import ModelError
from seedpin.plugin.state import RUN_VARIABLE
from seedpin.run.ledger import Run, latest_results
from seedpin.run.result import CheckResult

THREADS = "SEEDPIN_THREADS"
"""Environment variable of ``seedpin probe --threads``: calls run on that many CPU threads."""
BATCH = "SEEDPIN_BATCH"
"""Environment variable of ``seedpin probe --batch``: the argument that sets the size of a batch."""
_FOREIGN = ("PYTEST_", "GITHUB_", "COV_CORE_")
FRESH_SUSPECTS = (
    "the order of a set (PYTHONHASHSEED)",
    "entropy from uuid, time, os.urandom or id()",
    "a generator made without a seed when a module is imported",
    "autotuning that picked another kernel",
)


@dataclass(frozen=True, slots=True)
class Fresh:
    """What a fresh process gave: its exit code, what it printed, and the record of each check by its id."""

    code: int
    output: str
    results: Mapping[str, CheckResult]


def run_fresh(
    settings: Config,
    selection: Sequence[str],
    *,
    thorough: bool = False,
    inifile: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Fresh:
    """Runs the selected tests (node ids, paths) in a new process; nothing is compared and no golden written.

    ``thorough`` also repeats each call there. Raises ModelError where pytest could not run them at all.
    """
    with tempfile.TemporaryDirectory(prefix="seedpin-") as name:
        folder = Path(name)
        arguments = [
            *("--rootdir", str(settings.root), "-p", "no:cacheprovider"),
            *(("-c", str(inifile)) if inifile is not None else ()),
            *("--seedpin-collect", "--golden-dir", str(folder / "golden")),
            *(("--seedpin-thorough",) if thorough else ()),
            *("--seedpin-seed", str(settings.seed), "--seedpin-level", settings.level),
            *("--seedpin-cpu-profile", settings.cpu_profile, "--golden-device-class", settings.device_class),
        ]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *arguments, *selection],
            cwd=settings.root,
            env=kept | dict(environment or {}) | {RUN_VARIABLE: str(folder / "state" / "runs" / "run")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        results = {result.id: result for result in latest_results(Run(folder / "state" / "runs" / "run"))}
    if done.returncode not in (0, 1) or not results:
        raise ModelError(
            f"pytest ended with exit code {done.returncode} and {len(results)} check(s) for "
            f"{' '.join(selection)} in a fresh process:\n{done.stdout[-2000:]}{done.stderr[-1000:]}",
            hint=f"python -m pytest {' '.join(selection)}",
        )
    return Fresh(done.returncode, done.stdout, results)


def differing(here: Mapping[str, str | None], fresh: Fresh) -> list[str]:
    """Ids of the checks whose digest ``here`` is not the one that the fresh process obtained."""
    return [
        name
        for name, digest in here.items()
        if name not in fresh.results or fresh.results[name].obtained_digest != digest
    ]
