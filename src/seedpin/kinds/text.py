"""The kind of ``golden_text``: texts, or token ids; exact, with a readable first difference.

A golden's file is JSON lines, each line of a text on a line of its own with the number of its text, so that a
change of the golden reads as a change of the text where commits are read.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from seedpin.clip.codec import RESTORE, read_bytes
from seedpin.clip.suspect import Suspicion
from seedpin.compare.measured import Metrics
from seedpin.compare.recorded import RecordedMetrics
from seedpin.errors import ClipError, DamagedGoldenError, EmptyClipError, UnsupportedClipError
from seedpin.kinds.base import Kind, Panel, Range
from seedpin.records import Facts
from seedpin.untrusted import parse_json

Tokens: TypeAlias = tuple[int, ...]

Entry: TypeAlias = "str | Tokens"

_AROUND = 24
"""Characters or tokens that are shown on either side of the first difference."""
_TAKEN = "pass a text, a list of texts, or token ids as a list of integers, an array or a tensor"
MOST_TEXTS = 1 << 20
_ROW = 16
"""Token ids on a line of a golden's file."""
_BEFORE = 3
"""Lines of a diff before and after what differs."""
_MOST_COMPARED = 2000
_MOST_LINES = 400
"""Lines of a diff that a report shows."""


@dataclass(frozen=True, slots=True)
class Texts:
    """What a model wrote, one entry for each prompt: texts, or sequences of token ids."""

    entries: tuple[str, ...] | tuple[Tokens, ...]
    form: str


@dataclass(frozen=True, slots=True)
class TextMetrics(Metrics):
    """Where two texts differ; there is no distance. ``differing`` are the entries, ``first`` a sentence."""

    total: int
    differing: tuple[int, ...]
    first: str

    @property
    def kind(self) -> str:
        return "text"

    def worst(self, name: str) -> tuple[int | str, float]:
        raise KeyError(name)  # a text has no metrics, and so no limits

    def summary(self) -> str:
        if not self.differing:
            return ""
        count = f"{len(self.differing)} of {self.total} texts differ. " if self.total > 1 else ""
        return count + self.first

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "summary": self.summary(),
            "worst": {},
            "entries": list(self.differing),
        }


class TextKind(Kind[Texts]):
    """``check(text)``: a text, a list of texts, or token ids (a list of integers or of such lists, an integer
    array or tensor of shape (tokens,) or (texts, tokens)). Compared exactly.

    Raises UnsupportedClipError for something else, EmptyClipError for an empty list.
    """

    name = "text"
    role = "text"
    extensions = frozenset({"jsonl"})
    opens = frozenset({".txt"})
    exports = frozenset({".txt"})
    fixtures = ("text",)
    word = "text"

    def adapt(self, obj: object, fixture: str = "", **how: Any) -> Texts:
        if how:
            raise ClipError(f"golden_text takes no {', '.join(how)}", hint="it takes the text alone")
        return _texts(obj)

    def open(self, path: Path) -> Texts:
        try:
            return _texts(path.read_bytes().decode("utf-8"))
        except UnicodeDecodeError as error:
            raise UnsupportedClipError(f"{path} is no UTF-8 text: {error}", hint="convert it") from error

    def facts(self, value: Texts) -> Facts:
        return {"texts": len(value.entries), "form": value.form}

    def items(self, value: Texts) -> Sequence[Any]:
        return [_array(entry) for entry in value.entries]

    def encode(self, value: Texts) -> tuple[str, bytes]:
        entries: Sequence[Entry] = value.entries
        lines = [
            json.dumps([index, part], ensure_ascii=False)
            for index, entry in enumerate(entries)
            for part in _parts(entry)
        ]
        return "jsonl", "".join(f"{line}\n" for line in lines).encode()

    def decode(
        self, source: str | PathLike[str] | bytes, extension: str, facts: Facts, value_range: Range | None
    ) -> Texts:
        data, what = read_bytes(source, may_be_empty=True)
        try:
            return _decoded(data, facts)
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedGoldenError(f"{what} cannot be decoded: {error}", hint=RESTORE) from error

    def count(self, facts: Facts) -> object:
        return facts.get("texts") or 0

    def compare(self, golden: Texts, obtained: Texts) -> TextMetrics:
        pairs: list[tuple[Entry, Entry]] = list(zip(golden.entries, obtained.entries, strict=True))
        differing = tuple(index for index, (old, new) in enumerate(pairs) if old != new)
        first = ""
        if differing:
            old, new = pairs[differing[0]]
            name = f"Text {differing[0]}" if len(pairs) > 1 else "The text"
            first = _first_difference(name, old, new)
        return TextMetrics(len(pairs), differing, first)

    def suspicions(self, value: Texts) -> tuple[Suspicion, ...]:
        """empty: a text without anything but white space, or without tokens."""
        empty = [
            index
            for index, entry in enumerate(value.entries)
            if not (entry.strip() if isinstance(entry, str) else entry)
        ]
        return (Suspicion("empty", f"text {empty[0]} is empty"),) if empty else ()

    def export(self, value: Texts, suffix: str, **how: Any) -> tuple[bytes, Sequence[str]]:
        """A single text as it is; of several, and of tokens, what a diff of them would show."""
        if suffix != ".txt" or how:
            return super().export(value, suffix, **how)
        first = value.entries[0]
        if isinstance(first, str) and len(value.entries) == 1:
            return first.encode(), ()
        return "".join(f"{line}\n" for line in _lines(value)).encode(), ()

    def panels(
        self, golden: Texts | None, obtained: Texts | None, metrics: RecordedMetrics | None
    ) -> Sequence[Panel]:
        """A diff, as far as there are two sides; else the text itself."""
        old, new = _lines(golden), _lines(obtained)
        if golden is None or obtained is None:
            label = "obtained" if golden is None else "golden"
            return [Panel(label, "text", rows=tuple((" ", line) for line in (new or old)[:_MOST_LINES]))]
        return [Panel("difference", "text", rows=tuple(_diff(old, new)[:_MOST_LINES]))]


