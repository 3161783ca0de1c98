"""What a recorder knows of a callable before its call, and a record while it is written."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from typing import Any

from torch import nn

from seedpin.trace.find import SCHEDULER_METHODS, Found
from seedpin.trace.fingerprint import MODULE_SAMPLES, STAGE_SAMPLES
from seedpin.trace.model import Argument, Fingerprint, Kind, Level, Record
from seedpin.trace.observe import Slots
from seedpin.trace.weights import Own

__all__ = ["Entry", "Raw", "parameters_of", "to_watch"]


class Entry:
    """A watched callable."""

    __slots__ = ("call", "kind", "module", "name", "own", "parameters", "samples", "scheduler", "stage")

    def __init__(
        self,
        kind: Kind,
        name: str,
        parameters: tuple[str, ...],
        *,
        module: nn.Module | None = None,
        stage: bool = False,
        scheduler: Any = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.parameters = parameters
        self.module = module
        self.stage = stage
        self.scheduler = scheduler
        self.call = 0
        self.samples = MODULE_SAMPLES if kind == "module" else STAGE_SAMPLES
        self.own: Own | None = None
        """The module's own weights as they were at the last call."""


def to_watch(found: Found, level: Level) -> Iterator[tuple[Any, str, Entry]]:
    """Owner, attribute and entry of all that is to be watched at a level."""
    inside = tuple(f"{name}." for name in found.compiled)
    for name, module in (found.stages if level == "stages" else found.modules).items():
        if name not in found.compiled and name.startswith(inside):
            continue  # Inside of a compiled graph: a watched child would break or change the graph.
        stage = name in found.stages
        kind: Kind = "stage" if stage else "module"
        names = parameters_of(type(module).forward)
        whole = getattr(module, "_compiled_call_impl", None) is not None
        attribute = "_compiled_call_impl" if whole else "forward"
        yield module, attribute, Entry(kind, name, names, module=module, stage=stage)
    for method in found.methods:
        names = parameters_of(getattr(method.owner, method.attribute))
        yield method.owner, method.attribute, Entry("stage", method.name, names, stage=True)
    for name, scheduler in found.schedulers.items():
        for attribute in SCHEDULER_METHODS:
            if callable(getattr(type(scheduler), attribute, None)):
                names = parameters_of(getattr(scheduler, attribute))
                yield (
                    scheduler,
                    attribute,
                    Entry("scheduler", f"{name}.{attribute}", names, scheduler=scheduler),
                )


class Raw:
    """A record that is still being written; tensors are slots of the fingerprint table."""

    __slots__ = (
        *("call", "depth", "extra", "inputs", "kind", "name"),
        *("outputs", "site", "stage", "step", "weights"),
    )

    def __init__(self, kind: Kind, name: str, call: int, depth: int, stage: str, step: int | None) -> None:
        self.kind = kind
        self.name = name
        self.call = call
        self.depth = depth
        self.stage = stage
        self.step = step
        self.inputs: Slots = []
        self.outputs: Slots = []
        self.weights: tuple[int, ...] = ()
        self.site = ""
        self.extra: dict[str, str] = {}

    def record(self, table: list[Fingerprint], weights: str) -> Record:
        """The record, with the fingerprints in the slots' place."""
        return Record(
            *(self.kind, self.name, self.call, self.depth, self.stage, self.step),
            inputs=_filled(self.inputs, table),
            outputs=_filled(self.outputs, table),
            weights=weights,
            site=self.site,
            extra=self.extra,
        )


def _filled(slots: Slots, table: list[Fingerprint]) -> tuple[Argument, ...]:
    return tuple([(name, table[seen] if isinstance(seen, int) else seen) for name, seen in slots])


@functools.lru_cache(maxsize=1024)
def _plain_parameters(function: Any) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = tuple(parameter.name for parameter in parameters if parameter.kind in kinds)
    return names[1:] if names[:1] == ("self",) else names


def parameters_of(function: Any) -> tuple[str, ...]:
    """Names of the parameters that can be given by position, without ``self``."""
    return _plain_parameters(getattr(function, "__func__", function))
