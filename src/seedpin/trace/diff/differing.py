"""What of two records differs, argument by argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from seedpin.trace.model import Argument, Fingerprint, Record, Seen, agree, all_agree, weights_agree

ChangedArgument: TypeAlias = "tuple[str, Seen | None, Seen | None]"
"""Name, golden, here; None where one side does not have it."""


def differing(golden: Sequence[Argument], here: Sequence[Argument]) -> list[ChangedArgument]:
    """What is known to differ: what one side did not read is no difference, nor is another name alone."""
    if golden == here:
        return []
    left, right = dict(golden), dict(here)
    renamed = _renamed(left, right)
    rows: list[ChangedArgument] = []
    for name in dict.fromkeys([*left, *right]):
        if name not in left and name in renamed.values():
            continue
        twin = renamed.get(name, name)
        if agree(left.get(name), right.get(twin)) is False:
            rows.append((twin, left.get(name), right.get(twin)))
    return rows


def _renamed(left: Mapping[str, Seen], right: Mapping[str, Seen]) -> dict[str, str]:
    """Arguments that only have another name, golden to here: the same tensor, or one like it at its place."""
    gone = [name for name in left if name not in right]
    new = [name for name in right if name not in left]
    if not gone or not new:
        return {}
    places = (
        {name: index for index, name in enumerate(left)},
        {name: index for index, name in enumerate(right)},
    )
    renames: dict[str, str] = {}
    for name in gone:
        for other in new:
            same_place = places[0][name] == places[1][other]
            if other not in renames.values() and _one_value(left[name], right[other], same_place):
                renames[name] = other
                break
    return renames


def _one_value(golden: Seen, here: Seen, same_place: bool) -> bool:
    if isinstance(golden, Fingerprint) and isinstance(here, Fingerprint):
        return agree(golden, here) is True or (same_place and same_kind(golden, here))
    return same_place and agree(golden, here) is True


def same_kind(golden: Seen | None, here: Seen | None) -> bool:
    """Whether both are tensors of one dtype and shape."""
    return (
        isinstance(golden, Fingerprint)
        and isinstance(here, Fingerprint)
        and (golden.dtype, golden.shape) == (here.dtype, here.shape)
    )


def agreed(golden: Record, here: Record) -> str:
    """``inputs and weights agree``: what was read of a call, on both sides, and is the same."""
    inputs = ""
    if golden.inputs or here.inputs:
        whole = all_agree(golden.inputs, here.inputs) is not None
        inputs = "inputs" if whole else "the inputs that could be read"
    if not (golden.weights or here.weights or golden.unread or here.unread):
        return f"{inputs} agree" if inputs else "all that was recorded before agrees"
    if weights_agree(golden, here):
        return f"{inputs} and weights agree" if inputs else "weights agree"
    weights = "could be read" if golden.unread or here.unread else "both traces name"
    weights = f"the weights that {weights}"
    return f"{inputs} agree, and so do {weights}" if inputs else f"{weights} agree"


def draw_changes(golden: Record, here: Record) -> list[str]:
    """How a draw is another one: ``shape (1, 4, 8, 8) -> (1, 4, 16, 16)``; empty where only values differ."""
    changes = []
    old, new = _tensor(golden), _tensor(here)
    if old is not None and new is not None:
        if old.shape != new.shape:
            changes.append(f"shape {old.shape} -> {new.shape}")
        if old.dtype != new.dtype:
            changes.append(f"dtype {old.dtype} -> {new.dtype}")
    if golden.name != here.name:
        changes.append(f"{golden.name} -> {here.name}")
    devices = golden.extra.get("device", ""), here.extra.get("device", "")
    if devices[0] != devices[1] and all(devices):
        changes.append(f"device {devices[0]} -> {devices[1]}")
    return changes


def _tensor(record: Record) -> Fingerprint | None:
    return next((item for _, item in record.outputs if isinstance(item, Fingerprint)), None)
