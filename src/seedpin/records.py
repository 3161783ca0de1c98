"""Records that are stored or sent: frozen dataclasses, read strictly by their types, written as plain data.

The types are the check. A value of another type, a field that is absent and a number or text that cannot be
written again are refused with the place where they stand; fields that a type does not know are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path, PurePath
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

from seedpin.untrusted import parse_json

T = TypeVar("T")

Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Digest = Annotated[str, msgspec.Meta(pattern=r"\Asha256:[0-9a-f]{1,64}\Z")]

Scalar: TypeAlias = str | Integer | float | bool | None
_Inner: TypeAlias = Scalar | Sequence[Scalar] | Mapping[str, Scalar | Sequence[Scalar]]
Fact: TypeAlias = Scalar | Sequence[_Inner] | Mapping[str, _Inner]
Facts: TypeAlias = Mapping[str, Fact]
"""What kinds say of their values, by name: scalars, and lists and tables of them, three deep at most."""

_WORDS = {
    "str": "text",
    "int": "integer",
    "float": "number",
    "bool": "true or false",
    "array": "list",
    "null": "null",
}


def whole(facts: Facts, key: str) -> int:
    """A fact that is a number, as a whole one; 0 where there is none."""
    value = facts.get(key)
    return int(value) if isinstance(value, (int, float)) else 0


class RecordError(ValueError):
    """JSON, or plain data, that is no record of the wanted type; the text says where and why."""


def read_record(kind: type[T], raw: bytes | str) -> T:
    """The record of type ``kind`` that the JSON ``raw`` holds.

    Raises:
        ValueError: it is no JSON.
        RecordError: it is not such a record; the text says where, as ``margins[0].value``.
    """
    key: Any = kind  # mypy does not take a type for hashable
    try:
        decoded: T = _decoder(key).decode(raw)
    except RecursionError:
        raise RecordError("values lie too deep in each other") from None
    except msgspec.ValidationError as error:
        raise RecordError(_said(str(error))) from None
    except msgspec.DecodeError:
        parse_json(raw)  # says it in words
        raise
    return decoded


def as_record(kind: type[T], data: object) -> T:
    """The record of type ``kind`` that plain data is, as ``as_plain`` gave it. Raises RecordError."""
    try:
        return msgspec.convert(data, kind, dec_hook=_decoded)
    except RecursionError:
        raise RecordError("values lie too deep in each other") from None
    except msgspec.ValidationError as error:
        raise RecordError(_said(str(error))) from None


def as_plain(record: object) -> dict[str, object]:
    """A record as dicts, lists, tuples, texts, numbers, booleans and None; paths become texts."""
    plain: dict[str, object] = msgspec.to_builtins(record, enc_hook=_encoded)
    return plain


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, dec_hook=_decoded)


def _decoded(kind: type, value: Any) -> Any:
    if issubclass(kind, Path) and isinstance(value, str):
        return kind(value)
    raise ValueError(f"Expected `str`, got `{type(value).__name__}`")


def _encoded(value: Any) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"a {type(value).__name__} is in no record")


def _said(message: str) -> str:
    """msgspec's message in this house's words: ``margins[0].value is no number or null``."""
    what, _, place = message.partition(" - at `$")
    place = place.rstrip("`").lstrip(".")
    what = re.sub(r"^Expected `str` matching regex '(.*)'$", r"the text does not match \1", what)
    absent = re.fullmatch(r"Object missing required field `(.*)`", what)
    if absent is not None:
        return f"{place}.{absent[1]} is absent".lstrip(".")
    expected = re.fullmatch(r"Expected `([^`]*)`, got .*", what)
    if expected is not None:
        words = " or ".join(_WORDS.get(word, word) for word in expected[1].split(" | "))
        return f"{place or 'it'} is no {words}"
    return f"{place}: {what}" if place else what
