"""Record what happens inside a model while it runs, without changing a bit of it.

Three levels: ``stages`` (draws, scheduler steps, whole components: cheap enough for every test),
``modules`` (every ``nn.Module``) and ``ops`` (every operation of torch, for two runs side by side).
``torch.utils._debug_mode`` is not used: it costs 40 to 200 % of run time, its hash does not see a
permutation, it compares only streams of equal length, and it is private.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import get_ident
from typing import Any, TypeVar

import numpy as np
import torch

from seedpin.errors import TraceError
from seedpin.trace.draw_lines import draw_line
from seedpin.trace.model import LEVELS, Level, RecordKind, Trace, Value
from seedpin.trace.record.arguments import kept_arguments
from seedpin.trace.record.building import build
from seedpin.trace.record.call_site import call_site
from seedpin.trace.record.contained import Contained
from seedpin.trace.record.copies import SchedulerCopies
from seedpin.trace.record.draws import StateWatch, patch_draws
from seedpin.trace.record.fingerprint import Fingerprints
from seedpin.trace.record.imports import originals_for_imports
from seedpin.trace.record.inventory import ModelInventory
from seedpin.trace.record.kernels import patch_attention, run_facts
from seedpin.trace.record.loops import Loops
from seedpin.trace.record.observe import NONE, Slots, observe, opaque
from seedpin.trace.record.patching import Patches
from seedpin.trace.record.quiet import dispatch_modes, function_modes, quietly, tracing
from seedpin.trace.record.search import ModelParts, find
from seedpin.trace.record.sketch import MODULE_SAMPLES, STAGE_SAMPLES
from seedpin.trace.record.watch import Live, Watch
from seedpin.trace.record.watched import Raw, WatchEntry, to_watch
from seedpin.trace.record.weights import HeldWeights, Weights

T = TypeVar("T")
MAX_RECORDS = 200_000

# Several, as recordings nest; by context, as tasks of asyncio take turns in one thread.
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


class Recorder(Contained):
    """Receives what happens. Made by ``record``.

    Whatever goes wrong in here is a note in the trace and never the user's: each way in from a function of
    the user's is guarded. Nothing of the user's is kept alive, neither during the recording nor after it.
    """

    def __init__(
        self,
        objects: tuple[object, ...],
        *,
        level: Level = "stages",
        stages: Mapping[str, object] | None = None,
        max_records: int = MAX_RECORDS,
        device_path: bool = False,
    ) -> None:
        super().__init__()
        if level not in LEVELS:
            raise TraceError(f"there is no trace level {level!r}.", hint=f"use one of {', '.join(LEVELS)}")
        self.level = level
        self._max_records = max_records
        self._fingerprints = Fingerprints(device_path=device_path)
        self._weights = Weights(self._fingerprints)
        self._records: list[Raw] = []
        self._open: list[Raw] = []
        self._stages: list[str] = [""]
        self._calls: dict[str, int] = {}
        self._loops = Loops()
        self._given: list[tuple[str, Slots, tuple[str, ...]]] = []
        self._thread = 0
        self._dropped = 0
        self._elsewhere = 0
        self._states: StateWatch | None = None
        self._meta: dict[str, str] = {}
        self._trace: Trace | None = None
        self._watch: Watch | None = None
        self._parts: ModelParts | None = find(objects, stages)
        self._notes = self._parts.notes
        self._compiled = frozenset(self._parts.compiled)
        self._copies = SchedulerCopies(self._parts.schedulers)
        self._inventory = ModelInventory(self._parts)

    # -- running -----------------------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watch for the length of the block, then put everything back."""
        patches, live = Patches(), Live(self)
        self._watch = Watch(patches, live, self._adopt)
        self._thread = get_ident()
        # Before anything is replaced: no generator moves unnoticed from here on.
        self.guarded("the run's settings", self._begin)
        try:
            self.guarded("the model", self._watch_all, self._watch)
            self.guarded("attention", patch_attention, patches, live)
            with originals_for_imports(patches):
                if self.level == "ops":
                    from seedpin.trace.record.ops import OpMode, eagerly

                    with eagerly(), OpMode(self):
                        yield
                else:
                    self.guarded("draws", patch_draws, patches, live)
                    yield
        finally:
            # First of all: whatever fails from here on fails with the model as it was.
            patches.undo()
            self._watch.close()
            self._watch = None
            self._thread = 0
            self.guarded("generators", self._moved_states)
            self.guarded("weights", self._weights.finish)

    def _begin(self) -> None:
        self._meta |= run_facts()
        self._states = StateWatch()

    def _watch_all(self, watch: Watch) -> None:
        parts, self._parts = self._parts, None  # From here on, what the model drops is gone.
        for owner, attribute, entry in to_watch(parts, self.level) if parts is not None else ():
            seen = watch.add(owner, attribute, entry, copies=bool(entry.scheduler))
            if not seen and attribute != "forward":
                self._notes.append(f"{entry.name} cannot be watched, so its calls are not seen")

    def _adopt(self, scheduler: object, attribute: str) -> WatchEntry | None:
        """A scheduler that came up during the call."""
        if not self.watching() or self._watch is None:
            return None
        return self.guarded("a copied scheduler", self._copies.adopt, self._watch, scheduler, attribute)

    def watching(self) -> bool:
        """Whether a call made now, in this thread, is to be recorded."""
        if self._thread == get_ident():
            return not self.busy and tracing() is None
        if self._thread:
            self._elsewhere += 1
        return False

    # -- events ------------------------------------------------------------------------------------------

    def begin(self, kind: RecordKind, name: str, call: int | None = None) -> Raw | None:
        """Open a record; None past the limit."""
        if len(self._records) >= self._max_records:
            self._dropped += 1
            return None
        if call is None:
            call = self._calls.get(name, 0)
            self._calls[name] = call + 1
        loops = self._loops
        raw = Raw(kind, name, call, len(self._open), self._stages[-1], loops.step, loops.loop)
        self._records.append(raw)
        return raw

    def see(self, name: str, value: object, into: Slots, samples: int = 0) -> None:
        """Fingerprint all tensors and values in ``value``."""
        try:
            observe(self._fingerprints, name, value, into, samples)
        except Exception as error:
            self.failed(f"`{name or 'the result'}`, a {type(value).__name__}", error)
            into.append((name, opaque(value)))

    # From here to `leave` every microsecond counts: a large model calls thousands of modules per second.

    def enter(
        self, entry: WatchEntry, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Raw | None:
        """A watched call begins; gives its record, None past the limit."""
        if (function_modes() or dispatch_modes()) and not self.busy:
            self.busy = True
            with quietly():
                return self.enter(entry, owner, args, kwargs)
        raw = None
        self.busy = True
        try:
            call = entry.call
            entry.call = call + 1
            # At stages and steps, not at each module: it hashes the state of every generator that torch has.
            # Python's and NumPy's, which a model seldom draws from, are looked at once for each name.
            if entry.kind != "module" and (entry.scheduler or not call):
                self._moved_states(others=not call)
            if len(self._records) >= self._max_records:
                self._dropped += 1
                return None
            loops = self._loops
            raw = Raw(entry.kind, entry.name, call, len(self._open), self._stages[-1], loops.step, loops.loop)
            self._records.append(raw)
            self._open.append(raw)
            if entry.stage:
                self._stages.append(entry.name)
            if args:
                names = entry.parameters
                if len(args) > len(names):
                    names += tuple([f"args[{index}]" for index in range(len(names), len(args))])
                self._inputs(zip(names, args, strict=False), raw.inputs)
            if kwargs:
                self._inputs(kwargs.items(), raw.inputs)
            if entry.weighed:
                raw.weights = self._weights_of(entry, owner)
            if entry.scheduler:
                self._scheduler_begins(entry, raw, owner)
        except Exception as error:
            self.failed(f"the call of {entry.name}", error)
        finally:
            self.busy = False
        return raw

    def _inputs(self, items: Iterable[tuple[str, Any]], into: Slots) -> None:
        table = self._fingerprints
        for name, value in items:
            # The two commonest cases, by exact class: anything else costs a dozen questions.
            if type(value) is torch.Tensor:
                into.append((name, table.tensor(value)))
            elif value is None:
                into.append((name, NONE))
            else:
                self.see(name, value, into)

    def _weights_of(self, entry: WatchEntry, module: torch.nn.Module) -> HeldWeights:
        held = entry.held
        if self.level == "stages" or entry.name in self._compiled:
            if held is None or not held.unchanged():
                held = entry.held = self._weights.below(module, entry.name)
        elif held is None or not held.unchanged():
            held = entry.held = self._weights.own(module, entry.name)
        return held

    def _scheduler_begins(self, entry: WatchEntry, raw: Raw, scheduler: Any) -> None:
        if not entry.call - 1:
            raw.site = call_site(3, 1)[0]
        if entry.name.endswith(".step"):
            raw.step = self._loops.step_of(entry.scheduler)
            raw.loop = self._loops.loop
            at = getattr(scheduler, "step_index", None)
            if isinstance(at, int):
                raw.inputs.append(("step_index", Value(str(at))))

    def leave(self, entry: WatchEntry, owner: Any, raw: Raw | None, result: object, raised: str = "") -> None:
        """A watched call has ended, with a result or by an exception of that name."""
        if (function_modes() or dispatch_modes()) and not self.busy:
            self.busy = True
            with quietly():
                self.leave(entry, owner, raw, result, raised)
            return
        self.busy = True
        # It may have ended without coming to `forward`, by an error in a hook: the next one is a call again.
        entry.inside = False
        try:
            if raw is not None:
                # Whatever is still open above it has ended too, though its end was not seen.
                while self._open and self._open.pop() is not raw:
                    pass
                if entry.stage:
                    self._stages.pop()
                if raised:
                    raw.extra["raised"] = raised
                elif type(result) is torch.Tensor:
                    raw.outputs.append(("", self._fingerprints.tensor(result, entry.samples)))
                else:
                    self.see("", result, raw.outputs, entry.samples)
            if entry.scheduler and not raised:
                self._scheduler_ends(entry, raw, owner)
        except Exception as error:
            self.failed(f"the result of {entry.name}", error)
        finally:
            self.busy = False

    def _scheduler_ends(self, entry: WatchEntry, raw: Raw | None, scheduler: Any) -> None:
        if entry.name.endswith(".set_timesteps"):
            timesteps = getattr(scheduler, "timesteps", None)
            self._loops.set(entry.scheduler, None if timesteps is None else len(timesteps))
            if raw is not None:
                for name in ("timesteps", "sigmas"):
                    self.see(name, getattr(scheduler, name, None), raw.outputs, STAGE_SAMPLES)
        elif entry.name.endswith(".step"):
            self._loops.stepped(entry.scheduler)

    def draw(
        self,
        name: str,
        before: str,
        result: object,
        extra: Mapping[str, str],
        site: str,
        arguments: Iterable[tuple[str, int | Value]] = (),
    ) -> None:
        """Note a random draw that was just made."""
        raw = self.begin("draw", name)
        if raw is not None:
            raw.site = site
            raw.extra.update(extra)
            raw.inputs += [("generator", Value(before)), *arguments]
            self.see("", result, raw.outputs, STAGE_SAMPLES)
        if self._states is not None:
            self._states.settle()

    def _moved_states(self, *, others: bool = True) -> None:
        if self._states is None:
            return
        for name, before, after in self._states.moved(others=others):
            raw = self.begin("draw", name)
            if raw is not None:
                raw.extra.update({"generator": name, "unseen": "yes"})
                raw.inputs.append(("generator", Value(before)))
                raw.outputs.append(("generator", Value(after)))

    def mark(self, name: str, value: object) -> None:
        """Note a value under a name; see ``seedpin.mark``."""
        if self.watching():
            self.guarded(f"the mark {name!r}", self._mark, name, value)

    def _mark(self, name: str, value: object) -> None:
        self._moved_states()
        raw = self.begin("mark", name)
        if raw is not None:
            raw.site = call_site(3, 1)[0]
            self.see("", value, raw.outputs, STAGE_SAMPLES)

    def clip(
        self, frames: object, name: str = "clip", *, names: Sequence[str] = (), word: str = "frame"
    ) -> None:
        """Note the frames that came out: (T, H, W, C) array or tensor, a Clip, or a list of frames.

        May be called after the block; the fingerprints are per frame. ``word``: what each is where these are
        no frames; ``names``: theirs, if they have any.
        """
        inner: Any = getattr(frames, "frames", frames)
        raw = self.begin("clip", name)
        if raw is None:
            return
        self._trace = None
        raw.depth = 0
        if word != "frame":
            raw.extra["of"] = f"{word}s"
        for index, frame in enumerate(inner):
            array = frame if isinstance(frame, torch.Tensor) else np.asarray(frame)
            key = names[index] if names else f"{word} {index}"
            self.see(key, array, raw.outputs, STAGE_SAMPLES if index < 256 else MODULE_SAMPLES)

    def given(
        self, name: str, method: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        """Note what the call that is recorded was given, as it is now: the call may write into it."""
        self.guarded("the call's arguments", self._note_given, name, method, args, kwargs)

    def _note_given(
        self, name: str, method: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        slots, left, note = kept_arguments(self.see, method, args, kwargs)
        if note:
            self.failures.setdefault(note)
        self._given.append((name, slots, left))

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

    def draws(self) -> list[str]:
        """A line for each random draw that was seen: generator, dtype and shape; no trace is built."""
        lines = []
        for raw in self._records:
            if raw.kind == "draw" and "unseen" not in raw.extra:
                slots = [seen for _, seen in raw.outputs if isinstance(seen, int)]
                specs = [self._fingerprints.spec_of(slot) for slot in slots] or [("no tensor", ())]
                lines += [draw_line(raw.extra.get("generator", ""), *spec) for spec in specs]
        return lines

    def trace(self) -> Trace:
        """All that was recorded so far; waits for an accelerator's fingerprints."""
        # The frames may be added after the block, and so after a trace was asked for.
        if self._trace is not None and len(self._trace.records) == len(self._records):
            return self._trace
        collecting = gc.isenabled()
        gc.disable()  # Thousands of records and no cycle: full collections would take most of the time.
        try:
            self._trace = build(
                *(self.level, self._records, self._fingerprints, self._weights),
                *(self._inventory.infos(), self._all_notes(), self._meta, self._given),
            )
        finally:
            if collecting:
                gc.enable()
        return self._trace

    def _all_notes(self) -> list[str]:
        notes = list(dict.fromkeys([*self._notes, *self.failures]))
        for name in sorted(self._compiled):
            if self.level == "ops":
                notes.append(f"{name} is compiled: at level ops it ran eagerly, with other kernels")
            else:
                notes.append(f"{name} is compiled: seen from outside only, not its modules nor its draws")
        notes += self._copies.notes()
        if self._dropped:
            notes.append(
                f"the limit of {self._max_records:,} records was reached: {self._dropped:,} are missing"
            )
        if self._elsewhere:
            notes.append(f"{self._elsewhere:,} calls in other threads were not recorded")
        return [*notes, *self._weights.notes]
