"""More about an exhibit: whether its calls repeat, and where its trace parts from a golden's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from seedpin.compare.tolerance import Tolerance
from seedpin.errors import TraceError
from seedpin.goldens.move import find_moved
from seedpin.goldens.names import move_command
from seedpin.goldens.store import Golden
from seedpin.plugin.calls import Call, draws_of, trace_of
from seedpin.plugin.exhibit import Exhibit
from seedpin.plugin.fresh import BATCH
from seedpin.plugin.subject import Subject
from seedpin.trace.divergence import Divergence, first_divergence
from seedpin.trace.model import Trace
from seedpin.trace.nonfinite import first_nonfinite
from seedpin.trace.probe import Instability, probe_call
from seedpin.trace.storage import from_bytes
from seedpin.trace.structure import moved_draws


def instability(exhibit: Exhibit, declared: Tolerance | None) -> Instability | None:
    """What keeps the calls behind this check from repeating; not asked where a tolerance is declared."""
    thorough = exhibit.desk.update.thorough
    lenient = exhibit.desk.settings.probe != "twice" or (declared is not None and declared.same_environment)
    if lenient and not thorough:
        return None
    another = ((exhibit.here.seed or 0) + 1) % 2**32 if thorough else None
    for call in exhibit.calls:
        if call.repeat is None or id(call) in exhibit.desk.state.probed:
            continue
        found = probe_call(call.outcome(), call.repeat, another_seed=another, entropy=call.entropy)
        if found is not None:
            return found
        exhibit.desk.state.probed.add(id(call))
    return None


def neighbours(exhibit: Exhibit) -> tuple[str, ...]:
    """What a batch of two does to the first item, where ``seedpin probe --batch`` asks."""
    argument = os.environ.get(BATCH)
    if not exhibit.desk.update.thorough or not argument:
        return ()
    found = []
    for call in exhibit.calls:
        if call.repeat is not None:
            same = call.repeat(None, None, **{argument: 2}).first == call.first
            word = "the same" if same else "other"
            found.append(f"{call.name} with {argument}=2 gives its first item {word} bits.")
    return tuple(found)


def divergence(exhibit: Exhibit, golden: Golden) -> Divergence | None:
    """Where this run's trace parts from the golden's; None where one of them has none."""
    return parting(exhibit.calls, exhibit.subject, golden)


def other_draws(exhibit: Exhibit, golden: Golden) -> str:
    """How the random draws are others than the golden's though the bits are equal; empty if they are not."""
    before, here = golden.manifest.draws, draws_of(exhibit.calls)
    return "" if before is None or here is None else moved_draws(before, here)


def parting(
    calls: Sequence[Call], subject: Subject | None, golden: Golden | None, *, nonfinite: bool = False
) -> Divergence | None:
    """Where the trace of ``calls``, and of the frames or tensors of ``subject``, parts from the golden's.

    Without a subject nothing that could be compared came out: the traces are compared up to there.
    nonfinite: what came out holds NaN or infinity; then the first record that does comes before all else, and
    needs no golden.
    """
    items, names = (subject.items(), subject.names) if subject is not None else ((), ())
    here = trace_of(calls, items, names)
    if here is None:
        return None
    found = None if golden is None else _from_golden(here, golden)
    if found is not None and found.kind == "clip" and subject is None:
        said = "all that was recorded agrees with the golden's, so it came of the code after that"
        found = replace(found, sentence=said)
    bad = first_nonfinite(here) if nonfinite else None
    if bad is None or found is None:
        return bad or found
    return replace(bad, sentence=f"{bad.sentence}. From the golden's run it parts here: {found.sentence}")


def _from_golden(here: Trace, golden: Golden) -> Divergence | None:
    if "trace" not in golden.manifest.files:
        return None
    try:
        return first_divergence(from_bytes(golden.file("trace").read_bytes()), here)
    except (TraceError, OSError):
        return None


def renamed(exhibit: Exhibit) -> tuple[str, str] | None:
    """Whose golden has the bits of a check that has none, in a sentence, and what to type if it was renamed.

    Tests that this session knows are not asked: they are there still.
    """
    key = exhibit.key
    alive = {item.nodeid for item in exhibit.desk.request.session.items}
    found = find_moved(exhibit.desk.store.root, key, exhibit.subject.digest, alive - {key.test})
    if not found:
        return None
    old, more = found[0], len(found) - 1
    others = f", and {more} more" if more else ""
    sentence = f"The golden of {old.test} ({old.check}) has these very bits{others}."
    old_file, _, old_name = old.test.partition("::")
    file, _, name = key.test.partition("::")
    if (old_name, old.check) == (name, key.check) and not (exhibit.desk.settings.root / old_file).exists():
        return sentence, f"if {old_file} was moved here: {move_command((old_file, ''), (file, ''))}"
    return sentence, f"if that was renamed: {move_command((old.test, old.check), (key.test, key.check))}"
