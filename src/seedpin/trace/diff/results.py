"""What is said where only what came out differs, frames or tensors, and all before it agrees."""

from __future__ import annotations

from collections.abc import Sequence

from seedpin.trace.diff.timeline import AlignedTraces
from seedpin.trace.diff.wording import label
from seedpin.trace.model import Fingerprint, Record, Seen

_COMPUTED = ("stage", "module", "scheduler", "mark", "op")
POST_PROCESSING = "post-processing"
OWN_CODE = "the call's own code"


def parted_results(
    traces: AlignedTraces, golden: Record, here: Record, last: Record | None
) -> tuple[str, str]:
    """Place and sentence. ``last`` is what last ended before them.

    Of post-processing is spoken where something that computes was recorded before it: a plain function that
    only draws has none. Tensors are named and have no order.
    """
    seen_inside = [record for record in traces.golden.records if record.kind in _COMPUTED]
    place = POST_PROCESSING if seen_inside else OWN_CODE
    if last is not None and last.kind in _COMPUTED:
        before = f"{label(last)} agrees"
    elif seen_inside:
        before = "everything before agrees"
    else:
        drawn = any(record.kind == "draw" for record in traces.golden.records)
        before = (
            "the random draws agree and nothing else was recorded"
            if drawn
            else "nothing was recorded inside of the call"
        )
    after = ""
    if seen_inside:
        after = f": {POST_PROCESSING}" + (f" after {label(last)}" if last in seen_inside and last else "")
    of = golden.extra.get("of") or here.extra.get("of")
    if of:
        return place, f"{before}; {_named(golden, here, of)}{after}"
    old = [item for _, item in golden.outputs]
    new = [item for _, item in here.outputs]
    return place, _frames(old, new, before, after, POST_PROCESSING if seen_inside else "")


def _named(golden: Record, here: Record, of: str) -> str:
    """Which of what came out differs; ``of`` says what that is, "tensors"."""
    pairs = list(zip(golden.outputs, here.outputs, strict=False))
    names = [new[0] for old, new in pairs if old[1] != new[1]]
    if len(golden.outputs) != len(here.outputs):
        return f"{len(here.outputs)} {of} came out, {len(golden.outputs)} before"
    if len(names) == 1:
        one = of.removesuffix("s")
        return f"{names[0] if names[0].startswith(one) else f'the {one} `{names[0]}`'} differs"
    return f"{len(names)} of {len(pairs)} {of} differ, the first is `{names[0]}`"


def _frames(old: Sequence[Seen], new: Sequence[Seen], before: str, after: str, who: str) -> str:
    shared = next(
        (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
    )
    doer = f": {who}" if who else ""
    gone = len(old) - len(new)
    if gone > 0 and shared == len(new):
        what = "the last frame is missing" if gone == 1 else f"the last {gone} frames are missing"
        return (
            f"the clips agree up to frame {shared - 1}; {what}" if shared else f"no frame is left of {gone}"
        )
    if gone < 0 and shared == len(old):
        more = "1 more frame follows" if gone == -1 else f"{-gone} more frames follow"
        return f"the clips agree up to frame {shared - 1}; {more}"
    if gone > 0 and _subsequence(new, old):
        return f"{gone} frames are missing, from frame {shared} on; the others agree"
    if new == old[::-1]:
        return f"the frames are the same in reversed order{doer}"
    if sorted(map(_hash, new)) == sorted(map(_hash, old)):
        return f"the frames are the same in another order, from frame {shared} on{doer}"
    shapes = {item.shape for item in old if isinstance(item, Fingerprint)}
    others = {item.shape for item in new if isinstance(item, Fingerprint)}
    if shapes != others:
        return f"{before}; the frames' shape differs: {sorted(shapes)} -> {sorted(others)}"
    count = sum(a != b for a, b in zip(old, new, strict=False))
    if len(old) == 1:
        which = "the frame differs"
    elif count == len(old):
        which = f"all {len(old)} frames differ, first frame {shared}"
    else:
        which = f"{count} of {len(old)} frames differ, first frame {shared}"
    return f"{before}; {which}{after}"


def _hash(seen: Seen) -> str:
    return seen.hash if isinstance(seen, Fingerprint) else seen.text


def _subsequence(part: Sequence[Seen], whole: Sequence[Seen]) -> bool:
    rest = iter(whole)
    return all(any(item == other for other in rest) for item in part)
