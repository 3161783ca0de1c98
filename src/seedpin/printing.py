"""Text that others named, as it may be printed anywhere. Below everything else: errors print with it."""

from __future__ import annotations

import re

# Control characters (escape codes begin with one), marks that turn the direction of text, separators of lines
# and paragraphs, characters of no width, and halves of characters, which no stream takes.
_TRICKS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
# What GitHub takes for a command where it begins a line of a step's output.
_COMMAND = re.compile(r"(?<=\n)(?=[ \t]*(::|##\[))")


def printable(text: object, *, lines: bool = False) -> str:
    """``text`` as it may be printed anywhere: what could move a cursor, hide or reorder text is spelled out.

    One line; with ``lines`` line feeds and tabs stay, but none begins a line that a CI system would obey.
    """
    shown = str(text)
    if not lines:
        return _TRICKS.sub(_spelled, shown)
    kept = _TRICKS.sub(lambda match: match[0] if match[0] in "\n\t" else _spelled(match), shown)
    return _COMMAND.sub("|", kept)


def printable_json(text: str) -> str:
    """JSON as it may be printed: the same value, with what ``printable`` spells out as ``\\uXXXX``."""
    return _TRICKS.sub(lambda match: match[0] if match[0] == "\n" else f"\\u{ord(match[0]):04x}", text)


def type_name(value: object) -> str:
    """The name of a value's class, with its module where that is not Python's own."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _spelled(match: re.Match[str]) -> str:
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(match[0])
    code = ord(match[0])
    return named or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
