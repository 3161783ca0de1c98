"""What a recorder knows of a callable before its call, and a record while it is written."""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from seedpin.trace.model import Argument, Fingerprint, Level, Record, RecordKind
from seedpin.trace.record.observe import Slots
from seedpin.trace.record.search import SCHEDULER_METHODS, ModelParts
from seedpin.trace.record.sketch import MODULE_SAMPLES, STAGE_SAMPLES
from seedpin.trace.record.weights import HeldWeights


@dataclass(slots=True, eq=False)
class WatchEntry:
    """A watched callable. Does not keep its object alive."""

    kind: RecordKind
    name: str
    owner: Callable[[], object]
    """Gives the object, or None when it is gone."""
    parameters: tuple[str, ...]
    samples: int = STAGE_SAMPLES
    weighed: bool = False
    """Whether its weights are recorded: it is a module."""
    stage: bool = False
    scheduler: str = ""
    """Name of the scheduler whose method it is."""
    call: int = 0
    held: HeldWeights | None = None
    """The module's weights as they were at the last call."""
    inside: bool = False
    """Whether a call was reported that has not come to the module's ``forward`` yet."""


def _reference(owner: object) -> Callable[[], object]:
    try:
        return weakref.ref(owner)
    except TypeError:  # __slots__
        # Kept alive then, for as long as the recording lasts.
        return lambda: owner


def to_watch(parts: ModelParts, level: Level) -> Iterator[tuple[Any, str, WatchEntry]]:
    """Owner, attribute and entry of all that is to be watched at a level."""
    inside = tuple(f"{name}." for name in parts.compiled)
    for name, module in (parts.stages if level == "stages" else parts.modules).items():
        if name not in parts.compiled and name.startswith(inside):
            continue  # Inside of a compiled graph: a watched child would break or change the graph.
        stage = name in parts.stages
        kind: RecordKind = "stage" if stage else "module"
        samples = STAGE_SAMPLES if stage else MODULE_SAMPLES
        names = _names(type(module), "forward", of=module)
        entry = WatchEntry(kind, name, _reference(module), names, samples, weighed=True, stage=stage)
        yield module, "__call__", entry
        if stage and name not in parts.compiled:
            yield module, "forward", entry  # Some call it directly.
    for method in parts.methods:
        names = _names(method.owner, method.attribute)
        entry = WatchEntry("stage", method.name, _reference(method.owner), names, stage=True)
        yield method.owner, method.attribute, entry
    for name, scheduler in parts.schedulers.items():
        for attribute in SCHEDULER_METHODS:
            if callable(getattr(type(scheduler), attribute, None)):
                yield scheduler, attribute, scheduler_entry(scheduler, name, attribute)


def _names(owner: object, attribute: str, *, of: object = None) -> tuple[str, ...]:
    """``of``: the instance, where ``owner`` is its class."""
    try:
        function = getattr(owner, attribute)
        return parameters_of(function if of is None else types.MethodType(function, of))
    except Exception:  # A module of torch.jit has none to show; anything else has its arguments numbered.
        return ()


def scheduler_entry(scheduler: Any, name: str, attribute: str) -> WatchEntry:
    """The entry of a scheduler's method."""
    names = _names(scheduler, attribute)
    return WatchEntry("scheduler", f"{name}.{attribute}", _reference(scheduler), names, scheduler=name)


@dataclass(slots=True, eq=False)
class Raw:
    """A record that is still being written; tensors are slots of the fingerprint table."""

    kind: RecordKind
    name: str
    call: int
    depth: int
    stage: str
    step: int | None
    loop: int | None
    inputs: Slots = field(default_factory=list)
    outputs: Slots = field(default_factory=list)
    weights: HeldWeights | None = None
    site: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    def record(
        self,
        table: list[Fingerprint],
        weights: str,
        unread: tuple[str, ...],
        rewritten: tuple[tuple[str, str], ...],
    ) -> Record:
        """The record, with the fingerprints in the slots' place."""
        return Record(
            *(self.kind, self.name, self.call, self.depth, self.stage, self.step),
            inputs=filled(self.inputs, table),
            outputs=filled(self.outputs, table),
            weights=weights,
            site=self.site,
            extra=self.extra,
            loop=self.loop,
            unread=unread,
            rewritten=rewritten,
        )


def filled(slots: Slots, table: list[Fingerprint]) -> tuple[Argument, ...]:
    return tuple([(name, table[seen] if isinstance(seen, int) else seen) for name, seen in slots])


@functools.lru_cache(maxsize=1024)
def _plain_parameters(function: Any) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(parameter.name for parameter in parameters if parameter.kind in kinds)


def parameters_of(function: Any) -> tuple[str, ...]:
    """Names of the parameters that can be given by position, without ``self``, whatever that is called."""
    whole = getattr(function, "__func__", None)
    names = _plain_parameters(function if whole is None else whole)
    return names[1:] if whole is not None or names[:1] == ("self",) else names
