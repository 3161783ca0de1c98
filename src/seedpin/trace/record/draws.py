"""Watch random draws without touching any stream.

Functions of torch that draw are replaced by ones that note the generator's state, call the original and
note the result. What they cannot see (a draw in C++ or compiled code, ``from torch import randn``, NumPy's
and Python's global generators) shows as a state that moved between two records.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from xxhash import xxh3_64_digest, xxh3_64_hexdigest

from seedpin.trace import drawing
from seedpin.trace.model import Value
from seedpin.trace.record.call_site import call_site
from seedpin.trace.record.host import view_of
from seedpin.trace.record.observe import Slots
from seedpin.trace.record.patching import Patches, wrapped_like
from seedpin.trace.record.watch import Live

_DROPOUTS = {
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"), 2),
    "rrelu": 3,
}
"""What draws only in training, and where that is said. These are the kernels behind ``nn.functional``, whose
own functions stay as they are: tensor subclasses, modes and dynamo know them by identity."""

_DEPENDS_ON = {
    "torch.normal": ("mean", "std"),
    "torch.bernoulli": ("input",),
    "torch.multinomial": ("input",),
    "torch.poisson": ("input",),
    "Tensor.bernoulli": ("input",),
    "Tensor.multinomial": ("input",),
    "Tensor.bernoulli_": ("", "p"),
}
"""Arguments, by position, whose values decide what is drawn: what comes of it may differ though the stream is
the same. Of a method that fills its tensor, what was in there before does not count."""


class DrawSink(Protocol):
    """What receives draws: the recorder."""

    def see(self, name: str, value: object, into: Slots, /) -> None: ...

    def draw(
        self,
        name: str,
        before: str,
        result: object,
        extra: Mapping[str, str],
        site: str,
        arguments: Iterable[tuple[str, int | Value]],
        /,
    ) -> None: ...


def generator_of(device: torch.device) -> torch.Generator | None:
    """The device's global generator; None where it has none yet or torch does not show it."""
    if device.type == "cpu":
        return torch.default_generator
    if device.type in ("cuda", "xpu"):
        module = getattr(torch, device.type)
        generators = module.default_generators if module.is_initialized() else ()
        index = device.index if device.index is not None else (module.current_device() if generators else 0)
        return generators[index] if index < len(generators) else None
    if device.type == "mps":
        return torch.mps._get_default_mps_generator()
    return None


def generator_state(generator: torch.Generator | None) -> str:
    """Short hash of a generator's state: two generators in the same state give the same stream."""
    if generator is None:
        return ""
    return _state_digest(generator).hex()


def _state_digest(generator: torch.Generator) -> bytes:
    state = generator.get_state()  # A tensor of bytes on the host, whatever the generator's device.
    return xxh3_64_digest(view_of(state.numel()).from_address(state.data_ptr()))


def generator_label(generator: torch.Generator | None, given: bool) -> str:
    """``global cpu`` or, for one that the caller passed, ``own cpu``."""
    device = "unknown" if generator is None else generator.device.type
    return f"{'own' if given and generator is not torch.default_generator else 'global'} {device}"


def patch_draws(patches: Patches, live: Live) -> None:
    """Replace every drawing function of torch by one that tells the recorder."""
    for name in drawing.FUNCTIONS:
        patches.set(torch, name, _watched(f"torch.{name}", getattr(torch, name), live, "torch"))
    for name in drawing.METHODS:
        original = getattr(torch.Tensor, name)
        patches.set(torch.Tensor, name, _watched(f"Tensor.{name}", original, live, "torch"))
    for name, training in _DROPOUTS.items():
        holder = torch if name == "rrelu" else torch._VF
        for attribute in (name, f"{name}_"):
            original = getattr(holder, attribute)
            watched = _watched(f"F.{name}", original, live, holder.__name__, attribute, training=training)
            patches.set(holder, attribute, watched)


@dataclass(slots=True)
class _Draw:
    """A draw that is about to be made."""

    generator: torch.Generator | None
    given: bool
    before: str
    inputs: Slots


