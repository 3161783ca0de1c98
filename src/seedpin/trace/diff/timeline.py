"""Two traces laid side by side and put in time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from seedpin.trace.diff import wording
from seedpin.trace.diff.align import Node, RecordPair, align, tree
from seedpin.trace.diff.distance import distances_on_the_way
from seedpin.trace.diff.divergence import Cause, Divergence
from seedpin.trace.model import Fingerprint, Record, Trace


@dataclass(frozen=True, slots=True)
class Event:
    """One moment of the aligned run."""

    phase: Literal["in", "out", "lost", "new", "moved"]
    golden: Record | None
    here: Record | None
    parent: Node | None
    before: Record | None
    """What last ended beside it and carried data: the near end of the interval."""


@dataclass(frozen=True, slots=True)
class AlignedTraces:
    """Both traces, laid side by side and put in time."""

    golden: Trace
    here: Trace
    events: tuple[Event, ...]
    pairs: tuple[tuple[Record, Record], ...]
    """Records laid beside each other, golden and here, in the order in which they ended."""

    def position(self, event: Event) -> int:
        """Index of this very event."""
        return next(index for index, other in enumerate(self.events) if other is event)

    def inside(self, golden: Record) -> Sequence[Event]:
        """Events between the beginning and the end of a call, in time."""
        at = [index for index, event in enumerate(self.events) if event.golden is golden]
        return self.events[at[0] + 1 : at[-1]] if len(at) > 1 else ()

    def divergence(
        self, kind: Cause, place: str, sentence: str, event: Event, hints: Sequence[str] = ()
    ) -> Divergence:
        known = event.golden or event.here
        start = len(self.pairs)
        if event.golden is not None and event.here is not None:
            start = next(
                (index for index, pair in enumerate(self.pairs) if pair[0] is event.golden), len(self.pairs)
            )
        elif event.before is not None:
            start = next((i for i, pair in enumerate(self.pairs) if event.before in pair), start)
        return Divergence(
            *(kind, place, known.step if known else None, sentence),
            golden_record=wording.describe(event.golden),
            here_record=wording.describe(event.here),
            growth=distances_on_the_way(self.pairs, start),
            hints=tuple(dict.fromkeys(hints)),
            level=self.golden.level,
        )


def aligned(golden: Trace, here: Trace) -> AlignedTraces:
    """Lay two traces of one level side by side."""
    pairs: list[tuple[Record, Record]] = []
    events = tuple(_in_time(align(tree(golden.records), tree(here.records)), None, pairs))
    return AlignedTraces(golden, here, events, tuple(pairs))


def _in_time(
    rows: list[RecordPair], parent: Node | None, pairs: list[tuple[Record, Record]]
) -> Iterator[Event]:
    """Events of aligned rows in time; ``pairs`` receives records in the order in which they ended."""
    before: Record | None = None
    for row in rows:
        golden = row.golden.record if row.golden else None
        here = row.here.record if row.here else None
        if row.change != "same":
            yield Event(row.change, golden, here, parent, before)
        if row.golden is not None and row.here is not None and golden and here:
            yield Event("in", golden, here, parent, before)
            yield from _in_time(align(row.golden.children, row.here.children), row.golden, pairs)
            pairs.append((golden, here))
            yield Event("out", golden, here, parent, before)
            if _carries_data(golden):
                before = golden


def _carries_data(record: Record) -> bool:
    """Whether a record can be the near end of an interval: nothing flows through one that has no tensor, nor
    through ``set_timesteps``, which gives the loop its table and not its latents."""
    return not record.name.endswith(".set_timesteps") and any(
        isinstance(seen, Fingerprint) for _, seen in (*record.outputs, *record.inputs)
    )
