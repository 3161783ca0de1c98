"""Attempts of one check held against each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seedpin.run.attempts import attempt_of, by_check, judged, last_of_each, unsteady
from seedpin.run.result import CheckResult

A, B = "sha256:a", "sha256:b"


def attempt(number: int, verdict: str, digest: str | None = A, written: str | None = None) -> CheckResult:
    return CheckResult(
        test="t.py::t",
        check="video",
        kind="video",
        verdict=verdict,
        device_class="cpu-x",
        golden="t.py/t/video.cpu-x.json",
        message="told",
        obtained_digest=digest,
        attempt=number,
        written=written,
    )


SEQUENCES = [
    ([("identical", A)], ""),
    ([("identical", A), ("identical", A)], ""),
    ([("changed", B), ("changed", B)], ""),
    ([("within-tolerance", B), ("identical", A)], ""),
    ([("changed", B), ("identical", A)], f"obtained {B}, this one {A}"),
    ([("identical", A), ("changed", B), ("identical", A)], f"obtained {B}, this one {A}"),
    ([("missing", A), ("missing", B)], f"obtained {A}, this one {B}"),
    ([("invalid", None), ("identical", A)], f"was invalid, this one obtained {A}"),
    ([("invalid", None), ("missing", A)], f"was invalid, this one obtained {A}"),
    ([("unstable", A), ("identical", A)], "was found unstable"),
    ([("unstable", A), ("missing", A)], "was found unstable"),
    ([("changed", A), ("identical", A)], "the golden, or what is declared for it, changed"),
    ([("missing", A), ("missing", A)], ""),
    ([("missing", A), ("identical", A)], ""),
]


@pytest.mark.parametrize(("sequence", "words"), SEQUENCES)
def test_what_a_sequence_of_attempts_proves(sequence: list[tuple[str, str | None]], words: str) -> None:
    """Other bits, a clip after none, a pass after a failure: each is told; equal attempts are steady."""
    results = [attempt(number, *one) for number, one in enumerate(sequence, 1)]
    found = unsteady([attempt_of(result) for result in results])
    assert words in found
    assert bool(found) == bool(words)
    told = judged(results)
    assert [result.verdict for result in told] == (["unstable"] if words and results[-1].verdict else [])


def test_a_golden_that_waits_is_no_pass() -> None:
    """Two attempts whose clips both wait to be written, and differ, prove that the model does not repeat."""
    first = attempt(1, "missing", A, "refused")
    assert judged([first, attempt(2, "missing", B, "staged")])
    assert not judged([first, attempt(2, "missing", A, "staged")])


def test_the_worst_record_of_an_attempt_stands_for_it() -> None:
    """A check that succeeds after one of the same name was invalid in the same attempt hides nothing."""
    results = [attempt(1, "invalid", None), attempt(1, "identical")]
    assert last_of_each(results)["t.py::t::video"].verdict == "invalid"
    later = replace(attempt(2, "changed", B), message="later")
    assert [one.verdict for one in by_check([later, *results])["t.py::t::video"]] == ["invalid", "changed"]
    assert last_of_each([later, *results])["t.py::t::video"].message == "later"
