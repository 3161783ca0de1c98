"""What a pytest that seedpin starts is asked and tells, as files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seedpin.inner import (
    InnerOutcome,
    InnerReport,
    InnerRequest,
    InnerTree,
    Selection,
    read_report,
    read_request,
    write_report,
)


@pytest.mark.parametrize(
    "request_",
    [
        InnerRequest(),
        InnerRequest(("a.py::test",), reverse=True),
        InnerRequest((), ("a.py::test",), tree=InnerTree(Path("/here"), Path("/there"))),
        InnerRequest(
            tree=InnerTree(Path("/here"), Path("/there"), (Selection("tests", ("test_x", "y")),), True)
        ),
    ],
)
def test_a_request_is_read_as_it_was_written(request_: InnerRequest, tmp_path: Path) -> None:
    """None, for all tests, stays apart from none at all."""
    assert read_request(request_.write(tmp_path)) == request_


def test_what_several_processes_tell_is_one_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers collect the same tests, and each may see errors and imports that others do not."""
    passed, failed = InnerOutcome("passed"), InnerOutcome("failed", "it broke")
    monkeypatch.setattr(os, "getpid", lambda: 1)
    write_report(tmp_path, InnerReport(("a", "b"), {"a": passed}, {"c.py": "no such name"}))
    monkeypatch.setattr(os, "getpid", lambda: 2)
    write_report(tmp_path, InnerReport(("a", "b"), {"b": failed}, {}, {"mine": "/here/mine.py"}))
    told = InnerReport(
        ("a", "b"), {"a": passed, "b": failed}, {"c.py": "no such name"}, {"mine": "/here/mine.py"}
    )
    assert read_report(tmp_path) == told


def test_a_process_that_told_nothing_gives_an_empty_report(tmp_path: Path) -> None:
    """pytest may end before its session does."""
    assert read_report(tmp_path) == InnerReport()
