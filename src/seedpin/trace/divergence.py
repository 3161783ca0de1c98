"""The first record at which two traces part, in one sentence.

Events are read in time: a call's inputs, then what happens inside of it, then its output. The first event
that differs is the cause, because all before it agree: the innermost module whose inputs and weights agree
and whose output does not, or the code between two records if an input differs first, or a draw.
"""

from __future__ import annotations

from collections.abc import Sequence

from seedpin.errors import TraceError
from seedpin.trace import wording
from seedpin.trace.align import align, tree
from seedpin.trace.distance import label
from seedpin.trace.model import Argument, Fingerprint, Record, Seen, Trace, agree, all_agree, weights_agree
from seedpin.trace.timeline import Cause, Divergence, Event, Run, timeline

__all__ = ["Cause", "Divergence", "first_divergence"]


def first_divergence(golden: Trace, here: Trace) -> Divergence | None:
    """Where ``here`` parts from ``golden``, or None if nothing that matters differs.

    A record on one side only, or a changed argument, counts when something after it differs too.
    Raises TraceError for traces of different levels.
    """
    if golden.level != here.level:
        raise TraceError(
            f"the traces have different levels: {golden.level} and {here.level}.",
            hint="record both at the same level",
        )
    run = Run(golden, here)
    run.events = list(timeline(align(tree(golden.records), tree(here.records)), None, run.pairs))
    soft: list[tuple[Event, Divergence]] = []
    for event in run.events:
        if event.phase in ("lost", "new", "moved"):
            found: Divergence | None = _one_sided(run, event)
            if found is not None:
                soft.append((event, found))
        elif event.phase == "in":
            found = _at_input(run, event)
            if found is not None and found.kind == "argument" and _values_only(event) and _inside(run, event):
                soft.append((event, found))
            elif found is not None:
                return _blame(soft, event, found)
        else:
            found = _at_output(run, event)
            if found is not None:
                return _blame(soft, event, found)
    # Nothing else differs. A draw that moved alone has no effect that can be seen.
    return None


def _differing(
    golden: Sequence[Argument], here: Sequence[Argument]
) -> list[tuple[str, Seen | None, Seen | None]]:
    """What is known to differ: what one side did not read is no difference."""
    if golden == here:
        return []
    left, right = dict(golden), dict(here)
    names = list(dict.fromkeys([*left, *right]))
    return [
        (name, left.get(name), right.get(name))
        for name in names
        if agree(left.get(name), right.get(name)) is False
    ]


def _unseen(record: Record) -> bool:
    return "unseen" in record.extra


def _one_sided(run: Run, event: Event) -> Divergence | None:
    record = event.here if event.here is not None else event.golden
    if record is None:
        return None
    between = wording.after(event.before)
    if record.kind == "draw":
        number = wording.draw_number(run.here if event.here is not None else run.golden, record)
        if event.phase == "moved" and event.golden is not None:
            first = wording.draw_number(run.golden, event.golden)
            sentence = (
                f"random draws changed places: {wording.draw(record)} is draw {number}, was draw {first}"
            )
        elif _unseen(record):
            word = "moved here" if event.phase == "new" else "no longer moves"
            sentence = (
                f"the {record.name} generator {word} {between} though no draw was seen "
                "(reseeded, or drawn in compiled or C++ code)"
            )
        else:
            sentence = f"random draw {number} is {event.phase}: {wording.draw(record)}"
        return run.divergence("draw", wording.draw_place(record), sentence, event)
    word = {"new": "is new", "lost": "is lost", "moved": "moved"}[event.phase]
    sentence = f"{label(record)} {word} {between}"
    return run.divergence("records", record.name, sentence, event)


def _kind_of_call(record: Record) -> tuple[str, str]:
    """What calls of one place share: the name, and for an operation the module it ran in."""
    return record.name, record.extra.get("module", "")


def _place(record: Record) -> str:
    return f"{record.extra.get('module', '')}: {record.name}" if record.kind == "op" else record.name


def _agreed(record: Record) -> str:
    return "inputs and weights agree" if record.weights or record.kind == "module" else "inputs agree"


def _values_only(event: Event) -> bool:
    assert event.golden is not None
    assert event.here is not None
    changed = _differing(event.golden.inputs, event.here.inputs)
    return all(not isinstance(item, Fingerprint) for _, left, right in changed for item in (left, right))


def _inside(run: Run, event: Event) -> bool:
    """Whether something was recorded inside of the call, that may know better."""
    return any(other.parent is not None and other.parent.record is event.golden for other in run.events)


