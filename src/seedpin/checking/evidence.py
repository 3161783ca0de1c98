"""More about an artifact: whether its calls repeat, and where its trace parts from a golden's."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from seedpin.checking.artifact import Artifact
from seedpin.checking.fresh import NOTHING_REPEATED
from seedpin.compare.verdict import Decision, unstable
from seedpin.errors import TraceError
from seedpin.goldens.move import find_moved
from seedpin.goldens.names import move_command
from seedpin.goldens.store import Golden
from seedpin.trace.diff.divergence import Divergence
from seedpin.trace.diff.locate import first_divergence
from seedpin.trace.diff.nonfinite import first_nonfinite
from seedpin.trace.model import Trace
from seedpin.trace.storage import from_bytes


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why it is not known that the calls behind a check repeat. ``decision`` says so; ``hint`` what to do."""

    decision: Decision
    hint: str = ""


def doubt(artifact: Artifact, decision: Decision) -> Doubt | None:
    """What repeating the calls behind this check has shown against it; nothing where a tolerance is declared.

    A call that gave other values makes it unstable; one that could not be repeated leaves the verdict.
    """
    declared = artifact.tolerance()
    if declared is not None and declared.same_environment and not artifact.context.update.thorough:
        return None
    for call in artifact.calls:
        repetition = call.repetition
        if repetition is not None and repetition.unsteady is not None:
            return Doubt(replace(unstable(), reasons=repetition.unsteady.reasons()))
    for call in artifact.calls:
        if call.repetition is not None and call.repetition.cannot:
            said = f"It is not known whether this repeats: {call.repetition.cannot}."
            return Doubt(replace(decision, reasons=(*decision.reasons, said)), _IN_A_FRESH_PROCESS)
    return None


_IN_A_FRESH_PROCESS = "let a fresh process tell: pytest --update-golden --golden-probe=fresh"


def neighbours(artifact: Artifact) -> tuple[str, ...]:
    """In a probe: what ``--batch`` asks, what a batch of two does to the first item; and where
    ``seedpin probe`` had no call to repeat, that.
    """
    if not any(call.repetition for call in artifact.calls):
        return (NOTHING_REPEATED,)
    return tuple(
        call.repetition.batch for call in artifact.calls if call.repetition and call.repetition.batch
    )


def parting(
    here: Trace, golden: Golden | None, *, came_out: bool = True, nonfinite: bool = False
) -> Divergence | None:
    """Where a check's trace, to its frames or tensors, parts from the golden's; None where that has none.

    came_out: whether anything that could be compared came out; if not, the traces are compared up to there.
    nonfinite: what came out holds NaN or infinity; then the first record that does comes before all else, and
    needs no golden.
    """
    parted = None if golden is None else _from_golden(here, golden)
    if parted is not None and parted.kind == "clip" and not came_out:
        said = "all that was recorded agrees with the golden's, so it came of the code after that"
        parted = replace(parted, sentence=said)
    bad = first_nonfinite(here) if nonfinite else None
    if bad is None or parted is None:
        return bad or parted
    return replace(bad, sentence=f"{bad.sentence}. From the golden's run it parts here: {parted.sentence}")


def _from_golden(here: Trace, golden: Golden) -> Divergence | None:
    if "trace" not in golden.manifest.files:
        return None
    try:
        return first_divergence(from_bytes(golden.file("trace").read_bytes()), here)
    except (TraceError, OSError):
        return None


def fitting(hints: tuple[str, ...], parted: Divergence | None) -> tuple[str, ...]:
    """Hints from pixels, without guesses at a cause (``: rounding?``) where the trace knows better.

    What was counted stays. A guess stays too where the frames, or the code that makes them, are the place.
    """
    if parted is None or parted.kind == "clip" or "process" in parted.place:
        return hints
    return tuple(hint.rpartition(": ")[0] or hint if hint.endswith("?") else hint for hint in hints)


def _is_defined(root: Path, test: str, renamed_to: str) -> bool:
    """Whether ``test`` is still in its file; unknown, and so no, where only its parameters may be others."""
    file, _, name = test.partition("[")[0].partition("::")
    if test.partition("[")[0] == renamed_to.partition("[")[0]:
        return False
    try:
        code = (root / file).read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return False
    return all(re.search(rf"\b(def|class) {re.escape(part)}\b", code) for part in name.split("::"))


def renamed(artifact: Artifact) -> tuple[str, str] | None:
    """Whose golden has the bits of a check that has none, in a sentence, and what to type if it was renamed.

    Tests that are there still are not asked: those that this session knows, or whose file defines them.
    """
    key = artifact.key
    alive = frozenset(artifact.context.living())
    moved = find_moved(artifact.context.store.root, key, artifact.obtained.digest, alive - {key.test})
    root = artifact.context.settings.root
    moved = tuple(one for one in moved if not _is_defined(root, one.test, key.test))
    if not moved:
        return None
    old, more = moved[0], len(moved) - 1
    others = f", and {more} more" if more else ""
    sentence = f"The golden of {old.test} ({old.check}) has these very bits{others}."
    old_file, _, old_name = old.test.partition("::")
    file, _, name = key.test.partition("::")
    if (old_name, old.check) == (name, key.check) and not (
        artifact.context.settings.root / old_file
    ).exists():
        return sentence, f"if {old_file} was moved here: {move_command((old_file, ''), (file, ''))}"
    return sentence, f"if that was renamed: {move_command((old.test, old.check), (key.test, key.check))}"
