"""Does a call repeat? It is made again under the same pin, in growing distance, and what differs is named.

A call is made again right after it, within whatever surrounds it, so that it is seen as it was.
"""

from __future__ import annotations

import contextlib
import copy
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from seedpin.checking.values import UnreadableError, digest_of
from seedpin.pinning.generators import is_generator, state_of
from seedpin.pinning.model import PinnedCall, SeededModel, call_again
from seedpin.trace.diff.divergence import Divergence
from seedpin.trace.diff.locate import first_divergence
from seedpin.trace.model import Level, Trace
from seedpin.trace.record.recorder import Recorder

AT_ONCE = "repeated at once"
AFTER_ANOTHER = "repeated after a call with another seed"
_HASHED_WHOLE = 1 << 28  # bytes of all parameters up to which their content is compared, not their versions
Recording = Callable[[SeededModel, "str | None"], AbstractContextManager["Recorder | None"]]


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a call gave: a digest over all values of its result, and its trace."""

    digest: str
    trace: Trace | None
    first: str = ""
    """Digest of the result's first item, where it holds several."""


RepeatCall = Callable[[int | None, Level | None], CallResult]
"""Repeats a call: (seed, or None for its own; trace level, or None for no trace)."""


@dataclass(frozen=True, slots=True)
class Repetition:
    """What repeating a call showed. ``unsteady``: it gave other values. ``cannot``: why it could not be
    repeated in this process, which says nothing about whether it repeats. ``batch``: what a larger batch
    gave.
    """

    unsteady: Instability | None = None
    cannot: str = ""
    batch: str = ""


@dataclass(frozen=True, slots=True)
class Before:
    """What is kept of a call before it is made: copies of its arguments, digests of the model's weights, and
    the generators that nobody seeded, with their states.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    weights: Mapping[str, object]
    problem: str = ""
    unseeded: tuple[tuple[Any, bytes], ...] = ()


def before(model: SeededModel, call: PinnedCall) -> Before:
    """Copies what ``call`` is given. What cannot be copied is no error: the call is then not repeated."""
    try:
        passed = filter(is_generator, (*call.args, *call.kwargs.values()))
        unseeded = [one for one in (*model._seedpin_generators, *passed) if _has_no_seed(one)]
        return Before(
            *(_copied(call.args), _copied(call.kwargs), _weights(model)),
            unseeded=tuple((one, _state(one)) for one in unseeded),
        )
    except Exception as error:
        return Before((), {}, {}, f"what `{call.name}` was given cannot be copied: {error}")


def after_call(kept: Before, call: PinnedCall) -> Before:
    """Asked right after the call, before its generators get their states back.

    Each repetition starts them from the same state, so it would repeat here and in no other process.
    """
    if not kept.problem and any(_state(one) != state for one, state in kept.unseeded):
        why = (
            f"`{call.name}` drew from a NumPy generator that was made without a seed (or with one of more "
            "than 64 bits), as np.random.default_rng() makes it, and would be given the same state again"
        )
        return replace(kept, problem=why)
    return kept


def _has_no_seed(generator: Any) -> bool:
    """Whether a NumPy generator started from entropy of the operating system's, as far as it tells."""
    bits = getattr(generator, "bit_generator", None) or getattr(generator, "_bit_generator", None)
    sequence = getattr(bits, "seed_seq", None) or getattr(bits, "_seed_seq", None)
    entropy = getattr(sequence, "entropy", None)
    return isinstance(entropy, int) and entropy.bit_length() > 64


def _state(generator: Any) -> bytes:
    return pickle.dumps(state_of(generator))


def repeat(
    model: SeededModel,
    call: PinnedCall,
    kept: Before,
    recording: Recording,
    trace: Trace | None,
    *,
    thorough: bool = False,
    batch: str = "",
) -> Repetition:
    """Makes ``call`` again and compares. ``thorough``: also after a call with another seed. ``batch``: the
    argument to set to two, to see whether that moves the first item.

    Nothing that goes wrong in a repetition is the user's error: it is told in ``cannot``.
    """
    if kept.problem:
        return Repetition(cannot=kept.problem)
    now = _weights(model)
    changed = [name for name, value in now.items() if name in kept.weights and kept.weights[name] != value]
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        return Repetition(
            cannot=f"`{call.name}` changed the model's own weights or buffers ({changed[0]}{more}), "
            "so that another call starts from other ones"
        )

    def run(seed: int | None, level: Level | None, /, **more: Any) -> CallResult:
        results: list[CallResult] = []

        @contextmanager
        def around(called: SeededModel, again: PinnedCall) -> Iterator[None]:
            with recording(called, level) as recorder:
                yield
            seen = None if recorder is None else recorder.trace()
            results.append(CallResult(digest_of(again.result), seen, digest_of(first_item(again.result))))

        call_again(model, call, _copied(kept.args), _copied(kept.kwargs) | more, seed=seed, around=around)
        return results[-1]

    try:
        first = CallResult(digest_of(call.result), trace, digest_of(first_item(call.result)))
        another = (call.pin.seed + 1) % 2**32 if thorough else None
        noticed = tuple(map(str, model.entropy_findings))
        unsteady = probe_call(first, run, another_seed=another, entropy=lambda: noticed)
        if unsteady is not None or not batch:
            return Repetition(unsteady)
        word = "the same" if run(None, None, **{batch: 2}).first == first.first else "other"
        return Repetition(batch=f"{call.name} with {batch}=2 gives its first item {word} bits.")
    except UnreadableError as error:
        return Repetition(cannot=f"what `{call.name}` gave cannot be read: it holds {error}")
    except Exception as error:
        return Repetition(cannot=f"`{call.name}`, made again, raised {type(error).__name__}: {error}")


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


def _weights(model: SeededModel) -> dict[str, object]:
    """What tells whether parameters and buffers change: their content; of large parameters their version.

    Buffers that a first call makes (tables of positions) are not among those of before, and so no change.
    """
    weights: dict[str, object] = {}
    modules = model.modules_found().items()
    total = sum(
        tensor.numel() * tensor.element_size()
        for _, module in modules
        for tensor in module._parameters.values()
        if tensor is not None
    )
    for path, module in modules:
        for whole, held in ((total <= _HASHED_WHOLE, module._parameters), (True, module._buffers)):
            for key, tensor in held.items():
                if tensor is not None:
                    weights[f"{path}.{key}" if path else key] = _identity(tensor, whole)
    return weights


def _identity(tensor: torch.Tensor, whole: bool) -> object:
    if whole:
        try:
            return digest_of(tensor)
        except UnreadableError:
            pass
    version = -1 if tensor.is_inference() else tensor._version
    return id(tensor), version, tuple(tensor.shape)


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
        sentences = [f"The same call under the same pin gave other bits when {self.when}.", self.sentence]
        if self.suspects:
            sentences.append(f"Usual suspects: {'; '.join(self.suspects)}.")
        return tuple(sentences)


def probe_call(
    first: CallResult,
    run: RepeatCall,
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
    when: str, one: CallResult, other: CallResult, run: RepeatCall, entropy: Callable[[], Iterable[str]]
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
    divergence = fine or coarse
    state = "state kept between calls: later calls agree with each other, not with an earlier one"
    if divergence is not None:
        sentence = f"First difference: {divergence.sentence}"
        if fine is not None and coarse is not None and coarse.place != fine.place:
            sentence += f" (within {coarse.place})" if coarse.place else ""
    else:
        sentence = "Nothing that a trace can see differs before the result itself."
    likely = [state] if repeats else []
    return Instability(when, sentence, (*likely, *suspects(divergence, entropy())), divergence)


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
