"""A trace as bytes, and back.

Layout: magic, version, xxh3_64 of the rest, then zlib over: length of a JSON head, the head,
and columns. The same trace always gives the same bytes. Hashes are stored once per distinct tensor, sketches
as float32 with the bytes of one significance side by side, which compresses better.

Version 2 adds what was not read, sampling loops and rewritten weights. Version 1 is read: it hashed the
weights of a module in the order of their registration; these hashes get a mark, and match no others.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from seedpin.errors import TraceError
from seedpin.trace.model import (
    FORMAT_1,
    RECORD_KINDS,
    Argument,
    Fingerprint,
    Given,
    Level,
    ModuleInfo,
    Record,
    Seen,
    Sketch,
    Trace,
    Value,
)

VERSION = 2
_MAGIC = b"SPTRACE\x00"
_HEADER = struct.Struct("<8sHQ")
_MAX_BYTES = 1 << 28  # Of a trace when unpacked: a hostile file shall not fill the memory.


_COLUMNS = ("kind", "name", "call", "depth", "stage", "step", "weights", "site", "extra", "in", "out")
_NEW_COLUMNS = ("loop", "unread", "rewritten")
_NOT_READ = "an older version of seedpin did not read it"


class _Strings:
    """Texts by number, in order of first use."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.index.setdefault(text, len(self.index))


def to_bytes(trace: Trace) -> bytes:
    """Serialise; deterministic, compressed."""
    strings, shapes = _Strings(), _Strings()
    strings("")  # Number 0: where a record has nothing to tell.
    seen: dict[tuple[Seen, int], int] = {}
    table: list[Seen] = []

    def number(item: Seen) -> int:
        # Sketches are no part of equality, so that their presence must be part of the key.
        samples = len(item.sketch.samples) + 1 if isinstance(item, Fingerprint) and item.sketch else 0
        key = (item, samples)
        if key not in seen:
            seen[key] = len(table)
            table.append(item)
        return seen[key]

    columns: dict[str, list[int]] = {key: [] for key in (*_COLUMNS, *_NEW_COLUMNS)}
    arguments: list[int] = []
    argument_names: list[int] = []
    for record in trace.records:
        columns["kind"].append(RECORD_KINDS.index(record.kind))
        columns["name"].append(strings(record.name))
        columns["call"].append(record.call)
        columns["depth"].append(record.depth)
        columns["stage"].append(strings(record.stage))
        columns["step"].append(0 if record.step is None else record.step + 1)
        columns["weights"].append(strings(record.weights))
        columns["site"].append(strings(record.site))
        columns["extra"].append(strings(json.dumps(dict(record.extra), sort_keys=True)))
        columns["loop"].append(0 if record.loop is None else record.loop + 1)
        columns["unread"].append(strings(json.dumps(record.unread)) if record.unread else 0)
        columns["rewritten"].append(strings(json.dumps(record.rewritten)) if record.rewritten else 0)
        for side, items in (("in", record.inputs), ("out", record.outputs)):
            columns[side].append(len(items))
            for name, item in items:
                argument_names.append(strings(name))
                arguments.append(number(item))
    fingerprints = [item for item in table if isinstance(item, Fingerprint)]
    sketches = [item.sketch for item in fingerprints if item.sketch is not None]
    kinds, sizes, floats = [], [], []
    for item in table:
        if isinstance(item, Value):
            kinds.append(0)
            sizes.append(strings(item.text))
            continue
        kinds.append(1 + (0 if item.sketch is None else 1 + len(item.sketch.samples)))
        sizes.append(shapes(json.dumps([item.unread, item.dtype, *item.shape, len(item.hash)])))
    for sketch in sketches:
        floats += [sketch.norm, sketch.mean, sketch.abs_max, sketch.dot, *sketch.samples]
    head = {
        "level": trace.level,
        "strings": list(strings.index),
        "shapes": [json.loads(text) for text in shapes.index],
        "modules": [[info.name, info.cls, dict(info.config)] for info in trace.modules],
        "weights": dict(trace.weights),
        "unread": dict(trace.unread),
        "notes": list(trace.notes),
        "meta": dict(trace.meta),
        **({} if trace.calls is None else {"calls": _given_as_json(trace.calls)}),
        "records": len(trace.records),
        "arguments": len(arguments),
        "table": len(table),
        "floats": len(floats),
    }
    blob = json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
    parts = [struct.pack("<I", len(blob)), blob]
    # The order is the format. Columns of version 2 follow those of version 1.
    numbers = [*columns.values(), argument_names, arguments, kinds, sizes]
    parts += [_pack(np.array(column, "<u4")) for column in numbers]
    parts.append(_pack(np.array(floats, "<f4")))
    parts.append(bytes.fromhex("".join(item.hash for item in fingerprints)))
    body = zlib.compress(b"".join(parts), 6)
    return _HEADER.pack(_MAGIC, VERSION, xxh3_64_intdigest(body)) + body


