"""``seedpin bisect``: the commit that changed what a test generates."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seedpin.cli import cli
from seedpin.errors import RevisionError
from seedpin.goldens.content import load as load_clip
from seedpin.goldens.store import Golden, read_golden
from seedpin.revisions import bisect
from seedpin.revisions.bisect_step import CommitResult, Plan
from seedpin.revisions.worktree import Checkout
from support.project import Project
from support.repository import Repository

MODEL = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.paint = nn.Linear(4, 4), nn.Linear(4, 8 * 8 * 3)

    @torch.no_grad()
    def forward(self):
        x = torch.tanh(self.first(torch.randn(2, 4))){slip}
        return torch.sigmoid(self.paint(x)).reshape(2, 8, 8, 3)
"""
TESTS = """
import pytest
from model import Net


@pytest.mark.seed(5)
@pytest.mark.parametrize("kind", ["a/b"])
def test_net(kind, seeded_model, golden_video):
    golden_video.check(seeded_model(Net)(), fps=8)
"""


@pytest.fixture
def repository(project: Project, monkeypatch: pytest.MonkeyPatch) -> Repository:
    (project.root / "test_ball.py").unlink()
    monkeypatch.chdir(project.root)
    return Repository(project.root)


def goldens(folder: Path) -> list[Golden]:
    found = [read_golden(path) for path in folder.rglob("*.json") if path.name.count(".") == 2]
    return [golden for golden in found if golden is not None]


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, ["bisect", *arguments])
    assert result.exception is None or isinstance(result.exception, (SystemExit, RevisionError)), result
    return result


def test_the_first_bad_commit_is_found_past_one_that_cannot_be_imported(
    project: Project, repository: Repository
) -> None:
    """The commit, its date and subject, the module and the clips before and after are told; a commit that
    does not import is skipped; work tree, index, HEAD and refs stay as they are, edits included."""
    good = repository.commit("start", {"model.py": MODEL.format(slip=""), "test_net.py": TESTS})
    repository.commit("format", {"model.py": MODEL.format(slip="  # [-1, 1]")})
    broken = repository.commit("broken", {"model.py": "import does_not_exist\n"})
    repository.commit("repaired", {"model.py": MODEL.format(slip="")})
    first = repository.commit("tune the first layer", {"model.py": MODEL.format(slip=" * 1.01")})
    bad = repository.commit("docs", {"README.md": "text"})
    repository.write({"model.py": "an edit that is not committed", "new.txt": ""})
    repository.git("add", "new.txt")
    before = repository.state()

    result = run("test_net.py::test_net", "--good", good[:12], "--", "-p", "no:randomly")

    assert result.exit_code == 0, result.output
    assert re.search(rf"{broken[:10]} broken: skipped, test_net.py: .*does_not_exist", result.output)
    told = re.search(
        r"uncommitted changes are no part of the search\n"
        rf"good {good[:10]}: running\nbad {bad[:10]}: running\n(?s:.*)"
        rf"first commit that differs:\n  {first[:10]}  \d{{4}}-\d\d-\d\d .*  Tester  tune the first layer\n"
        r"  where: between first and paint: .*\n"
        r" +\(test_net\.py/test_net\[a%2fb\]/video\..*\.json\)\n"
        r"  before: (\S+)\n  after:  (\S+)\n"
        rf"  next: git show {first[:10]}\n$",
        result.output,
    )
    assert told is not None, result.output
    clips = [load_clip(golden) for folder in told.groups() for golden in goldens(project.root / folder)]
    assert len(clips) == 2
    assert (clips[0].frames != clips[1].frames).any()
    assert repository.state() == before


@pytest.mark.parametrize(
    ("texts", "exit_code", "message"),
    [
        (
            ["a", "a"],
            1,
            "the same bits: nothing to find\n  next: pytest test_net.py --golden-against=HEAD",
        ),
        (["a", "time"], 2, "the bad commit .* does not repeat"),
        (["time", "a"], 2, "the good commit .* does not repeat"),
        (["a", "problem"], 2, "the bad commit .* cannot be tested: it broke"),
    ],
)
def test_no_search_without_two_ends_that_repeat_and_differ(
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
    texts: list[str],
    exit_code: int,
    message: str,
) -> None:
    """Equal ends are exit code 1, an end that does not repeat or cannot be tested is an error."""
    calls: list[str] = []

    def obtain(plan: Plan, checkout: Checkout, *, kept_as: str = "") -> CommitResult:
        calls.append(kept_as)
        text = (checkout.tree / "text").read_text()
        if text == "problem":
            return CommitResult({}, "it broke")
        return CommitResult({"check": f"{text}{len(calls) if text == 'time' else ''}"})

    monkeypatch.setattr(bisect, "obtain", obtain)
    for text in texts:
        repository.commit("next", {"text": text})
    repository.write({"uncommitted": ""})
    before = repository.state()
    result = run("test_net.py", "--good", "HEAD~1")
    assert (2 if isinstance(result.exception, RevisionError) else result.exit_code) == exit_code
    assert re.search(message, f"{result.output}{result.exception}"), result.output
    assert repository.state() == before


def test_ends_in_the_wrong_order_are_refused(repository: Repository) -> None:
    """A good commit that is not before the bad one, or is the same, is an error that says what to do."""
    first = repository.commit("first", {"text": "a"})
    repository.commit("second")
    for good, bad, message in (
        ("HEAD", first, "is after the bad one .*\n  next: swap --good and --bad"),
        (
            "HEAD",
            "HEAD",
            "are the same commit, .*\n  next: .*: pytest --golden-against=HEAD",
        ),
        ("nowhere", "HEAD", "'nowhere' names no commit"),
    ):
        result = run("test_net.py", "--good", good, "--bad", bad)
        assert re.search(message, str(result.exception)), result.exception
