"""What loading seedpin adds to the start of pytest: `pytest --collect-only` on an empty project.

    python benchmarks/startup.py [ROUNDS]

Runs with seedpin and with `-p no:seedpin` alternate, so that a busy machine slows both alike. Wall time is
what a user waits for; CPU time (user and system) is steadier where other work runs beside it.
The target is at most 30 ms more.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VARIANTS: dict[str, list[str]] = {"without": ["-p", "no:seedpin"], "with": []}


def measure(arguments: list[str], folder: Path) -> tuple[float, float]:
    """Wall and CPU time of one start, in ms, with compiled modules as after an installation."""
    environ = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "cache")}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments]
    empty = folder / "empty"
    empty.mkdir(exist_ok=True)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=empty, env=environ, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 5:  # "no tests collected"
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1000 * wall, 1000 * cpu


def main(rounds: int) -> None:
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for arguments in VARIANTS.values():
            measure(arguments, folder)  # fills the cache
        for round_ in range(rounds):
            order = list(VARIANTS) if round_ % 2 else list(VARIANTS)[::-1]
            for variant in order:
                times[variant].append(measure(VARIANTS[variant], folder))
    print(f"{rounds} rounds, Python {sys.version.split()[0]}; medians in ms (fastest in brackets)")
    columns = ("wall", "cpu")
    for index, column in enumerate(columns):
        found = {name: [pair[index] for pair in times[name]] for name in VARIANTS}
        middle = {name: statistics.median(values) for name, values in found.items()}
        pairs = statistics.median(a - b for a, b in zip(found["with"], found["without"], strict=True))
        print(
            f"{column:>4}: without seedpin {middle['without']:6.1f} ({min(found['without']):.1f}), "
            f"with {middle['with']:6.1f} ({min(found['with']):.1f}), "
            f"difference {middle['with'] - middle['without']:+.1f} (median of pairs {pairs:+.1f})"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 25)
