"""Reading and comparing traces needs no torch: only what watches a model does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seedpin.trace.model import Fingerprint, Record, Trace
from seedpin.trace.storage import to_bytes


@pytest.mark.parametrize("command", ["show", "diff"])
def test_traces_are_shown_and_compared_without_torch(tmp_path: Path, command: str) -> None:
    """``seedpin trace`` tells what a trace holds and where two part, and never imports torch."""
    paths = [tmp_path / "one.trace", tmp_path / "other.trace"]
    for path, digit in zip(paths, "ab", strict=True):
        output = Fingerprint(digit * 32, "float32", (2,))
        path.write_bytes(to_bytes(Trace("stages", (Record("stage", "vae", 0, 0, outputs=(("", output),)),))))
    wanted = paths if command == "diff" else paths[:1]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "seedpin", "trace", command, *map(str, wanted)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "vae" in done.stdout
    assert "seedpin.trace.storage" in done.stderr
    assert not [line for line in done.stderr.splitlines() if line.rpartition("|")[2].strip() == "torch"]
