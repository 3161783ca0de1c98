"""Which draws a run made: lines that a manifest keeps, so that equal bits do not hide a draw that moved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from xxhash import xxh3_64_hexdigest

_LINES = 32


def draw_line(generator: str, dtype: str, shape: Sequence[int]) -> str:
    """``own cpu: float32 (1, 4, 8, 8)``."""
    return f"{generator}: {dtype} {tuple(shape)}"


def compact(lines: Iterable[str]) -> tuple[str, ...]:
    """Equal neighbours as one line (``24 x ...``); past 32 lines a hash stands for the rest."""
    runs = []
    for line, group in groupby(lines):
        count = sum(1 for _ in group)
        runs.append(line if count == 1 else f"{count} x {line}")
    if len(runs) > _LINES:
        # A manifest is read by people and kept in git: a thousand lines of draws would bury all else in it.
        rest = "\n".join(runs[_LINES:])
        runs[_LINES:] = [f"and {len(runs) - _LINES} more, #{xxh3_64_hexdigest(rest.encode())}"]
    return tuple(runs)


def drawn_from(line: str) -> str:
    """``own cpu`` of a line."""
    return line.partition(": ")[0].rpartition(" x ")[2]
