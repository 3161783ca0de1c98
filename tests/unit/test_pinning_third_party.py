"""Sources of other frameworks: held when imported, never imported by a pin."""

from __future__ import annotations

import subprocess
import sys
import types
from typing import Any

import pytest

from seedpin.pinning.pin import pin
from seedpin.pinning.third_party import CupySource


def test_a_pin_imports_no_framework() -> None:
    """JAX, CuPy and TensorFlow are not imported because of a pin."""
    code = (
        "import sys\nfrom seedpin.pinning.pin import pin\nwith pin(1): pass\n"
        "print([m for m in ('jax', 'cupy', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_tensorflow_repeats_and_is_restored() -> None:
    """TensorFlow's draws repeat under a pin; outside, seeded draws continue as if it had not been."""
    tf: Any = pytest.importorskip("tensorflow")

    def draw() -> list[float]:
        return [float(tf.random.normal([])), float(tf.random.get_global_generator().normal([]))]

    tf.random.set_seed(3)
    plain = [draw(), draw(), draw()]
    tf.random.set_seed(3)
    tf.random.set_global_generator(tf.random.Generator.from_seed(1))
    tf.random.set_seed(3)
    seen = [draw()]
    pinned = []
    for _ in range(2):
        with pin(8, level="seeds"):
            pinned.append([draw(), draw()])
            tf.random.set_seed(99)
    seen += [draw(), draw()]
    assert pinned[0] == pinned[1]
    assert [row[0] for row in seen] == [row[0] for row in plain]
    generator = tf.random.Generator.from_seed(1)
    assert [row[1] for row in seen] == [float(generator.normal([])) for _ in range(3)]


def test_tensorflow_unseeded_stays_unseeded() -> None:
    """Without a global seed before, there is none after."""
    tf: Any = pytest.importorskip("tensorflow")
    tf.random.set_seed(None)
    with pin(8, level="seeds"):
        first = float(tf.random.normal([]))
    with pin(8, level="seeds"):
        assert float(tf.random.normal([])) == first
    assert sys.modules["tensorflow.python.eager.context"].context()._seed is None
    assert float(tf.random.normal([])) != float(tf.random.normal([]))


def test_jax_settings_are_restored() -> None:
    """JAX's settings that move bits stay the user's in a pin, and are put back if the model changes them."""
    jax: Any = pytest.importorskip("jax")
    before = jax.config.jax_default_prng_impl
    key = jax.random.normal(jax.random.key(3))
    with pin(8, level="seeds"):
        assert jax.random.normal(jax.random.key(3)) == key
        jax.config.update("jax_default_prng_impl", "rbg")
        jax.config.update("jax_default_matmul_precision", "bfloat16")
    assert jax.config.jax_default_prng_impl == before
    assert jax.config.jax_default_matmul_precision is None
    assert jax.random.normal(jax.random.key(3)) == key


def test_cupy_generator_is_swapped_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy's generator is replaced during a pin, and the old object comes back (against a stand-in)."""

    class RandomState:
        def __init__(self, seed: int) -> None:
            self.seed = seed

    held = [RandomState(0)]
    rng = types.SimpleNamespace(
        RandomState=RandomState,
        get_random_state=lambda: held[0],
        set_random_state=lambda state: held.__setitem__(0, state),
    )
    assert not CupySource().available()
    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(random=rng))
    mine = held[0]
    with pin(8, level="seeds"):
        assert held[0].seed == 8
    assert held[0] is mine