def _outputs_agree(event: Event) -> bool:
    assert event.golden is not None
    assert event.here is not None
    return all_agree(event.golden.outputs, event.here.outputs) is True


def _at_input(run: Run, event: Event) -> Divergence | None:
    golden, here = event.golden, event.here
    assert golden is not None
    assert here is not None
    if _outputs_agree(event) or golden.kind in ("clip", "mark"):
        return None
    if golden.kind == "draw":
        return _draw_state(run, event, golden, here)
    changed = _differing(golden.inputs, here.inputs)
    if not changed:
        names = [] if golden.weights == here.weights else _changed_weights(run, golden, here)
        if names or weights_agree(golden, here) is False:
            place = wording.owner(names[0]) if names else golden.name
            sentence = f"the weights of {place} differ"
            if names:
                more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                sentence += f" ({names[0].rpartition('.')[2]}{more})"
            return run.divergence("weights", place, sentence, event)
        return None
    name, left, right = changed[0]
    structural = not (isinstance(left, Fingerprint) and isinstance(right, Fingerprint))
    structural = structural or (left.shape, left.dtype) != (right.shape, right.dtype)  # type: ignore[union-attr]
    if structural:
        same = [pair for pair in run.pairs if _kind_of_call(pair[0]) == _kind_of_call(golden)]
        total = len(same)
        calls = sum(any(item[0] == name for item in _differing(g.inputs, h.inputs)) for g, h in same)
        often = f" (in {'all' if calls == total else calls} of {total} calls)" if total > 1 else ""
        sentence = f"{label(golden)}: the argument `{name}` {wording.change(left, right)}{often}"
        hints = wording.hints(run.golden, run.here, golden, here)
        return run.divergence("argument", _place(golden), sentence, event, hints)
    return _glue(run, event, golden, here, [item[0] for item in changed])


def _changed_weights(run: Run, golden: Record, here: Record) -> list[str]:
    names = wording.changed_weights(run.golden, run.here, golden.name)
    if weights_agree(golden, here) is None:
        # The sums do not tell, the names may: of what this call had, and as it was read at first.
        own = tuple(f"{golden.name}.{name.rpartition('.')[2]}" for name in names)
        names = [
            name
            for name, whole in zip(names, own, strict=True)
            if run.golden.level == "stages" or name == whole
        ]
    return names


def _glue(run: Run, event: Event, golden: Record, here: Record, names: list[str]) -> Divergence:
    inputs = " and ".join(f"`{name}`" for name in names[:3])
    verb = "differ" if len(names) > 1 else "differs"
    parent = event.parent
    hints = wording.hints(run.golden, run.here, golden, here)
    if parent is not None and not any(item.record.kind in ("stage", "scheduler") for item in parent.children):
        place = parent.record.name
        since = f"after {wording.short(event.before, place)}" if event.before else "at its beginning"
        part = wording.short(golden, place)
        sentence = (
            f"{label(parent.record)}: {_agreed(parent.record)}, its own code {since} does not: "
            f"the input {inputs} of {part} {verb}"
        )
        hints += wording.hints(run.golden, run.here, parent.record, wording.partner(run.pairs, parent.record))
        return run.divergence("glue", place, sentence, event, hints)
    first = wording.before(event.before, parent)
    place = f"{first} -> {golden.name}"
    sentence = (
        f"between {first} and {label(golden)}: the input {inputs} {verb} though everything before agrees "
        f"({wording.suspects(event.before, golden)})"
    )
    moved = wording.swapped_sites(run.golden, run.here)
    return run.divergence("glue", place, sentence, event, [*hints, *moved])


def _draw_state(run: Run, event: Event, golden: Record, here: Record) -> Divergence | None:
    changed = _differing(golden.inputs, here.inputs)
    # Tensors that a draw depends on are recorded since format 2: one side alone says nothing.
    changed = [row for row in changed if row[0] == "generator" or not _one_tensor(*row[1:])]
    if _unseen(golden) or not changed:
        return None
    tensors = [name for name, left, right in changed if isinstance(left, Fingerprint)]
    if len(tensors) == len(changed):
        return _glue(run, event, golden, here, tensors)
    number = wording.draw_number(run.here, here)
    name, left, right = changed[0]
    if name == "generator":
        first = not any(
            g.kind == "draw" and g.extra.get("generator") == golden.extra.get("generator")
            for g, _ in run.pairs[: wording.index_of(run.pairs, golden)]
        )
        why = (
            "another seed, or something drew before the recording"
            if first
            else "it was moved by something that was not seen"
        )
        generator = golden.extra.get("generator", "")
        sentence = (
            f"random draw {number} starts from another state of the {generator} generator "
            f"({why}): {wording.draw(here)}"
        )
    else:
        sentence = (
            f"random draw {number}: its argument {name} {wording.change(left, right)}: {wording.draw(here)}"
        )
    return run.divergence("draw", wording.draw_place(here), sentence, event)


