"""``seedpin probe``."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from seedpin.cli import cli
from support.project import Project


@pytest.mark.parametrize(("slip", "code"), [("", 0), ("entropy", 1)])
def test_probe_tells_whether_a_test_repeats(
    net: Project, monkeypatch: pytest.MonkeyPatch, slip: str, code: int
) -> None:
    """It repeats calls at once, after another call and in fresh processes; the exit code tells."""
    monkeypatch.chdir(net.root)
    monkeypatch.setenv("SLIP", slip)
    done = CliRunner().invoke(cli, ["probe", "test_net.py::test_net", "--processes", "1"])
    assert done.exit_code == code, done.output
    if code:
        assert "UNSTABLE" in done.output
        assert "does not repeat" in done.output
    else:
        assert "repeated at once, and after a call with another seed" in done.output
        assert "fresh process 1" in done.output
    assert not (net.root / "golden").exists()
