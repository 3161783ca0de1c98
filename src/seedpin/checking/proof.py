"""Whether a fresh process obtained what waits to become a golden, and what differs if it did not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seedpin.checking.fresh import FRESH_SUSPECTS, Fresh
from seedpin.checking.keep import WAITS
from seedpin.checking.waiting import Waiting
from seedpin.compare.recorded import Margin
from seedpin.compare.registry import metric_named
from seedpin.compare.tolerance import check_limits, parse_tolerance
from seedpin.errors import GoldenError, GoldenWriteError, MetricError, SeedpinError, TraceError
from seedpin.goldens.content import load
from seedpin.goldens.manifest import Born, Manifest, from_json, to_json
from seedpin.goldens.store import Golden, GoldenKey, read_golden
from seedpin.kinds.measure import measure
from seedpin.kinds.registry import kind_named
from seedpin.trace.diff.divergence import Divergence
from seedpin.trace.diff.locate import first_divergence
from seedpin.trace.model import Trace
from seedpin.trace.storage import from_bytes

WEIGHTS = "weights were initialised outside the pin: pass what builds the model, seeded_model(build)"
GENERATOR = "a generator made in the test without a seed, as np.random.default_rng()"
SHARED = (
    "a test that changed a model shared with this one, and left it so (there the tests ran in reverse order)"
)
UNPINNED = "nothing was pinned where this came about: use seeded_model(...) or `with seedpin.pin(...)`"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a fresh process says of one staged golden. ``born`` goes into its manifest.

    ``reasons`` say why it may not be written; ``differs`` whether that is because the bits are others.
    """

    born: Born = dataclasses.field(default_factory=Born)
    reasons: tuple[str, ...] = ()
    differs: bool = False
    divergence: Divergence | None = None


def waits_for_a_fresh_process(waiting: Waiting) -> bool:
    """Whether nothing is known yet of whether this repeats."""
    return _manifest_of(waiting.golden.staged).born == WAITS


def write_born(waiting: Waiting, born: Born) -> None:
    """Says in the staged manifest how it was proved. Raises GoldenWriteError."""
    path = waiting.golden.staged
    try:
        manifest = dataclasses.replace(_manifest_of(path), born=born)
        path.write_text(to_json(manifest), encoding="utf-8")
    except OSError as error:
        raise GoldenWriteError(
            f"the manifest that was to become a golden cannot be written: {error}; nothing was changed",
            hint="make room on the disk, then run the update again",
        ) from error


def _manifest_of(path: Path) -> Manifest:
    try:
        return from_json(path.read_bytes(), path)
    except OSError as error:
        raise GoldenWriteError(
            f"the clip that was to become a golden cannot be read: {error}; nothing was changed",
            hint="run the update again",
        ) from error


def prove(waiting: Waiting, fresh: Fresh) -> Proof:
    """Holds a staged golden against what the fresh process obtained for the same check.

    An error (what was staged cannot be read, a tolerance that can never fail) refuses this golden alone.
    """
    try:
        return _held_against(waiting, fresh)
    except SeedpinError as error:
        return Proof(reasons=(f"{error.what}.",))


def _held_against(waiting: Waiting, fresh: Fresh) -> Proof:
    key = waiting.golden.key
    there = fresh.results.get(f"{key.test}::{key.check}")
    if there is None or there.device_class != key.device_class:
        return Proof(reasons=(_why_absent(key, fresh),))
    staged = read_golden(waiting.golden.staged)
    if staged is None:
        raise GoldenWriteError(
            f"{waiting.golden.staged} is gone; nothing was changed", hint="run the update again"
        )
    if staged.manifest.digest == there.obtained_digest:
        problem = fresh.problems.get(key.test)
        if problem is not None:
            return Proof(
                reasons=(f"A fresh process obtained the same, but the test did not pass there: {problem}.",)
            )
        return Proof(born=Born("fresh"))
    other = _obtained(fresh, key)
    if waiting.tolerance is not None and other is not None:
        margins = _margins(staged, other, waiting.tolerance)
        if margins and all(margin.ok for margin in margins):
            return Proof(born=Born("fresh", "other bits, within the declared tolerance"))
    return _refused(staged, other, waiting.noticed)


