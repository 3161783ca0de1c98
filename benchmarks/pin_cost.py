"""What a pin costs: microseconds to begin and end an empty one, and where they go.

    python benchmarks/pin_cost.py

Times are processor time of this process, the median of 400 pins after a warm-up; run it on an idle core.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from seedpin.config import LEVELS
from seedpin.pinning import sources, switches
from seedpin.pinning.origin import find_origin
from seedpin.pinning.pin import pin

REPEATS = 400


def microseconds(work: Callable[[], object]) -> float:
    """Median processor time of ``work``."""
    taken = []
    for _ in range(REPEATS + 20):
        start = time.process_time_ns()
        work()
        taken.append(time.process_time_ns() - start)
    return statistics.median(taken[20:]) / 1000


def empty(level: str) -> None:
    with pin(1, level=level):
        pass


def main() -> None:
    for level in LEVELS:
        print(f"{f'pin, level {level}':28}{microseconds(lambda level=level: empty(level)):8.1f} us")  # type: ignore[misc]
    states, values = sources.snapshot(), switches.snapshot()
    parts: dict[str, Callable[[], object]] = {
        "sources: read": sources.snapshot,
        "sources: seed": lambda: sources.seed_all(1),
        "sources: restore": lambda: sources.restore(states),
        "switches: read": switches.snapshot,
        "switches: compare, restore": lambda: switches.restore(values),
        "who begins it": find_origin,
    }
    for name, work in parts.items():
        print(f"  {name:26}{microseconds(work):8.1f} us")
    slowest = sorted(((microseconds(s.read), s.name) for s in switches.available()), reverse=True)[:5]
    print("slowest switches to read: " + ", ".join(f"{name} {taken:.1f} us" for taken, name in slowest))
    sources.restore(states)


if __name__ == "__main__":
    main()
