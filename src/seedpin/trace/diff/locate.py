"""The first record at which two traces part, in one sentence.

Events are read in time: a call's inputs, then what happens inside of it, then its output. The first event
that differs is the cause, because all before it agree: the innermost module whose inputs and weights agree
and whose output does not, or the code between two records if an input differs first, or a draw.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile

from seedpin.trace.diff.arguments import changed_arguments
from seedpin.trace.diff.differing import differing
from seedpin.trace.diff.divergence import Divergence
from seedpin.trace.diff.findings import at_input, at_output, one_sided, other_generator, unseen
from seedpin.trace.diff.reduce import at_common_level
from seedpin.trace.diff.timeline import AlignedTraces, Event, aligned
from seedpin.trace.model import Fingerprint, Record, Trace


def first_divergence(golden: Trace, here: Trace) -> Divergence | None:
    """Where ``here`` parts from ``golden``, or None if nothing that matters differs.

    A record on one side only, or a changed argument, counts when something after it differs too. Traces of
    levels ``stages`` and ``modules`` are compared at ``stages``, and the sentence says so. Where the calls
    were given other arguments, these come first. Raises TraceError where one trace alone has level ``ops``.
    """
    divergence = _first(*at_common_level(golden, here))
    if divergence is None:
        return None
    if golden.level != here.level:
        side = "the golden" if golden.level == "modules" else "this run"
        said = f"{divergence.sentence} (compared at level stages: modules were recorded in {side} only)"
        divergence = replace(divergence, sentence=said)
    # What the call was given comes before all that happened in it.
    argument, said = changed_arguments(golden, here)
    if not argument:
        return divergence
    place = f"argument {argument} of the call"
    return replace(
        divergence, kind="argument", place=place, step=None, sentence=f"{said}; then: {divergence.sentence}"
    )


def _first(golden: Trace, here: Trace) -> Divergence | None:
    traces = aligned(golden, here)
    # What differs and has shown no effect yet: it is to blame if something after it differs for certain, and
    # nothing is said of it otherwise.
    soft: list[tuple[Event, Divergence]] = []
    for event in traces.events:
        if event.phase in ("lost", "new", "moved"):
            divergence = one_sided(traces, event)
            if divergence is not None:
                soft.append((event, divergence))
        elif event.phase == "in":
            # A plain value that differs may be handed on: a call inside may tell better what it did. A tensor
            # that differs at the input already is no fault of anything inside.
            divergence = at_input(traces, event)
            if (
                divergence is not None
                and divergence.kind == "argument"
                and _values_only(event)
                and _inside(traces, event)
            ):
                soft.append((event, divergence))
            elif divergence is not None:
                blamed = _blame(soft, event, divergence)
                return (_changed_places(traces, event) if blamed is divergence else None) or blamed
            elif (moved := other_generator(traces, event)) is not None:
                soft.append((event, moved))
        else:
            divergence = at_output(traces, event)
            if divergence is not None:
                return _blame(soft, event, divergence)
    # Nothing else differs. A draw that moved alone has no effect that can be seen.
    return None


def _values_only(event: Event) -> bool:
    assert event.golden is not None
    assert event.here is not None
    changed = differing(event.golden.inputs, event.here.inputs)
    return all(not isinstance(item, Fingerprint) for _, left, right in changed for item in (left, right))


def _inside(traces: AlignedTraces, event: Event) -> bool:
    """Whether something was recorded inside of the call, that may know better."""
    return any(other.parent is not None and other.parent.record is event.golden for other in traces.events)


def _blame(soft: list[tuple[Event, Divergence]], event: Event, divergence: Divergence) -> Divergence:
    """Choose between what differs for certain and what changed before it without a visible effect."""
    for earlier, candidate in soft:
        if candidate.kind == "draw":
            if earlier.phase == "in" and divergence.kind != "draw":
                continue  # Its values are equal, so it explains other draws only.
            record = earlier.here or earlier.golden
            if record is not None and not unseen(record):
                return candidate
            if divergence.kind == "draw" and _same_generator(event):
                return candidate  # It is why the draw started from another state.
    if divergence.kind in ("clip", "mark"):
        # A call that is lost or new in the very gap before them: there it is not so that all agrees.
        for earlier, candidate in soft:
            record = earlier.golden or earlier.here
            beside = earlier.parent is event.parent and earlier.before is event.before
            if candidate.kind == "records" and beside and record is not None and record.kind != "mark":
                return candidate
    if divergence.kind in ("glue", "argument", "clip") or event.phase == "out":
        # The nearest one explains more than one long before it.
        for earlier, candidate in reversed(soft):
            around = earlier.golden
            encloses = around is not None and (
                event.golden is around or divergence.place == around.name or _is_within(event, around)
            )
            if candidate.kind == "argument" and encloses and divergence.kind != "module":
                return candidate
            if candidate.kind == "records" and earlier.parent is event.parent and divergence.kind == "glue":
                return candidate
            if (
                candidate.kind == "records"
                and earlier.parent is not None
                and earlier.parent.record is event.golden
            ):
                return candidate
    return divergence


def _changed_places(traces: AlignedTraces, event: Event) -> Divergence | None:
    """Of a draw that another of its generator stood before, and comes after now: hence its other state."""
    golden = event.golden
    if golden is None or golden.kind != "draw":
        return None
    stream = golden.extra.get("generator")
    earlier = [
        record
        for record in takewhile(lambda record: record is not golden, traces.golden.records)
        if record.kind == "draw" and record.extra.get("generator") == stream
    ]
    for other in traces.events:
        if other.phase == "moved" and any(record is other.golden for record in earlier):
            return one_sided(traces, other)
    return None


def _same_generator(event: Event) -> bool:
    if event.golden is None or event.here is None:
        return True
    return event.golden.extra.get("generator") == event.here.extra.get("generator")


def _is_within(event: Event, around: Record) -> bool:
    return event.parent is not None and event.parent.record is around
