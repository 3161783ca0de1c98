"""Schedulers that come up during a call: pipelines copy theirs, or make another of the class and use that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seedpin.trace.record.search import SCHEDULER_METHODS
from seedpin.trace.record.watch import Watch
from seedpin.trace.record.watched import WatchEntry, scheduler_entry


class SchedulerCopies:
    """Makes entries for schedulers of a known class that were not there when the recording began."""

    def __init__(self, schedulers: Mapping[str, Any]) -> None:
        # By class, as a copy is known by nothing else; the first of two schedulers of a class gives the name.
        self._names = {type(item): name for name, item in reversed(list(schedulers.items()))}
        self._counts: dict[str, int] = {}

    def adopt(self, watch: Watch, scheduler: object, attribute: str) -> WatchEntry | None:
        """Have ``watch`` report all the methods of another scheduler; gives the entry of ``attribute``."""
        name = self._names.get(type(scheduler))
        if name is None:
            return None
        count = self._counts[name] = self._counts.get(name, 0) + 1
        entries = {
            key: scheduler_entry(scheduler, f"{name} (copy{'' if count == 1 else f' {count}'})", key)
            for key in SCHEDULER_METHODS
            if callable(getattr(type(scheduler), key, None))
        }
        for key, entry in entries.items():
            watch.adopt(scheduler, key, entry)
        return entries[attribute]

    def notes(self) -> list[str]:
        """What a trace says of them."""
        return [
            f"{name}: {f'{count} more like it' if count > 1 else 'a copy of it'} came up during the call, "
            f"and is recorded as {name} (copy)"
            for name, count in self._counts.items()
        ]
