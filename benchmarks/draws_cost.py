"""What a passing check pays to list the draws behind it: python benchmarks/draws_cost.py"""

from __future__ import annotations

import timeit

import torch

from seedpin.trace.draw_lines import compact
from seedpin.trace.record.recorder import record


def main() -> None:
    for count in (1, 100, 1000):
        with record() as recorder:
            for _ in range(count):
                torch.rand(3)
        seconds = min(timeit.repeat(lambda: compact(recorder.draws()), number=20, repeat=5)) / 20
        print(f"{count:5d} draws: {1e6 * seconds:8.1f} us, {1e6 * seconds / count:.1f} us per draw")


if __name__ == "__main__":
    main()
