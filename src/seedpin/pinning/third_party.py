"""Random sources of other frameworks, held only when their module is imported already."""

from __future__ import annotations

import sys
from typing import Any

_JAX_FLAGS = ("jax_default_prng_impl", "jax_threefry_partitionable", "jax_default_matmul_precision")


class JaxSource:
    """JAX has explicit keys and no global generator, so there is nothing to seed.

    What is global are the settings that decide which bits a key gives, and with which precision
    matrices are multiplied. A pin keeps the user's choice and puts it back if the model changes it.
    """

    name = "jax"

    def available(self) -> bool:
        return hasattr(sys.modules.get("jax"), "config")

    def get_state(self) -> Any:
        config = sys.modules["jax"].config
        return {flag: getattr(config, flag) for flag in _JAX_FLAGS if hasattr(config, flag)}

    def set_state(self, state: Any) -> None:
        config = sys.modules["jax"].config
        for flag, value in state.items():
            # An update drops compiled functions, so only where something changed.
            if getattr(config, flag) != value:
                config.update(flag, value)

    def seed(self, seed: int) -> None:
        pass


class CupySource:
    """CuPy's generator of the current device.

    cuRAND's state cannot be copied, so a pin puts a new generator in its place and gives the old one
    back untouched. Written from CuPy's documentation; not yet exercised on a machine that has it.
    """

    name = "cupy"

    def available(self) -> bool:
        return hasattr(sys.modules.get("cupy"), "random")

    def get_state(self) -> Any:
        return sys.modules["cupy"].random.get_random_state()

    def set_state(self, state: Any) -> None:
        sys.modules["cupy"].random.set_random_state(state)

    def seed(self, seed: int) -> None:
        rng = sys.modules["cupy"].random
        rng.set_random_state(rng.RandomState(seed))


class TensorflowSource:
    """TensorFlow's global seed, the stream of operation seeds behind it, and its global ``Generator``.

    Eager operations draw their seed from that stream, so restoring it continues where the caller was.
    Operations inside of a ``tf.function`` count by themselves, within the function.
    """

    name = "tensorflow"

    def available(self) -> bool:
        return (
            hasattr(sys.modules.get("tensorflow"), "random")
            and "tensorflow.python.eager.context" in sys.modules
        )

    def get_state(self) -> Any:
        context = self._context()
        stream = getattr(context, "_rng", None)
        return (context._seed, None if stream is None else stream.getstate(), self._generator_state())

    def set_state(self, state: Any) -> None:
        seed, stream, generator = state
        context = self._context()
        context._set_global_seed(seed)  # also drops kernels that hold counters of their own
        if stream is not None:
            context._rng.setstate(stream)
        module = self._generators()
        if generator is None:
            module.global_generator = None
        else:
            held, key = generator
            held.state.assign(key)
            module.global_generator = held

    def seed(self, seed: int) -> None:
        tf = sys.modules["tensorflow"]
        tf.random.set_seed(seed)
        # A new object, for the old one belongs to the caller (and would else start at random).
        self._generators().global_generator = tf.random.Generator.from_seed(seed)

    def _context(self) -> Any:
        return sys.modules["tensorflow.python.eager.context"].context()

    def _generators(self) -> Any:
        return sys.modules["tensorflow.python.ops.stateful_random_ops"]

    def _generator_state(self) -> Any:
        held = getattr(self._generators(), "global_generator", None)
        return None if held is None else (held, held.state.read_value())