def _one_tensor(left: Seen | None, right: Seen | None) -> bool:
    return (left is None and isinstance(right, Fingerprint)) or (
        right is None and isinstance(left, Fingerprint)
    )


def _at_output(run: Run, event: Event) -> Divergence | None:
    golden, here = event.golden, event.here
    assert golden is not None
    assert here is not None
    changed = _differing(golden.outputs, here.outputs)
    if not changed or (golden.kind == "draw" and _unseen(golden)):
        return None
    hints = wording.hints(run.golden, run.here, golden, here)
    if golden.kind == "clip":
        place, sentence = wording.clip(golden, here, event.before, event.parent)
        return run.divergence("clip", place, sentence, event)
    if golden.kind == "draw":
        number = wording.draw_number(run.here, here)
        sentence = (
            f"random draw {number}: the generator's state agrees, the values do not "
            f"(another kernel or device): {wording.draw(here)}"
        )
        return run.divergence("draw", wording.draw_place(here), sentence, event)
    if golden.kind == "mark":
        sentence = f"{label(golden)} differs {wording.after(event.before)}, where all agrees"
        return run.divergence("mark", golden.name, sentence, event)
    what = wording.result(changed)
    if "raised" in golden.extra or "raised" in here.extra:
        what = f"raised {here.extra.get('raised', 'nothing')}, before {golden.extra.get('raised', 'nothing')}"
    stages = [item for item in _children(run, golden) if item.kind in ("stage", "scheduler")]
    if stages and "raised" not in here.extra and "raised" not in golden.extra:
        return _after_stages(run, event, golden, stages[-1])
    below = [pair for pair in run.events if pair.parent is not None and pair.parent.record is golden]
    agreed = (
        "inputs and weights agree" if golden.weights or golden.kind in ("module", "stage") else "inputs agree"
    )
    if below and below[-1].golden is not None:
        agreed += f", so do its parts up to {wording.short(below[-1].golden, golden.name)}"
    config = f" [{hints[0]}]" if hints else ""
    sentence = f"{label(golden)}: {agreed}, {what}{config}"
    return run.divergence(golden.kind, _place(golden), sentence, event, hints)


def _children(run: Run, golden: Record) -> list[Record]:
    return [
        event.golden
        for event in run.events
        if event.phase == "out" and event.golden and event.parent and event.parent.record is golden
    ]


def _after_stages(run: Run, event: Event, golden: Record, last: Record) -> Divergence:
    """The code of a pipeline after its last stage: post-processing, if nothing is computed after it."""
    where = next(index for index, item in enumerate(run.events) if item is event)
    more = any(
        item.phase == "in" and item.golden is not None and item.golden.kind not in ("clip", "mark")
        for item in run.events[where + 1 :]
    )
    hints = []
    for old, new in run.pairs:
        if old.kind == "clip" and old.outputs != new.outputs:
            hints.append(wording.clip(old, new, None, None)[1])
    if more:
        sentence = f"everything up to {label(last)} agrees, what {label(golden)} makes of it does not"
        return run.divergence("glue", f"{last.name} -> end of {golden.name}", sentence, event, hints)
    sentence = (
        f"everything up to {label(last)} agrees; the output of {label(golden)} does not: "
        f"post-processing after {last.name}"
    )
    return run.divergence("clip", "post-processing", sentence, event, hints)


def _blame(soft: list[tuple[Event, Divergence]], event: Event, found: Divergence) -> Divergence:
    """Choose between what differs for certain and what changed before it without a visible effect."""
    for earlier, candidate in soft:
        if candidate.kind == "draw":
            record = earlier.here or earlier.golden
            if record is not None and not _unseen(record):
                return candidate
            if found.kind == "draw":
                return candidate
    if found.kind in ("glue", "argument", "clip") or event.phase == "out":
        for earlier, candidate in reversed(soft):
            around = earlier.golden
            encloses = around is not None and (
                event.golden is around or found.place == around.name or _is_within(event, around)
            )
            if candidate.kind == "argument" and encloses and found.kind != "module":
                return candidate
            if candidate.kind == "records" and earlier.parent is event.parent and found.kind == "glue":
                return candidate
            if (
                candidate.kind == "records"
                and earlier.parent is not None
                and earlier.parent.record is event.golden
            ):
                return candidate
    return found


def _is_within(event: Event, around: Record) -> bool:
    return event.parent is not None and event.parent.record is around
