"""What is said of one moment at which two runs differ: at a call's inputs, in a draw, at a call's output."""

from __future__ import annotations

from collections.abc import Sequence

from seedpin.trace.diff import wording
from seedpin.trace.diff.differing import ChangedArgument, agreed, differing, draw_changes, same_kind
from seedpin.trace.diff.divergence import Divergence
from seedpin.trace.diff.interval import handed_on, near_end
from seedpin.trace.diff.results import POST_PROCESSING, parted_results
from seedpin.trace.diff.settings import changed_settings, owner_of, suspect_modules
from seedpin.trace.diff.timeline import AlignedTraces, Event
from seedpin.trace.diff.wording import label
from seedpin.trace.model import Fingerprint, Record, all_agree, weights_agree


def unseen(record: Record) -> bool:
    """Whether a draw is only known from a generator's state that moved."""
    return "unseen" in record.extra


def _both(event: Event) -> tuple[Record, Record]:
    assert event.golden is not None
    assert event.here is not None
    return event.golden, event.here


def one_sided(traces: AlignedTraces, event: Event) -> Divergence | None:
    """Of a record that is new, lost, or moved."""
    record = event.here if event.here is not None else event.golden
    if record is None:
        return None
    between = wording.after(event.before)
    if record.kind == "draw":
        number = wording.draw_number(traces.here if event.here is not None else traces.golden, record)
        if event.phase == "moved" and event.golden is not None:
            first = wording.draw_number(traces.golden, event.golden)
            sentence = (
                f"random draws changed places: {wording.draw(record)} is draw {number}, was draw {first}"
            )
        elif unseen(record):
            word = "moved here" if event.phase == "new" else "no longer moves"
            sentence = (
                f"the {record.name} generator {word} {between} though no draw was seen "
                "(reseeded, or drawn in compiled or C++ code)"
            )
        else:
            sentence = f"random draw {number} is {event.phase}: {wording.draw(record)}"
        return traces.divergence("draw", wording.draw_place(record), sentence, event)
    word = {"new": "is new", "lost": "is lost", "moved": "moved"}[event.phase]
    sentence = f"{label(record)} {word} {between}"
    return traces.divergence("records", record.name, sentence, event)


def at_input(traces: AlignedTraces, event: Event) -> Divergence | None:
    """Of a call whose inputs or weights differ, or a draw that is another; None where its output agrees."""
    golden, here = _both(event)
    # What gave the same did no harm: an argument may have been renamed, or be unused.
    if all_agree(golden.outputs, here.outputs) is True or golden.kind in ("clip", "mark"):
        return None
    if golden.kind == "draw":
        return _draw(traces, event, golden, here)
    changed = differing(golden.inputs, here.inputs)
    if not changed:
        return _weights(traces, event, golden, here)
    name, left, right = changed[0]
    if isinstance(left, Fingerprint) and isinstance(right, Fingerprint):
        return _glue(traces, event, changed)
    sentence = (
        f"{label(golden)}: the argument `{name}` {wording.change(left, right)}{_often(traces, golden, name)}"
    )
    return traces.divergence("argument", _place(golden), sentence, event)


def _often(traces: AlignedTraces, golden: Record, name: str) -> str:
    same = [pair for pair in traces.pairs if _kind_of_call(pair[0]) == _kind_of_call(golden)]
    calls = sum(any(row[0] == name for row in differing(g.inputs, h.inputs)) for g, h in same)
    return f" (in {'all' if calls == len(same) else calls} of {len(same)} calls)" if len(same) > 1 else ""


def _kind_of_call(record: Record) -> tuple[str, str]:
    """What calls of one place share: the name, and for an operation the module it ran in."""
    return record.name, record.extra.get("module", "")


def _place(record: Record) -> str:
    return f"{record.extra.get('module', '')}: {record.name}" if record.kind == "op" else record.name


def _weights(traces: AlignedTraces, event: Event, golden: Record, here: Record) -> Divergence | None:
    answer = weights_agree(golden, here)
    if golden.weights == here.weights and answer is True:
        return None
    rewritten = [name for name, text in here.rewritten if (name, text) not in golden.rewritten]
    rewritten += [name for name, text in golden.rewritten if (name, text) not in here.rewritten]
    names = list(dict.fromkeys(rewritten)) or wording.changed_weights(traces.golden, traces.here, golden)
    if answer is not False and not names:
        return None
    place = wording.owner(names)
    sentence = f"the weights of {place or golden.name} differ"
    before = [
        (g, h)
        for g, h in traces.pairs[: wording.index_of(traces.pairs, golden)]
        if g.name == golden.name and g.weights
    ]
    if before and all(weights_agree(g, h) for g, h in before):
        sentence += f" from {label(golden)} on, and agreed before: they were changed during the run"
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        sentence += f" ({names[0].removeprefix(f'{place}.')}{more})"
    return traces.divergence("weights", place or golden.name, sentence, event)


