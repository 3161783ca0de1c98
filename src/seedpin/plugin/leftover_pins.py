"""Pins that a test's body began and left open: without this, every later test would run under them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from seedpin.plugin.nodes import node_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from seedpin.pinning.stack import Frame

_LEFT: pytest.StashKey[list[Frame]] = pytest.StashKey()


def _open_frames() -> list[Frame]:
    # A module that was never imported has no pins, and importing it would import torch.
    stack = sys.modules.get("seedpin.pinning.stack")
    return stack.open_frames() if stack is not None else []


class LeftoverPins:
    """Ends, after a test, the pins that its call left open: in a generator that was never closed, say.

    Pins of fixtures end with their fixtures, which a test's body may have been the first to ask for.
    """

    def __init__(self) -> None:
        self._of_fixtures: list[Frame] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        before = _open_frames()
        try:
            return (yield)
        finally:
            known = before + self._of_fixtures
            item.stash[_LEFT] = [frame for frame in _open_frames() if frame not in known]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, Any]:
        try:
            return (yield)
        finally:
            still_open = _open_frames()
            left = [frame for frame in item.stash.get(_LEFT, []) if frame in still_open]
            item.stash[_LEFT] = []
            if left:
                from seedpin.pinning import stack

                stack.give_up(left, f"the test {node_of(item)}")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self) -> Generator[None, Any, Any]:
        before = _open_frames()
        try:
            return (yield)
        finally:
            still_open = _open_frames()
            self._of_fixtures = [frame for frame in self._of_fixtures if frame in still_open]
            self._of_fixtures += [frame for frame in still_open if frame not in before]
