"""Pins in the tests of a user: fixtures of any scope, generators that a test forgets."""

from __future__ import annotations

import pytest

from support.project import Project

FORGETFUL = """
import pytest
import seedpin
import torch

KEPT = []


def frames():
    with seedpin.pin(1):
        while True:
            yield torch.rand(1)


def test_leaves_a_generator_suspended():
    KEPT.append(frames())
    next(KEPT[0])
    assert seedpin.current_pin().seed == 1


def test_fails_with_a_generator_suspended():
    running = frames()
    next(running)
    assert False


def test_is_not_pinned():
    assert seedpin.current_pin() is None
    assert torch.get_deterministic_debug_mode() == 0


def test_leaves_one_that_can_end():
    def finite():
        with seedpin.pin(3):
            yield
    global late
    late = finite()
    next(late)


def test_ends_it():
    given_up = "given up when the test test_forgetful.py::test_leaves_one"
    with pytest.raises(seedpin.errors.PinError, match=given_up):
        next(late)
"""

FIXTURES = """
import pytest
import seedpin


@pytest.fixture(scope="module")
def pinned():
    with seedpin.pin(1) as pin:
        yield pin


@pytest.fixture
def inner():
    with seedpin.pin(2) as pin:
        yield pin


def test_asks_late(request):
    assert request.getfixturevalue("pinned") is seedpin.current_pin()


def test_asks_again(pinned):
    assert seedpin.current_pin() is pinned


def test_nests(pinned, inner):
    assert seedpin.current_pin() is inner


def test_is_back(pinned):
    assert seedpin.current_pin() is pinned
"""


@pytest.mark.parametrize("workers", [None, 0, 1])
def test_a_pin_that_a_test_forgot_ends_with_the_test(project: Project, workers: int | None) -> None:
    """Later tests are not pinned by a suspended generator of an earlier one; a warning says where."""
    project.write({"test_forgetful.py": FORGETFUL})
    result = project.pytest("test_forgetful.py", workers=workers)
    result.assert_outcomes(passed=4, failed=1, warnings=3)
    begun = "PinOrderWarning: pin(1, level='strict') at *test_forgetful.py:10"
    ended = "when the test test_forgetful.py::test_leaves_a_generator_suspended ended, and was given up."
    result.stdout.fnmatch_lines([f"*test_forgetful.py:*: {begun} was still open {ended}*"])


def test_pins_of_fixtures_last_as_long_as_their_fixtures(project: Project) -> None:
    """A module's pinned fixture stays in force between its tests, also when a test's body asked first."""
    project.write({"test_fixtures.py": FIXTURES})
    result = project.pytest("test_fixtures.py")
    result.assert_outcomes(passed=4, warnings=0)
