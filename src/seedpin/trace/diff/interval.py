"""The near end of an interval: after which record the code ran that made an input differ."""

from __future__ import annotations

from collections.abc import Sequence

from seedpin.trace.diff.timeline import AlignedTraces, Event
from seedpin.trace.diff.wording import draw_number, label
from seedpin.trace.model import Argument, Fingerprint, Record, Seen, agree


def near_end(traces: AlignedTraces, event: Event, seen: Seen | None) -> Record | None:
    """The last record beside ``event`` on the way of the data that became ``seen``; None: none came before.

    Which way data took is not recorded, so the nearest record is not always on it: a draw, ``set_timesteps``
    or a text encoder may stand between the latents' last step and the model, and code before such a record
    may be to blame as well. Taken is the last record with a tensor of the same rank among its outputs; a
    draw, which depends on nothing, only where no such record is; else the last one that carries data at all.
    """
    beside: list[Record] = []
    for other in traces.events:
        if other is event:
            break
        if other.phase == "out" and other.golden is not None and other.parent is event.parent:
            beside.append(other.golden)
    if isinstance(seen, Fingerprint):
        rank = len(seen.shape)
        matching = [record for record in beside if rank in _ranks(record.outputs)]
        computed = [record for record in matching if record.kind != "draw"]
        if computed or matching:
            return (computed or matching)[-1]
    return event.before


def handed_on(traces: AlignedTraces, event: Event, name: str) -> str:
    """``here it is the output of scheduler.step 2 itself``: an input that is so on one side only.

    So shows code that was left out (scaling, guidance) or newly put in. Empty where it is not so.
    """
    assert event.golden is not None
    assert event.here is not None
    old, new = dict(event.golden.inputs).get(name), dict(event.here.inputs).get(name)
    if not isinstance(old, Fingerprint) or not isinstance(new, Fingerprint):
        return ""
    for golden, here in reversed(traces.pairs[: _ended(traces, event)]):
        if golden.kind == "clip":
            continue
        was = any(agree(item, old) for item in _tensors(golden.outputs))
        now = any(agree(item, new) for item in _tensors(here.outputs))
        if was != now:
            record = here if now else golden
            what = f"the output of {label(record)}"
            if record.kind == "draw":
                what = f"random draw {draw_number(traces.here if now else traces.golden, record)}"
            return f"{'here it is' if now else 'before it was'} {what} itself"
    return ""


def _ended(traces: AlignedTraces, event: Event) -> int:
    """How many pairs had ended when ``event`` came."""
    return sum(other.phase == "out" for other in traces.events[: traces.position(event)])


def _tensors(items: Sequence[Argument]) -> list[Fingerprint]:
    return [item for _, item in items if isinstance(item, Fingerprint) and item.hash]


def _ranks(items: Sequence[Argument]) -> set[int]:
    return {len(item.shape) for _, item in items if isinstance(item, Fingerprint)}
