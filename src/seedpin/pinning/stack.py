"""The pins and holes of this process: what was before each of them, and how each ends, in whatever order.

Sources and switches belong to the process, so its pins are one stack. Each frame saves what the world
around it looked like when it began. When the innermost ends, that is restored. When another one ends (a
generator that is closed late, two blocks that overlap), the frame above it inherits what it saved: then
the last one to end, whichever it is, restores what was before the first.

A hole (``unpinned``) is a frame in which the world around the outermost pin is back. What that pin saved
is out of date while the hole lasts, and is brought up to date when the hole ends.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from seedpin.errors import ConcurrentPinError, PinError, PinOrderWarning, SeedpinWarning
from seedpin.pinning import nondeterminism, sources, switches
from seedpin.pinning.import_watch import ImportWatch
from seedpin.pinning.streams import Twins, TwinWatch

if TYPE_CHECKING:
    from seedpin.pinning.pin import Pin
    from seedpin.pinning.pin_origin import PinOrigin

_T = TypeVar("_T")


@dataclass(slots=True, eq=False)
class Frame:
    """What was before a pin, or, with ``pin`` None, before a hole in one; compared by identity."""

    pin: Pin | None
    origin: PinOrigin
    sources: dict[str, Any] = field(default_factory=dict)
    switches: dict[str, Any] = field(default_factory=dict)
    begun: bool = False
    outside: tuple[dict[str, Any], dict[str, Any]] | None = None  # of a hole that ends: what it leaves behind
    given_up: str = ""  # if it was ended before its block: by what

    def __str__(self) -> str:
        name = "unpinned()" if self.pin is None else f"pin({self.pin.seed}, level={self.pin.level!r})"
        return f"{name} at {self.origin}"

    def inherit(self, other: Frame) -> None:
        """Take over what ``other`` saved, where it knew more of what was before."""
        self.sources = {**self.sources, **other.sources}
        self.switches = {**self.switches, **other.switches}


@dataclass(slots=True)
class _Stack:
    """The frames of this process, outermost first, and the last pin that ended."""

    frames: list[Frame] = field(default_factory=list)
    last: Pin | None = None
    owed: weakref.WeakKeyDictionary[threading.Thread, dict[str, Any]] = field(
        default_factory=weakref.WeakKeyDictionary
    )
    """What only a thread itself can put back, of a pin that it began and that another thread ended."""
    # Re-entrant: a signal's handler that pins runs in the thread that holds it, and so does a finalizer.
    lock: Any = field(default_factory=threading.RLock)

    def renew_lock(self) -> None:
        # A fork copies a lock as it is, held by a thread that does not exist in the child.
        self.lock = threading.RLock()


_STACK = _Stack()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_STACK.renew_lock)


def current_pin() -> Pin | None:
    """The innermost active pin; None outside of any and inside of ``unpinned()``."""
    frames = _STACK.frames
    return frames[-1].pin if frames else None


def last_pin() -> Pin | None:
    """The active pin, else the one that ended last; None if there was none in this process."""
    return current_pin() or _STACK.last


def saved_sources(pin: Pin) -> dict[str, Any] | None:
    """What is restored for each source when ``pin`` ends, to be added to; None if it is not active."""
    return next((frame.sources for frame in _STACK.frames if frame.pin is pin), None)


def begin(frame: Frame) -> None:
    """Begin ``frame``: save what is, then seed and set, or open the hole.

    Raises ConcurrentPinError, before anything was changed, where another thread or task holds a pin; PinError
    if a source cannot be read or seeded. ``end`` undoes this also where it was cut short.
    """
    _alone(lambda: _begin(frame))


def end(frame: Frame, error: BaseException | None) -> Report:
    """End ``frame`` as its block ends, with ``error`` or without.

    Can be repeated: if an exception (a signal's) cut it short, the next call does the rest.
    """
    return _alone(lambda: _end(frame, error))


@dataclass(frozen=True, slots=True)
class Report:
    """How the end of ``frame`` went; ``given_up`` and ``going_on`` began inside of it and had not ended.

    ``owed`` is what the thread that began it has to put back itself, by the name of the switch.
    """

    frame: Frame
    failures: list[str] = field(default_factory=list)
    given_up: list[Frame] = field(default_factory=list)
    going_on: list[Frame] = field(default_factory=list)
    owed: dict[str, Any] = field(default_factory=dict)

    def speak(self, error: BaseException | None) -> None:
        """Say what is to be said about an end, now that all is done.

        Raises PinError if something could not be restored, or if the frame had been given up meanwhile and
        its block ran on; only warns where ``error`` is on its way out. Warns PinOrderWarning if another frame
        began inside of this one and had not ended, or if it ended in another thread than it began in.
        """
        frame = self.frame
        if self.owed:
            began, ended = frame.origin.thread.name, threading.current_thread().name
            calls = " and ".join(f"torch.set_{name}({value})" for name, value in self.owed.items())
            what = (
                f"{frame} began in thread {began!r} and ended in {ended!r}, where nothing can be set for "
                f"the other: {began!r} goes on as pinned until its next pin. End it in the thread that began "
                f"it, or call {calls} there"
            )
            frame.origin.warn(what, PinOrderWarning)
        if self.given_up or self.going_on:
            later = ", ".join(map(str, self.given_up + self.going_on))
            what = f"{frame} ended before {later}, which began inside of it"
            if self.given_up:
                lost = ", ".join(map(str, self.given_up))
                what += (
                    f"; {lost} is suspended, so it was given up: what its block still does is not pinned. "
                    "End it inside (run the generator to its end, or close it)"
                )
            else:
                what += (
                    "; what ran in the meantime drew from the later one's streams. End the inner one first"
                )
            frame.origin.warn(what, PinOrderWarning)
        if self.failures:
            name = "a pin" if frame.pin is not None else "a hole in a pin"
            what = f"not everything could be restored after {name}: {'; '.join(self.failures)}"
            if error is None:
                raise PinError(what, hint="repair the source's set_state, or start a fresh process")
            # The error on its way out is the more important one.
            frame.origin.warn(what, SeedpinWarning)
        if frame.given_up and frame.pin is not None and error is None:
            raise PinError(
                f"{frame} was given up when {frame.given_up} ended, and its block ran on unpinned",
                hint="end the inner pin before the outer one: run its generator to its end inside of it, or "
                "close it there",
            )


def _alone(work: Callable[[], _T]) -> _T:
    """Run ``work`` while no other thread changes the stack, and no garbage collection does.

    A collection may close a generator in whose block a pin is open, and so end it in the middle of this.
    """
    with _STACK.lock:
        collecting = gc.isenabled()
        try:
            gc.disable()
            return work()
        finally:
            if collecting:
                gc.enable()


def _begin(frame: Frame) -> None:
    _refuse_beside(frame)
    # What this thread still owes comes before the snapshot, which would save it as the user's choice.
    _pay()
    frame.sources, frame.switches = sources.snapshot(), switches.snapshot()
    # On the stack before anything is set: whatever cuts the rest short, the end finds what to restore.
    _STACK.frames.append(frame)
    _settle()
    if frame.pin is None:
        outer = _STACK.frames[_outer_of(len(_STACK.frames) - 1)]
        failures = _restore(outer)
        frame.begun = True
        if failures:
            what = f"a hole in a pin is not exact: {'; '.join(failures)}"
            frame.origin.warn(what, SeedpinWarning)
        return
    if frame.pin.level in switches.SWITCH_LEVELS:
        switches.apply(frame.pin.level, frame.switches, frame.pin.profile)
    sources.seed_all(frame.pin.seed)
    frame.begun = True


def _refuse_beside(frame: Frame) -> None:
    holding = _STACK.frames[-1] if _STACK.frames else None
    who = holding.origin.excludes(frame.origin) if holding is not None else ""
    if who:
        raise ConcurrentPinError(
            f"{frame} would begin while {who} holds {holding}: generators and switches belong to the "
            "process, so each of the two would draw from the other's streams. Nothing was changed",
            hint="run the two one after another (a lock, or await one before the other), give each a process "
            "of its own, or pin once around both",
        )


def _end(frame: Frame, error: BaseException | None) -> Report:
    """Every step here can be repeated, for a signal may cut any of them short."""
    frames = _STACK.frames
    if frame.pin is not None and frame.begun:
        _STACK.last = frame.pin
    # It has ended before: given up with an outer one, or in a first attempt that a signal cut short.
    if frame not in frames:
        _settle()
        return Report(frame)
    later = frames[frames.index(frame) + 1 :]
    # A generator that is closed late, or by a garbage collection, takes nobody's pin away.
    closed_late = isinstance(error, GeneratorExit)
    lost = [] if closed_late else [other for other in later if not other.origin.is_on_the_stack()]
    failures: list[str] = []
    for other in reversed(lost):
        other.given_up = str(frame)
        failures += _take_out(other)
    failures += _take_out(frame)
    _settle()
    owed = _STACK.owed.get(frame.origin.thread, {}) if not frames else {}
    return Report(frame, failures, lost, [other for other in later if other not in lost], owed)


def _take_out(frame: Frame) -> list[str]:
    """Take ``frame`` out of the stack; returns in words what could not be read or restored."""
    frames = _STACK.frames
    index = frames.index(frame)
    above = frames[index + 1] if index + 1 < len(frames) else None
    if frame.pin is not None and above is not None and above.pin is None and _outer_of(index + 1) == index:
        # The hole above was in this pin alone: what is restored for it is there already.
        frames[index : index + 2] = []
        return []
    failures = _update_outer(frame, index, above) if frame.pin is None and frame.begun else []
    if above is not None:
        # Nothing is restored now: the frame above still holds, and restores what this one saved when it ends.
        above.inherit(frame)
    else:
        failures += _restore(frame)
    del frames[index]
    return failures


def _update_outer(hole: Frame, index: int, above: Frame | None) -> list[str]:
    """Let the pin around ``hole`` restore, at its end, what the hole leaves behind."""
    failures: list[str] = []
    if hole.outside is None:  # read once: a second attempt may find half of it restored
        if above is not None:
            hole.outside = above.sources, above.switches
        else:
            states, unread = sources.read_all()
            hole.outside = states, switches.snapshot()
            failures += unread
    outer = _STACK.frames[_outer_of(index)]
    outer.sources = {**outer.sources, **hole.outside[0]}
    outer.switches = {**outer.switches, **hole.outside[1]}
    return failures


def _restore(frame: Frame) -> list[str]:
    here = frame.origin.thread is threading.current_thread()
    if not here and frame.origin.thread.is_alive():
        _owe(frame)
    return switches.restore(frame.switches, other_thread=not here) + sources.restore(frame.sources)


def _owe(frame: Frame) -> None:
    """Note what the thread that began ``frame`` still has as it was held, and only it can put back."""
    pin = frame.pin
    owed = {
        switch.name: frame.switches[switch.name]
        for switch in switches.available()
        if pin is not None
        and pin.level in switches.SWITCH_LEVELS
        and switch.inherited
        and switch.name in frame.switches
        and switch.held(pin.level, frame.switches[switch.name], pin.profile) != frame.switches[switch.name]
    }
    if owed:
        _STACK.owed[frame.origin.thread] = owed


def _pay() -> None:
    """Put back in this thread what an end elsewhere could not, where it still is as it was held."""
    owed = _STACK.owed.pop(threading.current_thread(), {})
    for switch in switches.available() if owed else ():
        if switch.name in owed and switch.read() == switch.held("strict", owed[switch.name]):
            switch.write(owed[switch.name])


def _outer_of(hole: int) -> int:
    """The index of the outermost pin inside of the hole before: what is active at ``hole`` began with it."""
    index = hole
    while index > 0 and _STACK.frames[index - 1].pin is not None:
        index -= 1
    return index


def _settle() -> None:
    """Bring what lasts as long as some pin does into line with the stack."""
    # Derived from the stack each time, never counted: a signal cuts in anywhere, and then this runs again.
    if _STACK.frames:
        _WATCH.start()
    else:
        _WATCH.stop()
    if any(frame.pin is not None and frame.pin.level == "warn" for frame in _STACK.frames):
        _COLLECTOR.start()
    else:
        _COLLECTOR.stop()
    if any(frame.pin is not None and frame.pin.level in switches.SWITCH_LEVELS for frame in _STACK.frames):
        _TWINS.start()
    else:
        _TWINS.stop()


def _twins_of_innermost() -> Twins | None:
    """What the pin that holds now knows of generators with its seed; None in a hole and at ``seeds``."""
    pin = current_pin()
    return pin._twins if pin is not None and pin.level in switches.SWITCH_LEVELS else None


def _ops_of_innermost() -> list[nondeterminism.NondeterministicOp] | None:
    """Where operations without a deterministic implementation are noted now; None in a hole."""
    for frame in reversed(_STACK.frames):
        if frame.pin is None:
            return None
        if frame.pin.level == "warn":
            return frame.pin._nondeterministic
    return None


def _module_arrived(module: str) -> None:
    """The compiler was imported inside of a pin: save what it starts with, then pin it."""
    for switch in switches.SWITCHES:
        if switch.module != module or not switch.available():
            continue
        arrived = now = switch.read()
        for frame in _STACK.frames:
            # Each frame saves what would have been held around it, had the module been there.
            frame.switches.setdefault(switch.name, now)
            if frame.pin is None:
                now = arrived
            elif frame.pin.level in switches.SWITCH_LEVELS:
                now = switch.held(frame.pin.level, now, frame.pin.profile)
        if now != arrived:
            switch.write(now)


_WATCH = ImportWatch(switches.LATE_MODULES, _module_arrived)
_COLLECTOR = nondeterminism.Collector(_ops_of_innermost)
_TWINS = TwinWatch(_twins_of_innermost)


def open_frames() -> list[Frame]:
    """The pins and holes that are open now, outermost first."""
    return list(_STACK.frames)


def give_up(frames: list[Frame], because: str) -> None:
    """End ``frames``, which nobody ends, and warn PinOrderWarning where each began.

    Should the block of one run on, its end is a PinError that names ``because``.
    """
    for frame in reversed(frames):
        frame.given_up = because
        error = GeneratorExit()
        end(frame, error).speak(error)
    for frame in frames:
        frame.origin.warn(
            f"{frame} was still open when {because} ended, and was given up. Run its generator (or "
            "coroutine) to the end, or close it",
            PinOrderWarning,
        )


def abandon(frame: Frame) -> None:
    """End ``frame``, whose manager is going away while its block never ended; warn where it began."""
    # At the interpreter's end modules are half gone, and nothing draws any more.
    if sys.is_finalizing() or frame not in _STACK.frames:
        return
    error = GeneratorExit()
    end(frame, error).speak(error)
    frame.origin.warn(
        f"{frame} was begun and never ended; it ends now, because nothing holds it any more. "
        "Write `with seedpin.pin(...):`, or keep what pin() returned until its __exit__",
        PinOrderWarning,
    )