def _pack(column: npt.NDArray[Any]) -> bytes:
    return bytes(column.view(np.uint8).reshape(-1, 4).T.tobytes())


def from_bytes(data: bytes) -> Trace:
    """Read what ``to_bytes`` wrote. Raises TraceError for damage, another file, or a newer version."""
    again = "restore the file, or write it anew with pytest --update-golden"
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        raise TraceError("this is no trace of seedpin.", hint=again)
    _, version, digest = _HEADER.unpack_from(data)
    if version > VERSION:
        raise TraceError(
            f"the trace has format {version}; this seedpin reads up to {VERSION}.", hint="upgrade seedpin"
        )
    body = data[_HEADER.size :]
    # It tells damage only. A file that somebody made up has a digest to match: hence the limit on what it may
    # unpack to, and the checks of every value below.
    if xxh3_64_intdigest(body) != digest:
        raise TraceError("the trace is damaged: its digest does not match.", hint=again)
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(body, _MAX_BYTES)
        if not unpacker.eof:
            raise ValueError("it unpacks to more than a trace holds, or is cut short")
        return _read(raw, version)
    except (
        *(zlib.error, struct.error, ValueError, LookupError, TypeError, AttributeError),
        *(OverflowError, RecursionError),
    ) as error:
        raise TraceError(f"the trace is damaged: {error}.", hint=again) from error


