"""``seedpin probe``."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from seedpin.cli import cli
from support.project import Project

BARE = """
import numpy as np
import seedpin

def test_bare(golden_video):
    with seedpin.pin(3):
        noise = np.random.default_rng().integers(0, 255, (4, 16, 16, 3)).astype(np.uint8)
    golden_video.check(noise, fps=8, allow=("noise",))
"""


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


def test_probe_does_not_say_that_it_repeated_what_no_seeded_model_made(
    net: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a check without a call it says that only fresh processes can tell, and lets them."""
    net.write({"test_bare.py": BARE})
    monkeypatch.chdir(net.root)
    done = CliRunner().invoke(cli, ["probe", "test_bare.py", "--processes", "1"])
    assert done.exit_code == 1, done.output
    assert "not known  test_bare.py::test_bare::video: no call of a seeded model came before" in done.output
    assert "same bits" not in done.output
    assert "other bits test_bare.py::test_bare::video: fresh process 1" in done.output
    assert "np.random.default_rng()" in done.output
