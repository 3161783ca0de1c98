"""Which draws a run made: lines that a manifest keeps, so that equal bits do not hide a draw that moved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from xxhash import xxh3_64_hexdigest

from seedpin.trace.align import diff

__all__ = ["compact", "draw_line", "moved_draws"]

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
        rest = "\n".join(runs[_LINES:])
        runs[_LINES:] = [f"and {len(runs) - _LINES} more, #{xxh3_64_hexdigest(rest.encode())}"]
    return tuple(runs)


def moved_draws(golden: Sequence[str], here: Sequence[str]) -> str:
    """What changed between two compacted lists of draws, in a sentence; empty if nothing did."""
    if tuple(golden) == tuple(here):
        return ""
    lost: list[str] = []
    new: list[str] = []
    for left, right in diff(golden, here):
        if left is not None and right is None:
            lost.append(golden[left])
        elif right is not None and left is None:
            new.append(here[right])
    before, after = "; ".join(lost[:3]) or "none", "; ".join(new[:3]) or "none"
    others = [generator_of(line) for line in (*lost[:1], *new[:1])]
    if len(lost) == len(new) == 1 and others[0] != others[1]:
        return (
            f"The bits are equal, but a random draw comes from another generator than when the golden was "
            f"made: {others[0]} -> {others[1]} ({after})."
        )
    return f"The bits are equal, but other random draws were made than for the golden: {before} -> {after}."


def generator_of(line: str) -> str:
    """``own cpu`` of a line."""
    return line.partition(": ")[0].rpartition(" x ")[2]
