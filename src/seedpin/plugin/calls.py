"""What is kept of each call of a seeded model in a test: its trace, and how to repeat it."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch

from seedpin.pinning.model import PinnedCall, SeededModel
from seedpin.plugin.fresh import THREADS
from seedpin.trace.fingerprint import Fingerprints, bytes_hash
from seedpin.trace.model import Level, Record, Trace
from seedpin.trace.observe import Slots, observe
from seedpin.trace.recorder import Recorder, record
from seedpin.trace.structure import compact


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of a call gave: a digest over all values of its result, and its trace."""

    digest: str
    trace: Trace | None
    first: str = ""
    """Digest of the result's first item, where it holds several."""


class Repeat(Protocol):
    """Makes a call again, with the seed (None: its own), at a trace level (None: no trace), and with more
    keyword arguments."""

    def __call__(self, seed: int | None, level: Level | None, /, **more: Any) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was made, and, where that was asked for, how to make it again."""

    name: str
    recorder: Recorder | None
    digest: str = ""
    repeat: Repeat | None = None

    first: str = ""
    model: SeededModel | None = None

    @property
    def repeated(self) -> bool:
        """Whether it was made again, to see that it repeats."""
        return self.repeat is not None

    def entropy(self) -> tuple[str, ...]:
        """What the entropy audit noticed in the model's last call."""
        return () if self.model is None else tuple(map(str, self.model.entropy_findings))

    def outcome(self) -> Outcome:
        trace = None if self.recorder is None else self.recorder.trace()
        return Outcome(self.digest, trace, self.first)


def watch(
    calls: list[Call], *, level: str, repeatable: bool
) -> Callable[[SeededModel, PinnedCall], AbstractContextManager[None]]:
    """A hook for ``SeededModel.around_call`` that appends each call to ``calls``.

    level: a trace level or "off". repeatable: keep copies of the arguments, so that calls can be repeated.
    """

    @contextmanager
    def around(model: SeededModel, call: PinnedCall) -> Iterator[None]:
        if THREADS in os.environ:  # the pin around this call restores their number
            torch.set_num_threads(int(os.environ[THREADS]))
        args, kwargs = (_copied(call.args), _copied(call.kwargs)) if repeatable else ((), {})
        with _recording(model, level) as recorder:
            yield
        if not repeatable:
            calls.append(Call(call.name, recorder, model=model))
            return

        def repeat(seed: int | None, wanted: Level | None, /, **more: Any) -> Outcome:
            return _repeat(model, call.name, _copied(args), _copied(kwargs) | more, seed, wanted)

        digest = result_digest(call.result)
        calls.append(Call(call.name, recorder, digest, repeat, result_digest(first_item(call.result)), model))

    return around


def _recording(model: SeededModel, level: str | None) -> AbstractContextManager[Recorder | None]:
    if level in (None, "off"):
        return nullcontext(None)
    return record(model.__wrapped__, level=level)  # type: ignore[arg-type]  # checked by the configuration


def _repeat(
    model: SeededModel,
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    seed: int | None,
    level: Level | None,
) -> Outcome:
    found: list[Outcome] = []

    @contextmanager
    def around(called: SeededModel, call: PinnedCall) -> Iterator[None]:
        with _recording(called, level) as recorder:
            yield
        trace = None if recorder is None else recorder.trace()
        found.append(Outcome(result_digest(call.result), trace, result_digest(first_item(call.result))))

    hooks, info = model.around_call, model.pin_info
    model.around_call = [around]
    model.pin_info = info if seed is None else replace(info, seed=seed)
    try:
        (model if name == "__call__" else getattr(model, name))(*args, **kwargs)
    finally:
        model.around_call, model.pin_info = hooks, info
    return found[-1]


def first_item(result: Any) -> Any:
    """The first clip or image of a batch: of ``.frames``, ``.images``, or of the result itself."""
    for name in ("frames", "images"):
        if hasattr(result, name):
            result = getattr(result, name)
            break
    try:
        return result[0]
    except (TypeError, IndexError, KeyError):
        return result


def result_digest(result: object) -> str:
    """A digest over every tensor, array, image and plain value in a call's result."""
    table = Fingerprints()
    slots: Slots = []
    observe(table, "", result, slots, 0)
    prints = table.resolve()
    parts = []
    for name, seen in slots:
        item = prints[seen] if isinstance(seen, int) else seen
        parts.append(f"{name}={getattr(item, 'hash', '')}{item}")
    return bytes_hash("\n".join(parts).encode())


def _copied(value: Any) -> Any:
    """Arguments with their tensors and arrays copied: a model may write into what it is given."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) in (list, tuple):
        return type(value)(_copied(item) for item in value)
    if type(value) is dict:
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, Mapping):
        return copy.copy(value)
    return value


def trace_of(calls: Sequence[Call], frames: Iterable[Any], names: Sequence[str] = ()) -> Trace | None:
    """The trace from the calls to what came of them; None if none was recorded.

    names: of tensors, where ``frames`` are none.
    """
    trace = _joined(calls)
    if trace is None:
        return None
    last = Recorder((), level=trace.level)
    last.clip(list(frames), names=names)
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
    for trace in traces:
        base = dict(seen)
        for entry in trace.records:
            key = (entry.kind, entry.name)
            number = base.get(key, 0) + entry.call
            seen[key] = max(seen.get(key, 0), number + 1)
            records.append(replace(entry, call=number))
    first = traces[0]
    return replace(
        first,
        records=tuple(records),
        modules=tuple({info.name: info for trace in traces for info in trace.modules}.values()),
        weights={name: value for trace in traces for name, value in trace.weights.items()},
        unread={name: why for trace in traces for name, why in trace.unread.items()},
        notes=tuple(dict.fromkeys(note for trace in traces for note in trace.notes)),
    )
