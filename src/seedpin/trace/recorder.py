"""Record what happens inside a model while it runs, without changing a bit of it.

Three levels: ``stages`` (draws, scheduler steps, whole components: cheap enough for every test),
``modules`` (every ``nn.Module``) and ``ops`` (every operation of torch, for two runs side by side).
``torch.utils._debug_mode`` is not used: it costs 40 to 200 % of run time, its hash does not see a
permutation, it compares only streams of equal length, and it is private.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from threading import get_ident
from typing import Any, TypeVar

import numpy as np
import torch

from seedpin.errors import TraceError
from seedpin.trace.draws import StateWatch, patch_draws
from seedpin.trace.entry import Entry, Raw, to_watch
from seedpin.trace.find import Found, Inventory, find
from seedpin.trace.fingerprint import MODULE_SAMPLES, STAGE_SAMPLES, Fingerprints, bytes_hash
from seedpin.trace.kernels import patch_attention, run_facts
from seedpin.trace.model import LEVELS, Kind, Level, Trace, Value
from seedpin.trace.observe import NONE, Slots, observe
from seedpin.trace.patching import Patches, call_site, wrapped_like
from seedpin.trace.weights import Weights, unchanged

__all__ = ["MAX_RECORDS", "Recorder", "mark", "record"]

T = TypeVar("T")
MAX_RECORDS = 200_000

_recorders: ContextVar[tuple[Recorder, ...]] = ContextVar("seedpin_recorders", default=())


def mark(name: str, value: T) -> T:
    """Note a tensor (or anything that holds some) under a name in the trace that is being recorded.

    Does nothing when nothing records. Returns ``value``, so that it can stand inside an expression.
    """
    if not torch.compiler.is_compiling():
        for recorder in _recorders.get():
            recorder.mark(name, value)
    return value


@contextmanager
def record(
    *objects: object,
    level: Level = "stages",
    stages: Mapping[str, object] | None = None,
    max_records: int = MAX_RECORDS,
) -> Iterator[Recorder]:
    """Record all that runs below ``objects`` (pipelines, modules, callables) in this thread.

    level: ``stages``, ``modules`` or ``ops``. stages: further stages by name, a module or a bound method
    each. max_records: where to stop, so that memory stays bounded. Yields a Recorder; its ``trace()`` is
    complete after the block. Raises TraceError for an unknown level or a stage that cannot be watched.
    """
    recorder = Recorder(objects, level=level, stages=stages, max_records=max_records)
    token = _recorders.set((*_recorders.get(), recorder))
    try:
        with recorder.running():
            yield recorder
    finally:
        _recorders.reset(token)


class Recorder:
    """Receives what happens. Made by ``record``."""

    def __init__(
        self,
        objects: tuple[object, ...],
        *,
        level: Level = "stages",
        stages: Mapping[str, object] | None = None,
        max_records: int = MAX_RECORDS,
        device_path: bool = False,
    ) -> None:
        if level not in LEVELS:
            raise TraceError(f"there is no trace level {level!r}.", hint=f"use one of {', '.join(LEVELS)}")
        self.level = level
        self._found: Found = find(objects, stages)
        self._max_records = max_records
        self._fingerprints = Fingerprints(device_path=device_path)
        self._weights = Weights(self._fingerprints)
        self._records: list[Raw] = []
        self._open: list[Raw] = []
        self._stages: list[str] = [""]
        self._calls: dict[str, int] = {}
        self._step: int | None = None
        self._steps = MAX_RECORDS
        self._thread = 0
        self._busy = False
        self._dropped = 0
        self._elsewhere = 0
        self._states: StateWatch | None = None
        self._inventory = Inventory(self._found)
        self._meta: dict[str, str] = {}
        self._trace: Trace | None = None

    # -- running -----------------------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watch for the length of the block, then put everything back."""
        patches = Patches()
        self._thread = get_ident()
        self._meta |= run_facts()
        self._states = StateWatch()
        try:
            for owner, attribute, entry in to_watch(self._found, self.level):
                self._watch(patches, owner, attribute, entry)
            patch_attention(patches, self)
            if self.level == "ops":
                from seedpin.trace.ops import OpMode

                with OpMode(self):
                    yield
            else:
                patch_draws(patches, self)
                yield
        finally:
            patches.undo()
            self._thread = 0
            self._moved_states(others=True)

    def _watch(self, patches: Patches, owner: Any, attribute: str, entry: Entry) -> None:
        original = getattr(owner, attribute)
        enter, leave = self._enter, self._leave

        def watched(*args: Any, **kwargs: Any) -> Any:
            if torch.compiler.is_compiling():
                return original(*args, **kwargs)
            if self._busy or self._thread != get_ident():
                if self._thread and self._thread != get_ident():
                    self._elsewhere += 1
                return original(*args, **kwargs)
            raw = enter(entry, args, kwargs)
            try:
                result = original(*args, **kwargs)
            except BaseException as error:
                leave(entry, raw, None, error)
                raise
            leave(entry, raw, result)
            return result

        if not patches.set(owner, attribute, wrapped_like(watched, original)):
            self._found.notes.append(f"{entry.name} takes no attribute, so its calls are not seen")

    def watching(self) -> bool:
        """Whether a call made now, in this thread, is to be recorded."""
        if self._thread == get_ident():
            return not self._busy
        if self._thread:
            self._elsewhere += 1
        return False

    # -- events ------------------------------------------------------------------------------------------

    def begin(self, kind: Kind, name: str, call: int | None = None) -> Raw | None:
        """Open a record; None past the limit."""
        if len(self._records) >= self._max_records:
            self._dropped += 1
            return None
        if call is None:
            call = self._calls.get(name, 0)
            self._calls[name] = call + 1
        raw = Raw(kind, name, call, len(self._open), self._stages[-1], self._step)
        self._records.append(raw)
        return raw

    def see(self, name: str, value: object, into: Slots, samples: int = 0) -> None:
        """Fingerprint all tensors and values in ``value``."""
        observe(self._fingerprints, name, value, into, samples)

    # From here to `_leave` every microsecond counts: a large model calls thousands of modules per second.

    def _enter(self, entry: Entry, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Raw | None:
        self._busy = True
        try:
            call = entry.call
            entry.call = call + 1
            if entry.kind != "module" and (entry.scheduler is not None or not call):
                self._moved_states(others=not call)
            if len(self._records) >= self._max_records:
                self._dropped += 1
                return None
            raw = Raw(entry.kind, entry.name, call, len(self._open), self._stages[-1], self._step)
            self._records.append(raw)
            if args:
                names = entry.parameters
                if len(args) > len(names):
                    names += tuple([f"args[{index}]" for index in range(len(names), len(args))])
                self._inputs(zip(names, args, strict=False), raw.inputs)
            if kwargs:
                self._inputs(kwargs.items(), raw.inputs)
            if entry.module is not None:
                raw.weights = self._weights_of(entry, entry.module)
            if entry.scheduler is not None:
                if not call:
                    raw.site = call_site(3, 1)[0]
                at = getattr(entry.scheduler, "step_index", None)
                if entry.name.endswith(".step") and isinstance(at, int):
                    raw.inputs.append(("step_index", Value(str(at))))
            self._open.append(raw)
            if entry.stage:
                self._stages.append(entry.name)
            return raw
        finally:
            self._busy = False

    def _inputs(self, items: Iterable[tuple[str, Any]], into: Slots) -> None:
        table = self._fingerprints
        for name, value in items:
            if isinstance(value, torch.Tensor):
                into.append((name, table.tensor(value)))
            elif value is None:
                into.append((name, NONE))
            else:
                observe(table, name, value, into, 0)

    def _weights_of(self, entry: Entry, module: torch.nn.Module) -> tuple[int, ...]:
        if self.level == "stages" or entry.name in self._found.compiled:
            return self._weights.below(module, entry.name)
        own = entry.own
        if own is None or not unchanged(own, module):
            own = entry.own = self._weights.own(module, entry.name)
        return own[2]

    def _leave(
        self, entry: Entry, raw: Raw | None, result: object, error: BaseException | None = None
    ) -> None:
        self._busy = True
        try:
            if raw is not None:
                while self._open and self._open.pop() is not raw:
                    pass
                if entry.stage:
                    self._stages.pop()
                if error is not None:
                    raw.extra["raised"] = type(error).__name__
                elif isinstance(result, torch.Tensor):
                    raw.outputs.append(("", self._fingerprints.tensor(result, entry.samples)))
                else:
                    observe(self._fingerprints, "", result, raw.outputs, entry.samples)
            if entry.scheduler is not None and error is None:
                self._scheduler_state(entry, raw, entry.scheduler)
        finally:
            self._busy = False

    def _scheduler_state(self, entry: Entry, raw: Raw | None, scheduler: Any) -> None:
        if entry.name.endswith(".set_timesteps"):
            self._step = 0
            timesteps = getattr(scheduler, "timesteps", None)
            self._steps = len(timesteps) if timesteps is not None else MAX_RECORDS
            if raw is not None:
                for name in ("timesteps", "sigmas"):
                    self.see(name, getattr(scheduler, name, None), raw.outputs, STAGE_SAMPLES)
        elif entry.name.endswith(".step"):
            done = (self._step or 0) + 1
            # Past the last step nothing belongs to the loop any more.
            self._step = done if done < self._steps else None

    def draw(
        self,
        name: str,
        before: str,
        result: object,
        extra: Mapping[str, str],
        site: str,
        arguments: tuple[tuple[str, Value], ...] = (),
    ) -> None:
        """Note a random draw that was just made."""
        self._busy = True
        try:
            raw = self.begin("draw", name)
            if raw is not None:
                raw.site = site
                raw.extra.update(extra)
                raw.inputs += [("generator", Value(before)), *arguments]
                self.see("", result, raw.outputs, STAGE_SAMPLES)
            if self._states is not None:
                self._states.settle()
        finally:
            self._busy = False

    def _moved_states(self, *, others: bool) -> None:
        if self._states is None:
            return
        for name, before, after in self._states.moved(others=others):
            raw = self.begin("draw", name)
            if raw is not None:
                raw.extra.update({"generator": name, "unseen": "yes"})
                raw.inputs.append(("generator", Value(before)))
                raw.outputs.append(("generator", Value(after)))

    @contextmanager
    def busy(self) -> Iterator[None]:
        """While fingerprints are made, nothing that they call is recorded."""
        before, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = before

    def mark(self, name: str, value: object) -> None:
        """Note a value under a name; see ``seedpin.mark``."""
        if not self.watching():
            return
        self._busy = True
        try:
            self._moved_states(others=True)
            raw = self.begin("mark", name)
            if raw is not None:
                raw.site = call_site(3, 1)[0]
                self.see("", value, raw.outputs, STAGE_SAMPLES)
        finally:
            self._busy = False

    def clip(self, frames: object, name: str = "clip") -> None:
        """Note the frames that came out: (T, H, W, C) array or tensor, a Clip, or a list of frames.

        May be called after the block; the fingerprints are per frame.
        """
        inner: Any = getattr(frames, "frames", frames)
        raw = self.begin("clip", name)
        if raw is None:
            return
        self._trace = None
        raw.depth = 0
        for index, frame in enumerate(inner):
            array = frame if isinstance(frame, torch.Tensor) else np.asarray(frame)
            self.see(f"frame {index}", array, raw.outputs, STAGE_SAMPLES if index < 256 else MODULE_SAMPLES)

    def inside(self) -> str:
        """Name of the innermost open record."""
        return self._open[-1].name if self._open else ""

    def wants_kernel(self, name: str) -> bool:
        """Whether the innermost open record has no such kernel yet: asking for each call would cost more."""
        return bool(self._open) and name not in self._open[-1].extra

    def kernel(self, name: str, value: str) -> None:
        """Note a kernel that was chosen inside of the innermost open record, for its first call."""
        if self._open:
            self._open[-1].extra[name] = value

    # -- result ------------------------------------------------------------------------------------------

    def trace(self) -> Trace:
        """All that was recorded so far; waits for an accelerator's fingerprints."""
        if self._trace is not None and len(self._trace.records) == len(self._records):
            return self._trace
        collecting = gc.isenabled()
        gc.disable()  # Thousands of records and no cycle: full collections would take most of the time.
        try:
            self._trace = self._build()
        finally:
            if collecting:
                gc.enable()
        return self._trace

    def _build(self) -> Trace:
        table = self._fingerprints.resolve()
        hashes: dict[tuple[int, ...], str] = {(): ""}
        records = []
        for raw in self._records:
            if raw.weights not in hashes:
                hashes[raw.weights] = bytes_hash("".join(table[slot].hash for slot in raw.weights).encode())
            records.append(raw.record(table, hashes[raw.weights]))
        weights = {name: table[slot].hash[:16] for name, slot in self._weights.named.items()}
        return Trace(
            self.level, tuple(records), self._inventory.infos(), weights, self._notes(), dict(self._meta)
        )

    def _notes(self) -> tuple[str, ...]:
        notes = list(dict.fromkeys(self._found.notes))
        for name in self._found.compiled:
            if self.level == "ops":
                notes.append(f"{name} is compiled: at level ops it ran eagerly, with other kernels")
            else:
                notes.append(f"{name} is compiled: seen from outside only, not its modules nor its draws")
        if self._dropped:
            notes.append(
                f"the limit of {self._max_records:,} records was reached: {self._dropped:,} are missing"
            )
        if self._elsewhere:
            notes.append(f"{self._elsewhere:,} calls in other threads were not recorded")
        if self._fingerprints.unseen:
            notes.append(f"the content of {self._fingerprints.unseen:,} tensors could not be read")
        notes += self._weights.notes
        return tuple(notes)
