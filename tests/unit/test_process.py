"""What another pytest inherits from the session that starts it."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from seedpin.process import inherited, python_code, run

OF_SESSION = {
    "PYTEST_CURRENT_TEST": "a",
    "PYTEST_XDIST_WORKER_COUNT": "2",
    "GITHUB_STEP_SUMMARY": "file",
    "SEEDPIN_RUN": "folder",
    "SEEDPIN_REQUEST": "file",
}
OF_JOB = {"CI": "1", "GITHUB_ACTIONS": "true", "PYTEST_ADDOPTS": "-x"}
OWN = {"PATH": "/bin", "CI_NOT": "kept", "SEEDPIN_THREADS": "2", "PYTEST_PLUGINS": "mine"}


def test_what_describes_a_session_is_not_inherited() -> None:
    """Another pytest has the user's variables and the job's, none of this session."""
    assert inherited(OF_SESSION | OF_JOB | OWN) == OF_JOB | OWN


def test_a_pytest_by_itself_is_not_the_jobs() -> None:
    """``by_itself`` leaves out what a job or the user asks of every pytest, too."""
    assert inherited(OF_SESSION | OF_JOB | OWN, by_itself=True) == OWN


def test_code_does_not_find_the_working_folder(tmp_path: Path) -> None:
    """A module of the working folder is no part of the import path, and output comes back."""
    done = run(python_code("import sys; print('' in sys.path)"), tmp_path, os.environ)
    assert (done.returncode, done.stdout.strip()) == (0, "False")


def test_a_log_takes_both_streams(tmp_path: Path) -> None:
    """With a log, errors are written among the output."""
    with (tmp_path / "log").open("w+", encoding="utf-8") as log:
        code = "import sys; sys.stderr.write('bad'); sys.exit(3)"
        assert run([sys.executable, "-c", code], tmp_path, os.environ, log=log).returncode == 3
        log.seek(0, io.SEEK_SET)
        assert log.read() == "bad"
