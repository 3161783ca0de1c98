"""What a pin costs: microseconds to begin and end an empty one, where they go, and what a draw costs in it.

    python benchmarks/pin_cost.py

Times are processor time of this process, the median of 400 pins after a warm-up; run it on an idle core.
"""

from __future__ import annotations

import statistics
import time
import timeit
from collections.abc import Callable

import torch

from seedpin.options import LEVELS
from seedpin.pinning import sources, switches
from seedpin.pinning.pin import pin
from seedpin.pinning.pin_origin import find_origin

REPEATS = 400


def microseconds(work: Callable[[], object]) -> float:
    """Median processor time of ``work``."""
    taken = []
    for _ in range(REPEATS + 20):
        start = time.process_time_ns()
        work()
        taken.append(time.process_time_ns() - start)
    return statistics.median(taken[20:]) / 1000


def draw_microseconds(draw: Callable[[], object]) -> float:
    """Least processor time of a draw, of seven rounds."""
    return min(timeit.repeat(draw, number=5000, repeat=7, timer=time.process_time)) / 5000 * 1e6


def empty(level: str) -> None:
    with pin(1, level=level):
        pass


def main() -> None:
    for level in LEVELS:
        print(f"{f'pin, level {level}':28}{microseconds(lambda level=level: empty(level)):8.1f} us")  # type: ignore[misc]
    own = torch.Generator().manual_seed(2)
    for name, draw in (
        ("global", lambda: torch.randn(4)),
        ("own generator", lambda: torch.randn(4, generator=own)),
    ):
        outside = draw_microseconds(draw)
        with pin(1):
            inside = draw_microseconds(draw)
        print(f"{f'randn(4), {name}':28}{outside:8.2f} us, in a strict pin {inside:.2f} us")
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
