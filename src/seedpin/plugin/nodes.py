"""The node ids of tests, as goldens and results know them: the one place where pytest is asked for them.

With ``--dist=loadgroup``, xdist's workers add a test's group to its node id (``test_a.py::test_b@gpu``), and
its reports carry that. It is an affair of one run: the test is the same with and without it.
"""

from __future__ import annotations

import pytest

from seedpin.kinds.registry import golden_fixtures


def node_of(subject: pytest.Item | pytest.TestReport | pytest.CollectReport) -> str:
    """The node id of a test, or of what a report is about, without the group that xdist added.

    An ``@`` in the test's own name stays: parameters may hold one.
    """
    given = subject.nodeid
    if not isinstance(subject, pytest.Item):
        own: str = getattr(subject, "seedpin_node", given)
    elif subject.parent is None:
        own = given
    else:
        own = f"{subject.parent.nodeid}::{subject.name}"
        own = own if given.startswith(f"{own}@") else given
    return own


def asks_for_goldens(item: pytest.Item) -> bool:
    """Whether a test names a golden fixture. One that asks for it at run time only does not."""
    return not golden_fixtures().isdisjoint(getattr(item, "fixturenames", ()))


def note_node(item: pytest.Item, report: pytest.TestReport) -> None:
    """Tells ``node_of`` in other processes, too: a report travels with what is set on it."""
    own = node_of(item)
    if own != report.nodeid:
        report.seedpin_node = own  # type: ignore[attr-defined]
