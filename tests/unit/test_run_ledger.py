"""Runs on disk."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from seedpin.run.ledger import Run, RunMeta, runs, write_retention


def make(state: Path, name: str, *, finished: bool, age: float = 0.0) -> Run:
    run = Run(state / "runs" / name)
    run.write_meta(RunMeta(run=name, complete=True if finished else None))
    for path in (*run.path.iterdir(), run.path):
        os.utime(path, (time.time() - age,) * 2)
    return run


def test_only_the_last_runs_are_kept(tmp_path: Path) -> None:
    """Older runs without clips that await a decision are deleted."""
    made = [make(tmp_path, f"2026-{number}", finished=True) for number in range(4)]
    write_retention(tmp_path, 1, current=made[3])
    assert runs(tmp_path) == made[2:]


@pytest.mark.parametrize(("age", "stays"), [(0.0, True), (3 * 86400.0, False)])
def test_a_run_that_may_still_be_going_on_is_kept(tmp_path: Path, age: float, stays: bool) -> None:
    """A session does not delete the folder of another that has not ended; a killed one's goes in time."""
    live = make(tmp_path, "2026-0", finished=False, age=age)
    current = make(tmp_path, "2026-1", finished=False)
    write_retention(tmp_path, 0, current=current)
    assert live.path.exists() == stays
    assert current.path.exists()