def _why_absent(key: GoldenKey, fresh: Fresh) -> str:
    problem = fresh.problems.get(key.test)
    if problem is None:
        file = key.test.partition("::")[0]
        problem = next((text for place, text in fresh.problems.items() if place == file), None)
    if problem is None:
        problem = "it was not collected there, or made no such check"
    return f"A fresh process did not obtain it: {problem}."


def _obtained(fresh: Fresh, key: GoldenKey) -> Golden | None:
    try:
        return read_golden(fresh.golden / f"{key.stem}.json")
    except GoldenError:
        return None


def _margins(staged: Golden, other: Golden, limits: Mapping[str, float]) -> Sequence[Margin]:
    kind = staged.manifest.kind
    if staged.manifest.facts != other.manifest.facts or other.manifest.kind != kind:
        return ()
    absent = [name for name in limits if metric_named(name, kind) is None]
    if absent:  # under xdist this process imports no conftest.py below the folders that were named
        raise MetricError(
            f"the metric {absent[0]!r} is not registered in pytest's main process, which proves goldens; "
            "register it in the conftest.py of the root, or in a plugin",
            hint="or prove goldens where they come about: --golden-probe=twice",
        )
    tolerance = parse_tolerance(limits, "the declared tolerance", kind=kind, same_environment=True)
    return check_limits(tolerance, measure(kind_named(kind), load(staged), load(other), limits))


def _refused(staged: Golden, other: Golden | None, noticed: tuple[str, ...]) -> Proof:
    one, two = _trace(staged), None if other is None else _trace(other)
    divergence = first_divergence(one, two) if one and two and one.level == two.level else None
    reasons = [f"The same test in a fresh process gave other bits{_frames(staged, other)}."]
    if divergence is not None:
        reasons.append(f"First difference: {divergence.sentence}")
    reasons.append(f"Usual suspects: {'; '.join(noticed or _suspects(staged, one, two, divergence))}.")
    return Proof(reasons=tuple(reasons), differs=True, divergence=divergence)


def _frames(staged: Golden, other: Golden | None) -> str:
    """Which frames or tensors differ, from their digests."""
    if other is None:
        return ""
    one, two = staged.manifest.frame_digests, other.manifest.frame_digests
    kind = kind_named(staged.manifest.kind)
    word = kind.word
    if len(one) != len(two):
        return f": {len(one)} {word}(s) here, {len(two)} there"
    differing = [index for index, (a, b) in enumerate(zip(one, two, strict=True)) if a != b]
    if not differing:
        return ""
    first = f", the first is {word} {differing[0]}" if kind.ordered else ""
    return f": {len(differing)} of {len(one)} {word}(s) differ{first}"


def _suspects(
    staged: Golden, one: Trace | None, two: Trace | None, divergence: Divergence | None
) -> tuple[str, ...]:
    """What usually does this, likeliest first, as far as the traces tell."""
    if staged.manifest.seed is None:
        return (UNPINNED, GENERATOR, WEIGHTS)
    if one is None or two is None:
        return (WEIGHTS, GENERATOR, SHARED, *FRESH_SUSPECTS)
    if divergence is not None and divergence.kind == "weights":
        return (WEIGHTS, SHARED)
    if one.weights and one.weights != two.weights:
        return (WEIGHTS, SHARED, *FRESH_SUSPECTS)
    if divergence is None or divergence.kind in ("clip", "argument"):
        return (GENERATOR, SHARED, *FRESH_SUSPECTS)
    return (*FRESH_SUSPECTS, SHARED, GENERATOR)


def _trace(golden: Golden) -> Trace | None:
    try:
        return from_bytes(golden.file("trace").read_bytes()) if "trace" in golden.manifest.files else None
    except (TraceError, OSError):
        return None
