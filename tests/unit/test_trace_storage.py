"""Traces as bytes."""

from __future__ import annotations

import base64
import struct
from dataclasses import replace

import numpy as np
import pytest

from seedpin.errors import TraceError
from seedpin.trace.model import Fingerprint, ModuleInfo, Record, Sketch, Trace, Value, weights_agree
from seedpin.trace.storage import VERSION, from_bytes, to_bytes


def synthetic(steps: int, modules: int, samples: int) -> Trace:
    """A trace of a large model: nothing repeats, as in a real run."""
    random = np.random.default_rng(0)

    def seen(with_sketch: bool) -> Fingerprint:
        values = random.standard_normal(4 + samples).astype(np.float32).tolist()
        sketch = (
            Sketch(values[0], values[1], values[2], values[3], tuple(values[4:])) if with_sketch else None
        )
        return Fingerprint(random.bytes(16).hex(), "bfloat16", (1, 4096, 1536), sketch)

    records = []
    for step in range(steps):
        latents = seen(True)
        for index in range(modules):
            name = f"transformer.blocks.{index // 10}.part{index % 10}"
            output = seen(True)
            records.append(
                Record(
                    "module",
                    name,
                    step,
                    2,
                    "transformer",
                    step,
                    (("x", seen(False)),),
                    (("", output),),
                    "ab" * 16,
                )
            )
        for call in range(2):
            values = (("hidden_states", latents), ("timestep", seen(False)), ("return_dict", Value("False")))
            records.append(
                Record("stage", "transformer", 2 * step + call, 0, "", step, values, (("0", seen(True)),))
            )
        records.append(Record("scheduler", "scheduler.step", step, 0, "", step, values, (("0", seen(True)),)))
    infos = tuple(
        ModuleInfo(f"transformer.blocks.{index // 10}.part{index % 10}", "Linear", {"in_features": "1536"})
        for index in range(500)
    )
    weights = {f"{info.name}.{kind}": random.bytes(8).hex() for info in infos for kind in ("weight", "bias")}
    return Trace("modules", tuple(records), infos, weights, ("a note",), {"threads": "1"})


def test_round_trip_is_exact_and_deterministic() -> None:
    """What is read back equals what was written, sketches included, and has the same bytes again."""
    trace = synthetic(3, 10, 12)
    data = to_bytes(trace)
    again = from_bytes(data)
    assert again == trace
    assert [seen.sketch for r in again.records for _, seen in r.outputs if isinstance(seen, Fingerprint)] == [
        seen.sketch for r in trace.records for _, seen in r.outputs if isinstance(seen, Fingerprint)
    ]
    assert to_bytes(again) == data


_VERSION_1 = base64.b64decode(
    "U1BUUkFDRQABAK0b3orTN8vDeJyFUMtOwzAQTIEz34DmbCHiSqjKhR448gdVhNxmk1hyHOQ4gGRZ6qdw5yfxpgGRHmDWj53d"
    "0fjxuMqyAOWasSPrBxRSoDa94jS/FzD0SgYFur4aDQ0Q6MgrFAG+daSqJEOOKH4ExW4HSz4Jn7Ql5SACtH2uSfnRcR8SsSwF"
    "bO8nOdQNp0glR4fesWUuMLTqZbab7rOWEFKsZSnmwob5HTsN3mnbTF6nk9M4VH9HkoSYlnc+16u9oenpb6Sblt8e2Op2rxXf"
    "OOmYnZqJU70MxJi+cYFvfjHnl/PO82q1FF2f8f9wzLbHj1942C7xeYYvqoqAqQ=="
)
"""One call of ``net``, written by the first format: an output and a weight that could not be read."""


def test_traces_of_the_first_format_are_read() -> None:
    """An old trace keeps its records; what it could not read says so, and its weights match no new hash."""
    trace = from_bytes(_VERSION_1)
    call = trace.records[0]
    assert (call.name, call.inputs[0][1].shape) == ("net", (2,))  # type: ignore[union-attr]
    assert "older version" in call.outputs[0][1].unread  # type: ignore[union-attr]
    assert (trace.weights, list(trace.unread)) == ({"net.weight": "ef" * 8}, ["net.bias"])
    assert (call.loop, call.unread, call.rewritten) == (None, (), ())
    assert weights_agree(call, call) is True
    assert weights_agree(call, replace(call, weights="cd" * 16)) is None


def test_what_was_not_read_and_rewritten_is_kept() -> None:
    """Reasons, sampling loops and rewritten weights survive storage."""
    output = Fingerprint("", "float32", (2,), unread="on meta: it has no content")
    call = Record("module", "net", 0, 0, loop=0, outputs=(("", output),), unread=("net.a", "net.b"))
    later = replace(call, call=1, loop=3, unread=(), rewritten=(("net.a", "12" * 8),))
    trace = Trace("modules", (call, later), unread={"net.a": "a DTensor"})
    assert from_bytes(to_bytes(trace)) == trace


def test_sizes_stay_within_the_promise() -> None:
    """50 steps take at most 300 KB at level stages, and 500 modules a step at most 3 MB at level modules."""
    assert len(to_bytes(synthetic(50, 0, 32))) <= 300_000
    assert len(to_bytes(synthetic(50, 500, 12))) <= 3_000_000


@pytest.mark.parametrize("cut", [0, 5, 17, 18, 40, -1])
def test_a_truncated_trace_is_named_as_damaged(cut: int) -> None:
    """A trace that is cut anywhere raises TraceError."""
    with pytest.raises(TraceError):
        from_bytes(to_bytes(synthetic(1, 2, 12))[:cut])


def test_every_flipped_byte_is_noticed() -> None:
    """No single damaged byte goes unnoticed."""
    data = to_bytes(synthetic(1, 1, 12))
    for index in range(len(data)):
        with pytest.raises(TraceError):
            from_bytes(data[:index] + bytes([data[index] ^ 0x55]) + data[index + 1 :])


def test_a_newer_version_asks_for_an_upgrade() -> None:
    """A trace of a later format is refused by name, not misread."""
    data = to_bytes(synthetic(1, 1, 12))
    newer = data[:8] + struct.pack("<H", VERSION + 1) + data[10:]
    with pytest.raises(TraceError, match="upgrade seedpin"):
        from_bytes(newer)