def _watched(
    name: str,
    original: Callable[..., Any],
    live: Live,
    module: str,
    attribute: str = "",
    *,
    training: int = 0,
) -> Callable[..., Any]:
    depends_on = _DEPENDS_ON.get(name, ("input",) if training else ())

    def watched(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        # Dynamo reads this as a constant and sees the original alone: the same graph as without us.
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        recorder = live.recorder
        if recorder is None or not recorder.watching():
            return original(*args, **kwargs)
        if training and len(args) > training and not args[training]:
            return original(*args, **kwargs)  # A dropout in eval mode: by far the most frequent caller.
        # The original is called outside of the guard: an error in it is the model's, and no note of ours.
        draw = recorder.guarded(name, _before, recorder, args, kwargs, depends_on)
        result = original(*args, **kwargs)
        if draw is not None:
            recorder.guarded(name, _after, recorder, name, draw, result, args, kwargs, bool(training))
        return result

    place = name if name.startswith("Tensor.") else attribute or name.rpartition(".")[2]
    return wrapped_like(watched, original, place, module)


def _before(
    recorder: DrawSink, args: tuple[Any, ...], kwargs: Mapping[str, Any], depends_on: tuple[str, ...]
) -> _Draw:
    generator, given = _generator(args, kwargs)
    inputs: Slots = []
    for index, key in enumerate(depends_on):
        value = args[index] if index < len(args) else kwargs.get(key)
        # Before the call, as some write into what they are given.
        if key and isinstance(value, torch.Tensor):
            recorder.see(key, value, inputs)
    return _Draw(generator, given, generator_state(generator), inputs)


def _after(
    recorder: DrawSink,
    name: str,
    draw: _Draw,
    result: object,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    may_draw: bool,
) -> None:
    # The state tells, not the arguments: a dropout of probability 0, or of no elements, draws nothing.
    if may_draw and draw.before == generator_state(draw.generator):
        return
    site, functions = call_site(2)
    device = str(result.device) if isinstance(result, torch.Tensor) else ""
    label = generator_label(draw.generator, draw.given)
    extra = {"generator": label, "device": device, "in": functions}
    values: Slots = [
        (key, Value(repr(value)))
        for key, value in [*((str(index), item) for index, item in enumerate(args)), *kwargs.items()]
        if isinstance(value, (int, float, bool))
    ]
    recorder.draw(name, draw.before, result, extra, site, [*values, *draw.inputs])


def _generator(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[torch.Generator | None, bool]:
    given = kwargs.get("generator")
    if isinstance(given, torch.Generator):
        return given, True
    device = kwargs.get("device")
    if device is None:
        tensor = next((item for item in args if isinstance(item, torch.Tensor)), None)
        device = torch.get_default_device() if tensor is None else tensor.device
    return generator_of(torch.device(device)), False


class StateWatch:
    """Notices that a global generator moved though no draw was seen."""

    def __init__(self) -> None:
        self._cpu = b""
        self._devices: dict[str, tuple[torch.Generator, bytes]] = {}
        self.settle()
        self._look_for_devices()
        self._python = random.getstate()
        self._numpy, self._quick = _numpy_state(), _numpy_quickly()

    def settle(self) -> None:
        """Take torch's present states as known: a draw was just seen."""
        self._cpu = _state_digest(torch.default_generator)
        for key, (generator, _) in self._devices.items():
            self._devices[key] = generator, _state_digest(generator)

    def moved(self, *, others: bool) -> list[tuple[str, str, str]]:
        """Generators that moved since last asked: (name, state before, state after).

        ``others``: look at Python's and NumPy's too, and for devices that were started meanwhile.
        """
        changes = []
        state = _state_digest(torch.default_generator)
        if state != self._cpu:
            changes.append(("global cpu", self._cpu.hex(), state.hex()))
            self._cpu = state
        for key, (generator, before) in self._devices.items():
            state = _state_digest(generator)
            if state != before:
                changes.append((f"global {key}", before.hex(), state.hex()))
                self._devices[key] = generator, state
        if others:
            self._look_for_devices()
            python = random.getstate()
            if python != self._python:
                changes.append(("python random", _brief(self._python), _brief(python)))
                self._python = python
            quick = _numpy_quickly()
            # With half of a Gaussian pair in store the next draw moves nothing else.
            if not quick or quick != self._quick or self._numpy[2]:
                numpy = _numpy_state()
                if numpy != self._numpy:
                    changes.append(("numpy random", _brief(self._numpy), _brief(numpy)))
                self._numpy, self._quick = numpy, _numpy_quickly()
        return changes

    def _look_for_devices(self) -> None:
        for kind in ("cuda", "xpu"):
            module = getattr(torch, kind)
            if module.is_initialized():
                # To ask a device that was not started would start it; one may start during the call.
                for index, generator in enumerate(module.default_generators):
                    key = f"{kind}:{index}"
                    if key not in self._devices:
                        self._devices[key] = generator, _state_digest(generator)


def _numpy_state() -> tuple[object, ...]:
    state = np.random.get_state(legacy=False)
    inner = state["state"]
    key: Any = inner.get("key")
    digest = xxh3_64_hexdigest(key) if key is not None else repr(inner)
    return digest, inner.get("pos"), state.get("has_gauss"), state.get("gauss")


_MERSENNE = 625 * 4  # 624 words and the position: NumPy's mt19937_state.


def _numpy_quickly() -> bytes:
    """The state's memory, hashed: to ask for the state takes 200 times as long. Empty for another kind."""
    generator = getattr(np.random, "get_bit_generator", lambda: None)()  # Since NumPy 1.24.
    if not isinstance(generator, np.random.MT19937):
        return b""
    return xxh3_64_digest(view_of(_MERSENNE).from_address(generator.ctypes.state_address))


def _brief(state: object) -> str:
    return xxh3_64_hexdigest(repr(state).encode())
