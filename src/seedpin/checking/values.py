"""A digest over all values that an object holds, and an error where some cannot be read.

Unlike a trace's fingerprints it leaves nothing out: what two calls gave is called equal only if all of it is.
"""

from __future__ import annotations

import copyreg
import dataclasses
import hashlib
import struct
import types
from collections import deque
from collections.abc import Iterator, Mapping, Set
from enum import Enum
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch

from seedpin.pinning.generators import is_generator, state_of
from seedpin.trace.record.objects import own_attributes

_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.layout)
_NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)

_FILES = 10_000


class UnreadableError(Exception):
    """Some value cannot be read; the text says which."""


def digest_of(value: object) -> str:
    """Digest over every tensor, array, image and plain value in ``value``, however deep, and over the content
    of files that it, or one of its items, names.

    Raises UnreadableError for what gives no values: files, locks, iterators, objects of compiled classes.
    """
    digest = hashlib.sha256()
    for part in _parts(value, "", {}):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any, path: str, seen: dict[int, Any]) -> Iterator[bytes]:
    if isinstance(value, (Path, str)) and _is_result(path):
        yield from _contents(value)
    if isinstance(value, _PLAIN):
        yield f"{type(value).__name__}:{value!r}".encode("utf-8", "surrogatepass")
        return
    if isinstance(value, (Enum, PurePath, np.dtype)):
        yield f"{type(value).__name__}:{value}".encode("utf-8", "surrogatepass")
        return
    if isinstance(value, _NAMED):
        yield f"named:{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value)}".encode()
        return
    if id(value) in seen:
        yield f"again:{list(seen).index(id(value))}".encode()
        return
    seen[id(value)] = value  # kept, so that no other object gets its id
    yield type(value).__qualname__.encode()
    if isinstance(value, torch.Tensor):
        yield from _tensor(value, path)
    elif isinstance(value, (np.ndarray, np.generic)):
        yield from _array(np.asarray(value), path, seen)
    elif type(value).__module__.startswith("PIL."):
        yield from _parts(np.asarray(value), f"{path}.pixels", seen)
    elif is_generator(value):
        yield from _parts(state_of(value), f"{path}.state", seen)
    elif isinstance(value, torch.nn.Module):
        # Hooks and flags are of no matter, and some of them cannot be read.
        for kind in (value.named_parameters, value.named_buffers):
            for name, tensor in kind():
                yield from _parts((name, tensor), f"{path}.{name}", seen)
    else:
        yield from _object(value, path, seen)


def _is_result(path: str) -> bool:
    """Whether ``path`` is that of the object itself or of one of its items. What lies deeper may name a
    checkpoint, or a log that grows.
    """
    return "." not in path and path.count("[") <= 1


def _contents(given: Path | str) -> Iterator[bytes]:
    """What files hold: a call that gives a path has made what lies there."""
    place = Path(given)
    try:
        if isinstance(given, Path) and place.is_dir():
            files = list(islice(place.rglob("*"), _FILES + 1))
            if len(files) > _FILES:
                raise UnreadableError(f"a folder of more than {_FILES:,} files")
        else:
            files = [place]
        for file in sorted(files):
            if file.is_file():
                yield str(file).encode("utf-8", "surrogateescape")
                yield file.read_bytes()
    except ValueError:  # no path at all
        return
    except OSError as error:
        if isinstance(given, Path):
            raise UnreadableError(f"a file that cannot be read ({error})") from error


def _object(value: Any, path: str, seen: dict[int, Any]) -> Iterator[bytes]:
    known = False
    if isinstance(value, Mapping):
        known = True
        for key, item in value.items():
            yield from _parts(key, f"{path}.key", seen)
            yield from _parts(item, f"{path}[{key!r}]", seen)
    elif isinstance(value, BaseException):
        known = True
        yield from _parts(value.args, f"{path}.args", seen)
    elif isinstance(value, Set):
        known = True
        yield from sorted(digest_of(item).encode() for item in value)
    elif isinstance(value, (list, tuple, deque)):
        known = True
        for index, item in enumerate(value):
            yield from _parts(item, f"{path}[{index}]", seen)
    if not known and not _holds_only_attributes(type(value)):
        raise UnreadableError(f"a {type(value).__qualname__}{f' at {path}' if path else ''}")
    for name, item in sorted(_attributes(value).items()):
        yield name.encode()
        yield from _parts(item, f"{path}.{name}", seen)


def _holds_only_attributes(cls: type) -> bool:
    """Whether objects of ``cls`` have no memory beside their attributes: compiled classes have.

    The comparison is the one by which ``object.__reduce_ex__`` decides that something cannot be pickled.
    """
    pointer = struct.calcsize("P")
    places = len(copyreg._slotnames(cls))  # type: ignore[attr-defined]
    places += (cls.__dictoffset__ > 0) + (cls.__weakrefoffset__ > 0)
    size = object.__basicsize__ + pointer * places
    return cls is not object and cls.__itemsize__ == 0 and cls.__basicsize__ <= size


def _attributes(value: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name in ("__dict__", "__weakref__"):
                continue
            mangled = f"_{cls.__name__.lstrip('_')}{name}" if name.startswith("__") else name
            try:
                attributes[mangled] = object.__getattribute__(value, mangled)
            except AttributeError:
                continue
    attributes |= {str(name): item for name, item in (own_attributes(value) or {}).items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            if hasattr(value, field.name):
                attributes.setdefault(field.name, getattr(value, field.name))
    return attributes


def _tensor(value: torch.Tensor, path: str) -> Iterator[bytes]:
    yield f"{value.dtype}{tuple(value.shape)}".encode()
    try:
        flat = value.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
        yield flat.view(torch.uint8).numpy().tobytes()
    except (RuntimeError, NotImplementedError, TypeError, AttributeError) as error:
        raise UnreadableError(f"a tensor{f' at {path}' if path else ''} ({error})") from error


def _array(value: np.ndarray[Any, Any], path: str, seen: dict[int, Any]) -> Iterator[bytes]:
    yield f"{value.dtype.str}{value.shape}".encode()
    if value.dtype.hasobject:
        yield from _parts(value.tolist(), path, seen)
    else:
        yield np.ascontiguousarray(value).tobytes()
