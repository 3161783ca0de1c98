"""The words of what was measured."""

from __future__ import annotations

import pytest

from seedpin.environment.measured import agreeing, families_in_words, in_words, things_in_words


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("canary.sqrt.float32", "sqrt in float32"),
        ("canary.attention-math.bfloat16", "attention (math back end) in bfloat16"),
        ("canary.host-randn.float32", "randn on the CPU in float32"),
        ("canary.numpy-exp.float64", "NumPy's exp in float64"),
        ("canary.of-tomorrow.float32", "of tomorrow in float32"),
        ("torch", "torch"),
    ],
)
def test_a_key_in_words(key: str, words: str) -> None:
    """Keys are told as people call the operation, also of a family that this release does not know."""
    assert in_words(key) == words


def test_families_are_told_once_with_their_types() -> None:
    """Types are joined, families stand in the battery's order, and many are counted."""
    keys = [f"canary.{family}.float32" for family in ("norms", "exp", "pow", "sqrt", "log", "conv2d")]
    assert families_in_words(["canary.sqrt.float64", *keys[3:4]]) == "sqrt in float64 and float32"
    assert families_in_words(keys[2:4]) == "sqrt in float32, and pow in float32"
    assert (
        families_in_words(keys)
        == "sqrt in float32, pow in float32, exp in float32, log in float32 and 2 more"
    )
    assert things_in_words(["canary.sqrt.float32", "torch", "threads"]) == "torch, threads, sqrt in float32"


def test_operations_that_agree_are_counted_by_family() -> None:
    """A family counts if it was measured on both sides and every type of it agrees."""
    golden = {"canary.sqrt.float32": "1:a", "canary.sqrt.float64": "1:b", "canary.exp.float32": "1:c"}
    assert agreeing(golden, golden) == 2
    assert agreeing(golden, golden | {"canary.sqrt.float64": "1:x"}) == 1
    assert agreeing(golden, golden | {"canary.exp.float32": "2:x"}) == 1
    assert agreeing(golden, golden | {"canary.exp.float32": "1:n/a"}) == 1
    assert agreeing(golden, golden | {"canary.exp.float32": "tampered"}) == 1
    assert agreeing({"canary.fft.float32": "1:n/a"}, {"canary.fft.float32": "1:n/a"}) is None
    assert agreeing(golden, {"torch": "2.13.0"}) is None
