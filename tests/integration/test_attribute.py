"""``--golden-attribute``: code or environment, where a golden's environment is another one."""

from __future__ import annotations

import json

import pytest

from support.project import Project
from support.repository import Repository

# A variable that is part of the environment's fingerprint stands for an upgrade that moves bits.
UPGRADE = "MKL_ENABLE_INSTRUCTIONS"

MODEL = """
import os

import numpy as np


def generate(by_code={code}, by_environment=0):
    shift = by_code + by_environment * bool(os.environ.get("MKL_ENABLE_INSTRUCTIONS"))
    return (np.random.randint(0, 200, (2, 8, 8, 3)) + shift).astype(np.uint8)
"""
TESTS = """
import pytest
from model import generate

pytestmark = pytest.mark.seed(5)


def test_environment(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(0, 3), fps=8)


def test_code(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(), fps=8)


def test_both(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(by_environment=3), fps=8)
"""
LATER = """
import pytest
from model import generate


@pytest.mark.seed(6)
def test_{name}(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(0, 9), fps=8)
"""


def test_three_digests_tell_code_from_environment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The minting commit, run in the present environment, tells innocent code, changed code and both apart;
    a golden of no commit is said to be one; the records hold it, and the offer stands in the failure."""
    (project.root / "test_ball.py").unlink()
    repository = Repository(project.root)
    minted = repository.commit("first", {"model.py": MODEL.format(code=0), "test_all.py": TESTS})[:10]
    project.mint()
    repository.commit("goldens, and a refactor that slips", {"model.py": MODEL.format(code=7)})
    repository.write({"test_new.py": LATER.format(name="new")})
    project.mint("test_new.py")
    held = repository.commit("new test and golden")[:10]
    repository.write(
        {"test_later.py": LATER.format(name="later"), "model.py": MODEL.format(code=7) + "# edited\n"}
    )
    project.pytest("--update-golden", "test_later.py", fresh=True).assert_outcomes(passed=1)
    before, goldens = repository.state(), project.golden_files()
    monkeypatch.setenv(UPGRADE, "AVX2")

    plain = project.pytest()
    plain.assert_outcomes(failed=5)
    plain.stdout.fnmatch_lines(
        ["*next: to see whether code or environment did it: pytest test_all.py::test_both --golden-attribute"]
    )

    result = project.pytest("--golden-attribute")

    result.assert_outcomes(failed=5)
    result.stdout.fnmatch_lines(
        [
            f"seedpin: {minted}, where goldens were minted: 3 test(s) ran there in *",
            "*seedpin: code or environment*",
            "test_all.py::test_both::video",
            f"  both: {minted} (recorded in the golden) gives another clip *",
            "  moved by the environment: *",
            "  moved by the code: *",
            "test_all.py::test_code::video",
            f"  code changed: {minted} * still gives the golden in this environment*",
            "  moved by the code: *",
            "test_all.py::test_environment::video",
            f"  code innocent: the environment moves these bits; {minted} *",
            "  moved by the environment: *",
            "test_later.py::test_later::video",
            "  unknown: it was minted with uncommitted changes on *, and the golden is not committed",
            "test_new.py::test_new::video",
            f"  code innocent: *; {held} (which committed the golden; * has no such check) *",
        ]
    )
    run = sorted(project.root.glob(".seedpin/runs/*/results.jsonl"))[-1]
    records = {entry["test"]: entry for entry in map(json.loads, run.read_text().splitlines())}
    found = {test.partition("::")[2]: entry["attribution"] for test, entry in records.items()}
    assert {test: entry["conclusion"] for test, entry in found.items()} == {
        "test_environment": "environment",
        "test_code": "code",
        "test_both": "both",
        "test_later": "unknown",
        "test_new": "environment",
    }
    both = found["test_both"]
    assert len({both["golden"], both["minting"], both["here"]}) == 3
    assert repository.state() == before
    assert project.golden_files() == goldens
