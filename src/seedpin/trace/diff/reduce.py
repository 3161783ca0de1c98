"""Two traces of different levels, brought to the level that both have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from seedpin.errors import TraceError
from seedpin.trace.model import FORMAT_1, LEVELS, Level, Record, Trace


def at_level(trace: Trace, level: Level) -> Trace:
    """What ``trace`` would tell at a coarser ``level``: inner records go, the others stay as they are.

    A stage's weights are hashed with all below it at level ``stages``, alone at ``modules``: their sums are
    never compared, so those of a reduced record are marked, and ``weights_agree`` answers None. Raises
    TraceError for a finer level than the trace has, and for level ``ops``: it records draws otherwise.
    """
    if level == trace.level:
        return trace
    if trace.level == "ops" or LEVELS.index(level) > LEVELS.index(trace.level):
        raise TraceError(
            f"a trace at level {trace.level} cannot be told at level {level}.",
            hint="record both at the same level",
        )
    kept: list[Record] = []
    above: list[tuple[int, int]] = []  # Open records that stay: depth in the trace, place in ``kept``.
    for record in trace.records:
        while above and above[-1][0] >= record.depth:
            above.pop()
        if record.kind == "module":
            # The attention kernel is noted at the innermost record, for its first call.
            kernel = record.extra.get("attention")
            if kernel and above:
                outer = kept[above[-1][1]]
                kept[above[-1][1]] = replace(outer, extra={"attention": kernel, **outer.extra})
            continue
        kept.append(replace(record, depth=len(above)))
        if record.kind in ("stage", "scheduler"):
            above.append((record.depth, len(kept) - 1))
    return _marked(replace(trace, level=level, records=tuple(kept)), trace.level)


def at_common_level(golden: Trace, here: Trace) -> tuple[Trace, Trace]:
    """Both traces at the coarser of their levels; where they were recorded in two ways, with the weights that
    both name. Raises TraceError."""
    both = golden.weights.keys() & here.weights.keys()
    if golden.level == here.level:
        if _is_format_1(golden) == _is_format_1(here):
            return golden, here
        return _naming(golden, both), _naming(here, both)
    level = min(golden.level, here.level, key=LEVELS.index)
    return _prepared(golden, level, both), _prepared(here, level, both)


def _prepared(trace: Trace, level: Level, names: set[str]) -> Trace:
    return _naming(_marked(trace, level) if trace.level == level else at_level(trace, level), names)


def _naming(trace: Trace, names: set[str]) -> Trace:
    weights: Mapping[str, str] = {name: text for name, text in trace.weights.items() if name in names}
    return replace(trace, weights=weights)


def _is_format_1(trace: Trace) -> bool:
    return any(record.weights.startswith(FORMAT_1) for record in trace.records)


def _marked(trace: Trace, level: Level) -> Trace:
    """Sums of weights that tell how they were made; also of a module that has no weights of its own."""
    modules = {info.name for info in trace.modules}
    records = [
        replace(record, weights=f"{level}:{record.weights}") if record.name in modules else record
        for record in trace.records
    ]
    return replace(trace, records=tuple(records))
