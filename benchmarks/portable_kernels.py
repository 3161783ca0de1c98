"""What the kernels of the profile ``portable`` cost, as ratios to the kernels that they replace.

    python benchmarks/portable_kernels.py [ROUNDS]

One thread, under the profile's variables. Each row holds the median time of the replacement, and the median
over rounds of (time replaced / time own), the two taken in turns, so that other work hits both alike.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from seedpin.pinning.profiles import apply_profile

SIZES = {"0-d": 1, "1,000": 1_000, "1,000,000": 1_000_000}


def _seconds(operation: Callable[[], Any], repeat: int) -> float:
    started = time.perf_counter()
    for _ in range(repeat):
        operation()
    return (time.perf_counter() - started) / repeat


def _row(name: str, dtype: Any, rounds: int) -> str:
    import torch

    from seedpin.pinning import kernels

    function = getattr(torch, name) if name != "pow 0.5" else lambda x: x**0.5
    cells = []
    for size in SIZES.values():
        x = torch.rand(size, dtype=dtype) if size > 1 else torch.tensor(0.7, dtype=dtype)
        repeat = max(1, 20_000 // size)
        ratios, replaced = [], []
        for _ in range(rounds):
            kernels.install("")
            own = _seconds(lambda: function(x), repeat)  # noqa: B023
            kernels.install("strict")
            replaced.append(_seconds(lambda: function(x), repeat))  # noqa: B023
            ratios.append(replaced[-1] / own)
        cells.append(f"{statistics.median(replaced) * 1e6:,.0f} us, {statistics.median(ratios):.1f}x")
    return f"| `{name}` | {str(dtype).removeprefix('torch.')} | {' | '.join(cells)} |"


def _register_and_remove() -> None:
    from seedpin.pinning import kernels

    kernels.install("strict")
    kernels.install("")


def main(rounds: int) -> None:
    apply_profile("portable")
    import torch

    from seedpin.pinning import kernels

    torch.set_num_threads(1)
    print(f"| function | dtype | {' | '.join(SIZES)} |")
    print("| --- | --- | " + " | ".join("---" for _ in SIZES) + " |")
    for name, functions in [*kernels.REPLACED.items(), ("pow 0.5", kernels.REPLACED["sqrt"])]:
        for dtype in functions:
            print(_row(name, dtype, rounds), flush=True)
    kernels.install("")
    both = [_seconds(_register_and_remove, 20) for _ in range(rounds)]
    print(f"to register and remove all: {statistics.median(both) * 1e3:.2f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