TEXT = TextKind()


def _texts(obj: Any) -> Texts:
    if isinstance(obj, Texts):
        return obj
    if isinstance(obj, str):
        return _of_texts([obj])
    if hasattr(obj, "tolist"):
        obj = obj.tolist()
    if not isinstance(obj, (list, tuple)):
        raise UnsupportedClipError(f"no text can be read from a {type(obj).__name__}", hint=_TAKEN)
    if not obj:
        raise EmptyClipError("an empty list: there is no text", hint="check what the model returned")
    if all(isinstance(entry, str) for entry in obj):
        return _of_texts(obj)
    rows = [obj] if all(_is_id(entry) for entry in obj) else obj
    rows = [row.tolist() if hasattr(row, "tolist") else row for row in rows]
    if not all(isinstance(row, (list, tuple)) and all(_is_id(entry) for entry in row) for row in rows):
        raise UnsupportedClipError(f"a {type(obj).__name__} of what is no text and no token", hint=_TAKEN)
    return Texts(tuple(tuple(int(entry) for entry in row) for row in rows), "tokens")


def _of_texts(texts: Sequence[str]) -> Texts:
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UnsupportedClipError(
                f"a text holds half a character: {error}", hint="decode whole characters"
            ) from error
    return Texts(tuple(texts), "text")


def _parts(entry: Entry) -> Sequence[Any]:
    """A text's lines with their ends, or token ids in rows."""
    if isinstance(entry, str):
        return entry.splitlines(keepends=True)
    return [entry[start : start + _ROW] for start in range(0, len(entry), _ROW)]


def _decoded(data: bytes, facts: Facts) -> Texts:
    """Raises ValueError, TypeError or KeyError for what no text of these facts was kept as."""
    count, form = facts["texts"], facts["form"]
    if type(count) is not int or not 1 <= count <= MOST_TEXTS or form not in ("text", "tokens"):
        raise ValueError(f"its facts are {dict(facts)}")
    parts: list[list[Any]] = [[] for _ in range(count)]
    for line in data.split(b"\n")[:-1]:
        index, part = parse_json(line)
        good = isinstance(part, str) if form == "text" else isinstance(part, list) and all(map(_is_id, part))
        if type(index) is not int or not 0 <= index < count or not good:
            raise ValueError(f"a line is {line[:60]!r}")
        parts[index].append(part)
    if form == "text":
        return Texts(tuple("".join(lines) for lines in parts), form)
    return Texts(tuple(tuple(token for row in rows for token in row) for rows in parts), form)


def _is_id(value: object) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and bool(-(2**63) <= value < 2**63)  # type: ignore[operator]


def _array(entry: Entry) -> Any:
    if isinstance(entry, str):
        return np.frombuffer(entry.encode(), np.uint8)
    return np.array(entry, np.int64)


def _first_difference(name: str, old: Entry, new: Entry) -> str:
    at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    if isinstance(old, str) and isinstance(new, str):
        line, column = old.count("\n", 0, at) + 1, at - (old.rfind("\n", 0, at) + 1) + 1
        place = f"line {line}, column {column} (character {at})"
        return f"{name} differs from {place} on: {_window(old, at)} in the golden, {_window(new, at)} here."
    assert not isinstance(old, str)
    assert not isinstance(new, str)
    return f"{name} differs from token {at} on: {_ids(old, at)} in the golden, {_ids(new, at)} here."


def _window(text: str, at: int) -> str:
    """The text around a character, quoted; dots stand for what is left out."""
    first, last = max(at - _AROUND, 0), at + _AROUND
    shown = repr(text[first:last])
    if at >= len(text):
        shown = f"{shown} and its end"
    return f"{'...' if first else ''}{shown}{'...' if last < len(text) else ''}"


def _ids(tokens: Tokens, at: int) -> str:
    """The tokens around one, which stands in brackets."""
    around = _AROUND // 4
    first, last = max(at - around, 0), at + around
    shown = [
        f"[{token}]" if index == at else str(token)
        for index, token in enumerate(tokens[:last])
        if index >= first
    ]
    end = "..." if last < len(tokens) else "[end]" if at >= len(tokens) else ""
    return " ".join([*(["..."] if first else []), *shown, *([end] if end else [])])


def _diff(old: list[str], new: list[str]) -> list[tuple[str, str]]:
    """Marks and lines from the first difference on. A diff takes time by the square of what it compares."""
    pairs = enumerate(zip(old, new, strict=False))
    start = max(next((at for at, (a, b) in pairs if a != b), min(len(old), len(new))) - _BEFORE, 0)
    one, other = (lines[start : start + _MOST_COMPARED] for lines in (old, new))
    rows = []
    for line in list(difflib.unified_diff(one, other, lineterm="", n=_BEFORE))[2:]:
        first = re.match(r"@@ -(\d+)", line)
        rows.append(("@", f"line {start + int(first[1])}") if first else (line[0], line[1:]))
    return rows


def _lines(value: Texts | None) -> list[str]:
    """All entries as lines for a diff: of texts their own, of tokens one a line."""
    lines: list[str] = []
    entries = () if value is None else value.entries
    for index, entry in enumerate(entries):
        lines += [f"-- text {index}"] if len(entries) > 1 else []
        lines += entry.splitlines() if isinstance(entry, str) else map(str, entry)
    return lines
