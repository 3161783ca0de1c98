from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from seedpin.clip.clip import Clip
from seedpin.compare.clips import ClipMetrics, compare_clips
from seedpin.compare.tensors import compare_tensors, tensor_facts
from seedpin.compare.tolerance import Tolerance
from seedpin.compare.verdict import (
    Candidate,
    Decision,
    Reference,
    Verdict,
    damaged,
    decide,
    facts_differences,
    invalid,
    missing,
    unchecked,
    unstable,
)
from seedpin.environment.fingerprint import Environment, EnvironmentValue
from seedpin.options import DEFAULT_SEED
from seedpin.run.result import PASSING, SEVERITY

HERE = Environment((EnvironmentValue("os", "Linux 6.1", False), EnvironmentValue("torch", "2.13.0", True)))
ELSEWHERE = Environment(
    (EnvironmentValue("os", "Linux 6.8", False), EnvironmentValue("torch", "2.12.0", True))
)
OTHER_OS = Environment(
    (EnvironmentValue("os", "Linux 6.8", False), EnvironmentValue("torch", "2.13.0", True))
)

FRAMES = np.full((45, 16, 16, 3), 100, "uint8")
CLIP = Clip(FRAMES, fps=8)
GOLDEN = Reference(CLIP.facts(), frozenset({"sha256:a"}), "cpu-x", HERE, 7, "strict")
SAME = Candidate(CLIP.facts(), "sha256:a", "cpu-x", HERE, 7, "strict")
DIFFERENT = replace(SAME, digest="sha256:b")
MOVED = replace(DIFFERENT, environment=ELSEWHERE)

LOOSE = Tolerance({"max_abs": 3.0})
LOOSE_HERE = Tolerance({"max_abs": 3.0}, same_environment=True)
TIGHT = Tolerance({"max_abs": 1.0})
TIGHT_HERE = Tolerance({"max_abs": 1.0}, same_environment=True)


def off_by(levels: int) -> ClipMetrics:
    """Metrics of a clip of which frame 5 is ``levels`` brighter."""
    frames = FRAMES.copy()
    frames[5] += levels
    return compare_clips(CLIP, Clip(frames, fps=8))


TWO = off_by(2)


def test_equal_digests_are_identical_whatever_else() -> None:
    """Another environment and another class with a fallback do not matter when bits are equal."""
    assert decide(GOLDEN, SAME).verdict is Verdict.IDENTICAL
    moved = decide(GOLDEN, replace(SAME, environment=ELSEWHERE))
    assert (moved.verdict, moved.tier) == (Verdict.IDENTICAL, "other environment")
    assert [change.key for change in moved.changes] == ["torch", "os"]
    other = decide(GOLDEN, replace(SAME, device_class="cpu-y"), fallback_declared=True)
    assert (other.verdict, other.tier) == (Verdict.IDENTICAL, "other class")


def test_several_digests_may_be_accepted() -> None:
    """Each accepted digest counts as identical."""
    golden = replace(GOLDEN, accepted=frozenset({"sha256:a", "sha256:b"}))
    assert decide(golden, DIFFERENT).verdict is Verdict.IDENTICAL


def test_a_known_bad_digest_never_passes() -> None:
    """Not within a tolerance, and not where it is accepted, too; its note is in the reasons."""
    golden = replace(GOLDEN, known_bad={"sha256:b": "CLIP mask dropped"})
    found = decide(golden, DIFFERENT, metrics=TWO, tolerance=LOOSE_HERE)
    assert found.verdict is Verdict.CHANGED
    assert "CLIP mask dropped" in found.reasons[0]
    both = replace(golden, accepted=frozenset({"sha256:b"}))
    assert decide(both, DIFFERENT).verdict is Verdict.CHANGED


