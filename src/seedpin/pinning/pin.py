"""The pin: seed every random source and set every determinism switch for a block of code, then restore.

Sources and switches belong to the process, and so does a pin: while one is active, other threads see it.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import random
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, ParamSpec, TypeVar

import numpy as np
import torch

from seedpin.errors import ConfigError, DeferredBodyError, DeviceUnavailableError, PinError, SeedError
from seedpin.options import DEFAULT_SEED
from seedpin.options import LEVELS as LEVELS
from seedpin.pinning import nondeterminism, sources, stack, switches
from seedpin.pinning.devices import DeviceWatch
from seedpin.pinning.pin_origin import find_origin
from seedpin.pinning.profiles import active_profile, verify_profile
from seedpin.pinning.stack import current_pin as current_pin
from seedpin.pinning.stack import last_pin as last_pin
from seedpin.pinning.streams import Twins, warn_about_drawn

_P = ParamSpec("_P")
_R = TypeVar("_R")
_HeldT = TypeVar("_HeldT", covariant=True)

_SEED_LIMIT = 2**32


@dataclass(frozen=True, slots=True)
class Pin:
    """A pin that is or was active: what it was asked for, and streams that derive from it."""

    seed: int
    level: str
    profile: str
    _nondeterministic: list[nondeterminism.NondeterministicOp] = field(default_factory=list, repr=False)
    _devices: DeviceWatch = field(default_factory=DeviceWatch, repr=False, compare=False)
    _twins: Twins = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_twins", Twins(self.seed))

    @property
    def warnings(self) -> tuple[nondeterminism.NondeterministicOp, ...]:
        """What ran without a deterministic implementation so far; filled at level ``warn`` only."""
        return tuple(self._nondeterministic)

    @property
    def devices_used(self) -> frozenset[str]:
        """The CUDA and XPU devices on which the block allocated memory so far, as ``cuda:0``.

        Around a call of a seeded model also those on which the model lies.
        """
        return frozenset(self._devices.used())

    def derive(self, name: str) -> int:
        """A seed of its own for ``name``, 0 <= seed < 2**32.

        The first four bytes, big-endian, of SHA-256 over ``seedpin:<seed>:<name>`` in UTF-8: the same in
        every process, on every platform and in every release.
        """
        digest = hashlib.sha256(f"seedpin:{self.seed}:{name}".encode()).digest()
        return int.from_bytes(digest[:4], "big")

    def generator(self, name: str, device: str | torch.device = "cpu") -> torch.Generator:
        """A new torch generator on ``device``, at the start of the stream that belongs to ``name``.

        Raises DeviceUnavailableError where ``device`` is not there.
        """
        return generator_on(device).manual_seed(self.derive(name))

    def reseed(self) -> None:
        """Put every source back to the start of its stream, also those imported since the pin began.

        Raises PinError if the pin has ended: nothing would restore what it seeds.
        """
        before = stack.saved_sources(self)
        if before is None:
            raise PinError(
                f"the pin with seed {self.seed} has ended, so what it seeded now would never be restored",
                hint="call reseed inside of the block, or begin another pin",
            )
        for name, source in sources.REGISTRY.available().items():
            if name not in before:
                before[name] = source.get_state()
        sources.seed_all(self.seed)


def generator_on(device: str | torch.device) -> torch.Generator:
    """A torch generator on ``device``; raises DeviceUnavailableError where it is not there."""
    try:
        wanted = torch.device(device)
        backend: Any = getattr(torch, wanted.type, None)
        if wanted.type in ("cuda", "xpu", "mps") and not backend.is_available():
            raise RuntimeError(f"torch.{wanted.type}.is_available() is False")
        if wanted.index is not None and wanted.type in ("cuda", "xpu"):
            count = backend.device_count()
            if wanted.index >= count:
                raise RuntimeError(f"there are {count} devices")
        return torch.Generator(wanted)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise DeviceUnavailableError(
            f"the device {str(device)!r} was asked for and is not available: {reason}",
            hint='run where it is, install a torch built for it, or ask for "cpu"',
        ) from error


def check_seed(seed: object) -> int:
    """``seed`` if every source takes it; raises SeedError otherwise."""
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool) and 0 <= seed < _SEED_LIMIT:
        return int(seed)
    raise SeedError(
        f"{seed!r} is no seed that every random source takes",
        hint=f"use a whole number from 0 to {_SEED_LIMIT - 1}",
    )


def check_level(level: str) -> str:
    """``level`` if there is such a level; raises ConfigError otherwise."""
    if level in LEVELS:
        return level
    raise ConfigError(f"unknown level {level!r}", hint=f"choose one of {', '.join(LEVELS)}")


class PinOrHole(Generic[_HeldT]):
    """A pin or a hole as a context manager and decorator; may be entered again, also while it is active."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: list[stack.Frame | None] = []  # one for each time it was entered; None: nothing to do

    def _frame(self) -> stack.Frame | None:
        raise NotImplementedError

    def _held(self, frame: stack.Frame | None) -> _HeldT:
        raise NotImplementedError

    def _again(self) -> PinOrHole[_HeldT]:
        raise NotImplementedError

    def __enter__(self) -> _HeldT:
        frame = self._frame()
        try:
            # Noted before it begins, so that it is ended even where a signal comes in between.
            self._open.append(frame)
            if frame is not None:
                stack.begin(frame)
        except BaseException as error:
            if frame is not None:
                stack.end(frame, error).speak(error)
            self._open.pop()
            raise
        return self._held(frame)

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _tb: types.TracebackType | None
    ) -> Literal[False] | None:
        frame = self._open[-1]
        if frame is None:
            self._open.pop()
            return None
        try:
            report = stack.end(frame, error)
        except BaseException:  # a signal's: the first attempt may have stopped anywhere, also before it began
            stack.end(frame, error)
            raise
        finally:
            self._open.pop()
        self._ended(frame)
        report.speak(error)
        self._after(frame, error)
        return None

    # What a kind of block does besides comes once all is restored: it must not keep the block from ending.

    def _ended(self, frame: stack.Frame) -> None:
        """Note what is to be known of the block."""

    def _after(self, frame: stack.Frame, error: BaseException | None) -> None:
        """Raise or warn about what happened in the block."""

    def __del__(self) -> None:
        for frame in reversed(getattr(self, "_open", ())):  # absent where __init__ was cut short
            if frame is not None:
                stack.abandon(frame)

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Decorate ``function``: each call of it has a block of its own.

        Raises DeferredBodyError for a generator function or an async one, and at the call for a function that
        returns a generator or a coroutine: what those do would run after the block has ended.
        """
        self._refuse_deferred(function, _deferred_kind(function))

        @functools.wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with self._again():
                result = function(*args, **kwargs)
            self._refuse_deferred(function, _deferred_result(result))
            return result

        return call

    def _refuse_deferred(self, function: Any, kind: str) -> None:
        if not kind:
            return
        name = getattr(function, "__qualname__", repr(function))
        code = getattr(inspect.unwrap(function), "__code__", None)
        place = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
        raise DeferredBodyError(
            f"@{self._name} decorates {name}{place}, which {kind}: its body runs only after the call has "
            "returned, and so after the block has ended",
            hint=f"write `with {self._name}:` inside of it, around what draws and without a yield or an "
            "await; or decorate the function that runs it to its end, as by list(...) or asyncio.run(...)",
        )


def _deferred_kind(function: Any) -> str:
    """What makes calls of ``function`` return before its body has run; "" if nothing does."""
    for called in (function, getattr(function, "__call__", None)):  # noqa: B004  (an object with an async __call__)
        if inspect.isasyncgenfunction(called):
            return "is an async generator"
        if inspect.iscoroutinefunction(called):
            return "is async"
        if inspect.isgeneratorfunction(called):
            return "is a generator"
    return ""


def _deferred_result(result: Any) -> str:
    if inspect.iscoroutine(result):
        result.close()  # else Python warns that it was never awaited, which is not what is wrong
        return "returns a coroutine"
    if inspect.isasyncgen(result):
        return "returns an async generator"
    return "returns a generator" if inspect.isgenerator(result) else ""


class PinBlock(PinOrHole[Pin]):
    """What ``pin`` returns."""

    def __init__(self, seed: int, level: str, profile: str | None) -> None:
        super().__init__(f"seedpin.pin({seed})")
        self._seed, self._level, self._profile = seed, level, profile

    def _again(self) -> PinBlock:
        return PinBlock(self._seed, self._level, self._profile)

    def _frame(self) -> stack.Frame:
        if self._profile is not None:
            verify_profile(self._profile)
        if self._level == "strict":
            switches.refuse_autotune()
        profile = active_profile() if self._profile is None else self._profile
        made = Pin(self._seed, self._level, profile)
        made._devices.begin()
        return stack.Frame(made, find_origin())

    def _held(self, frame: stack.Frame | None) -> Pin:
        assert frame is not None
        assert frame.pin is not None
        return frame.pin

    def _ended(self, frame: stack.Frame) -> None:
        self._held(frame)._devices.end()

    def _after(self, frame: stack.Frame, error: BaseException | None) -> None:
        if self._level == "strict" and isinstance(error, RuntimeError):
            named = nondeterminism.error_from(error, seed=self._seed)
            if named is not None:
                raise named from error
        if error is None:
            # After an error only that is said: a warning beside it would look like its cause.
            place = frame.origin
            ops = self._held(frame)._nondeterministic
            nondeterminism.warn_about(ops, seed=self._seed, file=place.file, line=place.line)
            warn_about_drawn(self._held(frame)._twins, place.file, place.line)


class _Hole(PinOrHole[None]):
    """What ``unpinned`` returns."""

    def __init__(self) -> None:
        super().__init__("seedpin.unpinned()")

    def _again(self) -> _Hole:
        return _Hole()

    def _frame(self) -> stack.Frame | None:
        return stack.Frame(None, find_origin()) if current_pin() is not None else None

    def _held(self, frame: stack.Frame | None) -> None:
        return None


def pin(seed: int = DEFAULT_SEED, *, level: str = "strict", profile: str | None = None) -> PinBlock:
    """Seed every source, set every switch of ``level``, and restore all of it at the end of the block.

    Without a seed it is ``seedpin.options.DEFAULT_SEED``. Also a decorator of functions that are neither
    generators nor async (DeferredBodyError). ``strict`` refuses what cannot repeat, ``warn`` collects it in
    ``Pin.warnings``, ``seeds`` leaves the switches alone. ``profile`` None means the profile of this process;
    a name is verified.

    Raises SeedError and ConfigError here; ProfileTooLateError, AutotuneError and ConcurrentPinError at the
    start of the block, NondeterministicOpError from it; PinError at its end if something could not be
    restored. Warns PinOrderWarning if it ends before a pin that began inside of it, and, but at level
    ``seeds``, SameStreamWarning if its block drew from a torch generator that has the pin's seed.
    """
    return PinBlock(check_seed(seed), check_level(level), profile)


def unpinned() -> PinOrHole[None]:
    """Open a hole in the active pin: inside, sources and switches are as they were outside of it.

    What is drawn inside continues the outer streams (two holes do not draw the same), and what is set
    inside stays set outside of the pin. Afterwards the pinned streams resume where they were. Nothing
    happens where no pin is active. Also a decorator, as ``pin`` is. Raises ConcurrentPinError where another
    thread or task holds the pin.
    """
    return _Hole()


def worker_init_fn(worker_id: int) -> None:
    """Seed Python and NumPy in a DataLoader worker, as torch does for itself there.

    Pass it as ``DataLoader(worker_init_fn=seedpin.worker_init_fn)``. The worker's seed is the loader's
    base seed (a draw of its ``generator``, or of the pinned main one) plus ``worker_id``.
    """
    seed = torch.initial_seed() % _SEED_LIMIT
    random.seed(seed)
    np.random.seed(seed)
