"""Random sources: every generator that a pin seeds, and how to read and restore it.

Python's ``random``, NumPy's global generator, torch's CPU generator, each CUDA and XPU device's, and
MPS. JAX, CuPy and TensorFlow join when they are imported already (``third_party.py``); others join through
``register_source`` or the entry point group ``seedpin.sources``.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from seedpin.errors import ConfigError, PinError, SeedpinError, SeedpinWarning
from seedpin.pinning.restoring import run_all
from seedpin.pinning.third_party import CupySource, JaxSource, TensorflowSource

ENTRY_POINT_GROUP = "seedpin.sources"

_RANDOM: Any = np.random  # NumPy's stubs lack get_bit_generator and set_bit_generator


@runtime_checkable
class RandomSource(Protocol):
    """One source of randomness. Implement this to make a pin hold your own generator."""

    @property
    def name(self) -> str:
        """Unique and readable, such as ``"numpy"``."""
        ...

    def available(self) -> bool:
        """Whether it can be read and seeded now; must be cheap, and start nothing."""
        ...

    def get_state(self) -> Any:
        """A value that ``set_state`` takes; later draws must not change it."""
        ...

    def set_state(self, state: Any) -> None:
        """Go back to ``state``, exactly."""
        ...

    def seed(self, seed: int) -> None:
        """Start the stream that belongs to ``seed``, 0 <= seed < 2**32."""
        ...


@dataclass(frozen=True, slots=True)
class PlainSource:
    """A generator that has a function for each, and takes and gives its state as it is."""

    name: str
    get_state: Callable[[], Any]
    set_state: Callable[[Any], Any]
    seed: Callable[[int], Any]
    available: Callable[[], bool] = lambda: True


class NumpySource:
    """NumPy's global generator. ``np.random.default_rng()`` without a seed is out of any pin's reach."""

    name = "numpy"

    def available(self) -> bool:
        return True

    def get_state(self) -> Any:
        return np.random.get_state(legacy=False), _RANDOM.get_bit_generator()

    def set_state(self, state: Any) -> None:
        # The model may have put another bit generator behind np.random, which does not take this state.
        if _RANDOM.get_bit_generator() is not state[1]:
            _RANDOM.set_bit_generator(state[1])
        np.random.set_state(state[0])

    def seed(self, seed: int) -> None:
        try:
            np.random.seed(seed)
        except TypeError:  # someone put another bit generator behind np.random (np.random.set_bit_generator)
            generator = _RANDOM.get_bit_generator()
            generator.state = type(generator)(seed).state


class LazyDeviceSource:
    """The generators of all devices of ``torch.cuda`` or ``torch.xpu``.

    Both start on first use and queue what is asked of them before. A pin must not start them, so before
    the start this reads and writes the queue instead; if the start happens inside of a pin, restoring
    gives the generators what a start without it would have: a seed of the operating system's, and then what
    was queued.

    While a CUDA graph is captured, generators can be neither read nor written: PinError.
    """

    def __init__(self, name: str, module: Any) -> None:
        self.name = name
        self._module = module

    def available(self) -> bool:
        is_compiled = getattr(self._module, "_is_compiled", None)
        in_bad_fork = getattr(self._module, "_is_in_bad_fork", None)
        # After a fork CUDA can only raise. The parent's pin goes on in the child without it.
        return bool(is_compiled and is_compiled()) and not (in_bad_fork and in_bad_fork())

    def get_state(self) -> Any:
        if self._module.is_initialized():
            self._refuse_capture()
            return ("live", [generator.get_state() for generator in self._module.default_generators])
        tracker = getattr(self._module, "_lazy_seed_tracker", None)
        seeds = {} if tracker is None else {key: _copy(value) for key, value in vars(tracker).items()}
        return ("lazy", seeds, list(getattr(self._module, "_queued_calls", ())))

    def set_state(self, state: Any) -> None:
        self._refuse_capture()
        if state[0] == "live":
            for generator, saved in zip(self._module.default_generators, state[1], strict=True):
                generator.set_state(saved)
        elif self._module.is_initialized():
            self._replay(*state[1:])
        else:
            self._requeue(*state[1:])

    def seed(self, seed: int) -> None:
        self._refuse_capture()
        self._module.manual_seed_all(seed)

    def _refuse_capture(self) -> None:
        if self._is_capturing():
            raise PinError(
                "a CUDA graph is being captured, and meanwhile its generators can be neither read nor seeded",
                hint="begin the pin before the capture and end it after: put `with torch.cuda.graph(...)` "
                "inside of `with seedpin.pin(...)`",
            )

    def _is_capturing(self) -> bool:
        ask = getattr(self._module, "is_current_stream_capturing", None)
        try:
            return ask is not None and self._module.is_initialized() and bool(ask())
        except RuntimeError:  # a device that cannot be asked; what is wanted of it will say why
            return False

    def _requeue(self, seeds: dict[str, Any], queued: list[Any]) -> None:
        tracker = getattr(self._module, "_lazy_seed_tracker", None)
        if tracker is not None:
            vars(tracker).update({key: _copy(value) for key, value in seeds.items()})
        if hasattr(self._module, "_queued_calls"):
            # Calls that have nothing to do with random numbers, queued inside of the pin, must stay.
            self._module._queued_calls[:] = [
                call for call in self._module._queued_calls if call in queued or not self._is_random(call)
            ]

    def _replay(self, seeds: dict[str, Any], queued: list[Any]) -> None:
        for generator in self._module.default_generators:
            generator.seed()  # from the operating system, as torch does when it makes them
        for call in [*filter(self._is_random, queued), *filter(None, seeds.get("call_order", ()))]:
            call[0]()

    def _is_random(self, call: Any) -> bool:
        return getattr(call[0], "__module__", "") == f"{self._module.__name__}.random"


def _copy(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


class Registry:
    """The known sources, in the order in which they are seeded."""

    def __init__(self, sources: list[RandomSource]) -> None:
        self._sources = {source.name: source for source in sources}
        self._entry_points_loaded = False

    def register(self, source: RandomSource) -> None:
        if not isinstance(source, RandomSource):
            raise ConfigError(
                f"{source!r} is no random source",
                hint="it needs name, available(), get_state(), set_state(state) and seed(seed)",
            )
        known = self._sources.get(source.name)
        if known is not None and known is not source:
            raise ConfigError(
                f"a random source named {source.name!r} is registered already: {known!r}",
                hint="give yours another name, or call unregister_source first",
            )
        self._sources[source.name] = source

    def unregister(self, name: str) -> None:
        self._sources.pop(name, None)

    def available(self) -> dict[str, RandomSource]:
        """The sources that can be seeded now, by name; loads the entry points the first time."""
        # At the first pin and not at import: who offers a source may import a whole framework for it.
        if not self._entry_points_loaded:
            self._entry_points_loaded = True
            self._load_entry_points()
        return {name: source for name, source in self._sources.items() if source.available()}

    def _load_entry_points(self) -> None:
        for entry in metadata.entry_points(group=ENTRY_POINT_GROUP):
            try:
                loaded: Any = entry.load()
                made = (
                    loaded() if isinstance(loaded, type) or not isinstance(loaded, RandomSource) else loaded
                )
                self.register(made)
            except Exception as error:
                warnings.warn(
                    f"the random source {entry.name!r} ({entry.value}, entry point group "
                    f"{ENTRY_POINT_GROUP}) cannot be used and is not pinned: "
                    f"{type(error).__name__}: {error}. Repair or uninstall the package that offers it.",
                    SeedpinWarning,
                    stacklevel=2,
                )


# torch.manual_seed would seed every other device as well; those have sources of their own.
_CPU = torch.default_generator

REGISTRY = Registry(
    [
        PlainSource("python", random.getstate, random.setstate, random.seed),
        NumpySource(),
        PlainSource("torch-cpu", _CPU.get_state, _CPU.set_state, _CPU.manual_seed),
        LazyDeviceSource("torch-cuda", torch.cuda),
        LazyDeviceSource("torch-xpu", torch.xpu),
        PlainSource(
            "torch-mps",
            torch.mps.get_rng_state,
            torch.mps.set_rng_state,
            torch.mps.manual_seed,
            torch.backends.mps.is_available,
        ),
        JaxSource(),
        CupySource(),
        TensorflowSource(),
    ]
)


def register_source(source: RandomSource) -> None:
    """Let every later pin seed and restore ``source`` too.

    Raises ConfigError if it lacks a method or if another source has its name.
    """
    REGISTRY.register(source)


def unregister_source(name: str) -> None:
    """Take the source called ``name`` out of later pins; unknown names are ignored."""
    REGISTRY.unregister(name)


def available_sources() -> tuple[str, ...]:
    """The names of all sources that a pin would seed now."""
    return tuple(REGISTRY.available())


def snapshot() -> dict[str, Any]:
    """The state of every source that is available now, by name; raises PinError if one cannot be read."""
    return {name: _ask(name, "read", source.get_state) for name, source in REGISTRY.available().items()}


def seed_all(seed: int) -> None:
    """Start every available source at ``seed``; raises PinError if one refuses."""
    for name, source in REGISTRY.available().items():
        _ask(name, "seeded", partial(source.seed, seed))


def _ask(name: str, what: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except SeedpinError:
        raise
    except Exception as error:
        raise PinError(
            f"the random source {name!r} cannot be {what}: {type(error).__name__}: {error}",
            hint="repair it, or take it out with seedpin.pinning.sources.unregister_source",
        ) from error


def read_all() -> tuple[dict[str, Any], list[str]]:
    """As ``snapshot``, but what cannot be read is left out, and said in words."""
    states: dict[str, Any] = {}

    def read(name: str, source: RandomSource) -> None:
        states[name] = source.get_state()

    available = REGISTRY.available().items()
    return states, run_all(
        (f"random source {name}", partial(read, name, source)) for name, source in available
    )


def restore(states: dict[str, Any]) -> list[str]:
    """Restore every state in ``states``; what failed is returned in words, and stops nothing."""
    sources = REGISTRY.available()
    return run_all(
        (f"random source {name}", partial(sources[name].set_state, state))
        for name, state in states.items()
        if name in sources
    )
