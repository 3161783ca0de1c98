"""The first record that holds a NaN or an infinity: where a place is needed most."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from seedpin.trace.diff.align import Node, tree
from seedpin.trace.diff.divergence import Divergence
from seedpin.trace.diff.wording import describe, label
from seedpin.trace.model import Argument, Fingerprint, Record, Trace


def first_nonfinite(trace: Trace) -> Divergence | None:
    """Where a NaN (if there is none, an infinity) first shows in a run; None for nowhere.

    Its kind is ``nonfinite``. Sketches tell it: of draws, stages, scheduler steps, marks and frames by the
    largest magnitude of all elements; of modules inside of a stage by 96 elements, so that a lone NaN shows
    at the stage first. A value beyond float32's range counts as an infinity. Inputs have a sketch only where
    they are earlier outputs: the sentence says which of a call's inputs were looked at.
    """
    ended = list(_by_end(tree(trace.records)))
    # NaN first, wherever it stands: an infinity may be meant, as in a mask of attention, a NaN never is.
    for word, test in (("NaN", math.isnan), ("an infinity", math.isinf)):
        for index, record in enumerate(ended):
            if any(test(_largest(seen)) for seen in _tensors(record.outputs)):
                earlier = ended[:index]
                return _found(word, record, earlier, trace)
    return None


def _by_end(nodes: Sequence[Node]) -> Iterator[Record]:
    for node in nodes:
        yield from _by_end(node.children)
        yield node.record


def _found(word: str, record: Record, earlier: Sequence[Record], trace: Trace) -> Divergence:
    inputs = [(name, seen) for name, seen in record.inputs if _can_be_looked_at(seen)]
    bad = [name for name, seen in inputs if not math.isfinite(_largest(seen)) and not _unknown(seen)]
    blind = [name for name, seen in inputs if _unknown(seen)]
    last = next((other for other in reversed(earlier) if _finite(other)), None)
    if record.kind == "clip":
        before = f"{label(last)} is finite" if last is not None else "nothing was recorded before them"
        sentence = f"{word} is first seen in the frames; {before}"
    elif record.kind in ("draw", "mark"):
        sentence = f"{word} is first seen in {describe(record) if record.kind == 'draw' else label(record)}"
    elif bad:
        sentence = (
            f"{word} is first seen in the output of {label(record)}, whose input `{bad[0]}` is not finite"
        )
    elif not blind:
        agreed = "its inputs are finite" if inputs else "it has no tensor among its inputs"
        sentence = f"{word} is first seen in the output of {label(record)}: {agreed}"
    else:
        names = " and ".join(f"`{name}`" for name in blind[:3])
        since = f"; {label(last)} was finite" if last is not None else ""
        sentence = (
            f"{word} is first seen in the output of {label(record)}{since} "
            f"(whether its input {names} is finite was not looked at)"
        )
    infinite = next(
        (other for other in earlier if any(math.isinf(_largest(seen)) for seen in _tensors(other.outputs))),
        None,
    )
    if word == "NaN" and infinite is not None:
        sentence += f"; an infinity stands before it in {label(infinite)}"
    return Divergence(
        *("nonfinite", record.name, record.step, sentence),
        here_record=describe(record),
        level=trace.level,
    )


def _tensors(items: Sequence[Argument]) -> list[Fingerprint]:
    return [seen for _, seen in items if isinstance(seen, Fingerprint)]


def _largest(seen: object) -> float:
    """Largest magnitude; 0 where it is not known."""
    return seen.sketch.abs_max if isinstance(seen, Fingerprint) and seen.sketch is not None else 0.0


def _can_be_looked_at(seen: object) -> bool:
    return isinstance(seen, Fingerprint) and ("float" in seen.dtype or "complex" in seen.dtype)


def _unknown(seen: object) -> bool:
    return isinstance(seen, Fingerprint) and seen.sketch is None


def _finite(record: Record) -> bool:
    tensors = [seen for seen in _tensors(record.outputs) if _can_be_looked_at(seen)]
    return bool(tensors) and all(not _unknown(seen) and math.isfinite(_largest(seen)) for seen in tensors)
