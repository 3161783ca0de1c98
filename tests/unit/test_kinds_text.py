"""Tests of seedpin.kinds.text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedpin.errors import ClipError, DamagedGoldenError, EmptyClipError, UnsupportedClipError
from seedpin.kinds.text import TEXT, Texts

STORY = "Once upon a time\nthere was a red ball.\nIt rolled away.\n"


@pytest.mark.parametrize(
    ("obj", "entries"),
    [
        ("a", ("a",)),
        (["a", "b\n"], ("a", "b\n")),
        (("a",), ("a",)),
        ([1, 2], ((1, 2),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
        (np.array([1, 2], np.int32), ((1, 2),)),
        (torch.tensor([[1, 2], [3, 4]]), ((1, 2), (3, 4))),
        ([torch.tensor([1, 2]), np.array([3])], ((1, 2), (3,))),
        ([[]], ((),)),
    ],
)
def test_texts_and_token_ids_are_taken(obj: Any, entries: tuple[Any, ...]) -> None:
    """A text or several, token ids of one or of several, from lists, arrays and tensors."""
    value = TEXT.adapt(obj)
    assert value.entries == entries
    assert value.form == ("text" if isinstance(entries[0], str) else "tokens")


@pytest.mark.parametrize(
    ("obj", "error"),
    [
        ([], EmptyClipError),
        (None, UnsupportedClipError),
        (1.5, UnsupportedClipError),
        ([1.5], UnsupportedClipError),
        ([True], UnsupportedClipError),
        (["a", 1], UnsupportedClipError),
        (torch.ones(3), UnsupportedClipError),
        (torch.tensor(3), UnsupportedClipError),
        ("\ud800", UnsupportedClipError),
        ([2**70], UnsupportedClipError),
        ({"a": 1}, UnsupportedClipError),
    ],
)
def test_what_is_no_text_is_refused(obj: Any, error: type[ClipError]) -> None:
    """Nothing is turned to text that is none."""
    with pytest.raises(error):
        TEXT.adapt(obj)


def test_form_and_number_are_facts_and_length_is_none() -> None:
    """A text against tokens, or one text against two, cannot be compared; a longer text can."""
    assert TEXT.facts(TEXT.adapt("a")) == TEXT.facts(TEXT.adapt("abc")) == {"texts": 1, "form": "text"}
    assert TEXT.facts(TEXT.adapt([1])) != TEXT.facts(TEXT.adapt("1"))
    assert TEXT.digests(TEXT.adapt("a")) != TEXT.digests(TEXT.adapt([97]))


@pytest.mark.parametrize(
    "value",
    [
        TEXT.adapt([STORY, "", "no end\r", "\u2028 \x0b \U0001f600 \\n \"'"]),
        TEXT.adapt([list(range(100)), [], [-(2**63), 2**63 - 1]]),
    ],
)
def test_texts_come_back_as_they_were(value: Texts) -> None:
    """Line ends of every sort, no line end, empty entries and the largest integers survive."""
    extension, data = TEXT.encode(value)
    assert TEXT.decode(data, extension, TEXT.facts(value), None) == value


def test_a_golden_s_file_reads_line_by_line() -> None:
    """Each line of the text is a line of the file, so that version control shows what changed."""
    assert TEXT.encode(TEXT.adapt("red\nball"))[1] == b'[0, "red\\n"]\n[0, "ball"]\n'


@pytest.mark.parametrize(
    "data",
    [
        b"[0, 1]\n",
        b'[1, "a"]\n',
        b'[0, "a", 2]\n',
        b'{"a": 1}\n',
        b'[true, "a"]\n',
        b"[0, [1]]\n",
        b"x\n",
        b"\xff\n",
    ],
)
def test_a_file_that_seedpin_never_writes_is_damage(data: bytes) -> None:
    """Lines of another form, another text's number, tokens in a text: each is refused."""
    with pytest.raises(DamagedGoldenError, match="cannot be decoded"):
        TEXT.decode(data, "jsonl", {"texts": 1, "form": "text"}, None)


@pytest.mark.parametrize("count", [0, -1, 10**12, True, "1", None])
def test_a_number_of_texts_that_is_none_is_damage(count: Any) -> None:
    """Nothing is allocated for what the facts claim."""
    with pytest.raises(DamagedGoldenError, match="cannot be decoded"):
        TEXT.decode(b"", "jsonl", {"texts": count, "form": "text"}, None)


def difference(old: Any, new: Any) -> str:
    return TEXT.compare(TEXT.adapt(old), TEXT.adapt(new)).summary()


def test_the_first_difference_is_named_with_what_stands_around_it() -> None:
    """Line and column are counted from 1; both sides are shown."""
    assert difference(STORY, STORY.replace("red", "blue")) == (
        "The text differs from line 2, column 13 (character 29) on: "
        "...'upon a time\\nthere was a red ball.\\nIt rolled away'... in the golden, "
        "...'upon a time\\nthere was a blue ball.\\nIt rolled awa'... here."
    )
    assert difference("abc", "ab").endswith("'abc' in the golden, 'ab' and its end here.")
    assert difference(["a", "b", "c"], ["a", "x", "y"]).startswith(
        "2 of 3 texts differ. Text 1 differs from "
    )
    assert difference("a", "a") == ""


def test_the_first_token_that_differs_is_named() -> None:
    """Tokens are counted from 0; the one that differs stands in brackets."""
    old = list(range(50))
    new = [*old[:20], 7, *old[21:]]
    assert difference(old, new) == (
        "The text differs from token 20 on: ... 14 15 16 17 18 19 [20] 21 22 23 24 25 ... in the golden, "
        "... 14 15 16 17 18 19 [7] 21 22 23 24 25 ... here."
    )
    assert difference([1, 2], [1]).endswith("1 [2] in the golden, 1 [end] here.")


def test_the_report_shows_a_diff() -> None:
    """Lines that left and came, with what stands around them; without a golden the text itself."""
    old, new = TEXT.adapt(STORY), TEXT.adapt(STORY.replace("red", "blue"))
    (panel,) = TEXT.panels(old, new, None)
    assert [row for row in panel.rows if row[0] in "+-"] == [
        ("-", "there was a red ball."),
        ("+", "there was a blue ball."),
    ]
    assert panel.rows[0] == ("@", "line 1")
    long = [f"line {at}" for at in range(5000)]
    changed = [*long[:4000], "x", *long[4001:4100], "y", *long[4101:]]
    (panel,) = TEXT.panels(TEXT.adapt("\n".join(long)), TEXT.adapt("\n".join(changed)), None)
    assert [row for row in panel.rows if row[0] == "@"] == [("@", "line 3998"), ("@", "line 4098")]
    (panel,) = TEXT.panels(None, new, None)
    assert (panel.label, panel.rows[1]) == ("obtained", (" ", "there was a blue ball."))


def test_an_empty_text_is_suspicious() -> None:
    """Nothing but white space, or no token, is not what a model was meant to write."""
    assert [one.message for one in TEXT.suspicions(TEXT.adapt(["a", " \n"]))] == ["text 1 is empty"]
    assert TEXT.suspicions(TEXT.adapt([[1], []]))
    assert not TEXT.suspicions(TEXT.adapt(STORY))


def test_a_text_file_can_be_compared(tmp_path: Path) -> None:
    """UTF-8 is read as it is, line ends too; other bytes are no text."""
    path = tmp_path / "a.txt"
    path.write_bytes("drei\r\n\u00e4".encode())
    assert TEXT.open(path).entries == ("drei\r\n\u00e4",)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UnsupportedClipError, match="no UTF-8"):
        TEXT.open(path)