def _glue(traces: AlignedTraces, event: Event, changed: Sequence[ChangedArgument]) -> Divergence:
    """Code that nobody watched, between what agreed and a call's input that does not."""
    golden, here = _both(event)
    names = [name for name, left, _ in changed if isinstance(left, Fingerprint)]
    name, left, right = next(row for row in changed if row[0] == names[0])
    reshaped = not same_kind(left, right)
    if reshaped:
        inputs, differ = f"`{name}`", wording.change(left, right) + _often(traces, golden, name)
    else:
        inputs = " and ".join(f"`{item}`" for item in names[:3])
        differ = "differ" if len(names) > 1 else "differs"
    handed = handed_on(traces, event, name)
    end = near_end(traces, event, left)
    parent = event.parent
    if parent is not None and not any(item.record.kind in ("stage", "scheduler") for item in parent.children):
        place = parent.record.name
        partner = wording.partner(traces.pairs, parent.record)
        known = agreed(parent.record, partner) if partner is not None else "inputs agree"
        parts = f", so do its parts up to {wording.short(end, place)}" if end is not None else ""
        sentence = (
            f"{label(parent.record)}: {known}{parts}, its own code does not: "
            f"the input {inputs} of {wording.short(golden, place)} {differ}{f' ({handed})' if handed else ''}"
        )
        own = owner_of(traces.golden, parent.record)
        return traces.divergence(
            "glue", place, sentence, event, changed_settings(traces.golden, traces.here, [own] if own else [])
        )
    drawn = golden.kind == "draw"
    first = where = wording.before(end, parent)
    if end is not None and end.kind == "draw":
        first = f"random draw {wording.draw_number(traces.golden, end)} ({end.name} at {end.site})"
        where = wording.draw_place(end)
    target = f"random draw {wording.draw_number(traces.here, here)}" if drawn else label(golden)
    why = "; ".join(filter(None, ["" if reshaped else wording.suspects(end, golden), handed]))
    before = _everything_before(traces, event)
    sentence = f"between {first} and {target}: the input {inputs} {differ} though {before} agrees"
    sentence += (f" ({why})" if why else "") + (f": {wording.draw(here)}" if drawn else "")
    place = f"{where} -> {wording.draw_place(here) if drawn else golden.name}"
    return traces.divergence(
        "glue", place, sentence, event, wording.swapped_sites(traces.golden, traces.here)
    )


def _everything_before(traces: AlignedTraces, event: Event) -> str:
    """What agrees before a moment, as far as it was read."""
    ended = sum(other.phase == "out" for other in traces.events[: traces.position(event)])
    for golden, here in traces.pairs[:ended]:
        if all_agree(golden.outputs, here.outputs) is None:
            return "everything before that could be read"
    return "everything before"


def _draw(traces: AlignedTraces, event: Event, golden: Record, here: Record) -> Divergence | None:
    if unseen(golden):
        return None
    number = wording.draw_number(traces.here, here)
    place, told = wording.draw_place(here), wording.draw(here)
    # In this order: another generator explains another state, another state explains other values, and shape,
    # dtype and arguments explain values that differ from one state.
    labels = golden.extra.get("generator", ""), here.extra.get("generator", "")
    if labels[0] != labels[1]:
        sentence = f"random draw {number} comes from another generator, {labels[0]} -> {labels[1]}: {told}"
        return traces.divergence("draw", place, sentence, event)
    changed = differing(golden.inputs, here.inputs)
    # Tensors that a draw depends on are recorded since format 2: one side alone says nothing.
    changed = [row for row in changed if row[0] == "generator" or not _one_tensor(row)]
    moved = bool(changed) and changed[0][0] == "generator"
    if moved:
        first = not any(
            g.kind == "draw" and g.extra.get("generator") == labels[0]
            for g, _ in traces.pairs[: wording.index_of(traces.pairs, golden)]
        )
        why = (
            "another seed, or something drew before the recording"
            if first
            else "it was moved by something that was not seen"
        )
        sentence = (
            f"random draw {number} starts from another state of the {labels[0]} generator ({why}): {told}"
        )
        return traces.divergence("draw", place, sentence, event)
    other = draw_changes(golden, here)
    if other:
        sentence = f"random draw {number} changed: {', '.join(other)}: {told}"
        return traces.divergence("draw", place, sentence, event)
    values = [row for row in changed if not isinstance(row[1], Fingerprint)]
    if values:
        name, left, right = values[0]
        sentence = f"random draw {number}: its argument {name} {wording.change(left, right)}: {told}"
        return traces.divergence("draw", place, sentence, event)
    return _glue(traces, event, changed) if changed else None


