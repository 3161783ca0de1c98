"""Does a call repeat? Runs it again under the same pin, in growing distance, and names what differs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from seedpin.trace.divergence import Divergence, first_divergence
from seedpin.trace.model import Level, Trace

AT_ONCE = "repeated at once"
AFTER_ANOTHER = "repeated after a call with another seed"
FRESH = "repeated in a fresh process"


class Outcome(Protocol):
    """What one run gave."""

    @property
    def digest(self) -> str: ...
    @property
    def trace(self) -> Trace | None: ...


Run = Callable[[int | None, Level | None], Outcome]
"""Repeats a call: (seed, or None for its own; trace level, or None for no trace)."""


@dataclass(frozen=True, slots=True)
class Instability:
    """A call that did not repeat.

    when: in which repetition. sentence: the first divergence, or what is known instead. suspects: what
    usually does this, likeliest first. divergence: None where traces do not tell.
    """

    when: str
    sentence: str
    suspects: tuple[str, ...]
    divergence: Divergence | None = None

    def reasons(self) -> tuple[str, ...]:
        """Sentences for a message."""
        found = [f"The same call under the same pin gave other bits when {self.when}.", self.sentence]
        if self.suspects:
            found.append(f"Usual suspects: {'; '.join(self.suspects)}.")
        return tuple(found)


def probe_call(
    first: Outcome,
    run: Run,
    *,
    another_seed: int | None = None,
    entropy: Callable[[], Iterable[str]] = tuple,
) -> Instability | None:
    """Repeat a call in this process and compare with its ``first`` outcome; None if it repeats.

    With ``another_seed`` it is also repeated after a call with that seed, which shows state left behind.
    ``entropy`` gives what the entropy audit noticed in the last call; it leads the suspects.
    When bits differ, the call is made twice more at level ``ops`` to find the first operation that differs.
    """
    second = run(None, "stages" if first.trace is not None else None)
    if second.digest != first.digest:
        return _examined(AT_ONCE, first, second, run, entropy)
    if another_seed is not None:
        run(another_seed, None)
        third = run(None, "stages" if first.trace is not None else None)
        if third.digest != second.digest:
            return _examined(AFTER_ANOTHER, second, third, run, entropy)
    return None


def _examined(
    when: str, one: Outcome, other: Outcome, run: Run, entropy: Callable[[], Iterable[str]]
) -> Instability:
    coarse = _divergence(one.trace, other.trace)
    fine = None
    repeats = False
    if one.trace is not None:
        # That bits differ is known by now: a closer look that fails must not hide it.
        with contextlib.suppress(Exception):
            third, fourth = run(None, "ops"), run(None, "ops")
            repeats = third.digest == fourth.digest
            fine = None if repeats else _divergence(third.trace, fourth.trace)
    found = fine or coarse
    state = "state kept between calls: later calls agree with each other, not with an earlier one"
    if found is not None:
        sentence = f"First difference: {found.sentence}"
        if fine is not None and coarse is not None and coarse.place != fine.place:
            sentence += f" (within {coarse.place})" if coarse.place else ""
    else:
        sentence = "Nothing that a trace can see differs before the result itself."
    likely = [state] if repeats else []
    return Instability(when, sentence, (*likely, *suspects(found, entropy())), found)


def _divergence(one: Trace | None, other: Trace | None) -> Divergence | None:
    if one is None or other is None or one.level != other.level:
        return None
    return first_divergence(one, other)


_GENERAL = (
    "a generator without a seed, as np.random.default_rng() or torch.Generator().seed()",
    "entropy from uuid, time, os.urandom or id()",
    "state kept between calls (a cache, a scheduler's counter, a buffer written in place)",
    "the order of a set (PYTHONHASHSEED)",
)
_DEVICE = ("atomics in a kernel", "autotuning that picked another kernel", "uninitialised memory")


def suspects(divergence: Divergence | None, audit: Iterable[str] = ()) -> tuple[str, ...]:
    """What usually makes a call differ at such a place; what the entropy audit saw comes first."""
    seen = tuple(audit)
    if seen:
        return seen
    if divergence is None:
        return _GENERAL
    if divergence.kind == "draw":
        return (*_GENERAL[:1], "a draw that depends on what was drawn before, outside of the pin")
    if divergence.kind in ("module", "stage", "op"):
        return (*_DEVICE, *_GENERAL)
    if divergence.kind == "weights":
        return ("weights or buffers written during a call", *_GENERAL[2:3])
    return _GENERAL
