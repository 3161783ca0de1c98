"""What a record is called in a sentence."""

from __future__ import annotations

from seedpin.trace.model import Record


def label(record: Record) -> str:
    """A record's short name: ``transformer call 2, step 1`` or ``scheduler.step 1``."""
    if record.kind == "clip":
        return record.extra.get("of", "frames")
    if record.kind == "mark":
        return f"mark {record.name!r}" + (f" ({record.call})" if record.call else "")
    if (
        record.kind == "scheduler"
        and record.loop
        and record.step is not None
        and record.name.endswith(".step")
    ):
        return f"{record.name} {record.step} of loop {record.loop}"
    if record.kind == "scheduler":
        return f"{record.name} {record.call}" if record.name.endswith(".step") or record.call else record.name
    name = f"{record.name} call {record.call}" if record.call else record.name
    if record.kind == "op":
        name = f"{record.name} in {record.extra.get('module') or 'the pipeline'}"
    if record.step is None or record.kind == "draw":
        return name
    return f"{name}, step {record.step}{f' of loop {record.loop}' if record.loop else ''}"