@pytest.mark.parametrize(
    ("side", "tolerance", "verdict", "tier"),
    [
        # the same environment: exact, unless declared otherwise
        (DIFFERENT, None, "changed", "same environment"),
        (DIFFERENT, LOOSE, "changed", "same environment"),
        (DIFFERENT, LOOSE_HERE, "within-tolerance", "same environment"),
        (DIFFERENT, TIGHT_HERE, "changed", "same environment"),
        # the same class in another environment: the class's tolerance
        (MOVED, None, "environment-changed", "other environment"),
        (MOVED, LOOSE, "within-tolerance", "other environment"),
        (MOVED, LOOSE_HERE, "within-tolerance", "other environment"),
        (MOVED, TIGHT, "environment-changed", "other environment"),
        # only what moves bits makes another environment
        (replace(DIFFERENT, environment=OTHER_OS), LOOSE, "changed", "same environment"),
        (replace(DIFFERENT, environment=Environment()), LOOSE, "changed", "same environment"),
    ],
)
def test_tiers_of_one_class(side: Candidate, tolerance: Tolerance | None, verdict: str, tier: str) -> None:
    """Which tolerance holds follows from whether the environment is the golden's."""
    found = decide(GOLDEN, side, metrics=TWO, tolerance=tolerance)
    assert (found.verdict.value, found.tier) == (verdict, tier)
    assert found.passed is (verdict == "within-tolerance")


@pytest.mark.parametrize(
    ("fallback", "declared", "verdict"),
    [
        (None, False, "missing"),
        (None, True, "environment-changed"),
        (LOOSE, True, "within-tolerance"),
        (TIGHT, True, "environment-changed"),
    ],
)
def test_another_class_counts_only_through_a_declared_fallback(
    fallback: Tolerance | None, declared: bool, verdict: str
) -> None:
    """The class's own tolerance never applies to another class's golden."""
    side = replace(DIFFERENT, device_class="cpu-y")
    found = decide(
        GOLDEN, side, metrics=TWO, tolerance=LOOSE_HERE, fallback=fallback, fallback_declared=declared
    )
    assert found.verdict.value == verdict
    if verdict == "environment-changed":
        assert "cpu-y" in found.reasons[-1]


def test_identity_of_classes_is_exact() -> None:
    """A golden of B200 is no golden for GB200."""
    golden = replace(GOLDEN, device_class="cuda-sm100-nvidia_b200-148sm")
    found = decide(golden, replace(SAME, device_class="cuda-sm100-nvidia_gb200-148sm"))
    assert found.verdict is Verdict.MISSING
    assert found.reasons == (
        "There is no golden for cuda-sm100-nvidia_gb200-148sm.",
        "There is one for cuda-sm100-nvidia_b200-148sm.",
    )


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("frames", 46),
        ("frames", 44),
        ("height", 8),
        ("width", 8),
        ("channels", 4),
        ("dtype", "float32"),
        ("fps", None),
    ],
)
def test_other_facts_are_incomparable(fact: str, value: object) -> None:
    """A longer video is never truncated, and no tolerance helps; the fact is named with both values."""
    side = replace(DIFFERENT, facts={**SAME.facts, fact: value})
    found = decide(GOLDEN, side, metrics=TWO, tolerance=LOOSE_HERE)
    assert found.verdict is Verdict.INCOMPARABLE
    assert found.reasons == (
        f"{fact}: {SAME.facts[fact]} in the golden, {'none' if value is None else value} here.",
    )


@pytest.mark.parametrize(("fact", "value"), [("seed", 8), ("level", "seeds"), ("seed", None)])
def test_another_seed_or_level_is_incomparable(fact: str, value: object) -> None:
    """Also when the digest is equal by chance: the golden is of another pin."""
    side = replace(SAME, **{fact: value})  # type: ignore[arg-type]
    found = decide(GOLDEN, side)
    assert found.verdict is Verdict.INCOMPARABLE
    assert found.reasons[0].startswith(f"{fact}: ")


def test_three_garbage_frames_of_45_never_pass() -> None:
    """The gate is the worst frame: a mean of 0.93 and more does not help."""
    rng = np.random.default_rng(0)
    frames = FRAMES.copy()
    frames[10:13] = rng.integers(0, 256, frames[10:13].shape)
    found = compare_clips(CLIP, Clip(frames, fps=8))
    assert found.mean("ssim") >= 0.93
    tolerance = Tolerance({"ssim": 0.93}, same_environment=True)
    decision = decide(GOLDEN, DIFFERENT, metrics=found, tolerance=tolerance)
    assert decision.verdict is Verdict.CHANGED
    assert decision.margins[0].frame in (10, 11, 12)
    assert "3 of 45 frames differ, the first is frame 10." in decision.reasons


def test_every_limit_has_to_hold() -> None:
    """One broken limit among several fails, and only it is in the reasons."""
    tolerance = Tolerance({"max_abs": 1.0, "ssim": 0.5}, same_environment=True)
    found = decide(GOLDEN, DIFFERENT, metrics=TWO, tolerance=tolerance)
    assert found.verdict is Verdict.CHANGED
    assert [margin.ok for margin in found.margins] == [True, False]
    assert found.reasons[0] == "max_abs of frame 5 is 2; at most 1 is declared."
    assert not any("ssim" in reason for reason in found.reasons)


