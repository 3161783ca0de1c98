"""What the pinned calls of two runs were given, compared."""

from __future__ import annotations

from seedpin.trace.diff import wording
from seedpin.trace.model import Fingerprint, Given, Seen, Trace, Value, agree, names_a_path

_SAID = 3


def changed_arguments(golden: Trace, here: Trace) -> tuple[str, str]:
    """The name of the first argument of the pinned calls that differs, and all of them in a sentence.

    Both empty where none is known to differ: nothing is said of a trace that does not hold them, of what only
    has a type, of names of files, and of a parameter that one side's signature lacks and nobody gave.
    """
    if golden.calls is None or here.calls is None:
        return "", ""
    first, said = "", []
    several = len(golden.calls) > 1 or len(here.calls) > 1
    for number, (old, new) in enumerate(zip(golden.calls, here.calls, strict=False)):
        if old.name != new.name:
            break  # Other calls: what they were given is no comparison.
        for name, left, right in _rows(old, new):
            where = "" if old.name == "__call__" else f" of {old.name}"
            which = f" (call {number})" if several else ""
            first = first or name
            said.append(f"`{name}`{where}{which} {_change(left, right)}")
    if not said:
        return "", ""
    more = f", and {len(said) - _SAID} more" if len(said) > _SAID else ""
    word = "argument" if len(said) == 1 else "arguments"
    return first, f"the call's {word} {', '.join(said[:_SAID])}{more}"


def _rows(old: Given, new: Given) -> list[tuple[str, Seen | None, Seen | None]]:
    left, right = dict(old.arguments), dict(new.arguments)
    rows = []
    for name in dict.fromkeys([*left, *right]):
        one, other = left.get(name), right.get(name)
        if (one is None and name in new.defaults) or (other is None and name in old.defaults):
            continue
        if any(isinstance(seen, Value) and (seen.opaque or _is_path(name, seen)) for seen in (one, other)):
            continue
        if one is None or other is None or agree(one, other) is False:
            rows.append((name, one, other))
    return rows


def _is_path(name: str, seen: Value) -> bool:
    return names_a_path(name.rpartition(".")[2], seen.text)


def _change(left: Seen | None, right: Seen | None) -> str:
    both = isinstance(left, Fingerprint) and isinstance(right, Fingerprint)
    if both and str(left) == str(right):
        return f"is another tensor {right} here"
    return wording.change(left, right)
