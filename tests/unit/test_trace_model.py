"""Whether two things that were seen agree: yes, no, or not known."""

from __future__ import annotations

import pytest

from seedpin.trace.model import (
    Fingerprint,
    Record,
    Value,
    agree,
    all_agree,
    hashes_agree,
    names_a_path,
    weights_agree,
)

A = Fingerprint("a" * 32, "float32", (2,))
B = Fingerprint("b" * 32, "float32", (2,))
DEVICE = Fingerprint("a" * 16, "float32", (2,))
UNREAD = Fingerprint("", "float32", (2,), unread="on meta: it has no content")
PART = Fingerprint("a" * 32, "float32", (2,), unread="a Plain: its memory was read, not what else it holds")
OTHER_PART = Fingerprint("b" * 32, "float32", (2,), unread=PART.unread)


@pytest.mark.parametrize(
    ("golden", "here", "answer"),
    [
        (A, A, True),
        (A, B, False),
        (A, Fingerprint(A.hash, "float32", (2, 1)), False),
        (A, DEVICE, None),
        (DEVICE, DEVICE, True),
        (A, UNREAD, None),
        (UNREAD, UNREAD, None),
        (UNREAD, Fingerprint("", "float32", (3,), unread="a DTensor"), False),
        (PART, PART, None),
        (PART, A, None),
        (PART, B, None),
        (PART, OTHER_PART, False),
        (Value("1"), Value("1"), True),
        (Value("<Foo>"), Value("<Foo>"), None),
        (Value("<Foo>"), Value("<Bar>"), False),
        (Value("1"), A, False),
        (A, None, False),
    ],
)
def test_what_was_not_read_is_neither_equal_nor_different(
    golden: Fingerprint | Value, here: Fingerprint | Value | None, answer: bool | None
) -> None:
    """Only hashes of one kind are compared; a shape or dtype that differs is a difference all the same."""
    assert agree(golden, here) is answer
    assert agree(here, golden) is answer


def test_all_agree_needs_every_item_read() -> None:
    """One unread item makes the whole unknown, one that differs makes it different."""
    assert all_agree((("x", A),), (("x", A),)) is True
    assert all_agree((("x", A), ("y", UNREAD)), (("x", A), ("y", A))) is None
    assert all_agree((("x", B), ("y", UNREAD)), (("x", A), ("y", A))) is False
    assert all_agree((("x", A),), (("y", A),)) is False


def test_weights_agree_only_as_far_as_they_were_read() -> None:
    """Equal sums where some weights were not read are no agreement; different sums are a difference."""
    whole, other = (
        Record("module", "net", 0, 0, weights="a" * 32),
        Record("module", "net", 0, 0, weights="b" * 32),
    )
    assert weights_agree(whole, whole) is True
    assert weights_agree(whole, other) is False
    assert weights_agree(whole, Record("module", "net", 0, 0)) is False
    assert weights_agree(whole, Record("module", "net", 0, 0, weights=f"device:{'a' * 32}")) is None
    part = Record("module", "net", 0, 0, weights="a" * 32, unread=("net.bias",))
    assert weights_agree(part, part) is None
    assert weights_agree(part, whole) is None
    assert weights_agree(part, Record("module", "net", 0, 0, weights="b" * 32, unread=("net.bias",))) is False


def test_hashes_of_two_kinds_are_not_compared() -> None:
    """A hash of the host and one of a device tell nothing of each other."""
    assert hashes_agree("a" * 16, "a" * 16) is True
    assert hashes_agree("a" * 16, f"device:{'a' * 16}") is None
    assert hashes_agree("", "a" * 16) is None


@pytest.mark.parametrize(
    ("setting", "value", "path"),
    [
        ("_name_or_path", "'tiny'", True),
        ("name_or_path", "'org/model'", True),
        ("cache_dir", "None", True),
        ("checkpoint", "'x'", True),
        ("origin", "'/home/me/model'", True),
        ("origin", r"'C:\\models'", True),
        ("eps", "1e-05", False),
        ("path_dropout", "0.1", False),
        ("act_fn", "'gelu'", False),
    ],
)
def test_settings_that_hold_a_path_are_told(setting: str, value: str, path: bool) -> None:
    """A place on a disk says nothing of the code, by its name or by its value."""
    assert names_a_path(setting, value) is path