def other_generator(traces: AlignedTraces, event: Event) -> Divergence | None:
    """Of a draw that took from another generator and got the same values: their streams are one.

    Nothing is seen of it before the next draw, which starts from another state than the golden's.
    """
    golden, here = _both(event)
    if golden.kind != "draw" or golden.extra.get("generator") == here.extra.get("generator"):
        return None
    return None if unseen(golden) or unseen(here) else _draw(traces, event, golden, here)


def _one_tensor(row: ChangedArgument) -> bool:
    _, left, right = row
    return (left is None and isinstance(right, Fingerprint)) or (
        right is None and isinstance(left, Fingerprint)
    )


def at_output(traces: AlignedTraces, event: Event) -> Divergence | None:
    """Of a call whose output differs though all that came before agrees."""
    golden, here = _both(event)
    changed = differing(golden.outputs, here.outputs)
    if not changed or (golden.kind == "draw" and unseen(golden)):
        return None
    if golden.kind == "clip":
        place, sentence = parted_results(traces, golden, here, event.before)
        last = event.before
        dark = "" if last is None else wording.not_read(traces.pairs, [last])
        if last is not None and dark:
            place = f"{last.name} -> {POST_PROCESSING}"
            sentence = sentence.replace(f"{label(last)} agrees", f"what came out of {dark} could not be read")
            sentence = sentence.replace(f": {POST_PROCESSING} after", f": {dark}, or {POST_PROCESSING} after")
        return traces.divergence("clip", place, sentence, event)
    if golden.kind == "draw":
        return _draw_values(traces, event, golden, here)
    if golden.kind == "mark":
        sentence = f"{label(golden)} differs {wording.after(event.before)}, where all agrees"
        return traces.divergence("mark", golden.name, sentence, event)
    what = wording.result(changed)
    raised = "raised" in golden.extra or "raised" in here.extra
    if raised:
        what = f"raised {here.extra.get('raised', 'nothing')}, before {golden.extra.get('raised', 'nothing')}"
    inside = traces.inside(golden)
    below = [
        item.golden
        for item in inside
        if item.phase == "out" and item.golden is not None and item.parent and item.parent.record is golden
    ]
    stages = [item for item in below if item.kind in ("stage", "scheduler")]
    known = agreed(golden, here)
    dark = wording.not_read(traces.pairs, stages)
    if dark and not raised:
        sentence = f"{label(golden)}: {known}, {what}; what came out of {dark} inside of it could not be read"
        return traces.divergence(golden.kind, _place(golden), sentence, event)
    if stages and not raised:
        return _after_stages(traces, event, golden, stages[-1])
    if below:
        known += f", so do its parts up to {wording.short(below[-1], golden.name)}"
    ran = [
        item.golden.name
        for item in inside
        if item.phase == "out" and item.golden and item.golden.kind == "module"
    ]
    hints = changed_settings(traces.golden, traces.here, suspect_modules(traces.golden, golden, ran))
    hints += wording.kernels(golden, here)
    config = f" [{hints[0]}]" if hints else ""
    sentence = f"{label(golden)}: {known}, {what}{config}"
    return traces.divergence(golden.kind, _place(golden), sentence, event, hints)


def _draw_values(traces: AlignedTraces, event: Event, golden: Record, here: Record) -> Divergence:
    number = wording.draw_number(traces.here, here)
    tensors = [
        {name for name, seen in record.inputs if isinstance(seen, Fingerprint)} for record in (golden, here)
    ]
    why = "another kernel or device"
    if tensors[0] != tensors[1]:
        why = "the tensors that it depends on are not in both traces"
    elif all_agree(golden.inputs, here.inputs) is None:
        why = "some tensors that it depends on could not be read"
    sentence = (
        f"random draw {number}: the generator's state agrees, the values do not ({why}): {wording.draw(here)}"
    )
    return traces.divergence("draw", wording.draw_place(here), sentence, event)


def _after_stages(traces: AlignedTraces, event: Event, golden: Record, last: Record) -> Divergence:
    """The code of a pipeline after its last stage: post-processing, if nothing is computed after it."""
    where = traces.position(event)
    more = any(
        item.phase == "in" and item.golden is not None and item.golden.kind not in ("clip", "mark")
        for item in traces.events[where + 1 :]
    )
    if more:
        sentence = f"everything up to {label(last)} agrees, what {label(golden)} makes of it does not"
        return traces.divergence("glue", f"{last.name} -> end of {golden.name}", sentence, event)
    hints = [
        parted_results(traces, old, new, None)[1]
        for old, new in traces.pairs
        if old.kind == "clip" and old.outputs != new.outputs
    ]
    sentence = (
        f"everything up to {label(last)} agrees; the output of {label(golden)} does not: "
        f"post-processing after {last.name}"
    )
    return traces.divergence("clip", POST_PROCESSING, sentence, event, hints)
