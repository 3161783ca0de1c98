"""Traces built from records by hand, to ask what is said of them."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

from seedpin.trace.diff.divergence import Divergence
from seedpin.trace.diff.locate import first_divergence
from seedpin.trace.model import Argument, Fingerprint, Record, RecordKind, Trace, Value

LATENTS = (1, 4, 8, 8)


def bits(content: str, shape: tuple[int, ...] = LATENTS, dtype: str = "float32") -> Fingerprint:
    """A fingerprint that is the same for the same content."""
    return Fingerprint(sha256(f"{content} {dtype} {shape}".encode()).hexdigest()[:32], dtype, shape)


def call(
    kind: RecordKind, name: str, inputs: dict[str, Any] | None = None, output: Any = None, **more: Any
) -> Record:
    slots: tuple[Argument, ...] = tuple((inputs or {}).items())
    return Record(
        kind,
        name,
        more.pop("call", 0),
        more.pop("depth", 0),
        inputs=slots,
        outputs=(("", output if output is not None else bits(name)),),
        **more,
    )


def draw(
    output: Fingerprint,
    *,
    name: str = "torch.randn",
    generator: str = "global cpu",
    state: str = "s0",
    function: str = "prepare_latents",
    **inputs: Any,
) -> Record:
    extra = {"generator": generator, "in": f"{function} < __call__", "device": "cpu"}
    seen = {"generator": Value(state), **inputs}
    return call("draw", name, seen, output, extra=extra, site="pipeline.py:355")


CLIP = call("clip", "clip", output=bits("frames"))
CHANGED = replace(CLIP, outputs=(("", bits("other frames")),))


def trace(*records: Record, **more: Any) -> Trace:
    return Trace(more.pop("level", "stages"), records, **more)


def parted(golden: Trace, here: Trace) -> Divergence:
    found = first_divergence(golden, here)
    assert found is not None
    return found
