"""Goldens of tests that xdist keeps together: ``--dist=loadgroup`` adds the group to their node ids."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from support.project import Project

# From pytest 9.2 on, what xdist 3.8 sets is not the node id any more; what is to follow does this.
NAMING = """
import pytest
from _pytest.nodes import Node


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput") and hasattr(Node, "id"):
        from _pytest.nodeid import NodeId

        for item in items:
            item._id = NodeId.parse(f"{item.nodeid}@gpu@0")
"""

GROUPED = """
import pytest
from model import generate


@pytest.mark.xdist_group("gpu@0")
@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=4), fps=8)


@pytest.mark.xdist_group("gpu@0")
@pytest.mark.parametrize("who", ["me@home"])
def test_address(who, seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=2), fps=8)


@pytest.mark.xdist_group("gpu@0")
@pytest.mark.skip(reason="later")
def test_skipped():
    pass
"""


def _meta(project: Project) -> dict[str, object]:
    last = max(project.root.glob(".seedpin/runs/*/run.json"))
    found: dict[str, object] = json.loads(last.read_text(encoding="utf-8"))
    return found


def test_groups_do_not_change_where_goldens_are(project: Project) -> None:
    """A run with groups reads the goldens that were written without xdist, and asks for no others."""
    project.write({"test_ball.py": GROUPED, "conftest.py": NAMING})
    files = project.mint()
    assert len([name for name in files if name.endswith(".json")]) == 2
    result = project.pytest("--dist=loadgroup", workers=2)
    result.assert_outcomes(passed=2, skipped=1)
    plain = _meta(project)
    assert plain["passed"] == ["test_ball.py::test_address[me@home]", "test_ball.py::test_ball"]
    assert plain["skipped"] == ["test_ball.py::test_skipped"]
    assert plain["complete"] is True
    assert project.golden_files() == files


def test_groups_do_not_change_what_is_written(project: Project) -> None:
    """An update with groups writes, with the proof of a fresh process, what one without xdist reads."""
    project.write({"test_ball.py": GROUPED, "conftest.py": NAMING})
    project.use_the_default_probe()
    result = project.pytest("--update-golden", "--dist=loadgroup", workers=2)
    assert result.ret == 0, result.stdout.str()
    assert {path.parent.name for path in project.root.glob("golden/**/*.json")} == {
        "test_ball",
        "test_address[me@home]",
    }
    assert {result["test"] for result in _results(project)} == {
        "test_ball.py::test_address[me@home]",
        "test_ball.py::test_ball",
    }
    project.pytest().assert_outcomes(passed=2, skipped=1)


def _results(project: Project) -> list[dict[str, object]]:
    last = max(project.root.glob(".seedpin/runs/*/results.jsonl"))
    return [json.loads(line) for line in last.read_text(encoding="utf-8").splitlines()]


def test_node_ids_of_pytest_enter_at_one_place() -> None:
    """No other file asks pytest for the node id of an item or of a report of it."""
    source = Path(pytest.importorskip("seedpin").__file__).parent
    asking = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr == "nodeid"
        and isinstance(node.ctx, ast.Load)
        and not (isinstance(node.value, ast.Name) and node.value.id == "collected")
    }
    assert asking == {"plugin/nodes.py"}
