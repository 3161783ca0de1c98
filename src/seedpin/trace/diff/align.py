"""Lay two traces side by side: a diff of trees, so that an extra record shifts nothing else."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from seedpin.trace.model import Fingerprint, Record

_MAX_EDITS = 600
"""Beyond this many edits among siblings the rest counts as replaced: the diff stays linear in practice."""


@dataclass(slots=True)
class Node:
    """A record and those that began and ended within it."""

    record: Record
    index: int
    children: list[Node] = field(default_factory=list)


PairChange: TypeAlias = Literal["same", "lost", "new", "moved"]


@dataclass(frozen=True, slots=True)
class RecordPair:
    """One row of the alignment. ``moved`` rows stand where the record is now."""

    change: PairChange
    golden: Node | None
    here: Node | None


def tree(records: Sequence[Record]) -> list[Node]:
    """Nest records by their depth."""
    roots: list[Node] = []
    stack: list[Node] = []
    for index, record in enumerate(records):
        node = Node(record, index)
        while len(stack) > record.depth:
            stack.pop()
        (stack[-1].children if stack else roots).append(node)
        # These hold nothing: a record that is deeper than one of them lies in what is open around it.
        if record.kind not in ("draw", "mark", "clip", "op"):
            stack.append(node)
    return roots


def align(golden: Sequence[Node], here: Sequence[Node]) -> list[RecordPair]:
    """Align siblings: by name first, then what is left by what it is."""
    rows: list[RecordPair] = []
    lost: list[Node] = []
    new: list[Node] = []

    def settle() -> None:
        rows.extend(_second_look(lost, new))
        lost.clear()
        new.clear()

    for g, h in diff([_key(node) for node in golden], [_key(node) for node in here]):
        if g is not None and h is not None:
            settle()
            rows.append(RecordPair("same", golden[g], here[h]))
        elif g is not None:
            lost.append(golden[g])
        elif h is not None:
            new.append(here[h])
    settle()
    # Moved ones first: a draw that only stands elsewhere would else be joined with a neighbour like it.
    return _join_draws(_find_moved(rows))


def _key(node: Node) -> Hashable:
    record = node.record
    if record.kind == "draw":
        # Who asked is part of it: latents and noise may be alike in function, shape and generator.
        return ("draw", record.name, record.extra.get("generator"), _shape(record), record.extra.get("in"))
    return record.kind, record.name


def _weak_key(node: Node) -> Hashable:
    """What stays when a function or module is renamed: a draw's shape, another record's outputs."""
    record = node.record
    if record.kind == "draw":
        return ("draw", record.extra.get("generator"), _shape(record))
    return (
        record.kind,
        tuple((item.hash, item.shape) for _, item in record.outputs if isinstance(item, Fingerprint)),
    )


def _shape(record: Record) -> Hashable:
    return tuple(item.shape if isinstance(item, Fingerprint) else () for _, item in record.outputs)


def _second_look(lost: list[Node], new: list[Node]) -> list[RecordPair]:
    rows = []
    for g, h in diff([_weak_key(node) for node in lost], [_weak_key(node) for node in new]):
        golden, here = None if g is None else lost[g], None if h is None else new[h]
        rows.append(RecordPair("same" if golden and here else "lost" if golden else "new", golden, here))
    return rows


def _find_moved(rows: list[RecordPair]) -> list[RecordPair]:
    """Join a lost and a new row of one key into ``moved``."""
    lost: dict[Hashable, list[int]] = {}
    for index, row in enumerate(rows):
        if row.change == "lost" and row.golden is not None:
            lost.setdefault(_key(row.golden), []).append(index)
    gone: set[int] = set()
    result: list[RecordPair | None] = list(rows)
    for index, row in enumerate(rows):
        if row.change == "new" and row.here is not None:
            match = lost.get(_key(row.here))
            if match:
                origin = match.pop(0)
                gone.add(origin)
                result[index] = RecordPair("moved", rows[origin].golden, row.here)
    return [row for index, row in enumerate(result) if row is not None and index not in gone]


def _join_draws(rows: list[RecordPair]) -> list[RecordPair]:
    """Lay a lost draw beside a new one of the same gap that is the same draw made otherwise.

    Of one function with another shape or generator, or of one shape from another generator: then it is told
    what changed, not that one draw was lost and another is new.
    """
    result: list[RecordPair] = []
    for row in rows:
        at = len(result)
        while at and result[at - 1].change in ("lost", "new"):
            at -= 1
        other = "lost" if row.change == "new" else "new"
        for index in range(at, len(result)):
            gap = result[index]
            if row.change in ("lost", "new") and gap.change == other and _same_draw(gap, row):
                joined = (gap.golden or row.golden, row.here or gap.here)
                result[index] = RecordPair("same", *joined)
                break
        else:
            result.append(row)
    return result


def _same_draw(one: RecordPair, other: RecordPair) -> bool:
    golden, here = one.golden or other.golden, one.here or other.here
    if golden is None or here is None or not golden.record.kind == here.record.kind == "draw":
        return False
    old, new = golden.record, here.record
    if "unseen" in old.extra or "unseen" in new.extra:
        return False
    # Two names, as the first is often that of a helper through which a library makes all of its draws.
    same_function = old.extra.get("in", "").split(" < ")[:2] == new.extra.get("in", "").split(" < ")[:2]
    same_shape = _shape(old) == _shape(new)
    return same_function or (
        old.name == new.name and (same_shape or len(old.outputs) == len(new.outputs) == 1)
    )


def diff(golden: Sequence[Hashable], here: Sequence[Hashable]) -> list[tuple[int | None, int | None]]:
    """Shortest edit script as rows of indices (Myers 1986, greedy O(ND)); None marks the missing side.

    Common beginnings and ends are cut off first, so that equal sequences cost one pass.
    """
    start = 0
    limit = min(len(golden), len(here))
    while start < limit and golden[start] == here[start]:
        start += 1
    end = 0
    while end < limit - start and golden[-1 - end] == here[-1 - end]:
        end += 1
    rows: list[tuple[int | None, int | None]] = [(index, index) for index in range(start)]
    middle = _myers(golden[start : len(golden) - end], here[start : len(here) - end])
    rows += [(None if g is None else g + start, None if h is None else h + start) for g, h in middle]
    rows += [(len(golden) - end + index, len(here) - end + index) for index in range(end)]
    return rows


def _myers(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int | None, int | None]]:
    n, m = len(a), len(b)
    if not n or not m:
        return [*((index, None) for index in range(n)), *((None, index) for index in range(m))]
    furthest = {1: 0}
    history: list[dict[int, int]] = []
    for edits in range(min(n + m, _MAX_EDITS) + 1):
        history.append(dict(furthest))
        for k in range(-edits, edits + 1, 2):
            down = k == -edits or (k != edits and furthest[k - 1] < furthest[k + 1])
            x = furthest[k + 1] if down else furthest[k - 1] + 1
            y = x - k
            while x < n and y < m and a[x] == b[y]:
                x, y = x + 1, y + 1
            furthest[k] = x
            if x >= n and y >= m:
                return _backtrack(history, n, m)
    return [*((index, None) for index in range(n)), *((None, index) for index in range(m))]


def _backtrack(history: list[dict[int, int]], x: int, y: int) -> list[tuple[int | None, int | None]]:
    rows: list[tuple[int | None, int | None]] = []
    for edits in range(len(history) - 1, -1, -1):
        furthest = history[edits]
        k = x - y
        down = k == -edits or (k != edits and furthest[k - 1] < furthest[k + 1])
        before = k + 1 if down else k - 1
        old_x = furthest[before] if edits else 0
        old_y = old_x - before if edits else 0
        while x > old_x and y > old_y and (x, y) != (0, 0):
            x, y = x - 1, y - 1
            rows.append((x, y))
        if edits:
            rows.append((None, y - 1) if down else (x - 1, None))
            x, y = old_x, old_y
    rows.reverse()
    return rows
