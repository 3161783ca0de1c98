"""The report's view model."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from seedpin.compare.recorded import Margin, RecordedMetrics, WorstValue
from seedpin.environment.fingerprint import EnvironmentChange, StoredEnvironment
from seedpin.report.data import CheckView, commands, view_check, view_row, view_run
from seedpin.report.divergence_rows import view_divergence
from seedpin.report.github import summary
from seedpin.report.series import view_strip
from seedpin.run.ledger import RunMeta
from seedpin.run.result import CheckResult
from seedpin.trace.diff.divergence import Divergence

METRICS = RecordedMetrics(
    kind="clip",
    data_range=255.0,
    first_differing=1,
    differing=2,
    worst={
        "psnr": WorstValue(41.5, 2),
        "ssim": WorstValue(0.99, 1),
        "max_abs": WorstValue(9.0, 2),
        "changed": WorstValue(0.25, 2),
    },
    frames={
        "psnr": (None, 60.0, 41.5),
        "ssim": (1.0, 0.99, 0.995),
        "max_abs": (0.0, 2.0, 9.0),
        "changed": (0.0, 0.1, 0.25),
    },
)
BROKEN = Margin("ssim", 0.99, 0.995, False, frame=1, margin=-0.005, used=2.0, direction="min")
KEPT = Margin("psnr", 41.5, 40.0, True, frame=2, margin=1.5, used=0.8, direction="min")
TORCH = EnvironmentChange("torch", "2.9.1", "2.13.0", True)
KERNEL = EnvironmentChange("os", "6.5", None, False)


HERE = StoredEnvironment(moves_bits={"torch": "2.13.0"})
SQRT = EnvironmentChange("canary.sqrt.float32", "1:ab", "1:cd", True)
CPU = EnvironmentChange("cpu_model", "Intel Xeon", "AMD EPYC", False)


def result(verdict: str = "changed", **fields: Any) -> CheckResult:
    made = CheckResult(
        test="tests/test_a.py::test_b[x y]",
        check="video",
        kind="video",
        verdict=verdict,
        device_class="cpu-x86_64-portable",
        golden="tests/test_a.py/test_b[x y]/video.cpu-x86_64-portable.json",
        message="told",
        obtained="obtained/a.json",
        golden_copy="golden/a.json",
        facts_golden={"frames": 3, "fps": 8.0},
        facts_obtained={"frames": 3, "fps": 8.0},
        environment=HERE,
        tier="same environment" if verdict == "changed" else "",
    )
    return dataclasses.replace(made, **fields)


def view(one: CheckResult) -> CheckView:
    return view_check(view_row(0, one), one, run="RUN", run_path=".seedpin/runs/RUN")


def answers(one: CheckResult) -> dict[str, str]:
    return {answer.question: answer.value for answer in view(one).summary}


def test_answers_of_a_changed_clip() -> None:
    """What changed, how much, at which frame, and that no difference of the environment was found."""
    found = answers(result(metrics=METRICS, margins=(KEPT, BROKEN)))
    assert found == {
        "What changed": "2 of 3 frames",
        "How much": "0.990000",
        "First differing frame": "1",
        "Worst frame": "1",
        "Environment": "no difference found",
    }


def test_the_broken_limit_decides() -> None:
    """The time line shows the metric whose limit is broken, and the worst frame is that metric's."""
    found = view(result(metrics=METRICS, margins=(KEPT, BROKEN)))
    assert (found.primary, found.worst) == ("ssim", 1)
    assert found.series[0].name == "ssim"
    assert found.series[0].limit == 0.995
    without = view(result(metrics=METRICS))
    assert (without.primary, without.worst, without.total) == ("psnr", 2, 3)


def test_a_limit_of_which_infinitely_much_was_used_decides() -> None:
    """A broken limit without a finite use (JSON has no infinity) comes before all others."""
    endless = dataclasses.replace(BROKEN, metric="max_abs", value=9.0, limit=0.0, frame=2, used=None)
    found = view(result(metrics=METRICS, margins=(BROKEN, endless)))
    assert found.primary == "max_abs"