def test_margins_are_recorded_when_a_tolerance_holds() -> None:
    """The room left is kept, so that erosion shows."""
    found = decide(GOLDEN, MOVED, metrics=TWO, tolerance=LOOSE)
    assert (found.margins[0].margin, found.margins[0].frame, found.tolerance) == (1.0, 5, LOOSE)


def test_without_metrics_no_tolerance_holds() -> None:
    """A caller that forgot the metrics gets a failure, not a pass."""
    assert decide(GOLDEN, DIFFERENT, tolerance=LOOSE_HERE).verdict is Verdict.CHANGED
    assert decide(GOLDEN, MOVED, tolerance=LOOSE).verdict is Verdict.ENVIRONMENT_CHANGED


def test_environment_changed_names_the_keys() -> None:
    """Keys that move bits are in the reason, informative ones are not."""
    reason = decide(GOLDEN, MOVED, metrics=TWO).reasons[-1]
    assert reason == "The environment differs in torch: the code cannot be judged."


def canary(cpu: str = "Intel Xeon", torch: str = "2.13.0", **digests: str) -> Environment:
    """``sqrt_float32="a"`` is the digest of that family."""
    entries = [EnvironmentValue("cpu_model", cpu, False), EnvironmentValue("torch", torch, True)]
    entries += [
        EnvironmentValue(f"canary.{key.replace('_', '.')}", f"1:{value}", True)
        for key, value in digests.items()
    ]
    return Environment(tuple(entries))


MEASURED = canary(sqrt_float32="a", sqrt_float64="b", norms_float32="c", fft_float32="n/a")
MINTED = replace(GOLDEN, environment=MEASURED)


def test_arithmetic_that_differs_is_another_environment() -> None:
    """Versions and settings agree, what sqrt computes does not: the code is not judged, and sqrt is named."""
    here = canary("AMD EPYC", sqrt_float32="x", sqrt_float64="y", norms_float32="c", fft_float32="n/a")
    found = decide(MINTED, replace(DIFFERENT, environment=here))
    assert (found.verdict, found.tier) == (Verdict.ENVIRONMENT_CHANGED, "other environment")
    assert found.reasons[-1] == (
        "Versions and settings agree, but sqrt in float32 and float64 compute other bits on this machine "
        "(AMD EPYC here, Intel Xeon there): the code cannot be judged."
    )
    assert found.measured == 1


def test_equal_arithmetic_weighs_for_the_code_and_proves_nothing() -> None:
    """Another torch that computes the same is still another environment, and the message says what it is."""
    here = canary(torch="2.14.0", sqrt_float32="a", sqrt_float64="b", norms_float32="c", fft_float32="n/a")
    found = decide(MINTED, replace(DIFFERENT, environment=here))
    assert found.verdict is Verdict.ENVIRONMENT_CHANGED
    assert found.reasons[-1] == (
        "The environment differs in torch: the code cannot be judged. The 2 measured operations compute the "
        "same bits: that weighs for a change of the code, and proves no more."
    )
    both = canary(torch="2.14.0", sqrt_float32="x", norms_float32="c")
    assert decide(MINTED, replace(DIFFERENT, environment=both)).reasons[-1] == (
        "The environment differs in torch, and sqrt in float32 computes other bits on this machine: "
        "the code cannot be judged."
    )


def test_where_only_numpy_differs_the_message_says_what_follows() -> None:
    """A model that computes nothing with NumPy has no excuse in it."""
    golden = replace(GOLDEN, environment=canary(**{"sqrt_float32": "a", "numpy-exp_float32": "b"}))
    here = canary(**{"sqrt_float32": "a", "numpy-exp_float32": "c"})
    reason = decide(golden, replace(DIFFERENT, environment=here)).reasons[-1]
    assert reason == (
        "Versions and settings agree, but NumPy's exp in float32 computes other bits on this machine: where "
        "the model computes with it, the code cannot be judged."
    )


