"""Diagnoses of a project's own: what they may return, and what becomes of those that fail."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from seedpin.compare import diagnoses
from seedpin.compare.diagnoses import further_hints, register_diagnosis
from seedpin.kinds.clip import CLIP
from seedpin.run.compared_inputs import ComparedInput, compare_inputs


@pytest.fixture(autouse=True)
def _none_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnoses, "_registered", {})


def several(golden: object, obtained: object) -> Iterator[str]:
    yield "one"
    yield "two"


def test_a_diagnosis_says_a_sentence_several_or_nothing() -> None:
    """A text is one sentence, not its letters; None and nothing yielded say nothing."""
    register_diagnosis(lambda golden, obtained: f"{golden} became {obtained}")
    register_diagnosis(several)
    register_diagnosis(lambda golden, obtained: None)
    assert list(further_hints("clip", "a", "b")) == ["a became b", "one", "two"]


def test_a_diagnosis_is_asked_about_its_kind_alone() -> None:
    """One for clips is not called with tensors."""
    register_diagnosis(several, kind="tensors")
    assert list(further_hints("clip", 0, 1)) == []
    assert list(further_hints("tensors", 0, 1)) == ["one", "two"]


def test_a_function_that_is_registered_again_takes_its_own_place() -> None:
    """An import of the same conftest.py says nothing twice."""
    assert register_diagnosis(several) is several
    register_diagnosis(several)
    assert list(further_hints("clip", 0, 1)) == ["one", "two"]


def test_a_diagnosis_that_fails_is_said_in_its_place() -> None:
    """The others are still asked; the error names where the function stands."""

    def broken(golden: object, obtained: object) -> str:
        raise ZeroDivisionError("by nothing")

    register_diagnosis(broken)
    register_diagnosis(several)
    failed, *rest = further_hints("clip", 0, 1)
    assert failed.startswith("the diagnosis ")
    assert f"{__name__.rpartition('.')[2]}.py:" in failed
    assert failed.endswith("failed: ZeroDivisionError: by nothing")
    assert rest == ["one", "two"]


def test_it_is_asked_where_two_values_of_one_shape_are_compared() -> None:
    """`seedpin compare` has what it says; values of other facts are not handed to it."""
    register_diagnosis(lambda golden, obtained: f"{golden.num_frames} frames")

    def one(name: str, frames: int, level: int) -> ComparedInput:
        clip = CLIP.adapt(np.full((frames, 8, 8, 3), level, np.uint8))
        digest = "".join(CLIP.digests(clip))
        return ComparedInput(name, CLIP, digest, CLIP.facts(clip), lambda: clip)

    assert "2 frames" in compare_inputs(one("a", 2, 0), one("b", 2, 9)).hints
    assert "2 frames" not in compare_inputs(one("a", 2, 0), one("b", 3, 9)).hints
