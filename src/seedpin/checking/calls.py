"""What is kept of each call of a seeded model in a test: its pin, its trace, and whether it repeats."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from seedpin.checking.conditions import CallConditions, conditions_of_call
from seedpin.checking.fresh import BATCH, THREADS
from seedpin.checking.probe import Before, Repetition, after_call, before, repeat
from seedpin.pinning.model import PinInfo, PinnedCall, SeededModel
from seedpin.trace.draw_lines import compact
from seedpin.trace.model import Record, Trace
from seedpin.trace.record.recorder import Recorder, record


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was made: its pin, what recorded it, what the entropy audit noticed in it, what was in
    force around it, its random draws as a manifest keeps them, and, where that was asked for, what came of
    making it again.
    """

    name: str
    recorder: Recorder | None
    pin: PinInfo | None = None
    noticed: tuple[str, ...] = ()
    conditions: CallConditions | None = None
    draws: tuple[str, ...] | None = None
    repetition: Repetition | None = None


class CallWatcher:
    """Hooks for a seeded model: ``around`` and ``after`` its calls, which are appended to ``calls``.

    level: a trace level or "off". repeats: make each call again right after it. thorough: also after a call
    with another seed. packages: further ones whose versions belong to the environment.
    """

    def __init__(
        self,
        calls: list[Call],
        *,
        level: str,
        repeats: bool = False,
        thorough: bool = False,
        packages: Iterable[str] = (),
    ) -> None:
        self._calls = calls
        self._level = level
        self._repeats = repeats
        self._thorough = thorough
        self._packages = tuple(packages)
        self._before: dict[int, tuple[int, Before]] = {}

    @contextmanager
    def around(self, model: SeededModel, call: PinnedCall) -> Iterator[None]:
        if THREADS in os.environ:  # the pin around this call restores their number
            torch.set_num_threads(int(os.environ[THREADS]))
        kept = before(model, call) if self._repeats else None
        with _recording(model, self._level) as recorder:
            if recorder is not None:
                recorder.given(call.name, call.method, call.args, call.kwargs)
            yield
        if kept is not None:
            self._before[id(call)] = (len(self._calls), after_call(kept, call))
        noticed = tuple(map(str, model.entropy_findings))
        # Read here, where the pin still holds: at the check it would take a second pin.
        conditions = conditions_of_call(call.pin, self._packages)
        if self._calls and self._calls[-1].conditions == conditions:
            conditions = self._calls[-1].conditions  # one object for a thousand calls
        draws = None if recorder is None else compact(recorder.draws())
        self._calls.append(Call(call.name, recorder, call.pin, noticed, conditions, draws))

    def after(self, model: SeededModel, call: PinnedCall) -> None:
        index, kept = self._before.pop(id(call), (0, None))
        if kept is None:
            return
        made = self._calls[index]
        trace = None if made.recorder is None else made.recorder.trace()
        batch = os.environ.get(BATCH, "") if self._thorough else ""
        repetition = repeat(model, call, kept, _recording, trace, thorough=self._thorough, batch=batch)
        self._calls[index] = replace(made, repetition=repetition)


def _recording(model: SeededModel, level: str | None) -> AbstractContextManager[Recorder | None]:
    if level in (None, "off"):
        return nullcontext(None)
    return record(model.__wrapped__, level=level)  # type: ignore[arg-type]  # checked by the configuration


def trace_of(
    calls: Sequence[Call], items: Iterable[Any], names: Sequence[str] = (), word: str = "frame"
) -> Trace | None:
    """The trace from the calls to what came of them; None if none was recorded.

    names, word: of the items, as their kind calls them.
    """
    trace = _joined(calls)
    if trace is None:
        return None
    last = Recorder((), level=trace.level)
    last.clip(list(items), names=names, word=word)
    return replace(trace, records=(*trace.records, *last.trace().records))


def draws_of(calls: Sequence[Call]) -> tuple[str, ...] | None:
    """The random draws behind a check, as a manifest keeps them; None if nothing was recorded."""
    recorders = [call.recorder for call in calls if call.recorder is not None]
    return compact(line for recorder in recorders for line in recorder.draws()) if recorders else None


def _joined(calls: Sequence[Call]) -> Trace | None:
    """The traces of several calls as one."""
    traces = [call.recorder.trace() for call in calls if call.recorder is not None]
    if len(traces) < 2:
        return traces[0] if traces else None
    records: list[Record] = []
    seen: dict[tuple[str, str], int] = {}
    loops = 0
    for trace in traces:
        base, first_loop = dict(seen), loops
        for entry in trace.records:
            key = (entry.kind, entry.name)
            number = base.get(key, 0) + entry.call
            seen[key] = max(seen.get(key, 0), number + 1)
            loop = None if entry.loop is None else first_loop + entry.loop
            loops = max(loops, 0 if loop is None else loop + 1)
            records.append(replace(entry, call=number, loop=loop))
    first = traces[0]
    return replace(
        first,
        records=tuple(records),
        modules=tuple({info.name: info for trace in traces for info in trace.modules}.values()),
        weights={name: value for trace in traces for name, value in trace.weights.items()},
        unread={name: why for trace in traces for name, why in trace.unread.items()},
        notes=tuple(dict.fromkeys(note for trace in traces for note in trace.notes)),
        calls=None
        if any(trace.calls is None for trace in traces)
        else tuple(given for trace in traces for given in trace.calls or ()),
    )