def test_environment_is_told_apart() -> None:
    """What can move bits is counted and named; what cannot is no change of the environment."""
    moved = view(result("environment-changed", environment_changes=(TORCH, KERNEL)))
    assert moved.summary[-1].value == "1 setting changed"
    assert moved.summary[-1].note == "torch"
    assert [row.matters for row in moved.environment] == [True, False]
    assert moved.environment[1].here == "not recorded"
    assert "torch" in moved.headline
    assert answers(result(environment_changes=(KERNEL,)))["Environment"] == "no difference found"


def test_arithmetic_that_differs_is_named_in_words() -> None:
    """The report says what computes other bits, on which CPUs, and nowhere to look at the code."""
    found = view(result("environment-changed", environment_changes=(SQRT, CPU), measured=43))
    assert found.headline == (
        "The output changed, and so did the bits that this machine computes (sqrt in float32). "
        "The code cannot be judged by this alone."
    )
    assert (found.summary[-1].value, found.summary[-1].note) == ("arithmetic changed", "sqrt in float32")
    assert [(row.key, row.here) for row in found.environment] == [
        ("sqrt in float32", "1:cd"),
        ("cpu_model", "AMD EPYC"),
    ]


def test_the_summary_for_github_names_arithmetic_and_cpus() -> None:
    """Operations stand there in words, and the CPUs beside them, though these move no bits themselves."""
    text = summary([result("environment-changed", environment_changes=(SQRT, CPU, KERNEL))], run_folder="r")
    assert "| sqrt in float32 | 1:ab | 1:cd |" in text
    assert "| cpu_model | Intel Xeon | AMD EPYC |" in text
    assert "| os |" not in text


def test_only_what_was_measured_is_said_not_to_have_changed() -> None:
    """With a canary on both sides the code is to blame; without one, arithmetic was not compared."""
    measured = view(result(measured=44, environment_changes=(CPU,)))
    assert measured.headline == (
        "The output changed; versions, settings and 44 measured operations agree. Look at the code."
    )
    assert measured.summary[-1].note == (
        "versions, settings and 44 measured operations agree; cpu_model: AMD EPYC, not Intel Xeon"
    )
    before = view(result())
    assert before.headline == (
        "The output changed; versions and settings agree; "
        "what operations compute was not recorded with the golden."
    )
    assert measured.agreed == (
        "No version and no setting that both sides recorded differs, and 44 measured operations "
        "compute the same bits."
    )
    assert before.agreed.endswith("differs; what operations compute was not compared.")
    assert view(result("environment-changed", environment_changes=(SQRT,), measured=43)).agreed == ""
    bad = view(result(tier="other environment", reasons=("These exact bits are known to be bad.",)))
    assert bad.headline == "These exact bits are known to be bad."
    assert answers(result(environment=StoredEnvironment()))["Environment"] == "not recorded"


def test_another_class_is_named() -> None:
    """Against a fallback's golden the answer names the class that the golden is of."""
    other = view(result("environment-changed", tier="other class", golden="t/video.cuda-a.json"))
    assert other.summary[-1].note == "golden of cuda-a"


@pytest.mark.parametrize(
    ("verdict", "fields", "expected"),
    [
        ("identical", {"obtained": None}, "nothing"),
        ("missing", {"facts_golden": {}}, "no golden yet"),
        (
            "incomparable",
            {"reasons": ("frames: 3 in the golden, 2 here.",)},
            "frames: 3 in the golden, 2 here.",
        ),
        ("damaged", {"reasons": ("It is truncated.",)}, "It is truncated."),
        ("unstable", {"reasons": ("Two runs differ.",)}, "Two runs differ."),
    ],
)
def test_what_changed_for_each_verdict(verdict: str, fields: dict[str, Any], expected: str) -> None:
    """Verdicts without metrics still say what is the matter, and all have a headline."""
    found = view(result(verdict, **fields))
    assert found.summary[0].value == expected
    assert found.headline.endswith(".")


