"""What recording costs: generation time with a trace over the time without, interleaved in one run.

    python benchmarks/trace_cost.py [rounds]

Processor time of one thread, as the ratio of neighbours in one run, so that other load matters less.
Three costs for each level: of wrapped calls that record nothing (below that no recorder in Python gets), of
a check that passes (it records, and needs no more), and of a check that differs or is new, for which the
trace is built. Targets: ``stages`` at most 3 %, ``modules`` at most 12 %.
"""

from __future__ import annotations

import gc
import platform
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import torch

from seedpin.demo import load_demo
from seedpin.trace.model import Level
from seedpin.trace.record.recorder import Recorder, record
from seedpin.trace.storage import to_bytes
from support import pipelines

Way = Literal["empty", "passing", "built"]
WAYS: tuple[tuple[Way, str], ...] = (
    ("empty", "empty hooks"),
    ("passing", "passing check"),
    ("built", "with the trace built"),
)
LEVELS: tuple[Level, ...] = ("stages", "modules")


class Empty(Recorder):
    """Wraps what a recorder wraps, and records nothing."""

    def enter(self, *_: Any) -> None:
        return None

    def leave(self, *_: Any) -> None:
        return None


def _one(run: Callable[[], Any], pipeline: Any, level: Level | None, way: Way) -> tuple[float, int, int]:
    """Seconds of one generation with all that tracing adds; the trace's records and stored bytes."""
    gc.collect()
    start = time.process_time()
    if level is None:
        recording: Any = nullcontext()
    elif way == "empty":
        recording = Empty((pipeline,), level=level).running()
    else:
        recording = record(pipeline, level=level)
    with recording as recorder:
        frames = run()
    trace = None
    if way == "built" and recorder is not None:
        recorder.clip(frames)
        trace = recorder.trace()
    seconds = time.process_time() - start
    return (seconds, len(trace.records), len(to_bytes(trace))) if trace is not None else (seconds, 0, 0)


def measure(name: str, pipeline: Any, run: Callable[[], Any], rounds: int) -> None:
    """Print median ratios of neighbours in time, a table row for each level."""
    run()
    ratios: dict[tuple[Level, Way], list[float]] = {(level, way): [] for level in LEVELS for way, _ in WAYS}
    sizes: dict[Level, tuple[int, int]] = {}
    plain = []
    for _ in range(rounds):
        before = _one(run, pipeline, None, "passing")[0]
        for level, way in ratios:
            seconds, records, stored = _one(run, pipeline, level, way)
            after = _one(run, pipeline, None, "passing")[0]
            ratios[level, way].append(2 * seconds / (before + after))
            plain.append(after)
            before = after
            if way == "built":
                sizes[level] = records, stored
    for level in LEVELS:
        costs = [f"{100 * (statistics.median(ratios[level, way]) - 1):+.1f} %" for way, _ in WAYS]
        records, stored = sizes[level]
        cells = [name, f"{statistics.median(plain):.3f} s", level, f"{records:,}", *costs]
        print(f"| {' | '.join(cells)} | {stored / 1024:.0f} KiB |", flush=True)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    torch.set_num_threads(1)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "diffusers", "numpy", "xxhash"))
    print(f"Python {platform.python_version()}, {versions}; medians of {rounds} rounds, one thread\n")
    print(f"| model | untraced | level | records | {' | '.join(title for _, title in WAYS)} | stored |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    demo = load_demo()

    def run_demo() -> Any:
        torch.manual_seed(1)
        return demo("red ball")

    measure("demo model, 16 frames of 64x64, 24 steps", demo, run_demo, 2 * rounds)
    wan = pipelines.wan(dim=24, layers=4, vae_dim=8)
    for size in (64, 128):

        def run_wan(size: int = size) -> Any:
            torch.manual_seed(1)
            return pipelines.wan_frames(wan, size=size, frames=17, steps=10)

        measure(f"tiny Wan, 17 frames of {size}x{size}, 10 steps", wan, run_wan, rounds)


if __name__ == "__main__":
    main()
