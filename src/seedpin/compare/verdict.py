"""The verdict of one check: facts, then digests, then environment, then tolerance. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from seedpin.compare.measured import Metrics
from seedpin.compare.recorded import Margin
from seedpin.compare.tolerance import Tolerance, check_limits
from seedpin.environment.fingerprint import Environment, EnvironmentChange, difference, measured_in_both
from seedpin.environment.measured import NUMPY, families_in_words, family_of, is_measured
from seedpin.options import DEFAULT_SEED

SAME_ENVIRONMENT = "same environment"
OTHER_ENVIRONMENT = "other environment"
OTHER_CLASS = "other class"
_FORMER_DEFAULT = "0 was the default seed before: `seed = 0` under [tool.seedpin] keeps goldens of that time."


class Verdict(str, Enum):
    """The outcome of one check; the value is the word that files hold."""

    IDENTICAL = "identical"
    WITHIN_TOLERANCE = "within-tolerance"
    CHANGED = "changed"
    ENVIRONMENT_CHANGED = "environment-changed"
    INCOMPARABLE = "incomparable"
    MISSING = "missing"
    UNSTABLE = "unstable"
    INVALID = "invalid"
    UNCHECKED = "unchecked"
    DAMAGED = "damaged"

    @property
    def passes(self) -> bool:
        return self in (Verdict.IDENTICAL, Verdict.WITHIN_TOLERANCE)

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a verdict needs of an obtained clip, or of tensors.

    ``facts`` are those of ``Clip.facts`` (``tensor_facts`` for tensors); ``digest`` is over all frames.
    """

    facts: Mapping[str, Any]
    digest: str
    device_class: str
    environment: Environment = field(default_factory=Environment)
    seed: int | None = None
    level: str | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """What a verdict needs of a golden.

    ``accepted`` are the digests that count as identical, ``known_bad`` those that never pass, with their
    notes; a digest in both does not pass.
    """

    facts: Mapping[str, Any]
    accepted: frozenset[str]
    device_class: str
    environment: Environment = field(default_factory=Environment)
    seed: int | None = None
    level: str | None = None
    known_bad: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict and what it rests on.

    ``tier`` is "same environment", "other environment" or "other class", empty where it did not matter.
    ``tolerance`` is the one that was held against the metrics, if any; ``reasons`` are short sentences;
    ``changes`` lists every difference of the environments, informative ones too; ``measured`` is how many
    operations were run and hashed on both sides and compute the same bits, None where none was.
    """

    verdict: Verdict
    tier: str = ""
    tolerance: Tolerance | None = None
    margins: tuple[Margin, ...] = ()
    reasons: tuple[str, ...] = ()
    changes: tuple[EnvironmentChange, ...] = ()
    measured: int | None = None

    @property
    def passed(self) -> bool:
        return self.verdict.passes


def missing(device_class: str, others: Iterable[str] = ()) -> Decision:
    """No golden for ``device_class``; ``others`` are classes that have one."""
    reasons = [f"There is no golden for {device_class}."]
    found = ", ".join(sorted(others))
    if found:
        reasons.append(f"There is one for {found}.")
    return Decision(Verdict.MISSING, reasons=tuple(reasons))


def damaged(reason: str) -> Decision:
    """The golden cannot be read."""
    return Decision(Verdict.DAMAGED, reasons=(reason,))


def unstable(reason: str = "Two runs under the same pin differ.") -> Decision:
    """The model does not repeat under its pin."""
    return Decision(Verdict.UNSTABLE, reasons=(reason,))


def invalid(reasons: Iterable[str]) -> Decision:
    """What was handed in is no clip, or the check could not be made: ``reasons`` say why."""
    return Decision(Verdict.INVALID, reasons=tuple(reasons))


def unchecked(reason: str) -> Decision:
    """A test passed without checking a golden that it has."""
    return Decision(Verdict.UNCHECKED, reasons=(reason,))


def facts_differences(golden: Mapping[str, Any], obtained: Mapping[str, Any]) -> tuple[str, ...]:
    """One sentence per fact that differs; a fact that only one side has differs."""
    sentences = []
    for key in (*golden, *(key for key in obtained if key not in golden)):
        old, new = golden.get(key), obtained.get(key)
        if old != new or (key in golden) != (key in obtained):
            sentences.append(f"{key}: {_show(golden, key)} in the golden, {_show(obtained, key)} here.")
    return tuple(sentences)


def _show(facts: Mapping[str, Any], key: str) -> str:
    if key not in facts:
        return "absent"
    value = facts[key]
    if isinstance(value, Mapping):  # a tensor
        return " ".join(str(part) for part in value.values())
    return "none" if value is None else str(value)


def decide(
    golden: Reference | None,
    obtained: Candidate,
    *,
    metrics: Metrics | None = None,
    tolerance: Tolerance | None = None,
    fallback: Tolerance | None = None,
    fallback_declared: bool = False,
) -> Decision:
    """The verdict for ``obtained`` against ``golden`` (None: there is none for this class).

    The environment is what versions, settings and measured operations say, as far as both sides hold them.

    ``metrics`` are needed only where facts are equal and the digest is not an accepted one; without them no
    tolerance can hold. ``tolerance`` is the declared one for this class; ``fallback`` that of a declared
    fallback, used where the golden is another class's. Without ``fallback_declared`` (or a ``fallback``)
    another class's golden counts as missing.

    Raises ToleranceError for a tolerance that can never fail.
    """
    if golden is None:
        return missing(obtained.device_class)
    same_class = golden.device_class == obtained.device_class
    if not same_class and not fallback_declared and fallback is None:
        return missing(obtained.device_class, [golden.device_class])
    facts = (
        *facts_differences(golden.facts, obtained.facts),
        *facts_differences(
            {"seed": golden.seed, "level": golden.level}, {"seed": obtained.seed, "level": obtained.level}
        ),
    )
    changes = difference(golden.environment, obtained.environment)
    equal = not facts and obtained.digest in golden.accepted and obtained.digest not in golden.known_bad
    # Equal bits need no reason, and were not measured for one.
    measured = None if equal else measured_in_both(golden.environment, obtained.environment)
    if facts:
        if golden.seed == 0 and obtained.seed == DEFAULT_SEED:
            facts += (_FORMER_DEFAULT,)
        return Decision(Verdict.INCOMPARABLE, reasons=facts, changes=changes, measured=measured)
    moved = tuple(change for change in changes if change.moves_bits)
    tier = (OTHER_ENVIRONMENT if moved else SAME_ENVIRONMENT) if same_class else OTHER_CLASS

    if obtained.digest in golden.known_bad:
        note = golden.known_bad[obtained.digest]
        said = f"These exact bits are known to be bad{f': {note}' if note else '.'}"
        return Decision(Verdict.CHANGED, tier=tier, reasons=(said,), changes=changes, measured=measured)
    if equal:
        return Decision(Verdict.IDENTICAL, tier=tier, changes=changes)

    applicable = tolerance if same_class else fallback
    reasons: list[str] = []
    if applicable is not None and tier == SAME_ENVIRONMENT and not applicable.same_environment:
        reasons.append("In the golden's own environment bits must be equal: the tolerance is for another.")
        applicable = None
    margins = check_limits(applicable, metrics) if applicable is not None and metrics is not None else ()
    if margins and all(margin.ok for margin in margins):
        said = f"The worst values are within the tolerance for the {_called(tier)}."
        return Decision(Verdict.WITHIN_TOLERANCE, tier, applicable, margins, (said,), changes, measured)

    broken = [_sentence(margin, metrics) for margin in margins if not margin.ok and metrics is not None]
    if broken:
        reasons = broken
    elif not reasons:
        reasons = [f"Bits differ, and no tolerance is declared for the {_called(tier)}."]
    if metrics is not None and metrics.summary():
        reasons.append(metrics.summary())
    if tier == SAME_ENVIRONMENT:
        return Decision(Verdict.CHANGED, tier, applicable, margins, tuple(reasons), changes, measured)
    reasons.append(_environment_sentence(golden, obtained, moved, measured))
    return Decision(Verdict.ENVIRONMENT_CHANGED, tier, applicable, margins, tuple(reasons), changes, measured)


def _called(tier: str) -> str:
    return {
        SAME_ENVIRONMENT: "golden's own environment",
        OTHER_ENVIRONMENT: "same device class in another environment",
        OTHER_CLASS: "golden of another device class",
    }[tier]


def _sentence(margin: Margin, metrics: Metrics) -> str:
    place = metrics.place_in_words(margin.place if margin.frame is None else margin.frame)
    bound = "at least" if margin.direction == "min" else "at most"
    worst = metrics.worst(margin.metric)[1]  # of what is infinite or no number the margin has none
    value, limit = f"{worst:.6g}", f"{margin.limit:.6g}"
    if value == limit:  # a close miss must not read as a hit
        value = repr(worst)
    of = f" of {place}" if place else ""
    return f"{margin.metric}{of} is {value}; {bound} {limit} is declared."


def _environment_sentence(
    golden: Reference, obtained: Candidate, moved: tuple[EnvironmentChange, ...], measured: int | None
) -> str:
    """What differs around the code: the class, or versions and settings, or what operations compute."""
    if golden.device_class != obtained.device_class:
        classes = f"the golden is of {golden.device_class}, this is {obtained.device_class}"
        return f"The device classes differ ({classes}): the code cannot be judged."
    keys = ", ".join(change.key for change in moved if not is_measured(change.key))
    parted = [change.key for change in moved if is_measured(change.key)]
    if not parted:
        said = f"The environment differs in {keys}: the code cannot be judged."
        if not measured:
            return said
        # No proof: a model may call what was not measured, or in shapes that take another kernel.
        same = f"The {measured} measured operations compute the same bits"
        return f"{said} {same}: that weighs for a change of the code, and proves no more."
    verb = "computes" if len(parted) == 1 else "compute"
    what = f"{families_in_words(parted)} {verb} other bits on this machine{_cpus(golden, obtained)}"
    if keys:
        return f"The environment differs in {keys}, and {what}: the code cannot be judged."
    # Not even the portable profile covers NumPy, and many models compute nothing with it.
    only_numpy = all(family_of(key).startswith(NUMPY) for key in parted)
    unless = "where the model computes with it, " if only_numpy else ""
    return f"Versions and settings agree, but {what}: {unless}the code cannot be judged."


def _cpus(golden: Reference, obtained: Candidate) -> str:
    """The models of CPU, where they differ."""
    old, new = golden.environment.get("cpu_model"), obtained.environment.get("cpu_model")
    return "" if old == new or not old or not new else f" ({new} here, {old} there)"
