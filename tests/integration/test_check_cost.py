"""What one check does, and how often: files entered, goldens decoded, traces built."""

from __future__ import annotations

from typing import Any

import pytest

from seedpin.checking import judge, keep
from seedpin.kinds.clip import ClipKind
from support.project import Project

TEST = """\
import os
import sys
from pathlib import Path

import seedpin
import torch

PACKAGE = str(Path(seedpin.__file__).parent) + os.sep


class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 8 * 8 * 3)

    def forward(self):
        frames = torch.sigmoid(self.layer(torch.randn(4, 8))).reshape(4, 8, 8, 3)
        return (255 * frames.detach()).to(torch.uint8)


def entered(work):
    files = set()

    def profile(frame, event, _):
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(PACKAGE):
            files.add(name[len(PACKAGE):])

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return files


def test_tiny(seeded_model, golden_video):
    model = seeded_model(Tiny)
    for name in ("first", "second"):
        clip = model()
        clip[0, 0, 0, 0] ^= int(os.environ.get("OTHER", "0"))
        files = entered(lambda: golden_video.check(clip, name, fps=8))
    Path("entered.txt").write_text(" ".join(sorted(files)))
"""


@pytest.fixture
def tiny(project: Project) -> Project:
    """A test of a module with two checks, whose goldens are there."""
    project.write({"test_ball.py": TEST})
    project.mint("--golden-probe=off")
    return project


def entered(project: Project) -> list[str]:
    return (project.root / "entered.txt").read_text(encoding="utf-8").split()


def test_an_identical_check_enters_few_files(tiny: Project) -> None:
    """A check of equal bits looks at the clip, at the manifest and at what its call knew: twenty files."""
    tiny.pytest().assert_outcomes(passed=1)
    assert len(entered(tiny)) <= 20, entered(tiny)


@pytest.mark.parametrize("trace", ["off", "stages"])
def test_a_changed_check_enters_no_more_files_than_its_work_needs(tiny: Project, trace: str) -> None:
    """A check of other bits decodes, measures, diagnoses and keeps in forty files, beside those of traces.
    What operations compute was measured by the check before it, and no pin is opened for it again.
    """
    tiny.pytest(f"--seedpin-trace={trace}", env={"OTHER": "1"}).assert_outcomes(failed=1)
    files = [name for name in entered(tiny) if not name.startswith("trace")]
    assert len(files) <= 40, files
    assert not [name for name in files if name.startswith("pinning")]


def test_a_changed_check_decodes_its_golden_once_and_builds_one_trace(
    tiny: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics and hints share one decoding, and the place in the trace and the kept trace one building."""
    counts: dict[str, int] = {}

    def count(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            counts[name] = counts.get(name, 0) + 1
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, counted)

    count(ClipKind, "decode")
    count(judge, "trace_of")
    count(keep, "to_bytes")
    count(ClipKind, "encode")
    tiny.pytest(env={"OTHER": "1"}).assert_outcomes(failed=1)
    assert counts == {"decode": 2, "trace_of": 2, "to_bytes": 2, "encode": 2}  # of two checks
