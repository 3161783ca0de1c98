"""Which draws two runs made, told apart though all bits are equal."""

from __future__ import annotations

from collections.abc import Sequence

from seedpin.trace.diff.align import diff
from seedpin.trace.draw_lines import drawn_from


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
    others = [drawn_from(line) for line in (*lost[:1], *new[:1])]
    if len(lost) == len(new) == 1 and others[0] != others[1]:
        return (
            f"The bits are equal, but a random draw comes from another generator than when the golden was "
            f"made: {others[0]} -> {others[1]} ({after})."
        )
    return f"The bits are equal, but other random draws were made than for the golden: {before} -> {after}."