def test_a_golden_without_a_canary_is_judged_as_before() -> None:
    """What was not measured on both sides excuses nothing, and nothing is said of it."""
    for golden in (GOLDEN, replace(GOLDEN, environment=canary(cpu="Intel Xeon"))):
        here = Environment(
            (*golden.environment.entries, EnvironmentValue("canary.sqrt.float32", "1:x", True))
        )
        found = decide(golden, replace(DIFFERENT, environment=here))
        assert (found.verdict, found.measured, found.changes) == (Verdict.CHANGED, None, ())
    agreed = decide(MINTED, replace(DIFFERENT, environment=MEASURED))
    assert (agreed.verdict, agreed.measured) == (Verdict.CHANGED, 2)


def test_another_version_of_the_battery_is_not_compared() -> None:
    """A family whose definition changed since says nothing; the others still do."""
    later = Environment(
        tuple(
            replace(entry, value="2:z") if entry.key == "canary.sqrt.float32" else entry
            for entry in MEASURED.entries
        )
    )
    found = decide(MINTED, replace(DIFFERENT, environment=later))
    assert (found.verdict, found.measured, found.changes) == (Verdict.CHANGED, 2, ())


def test_no_golden_is_missing() -> None:
    """The classes that have a golden are named."""
    assert decide(None, SAME) == missing("cpu-x")
    assert "cpu-y, cpu-z" in missing("cpu-x", ["cpu-z", "cpu-y"]).reasons[1]


def test_verdicts_without_a_comparison_fail() -> None:
    """Damaged, unstable, invalid and unchecked carry their reason."""
    for found, verdict in (
        (damaged("truncated"), Verdict.DAMAGED),
        (unstable(), Verdict.UNSTABLE),
        (invalid(["NaN in frame 3"]), Verdict.INVALID),
        (unchecked("the test returned early"), Verdict.UNCHECKED),
    ):
        assert (found.verdict, found.passed) == (verdict, False)
        assert found.reasons[0]


def test_only_identical_and_within_tolerance_pass() -> None:
    """The words are those of the results on disk."""
    assert {verdict.value for verdict in Verdict} == set(SEVERITY)
    assert {verdict.value for verdict in Verdict if Decision(verdict).passed} == PASSING
    assert str(Verdict.CHANGED) == "changed"


def test_tensors_are_decided_alike() -> None:
    """Facts of tensors are named, their tolerance is held against the worst tensor."""
    golden_tensors = {"latents": np.ones((2, 3), "float32"), "text": np.ones(4, "float32")}
    other = {**golden_tensors, "text": golden_tensors["text"] * np.float32(1.015625)}
    facts = tensor_facts(golden_tensors)
    golden = replace(GOLDEN, facts=facts)
    side = replace(DIFFERENT, facts=facts)
    found = compare_tensors(golden_tensors, other)
    tight = Tolerance({"relative_l2": 0.001}, "tensors", same_environment=True)
    loose = Tolerance({"relative_l2": 0.1}, "tensors", same_environment=True)
    assert decide(golden, side, metrics=found, tolerance=loose).verdict is Verdict.WITHIN_TOLERANCE
    broken = decide(golden, side, metrics=found, tolerance=tight)
    assert broken.verdict is Verdict.CHANGED
    assert broken.reasons[0].startswith("relative_l2 of tensor text is 0.015625;")
    assert facts_differences(facts, tensor_facts({"latents": np.ones((2, 4), "float32")})) == (
        "latents: [2, 3] float32 in the golden, [2, 4] float32 here.",
        "text: [4] float32 in the golden, absent here.",
    )


def test_a_close_miss_does_not_read_as_a_hit() -> None:
    """Where rounding would print the limit itself, the value is printed in full."""
    values = (0.98 - 1e-9,)
    one = ClipMetrics(values, (50.0,), (1.0,), (1.0,), (1.0,), (0.0,), 255.0)
    found = decide(GOLDEN, DIFFERENT, metrics=one, tolerance=Tolerance({"ssim": 0.98}, same_environment=True))
    assert found.reasons[0] == "ssim of frame 0 is 0.979999999; at least 0.98 is declared."


def test_a_golden_born_under_the_former_default_seed_says_how_to_keep_it() -> None:
    """Where the seed differs only because the default did, the message says what keeps the golden."""
    said = decide(replace(GOLDEN, seed=0), replace(SAME, seed=DEFAULT_SEED)).reasons
    assert "`seed = 0` under [tool.seedpin]" in said[-1]
    assert all("tool.seedpin" not in reason for reason in decide(replace(GOLDEN, seed=0), SAME).reasons)
