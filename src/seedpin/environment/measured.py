"""What a canary's keys mean: ``canary.sqrt.float32`` holds a digest of what sqrt computes in float32.

A value is the version of the family's definition, a colon, and a digest (``1:9f86d081884c7d65``) or
:data:`UNAVAILABLE`. Only digests of one version are compared. This module imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

PREFIX = "canary."
HOST = "host-"
"""Before a family's name: measured on the CPU, beside an accelerator."""
NUMPY = "numpy-"
UNAVAILABLE = "n/a"
"""The device cannot do it in this dtype, or the pin refuses it."""

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "sqrt": "sqrt",
        "rsqrt": "rsqrt",
        "pow": "pow",
        "exp": "exp",
        "log": "log",
        "log10": "log10",
        "tanh": "tanh",
        "sigmoid": "sigmoid",
        "erf": "erf",
        "sin": "sin and cos",
        "tan": "tan",
        "arc": "asin, acos and atan",
        "gelu": "GELU",
        "silu": "SiLU",
        "arithmetic": "division and multiply-add",
        "denormals": "denormal numbers",
        "complex": "complex products",
        "matmul": "matrix products",
        "linear": "linear layers",
        "conv2d": "conv2d",
        "conv3d": "conv3d",
        "attention": "attention",
        "attention-math": "attention (math back end)",
        "attention-flash": "attention (flash back end)",
        "attention-efficient": "attention (memory-efficient back end)",
        "attention-cudnn": "attention (cuDNN back end)",
        "norms": "norms",
        "softmax": "softmax",
        "reductions": "sums and means",
        "cumsum": "cumulative sums",
        "cumprod": "cumulative products",
        "schedule": "linspace and logspace",
        "interpolation": "interpolation",
        "grid_sample": "grid_sample",
        "fft": "FFT",
        "linalg": "linear algebra",
        "randn": "randn",
        "rand": "rand",
        "randint": "randint",
        "numpy-exp": "NumPy's exp",
        "numpy-log": "NumPy's log",
        "numpy-sin": "NumPy's sin and cos",
        "numpy-power": "NumPy's power",
        "numpy-matmul": "NumPy's matrix products",
        "numpy-reductions": "NumPy's sums",
        "numpy-random": "NumPy's random numbers",
        "antialias": "antialiased interpolation",
    }
)
_MOST = 4  # families that a sentence names


def is_measured(key: str) -> bool:
    return key.startswith(PREFIX)


def measured_key(family: str, dtype: str) -> str:
    return f"{PREFIX}{family}.{dtype}"


def measured_value(version: int, digest: str) -> str:
    return f"{version}:{digest}"


def comparable(golden: str | None, here: str | None) -> bool:
    """Whether two values of one key were measured, and by the same definition.

    What one side cannot do explains no other bits: a model that needed it would have failed there.
    """
    if golden is None or here is None:
        return False
    (old, _, result), (new, _, other) = golden.partition(":"), here.partition(":")
    return old == new and UNAVAILABLE not in (result, other)


def family_of(key: str) -> str:
    return key.removeprefix(PREFIX).rpartition(".")[0]


def family_words(family: str) -> str:
    """A family as people read it; of a family that this version does not know, its name."""
    own = family.removeprefix(HOST)
    said = WORDS.get(own, own.replace("-", " "))
    return f"{said} on the CPU" if family.startswith(HOST) else said


def in_words(key: str) -> str:
    """``sqrt in float32`` for ``canary.sqrt.float32``; any other key as it is."""
    if not is_measured(key):
        return key
    return f"{family_words(family_of(key))} in {key.rpartition('.')[2]}"


def families_in_words(keys: Iterable[str], most: int = _MOST) -> str:
    """``sqrt in float32 and float64, pow in float32``: one entry a family, the roots of others first."""
    dtypes: dict[str, list[str]] = {}
    order = [*WORDS]
    for key in sorted(keys, key=lambda key: _place(order, family_of(key))):
        dtypes.setdefault(family_of(key), []).append(key.rpartition(".")[2])
    parts = [f"{family_words(name)} in {_listed(dtype_names)}" for name, dtype_names in dtypes.items()]
    shown = parts[:most] if len(parts) > most + 1 else parts
    more = len(parts) - len(shown)
    return ", ".join(shown) + f" and {more} more" if more else _joined(shown)


def things_in_words(keys: Iterable[str]) -> str:
    """Keys of any sort, ``torch, threads, sqrt in float32``: settings first, operations by family."""
    listed = list(keys)
    named = [key for key in listed if not is_measured(key)]
    parted = families_in_words(key for key in listed if is_measured(key))
    return ", ".join([*named, *([parted] if parted else [])])


def _place(order: list[str], family: str) -> int:
    own = family.removeprefix(HOST)
    return order.index(own) if own in order else len(order)


def _joined(parts: list[str]) -> str:
    """Parts that may hold "and" themselves."""
    return ", ".join(parts[:-1]) + f", and {parts[-1]}" if len(parts) > 1 else "".join(parts)


def _listed(parts: list[str]) -> str:
    return " and ".join((", ".join(parts[:-1]), parts[-1])) if len(parts) > 1 else "".join(parts)


def agreeing(golden: Mapping[str, str], here: Mapping[str, str]) -> int | None:
    """How many families gave equal digests on both sides and no other one; None where none was compared.

    ``golden`` and ``here`` hold values by key; keys of other things are passed over.
    """
    equal: dict[str, bool] = {}
    for key in golden.keys() & here.keys():
        old, new = golden[key], here[key]
        if not is_measured(key) or not comparable(old, new):
            continue
        family = family_of(key)
        equal[family] = equal.get(family, True) and old == new
    return sum(equal.values()) if equal else None
