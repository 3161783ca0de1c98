"""The pin: seed every random source and set every determinism switch for a block of code, then restore.

Sources and switches belong to the process, and so does a pin: while one is active, other threads see it.
"""

from __future__ import annotations

import hashlib
import random
import warnings
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from seedpin.config import DEFAULT_SEED
from seedpin.config import LEVELS as LEVELS
from seedpin.errors import ConfigError, DeviceUnavailableError, PinError, SeedError, SeedpinWarning
from seedpin.pinning import nondeterminism, sources, switches
from seedpin.pinning.deferred import ImportWatch
from seedpin.pinning.profiles import active_profile, verify_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager, ContextDecorator

    class _PinManager(AbstractContextManager["Pin"], ContextDecorator): ...


_SEED_LIMIT = 2**32


@dataclass(frozen=True, slots=True)
class Pin:
    """A pin that is or was active: what it was asked for, and streams that derive from it."""

    seed: int
    level: str
    profile: str
    _found: list[nondeterminism.NondeterministicOp] = field(default_factory=list, repr=False)

    @property
    def warnings(self) -> tuple[nondeterminism.NondeterministicOp, ...]:
        """What ran without a deterministic implementation so far; filled at level ``warn`` only."""
        return tuple(self._found)

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
        """Put every source back to the start of its stream, also those imported since the pin began."""
        before = _innermost_pin_state(self)
        for name, source in sources.REGISTRY.available().items():
            if before is not None and name not in before:
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


@dataclass(slots=True)
class _Frame:
    """What was before a pin (or, with ``pin`` None, before a hole in one)."""

    pin: Pin | None
    sources: dict[str, Any]
    switches: dict[str, Any]


@dataclass(slots=True)
class _Process:
    """The pins of this process, outermost first, and the last one that ended."""

    frames: list[_Frame] = field(default_factory=list)
    last: Pin | None = None


_PROCESS = _Process()


def current_pin() -> Pin | None:
    """The innermost active pin; None outside of any and inside of ``unpinned()``."""
    return _PROCESS.frames[-1].pin if _PROCESS.frames else None


def last_pin() -> Pin | None:
    """The active pin, else the one that ended last; None if there was none in this process."""
    return current_pin() or _PROCESS.last


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


def pin(seed: int = DEFAULT_SEED, *, level: str = "strict", profile: str | None = None) -> _PinManager:
    """Seed every source, set every switch of ``level``, and restore all of it at the end of the block.

    Without a seed it is ``seedpin.config.DEFAULT_SEED``. Also a decorator.
    ``strict`` refuses what cannot repeat, ``warn`` collects it in ``Pin.warnings``,
    ``seeds`` leaves the switches alone. ``profile`` None means the profile of this process; a name is
    verified. Raises SeedError, ConfigError, ProfileTooLateError, AutotuneError, and
    NondeterministicOpError from the block; PinError if something could not be restored.
    """
    manager: Any = _pin(check_seed(seed), check_level(level), profile)
    return manager  # type: ignore[no-any-return]


@contextmanager
def _pin(seed: int, level: str, profile: str | None) -> Iterator[Pin]:
    if profile is not None:
        verify_profile(profile)
    this = Pin(seed, level, active_profile() if profile is None else profile)
    if level == "strict":
        switches.refuse_autotune()
    has_switches = level in switches.SWITCH_LEVELS
    frame = _Frame(this, sources.snapshot(), switches.snapshot())
    _PROCESS.frames.append(frame)
    with ExitStack() as stack:
        stack.push(_leave(frame))
        if has_switches:
            _WATCH.start()
            switches.apply(level, frame.switches, this.profile)
        sources.seed_all(seed)
        if level == "warn":
            stack.enter_context(nondeterminism.collecting(this._found))
        try:
            yield this
        except RuntimeError as error:
            named = nondeterminism.error_from(error, seed=seed) if level == "strict" else None
            if named is None:
                raise
            raise named from error
    nondeterminism.warn_about(this._found, seed=seed)


def _leave(frame: _Frame) -> Callable[[Any, BaseException | None, Any], None]:
    def leave(_kind: Any, error: BaseException | None, _tb: Any) -> None:
        _PROCESS.frames.remove(frame)
        if frame.pin is not None:
            _PROCESS.last = frame.pin
        if not _PROCESS.frames:
            _WATCH.stop()
        _restore(frame, error)

    return leave


def _restore(frame: _Frame, error: BaseException | None) -> None:
    failures = switches.restore(frame.switches) + sources.restore(frame.sources)
    if not failures:
        return
    what = f"not everything could be restored after a pin: {'; '.join(failures)}"
    if error is None:
        raise PinError(what, hint="repair the source's set_state, or start a fresh process")
    # The error on its way out is the more important one.
    warnings.warn(what, SeedpinWarning, stacklevel=2)


@contextmanager
def unpinned() -> Iterator[None]:
    """Open a hole in the active pin: inside, sources and switches are as they were outside of it.

    What is drawn inside continues the outer streams (two holes do not draw the same), and what is set
    inside stays set outside of the pin. Afterwards the pinned streams resume where they were. Nothing
    happens where no pin is active.
    """
    outer = _outermost_pin()
    if outer is None:
        yield
        return
    held = _Frame(None, sources.snapshot(), switches.snapshot())
    _PROCESS.frames.append(held)
    failures = switches.restore(outer.switches) + sources.restore(outer.sources)
    try:
        yield
    finally:
        outer.sources.update(sources.snapshot())
        outer.switches.update(switches.snapshot())
        _PROCESS.frames.remove(held)
        failures += switches.restore(held.switches) + sources.restore(held.sources)
        if failures:
            warnings.warn(
                f"a hole in a pin is not exact: {'; '.join(failures)}", SeedpinWarning, stacklevel=3
            )


def _outermost_pin() -> _Frame | None:
    """The outermost pin inside of the innermost hole: what is active now began with it."""
    found = None
    for frame in reversed(_PROCESS.frames):
        if frame.pin is None:
            break
        found = frame
    return found


def _innermost_pin_state(pin_: Pin) -> dict[str, Any] | None:
    return next((frame.sources for frame in _PROCESS.frames if frame.pin is pin_), None)


def _module_arrived(module: str) -> None:
    """The compiler was imported inside of a pin: save what it starts with, then pin it."""
    for switch in switches.SWITCHES:
        if switch.module != module or not switch.available():
            continue
        found = now = switch.read()
        for frame in _PROCESS.frames:
            # Each frame saves what would have been held around it, had the module been there.
            frame.switches.setdefault(switch.name, now)
            if frame.pin is None:
                now = found
            elif frame.pin.level in switches.SWITCH_LEVELS:
                now = switch.held(frame.pin.level, now, frame.pin.profile)
        if now != found:
            switch.write(now)


_WATCH = ImportWatch(switches.LATE_MODULES, _module_arrived)


def worker_init_fn(worker_id: int) -> None:
    """Seed Python and NumPy in a DataLoader worker, as torch does for itself there.

    Pass it as ``DataLoader(worker_init_fn=seedpin.worker_init_fn)``. The worker's seed is the loader's
    base seed (a draw of its ``generator``, or of the pinned main one) plus ``worker_id``.
    """
    seed = torch.initial_seed() % _SEED_LIMIT
    random.seed(seed)
    np.random.seed(seed)
