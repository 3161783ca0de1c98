"""A digest over all values of an object, and what cannot be read."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict, namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from seedpin.checking.values import UnreadableError, digest_of


class Plain:
    def __init__(self, value: Any) -> None:
        self.value = value


class Slotted:
    __slots__ = ("__hidden", "value")

    def __init__(self, value: Any, hidden: int = 0) -> None:
        self.value = value
        self.__hidden = hidden


class Listed(list[int]):
    note: Any = None


@dataclasses.dataclass
class Data:
    value: Any


Named = namedtuple("Named", "value")
FRAMES = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)


def other(frames: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    changed: np.ndarray[Any, Any] = frames.copy()
    changed.reshape(-1)[-1] += 1
    return changed


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: x,
        torch.from_numpy,
        lambda x: torch.from_numpy(x).to(torch.bfloat16),
        Plain,
        Slotted,
        Data,
        Named,
        lambda x: Plain(Plain(Plain(Plain(Plain(Plain(Plain(x))))))),
        lambda x: [None] * 600 + [x],
        lambda x: {index: x if index == 700 else 0 for index in range(701)},
        lambda x: OrderedDict(a=1, b=x),
        lambda x: [Image.fromarray(frame) for frame in x],
        lambda x: np.array([Plain(x), None], dtype=object),
        lambda x: {x.tobytes(), b"a"},
        lambda x: "x" * 500 + repr(x.tolist()),
        lambda x: np.random.default_rng(int(x.sum())),
        lambda x: torch.Generator().manual_seed(int(x.sum())),
    ],
)
def test_every_value_counts(wrap: Any) -> None:
    """Equal values have equal digests, and one changed byte however deep, or late in a list, another."""
    assert digest_of(wrap(FRAMES)) == digest_of(wrap(FRAMES.copy()))
    assert digest_of(wrap(FRAMES)) != digest_of(wrap(other(FRAMES)))


def test_what_is_no_value_of_an_array_counts_too() -> None:
    """Shape, dtype, type, order and attributes of subclasses tell objects apart."""
    assert digest_of(np.zeros(4, np.int32)) != digest_of(np.zeros(2, np.int64))
    assert digest_of(np.zeros((2, 2))) != digest_of(np.zeros(4))
    assert digest_of([1, 2]) != digest_of((1, 2))
    assert digest_of([1, 2]) != digest_of([2, 1])
    assert digest_of(1) != digest_of(True)
    assert digest_of(Slotted(1, hidden=1)) != digest_of(Slotted(1, hidden=2))
    noted = Listed([1])
    noted.note = FRAMES
    assert digest_of(noted) != digest_of(Listed([1]))


def test_a_path_is_what_lies_there(tmp_path: Path) -> None:
    """A model that gives the place of what it wrote is judged by that, in one file or in a folder of them."""
    file = tmp_path / "frames" / "0.png"
    file.parent.mkdir()
    for value in (file, str(file), [file], {"clip": str(file)}, file.parent):
        file.write_bytes(b"one")
        one = digest_of(value)
        assert digest_of(value) == one
        file.write_bytes(b"two")
        assert digest_of(value) != one
    assert digest_of("a red ball") == digest_of("a red ball")
    assert digest_of("a\0b" * 5000) != digest_of(tmp_path / "absent")


def test_a_module_is_its_weights() -> None:
    """Two modules with equal parameters and buffers are equal, whatever hooks they have."""
    one, two = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    two.register_forward_hook(lambda *args: None)
    assert digest_of(one) == digest_of(two)
    two(torch.ones(3, 2))
    assert digest_of(one) != digest_of(two)


def test_what_holds_itself_is_read_once() -> None:
    """A cycle ends."""
    one, two = Plain(None), Plain(None)
    one.value, two.value = [one], [two]
    assert digest_of(one) == digest_of(two)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Plain(threading.Lock()), "a lock at .value"),
        ([object()], r"a object at \[0\]"),
        ({"a": iter([1])}, r"a list_iterator at \['a'\]"),
        (Plain([torch.zeros(2, device="meta")]), r"a tensor at .value\[0\]"),
    ],
)
def test_what_cannot_be_read_is_never_equal(value: object, words: str) -> None:
    """Where values cannot be seen there is an error that says where, not a digest of the type's name."""
    with pytest.raises(UnreadableError, match=words):
        digest_of(value)
