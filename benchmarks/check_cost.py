"""What one check of a small clip enters and costs: python benchmarks/check_cost.py [CHECKS]

A test of a tiny seeded model checks its clip against a golden that has the same bits, then one of other bits.
Printed are the files of seedpin's that run within a call of ``check`` (the second of its kind), the moves
between its rooms (the folders of the package), and the processor time of an identical check: alone, and with
the call of the model before it, over that of a fixed peer in the same process (reading, parsing and hashing
the golden's manifest, and hashing the frames). Only names of the public interface are used, so that any two
commits can be compared:

    PYTHONPATH=<their src> python benchmarks/check_cost.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TEST = '''
import hashlib, json, os, statistics, sys, time
from pathlib import Path

import seedpin
import torch

PACKAGE = str(Path(seedpin.__file__).parent) + os.sep


class Tiny(torch.nn.Module):
    """Twelve frames of noise through one layer."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(16, 16 * 16 * 3)

    def forward(self):
        frames = torch.sigmoid(self.layer(torch.randn(12, 16))).reshape(12, 16, 16, 3)
        return (255 * frames.detach()).to(torch.uint8).numpy()


def entered(work):
    """Files of seedpin's in the order in which they were first entered, and the moves between its rooms."""
    files, moves, stack = {}, 0, []

    def profile(frame, event, _):
        nonlocal moves
        if event == "call":
            name = frame.f_code.co_filename
            own = name[len(PACKAGE):].replace(os.sep, "/") if name.startswith(PACKAGE) else None
            room = stack[-1] if own is None and stack else own and own.partition("/")[0]
            if own is not None:
                files[own] = files.get(own, 0) + 1
                moves += bool(stack) and stack[-1] != room
            stack.append(room)
        elif event == "return" and stack:
            stack.pop()

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return list(files), moves


def taken(work):
    before = time.process_time_ns()
    work()
    return (time.process_time_ns() - before) / 1e6


def test_profile(seeded_model, golden_video):
    model = seeded_model(Tiny)
    clip = model()
    # What operations compute is measured once a process, by the first check whose bits differ.
    warm = clip ^ 1 if os.environ["CHECK_COST"] == "changed" else clip
    golden_video.check(warm, "warm", fps=8)
    clip = model()
    if os.environ["CHECK_COST"] == "changed":
        clip = clip.copy()
        clip[3, 4, 5, 1] ^= 64
    files, moves = entered(lambda: golden_video.check(clip, "profiled", fps=8))
    Path("profile.json").write_text(json.dumps([files, moves]))


def test_time(seeded_model, golden_video):
    model = seeded_model(Tiny)
    count = int(os.environ["CHECK_COST_COUNT"])
    clip = model()
    golden_video.check(clip, "warm", fps=8)
    found = {"peer": [], "check": [], "call": [], "changed": []}
    other = clip.copy()
    other[3, 4, 5, 1] ^= 64
    for index in range(count):
        found["call"].append(taken(model))
        found["check"].append(taken(lambda: golden_video.check(clip, f"check{index}", fps=8)))
        if os.environ["CHECK_COST"] == "changed":
            found["changed"].append(taken(lambda: golden_video.check(other, f"changed{index}", fps=8)))
        else:
            golden_video.check(clip, f"changed{index}", fps=8)
        manifests = sorted(Path("golden").rglob("warm*.json"))

        def peer():
            raw = manifests[0].read_bytes()
            json.loads(raw), hashlib.sha256(raw).hexdigest()
            [hashlib.sha256(frame.tobytes()).hexdigest() for frame in clip]

        if manifests:
            found["peer"].append(taken(peer))
    found = {name: statistics.median(values) for name, values in found.items() if values}
    Path("times.json").write_text(json.dumps(found))
'''


def run(folder: Path, what: str, count: int, *arguments: str) -> None:
    """One pytest session in ``folder``; a check that did not pass is no error where it is to differ."""
    environ = {**os.environ, "CHECK_COST": what, "CHECK_COST_COUNT": str(count)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_cost.py", *arguments]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    if done.returncode != (1 if what == "changed" else 0):
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\n", encoding="utf-8")
        (folder / "test_cost.py").write_text(TEST, encoding="utf-8")
        run(folder, "identical", count, "--update-golden", "--golden-probe=off")
        for what in ("identical", "changed"):
            run(folder, what, count)
            files, moves = json.loads((folder / "profile.json").read_text(encoding="utf-8"))
            print(f"{what}: {len(files)} files entered, {moves} moves between rooms")
            print(f"  {' '.join(files)}")
            told(json.loads((folder / "times.json").read_text(encoding="utf-8")), what)


def told(times: dict[str, Any], what: str) -> None:
    peer = times["peer"]
    parts = {
        "identical check": times["check"],
        "call of the model": times["call"],
        "call and check": times["call"] + times["check"],
        "changed check": times.get("changed"),
    }
    shown = [
        f"{name} {value:.3f} ms ({value / peer:.1f} x)" for name, value in parts.items() if value is not None
    ]
    print(f"  processor time, medians: peer {peer:.3f} ms; {', '.join(shown)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
