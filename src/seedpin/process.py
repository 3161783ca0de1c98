"""pytest in a process of its own: what it inherits from this one, and how it is started."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

RUN_VARIABLE = "SEEDPIN_RUN"
"""Environment variable that chooses the folder of a session's run, so that a subprocess's can be found."""
REQUEST_VARIABLE = "SEEDPIN_REQUEST"
"""Environment variable: the file that says what the process is asked (`seedpin.inner`)."""

# What describes the session that asks, not the one that is started; each with all names that begin so.
_OF_SESSION = (
    "PYTEST_CURRENT_TEST",
    "PYTEST_XDIST_",
    "GITHUB_STEP_SUMMARY",
    "COV_CORE_",
    RUN_VARIABLE,
    REQUEST_VARIABLE,
)
# What a CI job, or the user, asks of every pytest alike.
_OF_JOB = frozenset({"CI", "PYTEST_ADDOPTS"})
_JOB_PREFIX = "GITHUB_"


def inherited(environ: Mapping[str, str], *, by_itself: bool = False) -> dict[str, str]:
    """``environ`` as another pytest is to have it: without what describes this session.

    by_itself: also without what the job around it asks of every pytest.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith(_OF_SESSION)}
    if not by_itself:
        return kept
    return {name: kept[name] for name in kept if name not in _OF_JOB and not name.startswith(_JOB_PREFIX)}


def python_code(code: str) -> list[str]:
    """The command that runs ``code``, without the working folder on the import path.

    ``python -m`` would put it there first, before it is known whether it should be.
    """
    return [sys.executable, "-c", f"import sys; sys.path[:1] == [''] and sys.path.pop(0); {code}"]


def run(
    command: Sequence[str], folder: Path, variables: Mapping[str, str], log: IO[str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs ``command`` to its end with nothing to read; what it prints goes to ``log``, or comes back."""
    output = subprocess.PIPE if log is None else log
    return subprocess.run(
        command,
        cwd=folder,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE if log is None else subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
