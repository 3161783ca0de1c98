"""A trace from what a recorder noted while the model ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seedpin.trace.model import Fingerprint, Given, Level, ModuleInfo, Record, Trace
from seedpin.trace.record.fingerprint import Fingerprints
from seedpin.trace.record.observe import Slots
from seedpin.trace.record.watched import Raw, filled
from seedpin.trace.record.weights import HeldWeights, Weights, hash_of_weights, short_hash

_MAX_REWRITTEN = 64
UNCOUNTED = "written during the call past torch's version counter"


def build(
    level: Level,
    raws: Sequence[Raw],
    table: Fingerprints,
    weights: Weights,
    modules: tuple[ModuleInfo, ...],
    notes: Sequence[str],
    meta: Mapping[str, str],
    calls: Sequence[tuple[str, Slots, tuple[str, ...]]] = (),
) -> Trace:
    """Put the fingerprints in their places; waits for an accelerator's."""
    prints = table.resolve()
    doubtful = {name for name, first, last in weights.doubtful if prints[first].hash != prints[last].hash}
    sums: dict[int, tuple[str, tuple[str, ...]]] = {}
    latest: dict[str, HeldWeights] = {}
    records: list[Record] = []
    for raw in raws:
        held = raw.weights
        if held is None:
            records.append(raw.record(prints, "", (), ()))
            continue
        before = latest.get(raw.name)
        latest[raw.name] = held
        fresh = id(held) not in sums
        if fresh:
            total, missing = hash_of_weights(held.names, [prints[slot] for slot in held.slots])
            sums[id(held)] = total, tuple([f"{raw.name}.{name}" for name in missing])
        total, missing = sums[id(held)]
        if doubtful and not fresh:
            missing += tuple([name for part in held.names if (name := f"{raw.name}.{part}") in doubtful])
        # The very same object: nothing was read anew between the two calls.
        changed = () if before is None or before is held else _rewritten(raw.name, before, held, prints)
        records.append(raw.record(prints, total, missing, changed))
    named = {name: prints[slot] for name, slot in weights.named.items()}
    reasons = {name: item.unread for name, item in named.items() if item.unread}
    lines = list(notes)
    if doubtful:
        some = ", ".join(sorted(doubtful)[:3]) + (
            f" and {len(doubtful) - 3} more" if len(doubtful) > 3 else ""
        )
        lines.append(f"{some}: {UNCOUNTED}, so that later calls are not known to have had the same weights")
    if table.unread:
        why = "; ".join(f"{text} ({count:,})" for text, count in table.unread.most_common(4))
        lines.append(f"the content of {table.unread.total():,} tensors was not read, or not whole: {why}")
    return Trace(
        level,
        tuple(records),
        modules,
        {name: short_hash(item) for name, item in named.items() if item.hash},
        tuple(lines),
        dict(meta),
        unread=reasons | {name: UNCOUNTED for name in sorted(doubtful) if name not in reasons},
        calls=tuple([Given(name, filled(slots, prints), left) for name, slots, left in calls]) or None,
    )


def _rewritten(
    name: str, before: HeldWeights, held: HeldWeights, prints: Sequence[Fingerprint]
) -> tuple[tuple[str, str], ...]:
    """Names and hashes of what is not as it was at the call before; an empty hash for what is gone."""
    old = {part: short_hash(prints[slot]) for part, slot in zip(before.names, before.slots, strict=True)}
    new = {part: short_hash(prints[slot]) for part, slot in zip(held.names, held.slots, strict=True)}
    changed = [part for part in (*new, *old) if old.get(part) != new.get(part)]
    return tuple([(f"{name}.{part}", new.get(part, "")) for part in dict.fromkeys(changed)][:_MAX_REWRITTEN])