def _read(raw: bytes, version: int) -> Trace:
    (length,) = struct.unpack_from("<I", raw)
    head = json.loads(raw[4 : 4 + length])
    position = 4 + length

    def column(count: int, dtype: str = "<u4") -> list[Any]:
        nonlocal position
        if type(count) is not int or not 0 <= 4 * count <= len(raw) - position:
            raise ValueError("a count is none, or larger than the trace")
        part = np.frombuffer(raw, np.uint8, 4 * count, position)
        position += 4 * count
        return cast(
            "list[Any]", np.ascontiguousarray(part.reshape(4, count).T).view(dtype).reshape(-1).tolist()
        )

    strings = _texts(head["strings"])
    shapes: list[list[Any]] = head["shapes"]
    columns = [column(head["records"]) for _ in _COLUMNS]
    if version == 1:
        columns += [[0] * head["records"] for _ in _NEW_COLUMNS]
    else:
        columns += [column(head["records"]) for _ in _NEW_COLUMNS]
    argument_names, arguments = column(head["arguments"]), column(head["arguments"])
    kinds, sizes = column(head["table"]), column(head["table"])
    floats = column(head["floats"], "<f4")
    table: list[Seen] = []
    at = 0
    for kind, size in zip(kinds, sizes, strict=True):
        if kind == 0:
            table.append(Value(strings[size]))
            continue
        unread, dtype, *shape, digits = shapes[size] if version > 1 else ["", *shapes[size]]
        if version == 1 and not digits:
            unread = _NOT_READ
        sketch = None
        if kind > 1:
            norm, mean, abs_max, dot, *samples = floats[at : at + 4 + kind - 2]
            at += 4 + kind - 2
            sketch = Sketch(norm, mean, abs_max, dot, tuple(samples))
        digest = raw[position : position + digits // 2].hex()
        position += digits // 2
        if len(digest) != digits:
            raise ValueError("hashes are cut short")
        _texts([unread, dtype])
        if not all(type(side) is int and side >= 0 for side in shape):
            raise ValueError(f"shape {shape!r}")
        table.append(Fingerprint(digest, dtype, tuple(shape), sketch, unread))
    taken = 0

    def take(count: int) -> tuple[Argument, ...]:
        nonlocal taken
        start, taken = taken, taken + count
        return tuple((strings[argument_names[i]], table[arguments[i]]) for i in range(start, taken))

    extras = [_mapping(json.loads(strings[index])) for index in columns[_COLUMNS.index("extra")]]
    records = []
    for row, extra in zip(zip(*columns, strict=True), extras, strict=True):
        kind, name, call, depth, stage, step, weights, site, _, inputs, outputs, loop, unread, new = row
        hashed = strings[weights]
        records.append(
            Record(
                *(RECORD_KINDS[kind], strings[name], call, depth, strings[stage], step - 1 if step else None),
                inputs=take(inputs),
                outputs=take(outputs),
                weights=f"{FORMAT_1}{hashed}" if version == 1 and hashed else hashed,
                site=strings[site],
                extra=extra,
                loop=loop - 1 if loop else None,
                unread=tuple(_texts(json.loads(strings[unread]))) if unread else (),
                rewritten=tuple((name, text) for name, text in json.loads(strings[new])) if new else (),
            )
        )
    level = cast("Level", _text(head["level"]))
    if level not in get_args(Level):
        raise ValueError(f"unknown level {level!r}")
    modules = tuple(
        ModuleInfo(_text(name), _text(cls), _mapping(config)) for name, cls, config in head["modules"]
    )
    _texts(list(head["weights"].values()))
    weights = {name: text for name, text in head["weights"].items() if text}
    unread_weights = {name: _NOT_READ for name in head["weights"] if name not in weights}
    return Trace(
        level,
        tuple(records),
        modules,
        weights,
        tuple(_texts(head["notes"])),
        _mapping(head["meta"]),
        unread=unread_weights | _mapping(head.get("unread", {})),
        calls=_given(head.get("calls")),
    )


def _given_as_json(calls: Sequence[Given]) -> list[Any]:
    """The calls' arguments as plain data."""
    return [
        [given.name, [[name, *_seen(seen)] for name, seen in given.arguments], list(given.defaults)]
        for given in calls
    ]


def _seen(seen: Seen) -> list[Any]:
    if isinstance(seen, Value):
        return [seen.text]
    return [seen.hash, seen.dtype, list(seen.shape), seen.unread]


def _given(data: Any) -> tuple[Given, ...] | None:
    """The calls' arguments; None where an older trace has none. Raises ValueError for anything else."""
    if data is None:
        return None
    try:
        return tuple(
            Given(_text(name), tuple(map(_argument, rows)), tuple(map(_text, defaults)))
            for name, rows, defaults in data
        )
    except TypeError as error:
        raise ValueError("the calls' arguments are none") from error


def _argument(row: Any) -> Argument:
    name, first, *rest = row
    if not rest:
        return _text(name), Value(_text(first))
    dtype, shape, unread = rest
    if not all(type(side) is int for side in shape):
        raise ValueError(f"shape {shape!r}")
    return _text(name), Fingerprint(_text(first), _text(dtype), tuple(shape), None, _text(unread))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text is none")
    return value


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError("a list of texts is none")
    return value


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("an object is none")
    return value