def test_commands_are_exact() -> None:
    """Commands are quoted for a shell; accept comes first; what passed has nothing to accept."""
    found = {one.name: one.text for one in commands(result(), run="RUN", run_path=".seedpin/runs/RUN")}
    assert list(found) == ["accept", "rerun", "reject", "compare"]
    assert found["accept"] == "seedpin accept RUN 'tests/test_a.py::test_b[x y]::video' --reason 'WHY'"
    assert found["rerun"] == "pytest 'tests/test_a.py::test_b[x y]'"
    assert (
        found["compare"]
        == "seedpin compare .seedpin/runs/RUN/golden/a.json .seedpin/runs/RUN/obtained/a.json"
    )
    passed = result("within-tolerance", obtained=None, golden_copy=None)
    assert [one.name for one in commands(passed, run="RUN", run_path="p")] == ["rerun"]
    written = result("changed", written="updated", golden_copy=None)
    assert [one.name for one in commands(written, run="RUN", run_path="p")] == ["rerun"]


def test_a_changed_environment_offers_the_same_machine() -> None:
    """Where the code cannot be judged, the comparison on this machine is offered."""
    found = commands(result("environment-changed"), run="RUN", run_path="p")
    assert any("--golden-against=main" in one.text for one in found)


def test_the_list_is_sorted_and_summed_up() -> None:
    """Worst verdict first; counts, classes and the sentence follow from the records."""
    many = [
        result("identical", test="t.py::a", obtained=None),
        result("missing", test="t.py::b", device_class="cuda-a"),
        result("changed", test="t.py::c"),
    ]
    found = view_run("RUN", RunMeta(seedpin="0.1.0", arguments=("-k", "a b")), many)
    assert [row.verdict for row in found.checks] == ["changed", "missing", "identical"]
    assert [row.number for row in found.checks] == [0, 1, 2]
    assert found.sentence == "2 of 3 checks need a decision."
    assert found.undecided == 2
    assert found.arguments == "pytest -k 'a b'"
    assert found.classes == ("cpu-x86_64-portable", "cuda-a")
    assert view_run("R", RunMeta(), many[:1]).sentence == "1 check, nothing needs a decision."


def test_search_holds_what_people_look_for() -> None:
    """Names, verdict, device class and changed settings are in the text that is searched."""
    row = view_row(0, result("environment-changed", environment_changes=(TORCH,)))
    for word in ("test_b", "environment changed", "cpu-x86_64", "torch", "video"):
        assert word in row.search


def test_everything_is_json() -> None:
    """Views are plain data without infinity, for the page to load."""
    json.dumps(view(result(metrics=METRICS, margins=(BROKEN,))).as_dict(), allow_nan=False)


def test_strip_marks_frames_that_differ() -> None:
    """Equal frames have no bar, a faint difference has a visible one, and bars are few."""
    strip = view_strip(METRICS)
    assert strip is not None
    assert strip.bars[0] == 0
    assert 0.15 <= strip.bars[1] < strip.bars[2] <= 1
    assert strip.label == "2 of 3 frames differ"
    long = {"psnr": (None,) * 399 + (30.0,), "changed": (0.0,) * 399 + (1.0,)}
    strip = view_strip(RecordedMetrics(frames=long))
    assert strip is not None
    assert len(strip.bars) <= 40
    assert strip.bars[-1] > 0.8
    assert view_strip(None) is None


def test_divergence_is_drawn_on_a_log_scale() -> None:
    """The sentence stands first; bars grow with the logarithm of the distance; unknown ones say so."""
    divergence = Divergence(
        kind="module",
        place="vae",
        step=None,
        sentence="vae: inputs agree",
        growth=(("a", 0.0), ("b", 1e-6), ("c", 1e-3), ("d", 2.0), ("e", None)),
        hints=("attention kernel: flash",),
    )
    found = view_divergence(divergence)
    assert found is not None
    assert found.sentence == "vae: inputs agree"
    assert [one.share for one in found.growth] == [0.0, 0.333, 0.667, 1.0, None]
    assert [one.text for one in found.growth] == ["equal", "1e-06", "0.001", "2", "not comparable"]
    assert ("also", "attention kernel: flash") in found.lines
    assert view_divergence(None) is None
