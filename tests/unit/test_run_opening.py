"""Runs are found where they were carried to, and records that lie are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seedpin.errors import RunError
from seedpin.run.ledger import Run, decision_now, pending
from seedpin.run.opening import checked_results, contained, is_source, open_run
from support.commands import zip_folder
from support.report_runs import CPU, RunFolder, moving_shapes

NAME = "20260301-021507-4f2a"
TEST = "tests/test_a.py::test_b[x/1]"


def small_run(state: Path, name: str = NAME) -> Run:
    folder = RunFolder(state, name)
    folder.add(TEST, moving_shapes(2, 16, 24), moving_shapes(2, 16, 24, seed=1), "changed", device=CPU)
    return folder.run


@pytest.mark.parametrize("inner", [".seedpin", "artifact/.seedpin", "a/b/c", "."])
def test_a_run_is_found_wherever_its_folder_was_put(tmp_path: Path, inner: str) -> None:
    """A `.seedpin` folder, one that holds it, and deeper ones lead to the newest run."""
    small_run(tmp_path / "from" / inner, "20250101-000000-0000")
    run = small_run(tmp_path / "from" / inner)
    for source in (tmp_path / "from", tmp_path / "from" / inner, run.path):
        with open_run(str(source), tmp_path / ".seedpin") as found:
            assert found.path.resolve() == run.path.resolve()


def test_without_a_source_the_last_run_of_the_project_is_taken(tmp_path: Path) -> None:
    """Run ids sort by time."""
    small_run(tmp_path, "20260301-021507-4f29")
    small_run(tmp_path)
    with open_run(None, tmp_path) as run:
        assert run.id == NAME
    with open_run("20260301-021507-4f29", tmp_path) as run:
        assert run.id == "20260301-021507-4f29"


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    """No run, an empty folder and an unknown name each have a message."""
    with pytest.raises(RunError, match="there is no run in"), open_run(None, tmp_path):
        pass
    small_run(tmp_path)
    with pytest.raises(RunError) as caught, open_run("20260301-021507-ffff", tmp_path):
        pass
    assert NAME in caught.value.hint
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="holds no run"), open_run(str(tmp_path / "empty"), tmp_path):
        pass


def test_folders_with_several_artifacts_need_a_choice(tmp_path: Path) -> None:
    """Runs of several jobs are not mixed up."""
    small_run(tmp_path / "all" / "h100")
    small_run(tmp_path / "all" / "b200")
    with pytest.raises(RunError, match="2 places") as caught, open_run(str(tmp_path / "all"), tmp_path):
        pass
    assert "h100" in caught.value.hint


def test_sources_and_ids_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's id, a folder and a zip are sources; a test file is part of an id."""
    monkeypatch.chdir(tmp_path)
    small_run(tmp_path / "s")
    (tmp_path / "a.zip").write_bytes(b"")
    (tmp_path / "test_a.py").write_text("")
    assert all(is_source(text, tmp_path / "s") for text in (NAME, "20990101-000000-0000", "s", "a.zip"))
    assert not any(is_source(text, tmp_path / "s") for text in ("test_a.py", "test_a.py::test_b", "b.zip"))


def test_decisions_on_a_zip_are_kept_here(tmp_path: Path) -> None:
    """A zip is not changed; what was decided on it is remembered, and what it claims itself is not asked."""
    run = small_run(tmp_path / "there")
    (run.path / "decisions.jsonl").write_text(
        json.dumps({"id": f"{TEST}::video", "decision": "accept", "reason": "lie", "when": ""}) + "\n"
    )
    path = zip_folder(tmp_path / "there", tmp_path / "a.zip")
    before = path.read_bytes()
    for expected in (1, 0):
        with open_run(str(path), tmp_path / "here") as found:
            assert len(pending(found)) == expected
            found.write_decision(decision_now(f"{TEST}::video", "reject", "no"))
        assert not found.path.exists()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "relative",
    [
        "../x.json",
        "/etc/passwd",
        "a/../../x.json",
        "a//b.json",
        "./a.json",
        "a\\b.json",
        "C:/a.json",
        "a\x00.json",
        "",
    ],
)
def test_paths_that_lead_out_are_refused(tmp_path: Path, relative: str) -> None:
    """Only a plain relative path below the folder is taken."""
    with pytest.raises(RunError, match="which"):
        contained(tmp_path, relative, "it")


def test_links_are_refused(tmp_path: Path) -> None:
    """A link in a run leads wherever its maker wants, so none is followed."""
    (tmp_path / "run").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "run" / "obtained").symlink_to(tmp_path / "secret")
    with pytest.raises(RunError, match="over the link"):
        contained(tmp_path / "run", "obtained/x.json", "it")


BAD_FIELDS: list[dict[str, Any]] = [
    {"obtained": "../../outside.json"},
    {"obtained": "/etc/passwd"},
    {"obtained": "golden/x.json"},
    {"obtained": "obtained/../golden/x.json"},
    {"obtained": "obtained/x.py"},
    {"obtained": 7},
    {"golden_copy": "golden/../../x.json"},
    {"golden_copy": "obtained/x.json"},
    {"golden": "../x.json"},
    {"golden": "/x.json"},
    {"golden": "a/../../x.json"},
    {"golden": "a.py"},
    {"verdict": "splendid"},
    {"test": ["a"]},
    {"reasons": [{"a": 1}]},
    {"margins": ["x"]},
    {"metrics": [1]},
    {"facts_golden": "x"},
]


@pytest.mark.parametrize("fields", BAD_FIELDS, ids=str)
def test_records_that_lie_are_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    """Each path of a record must stay in its folder, each field must be of its type."""
    run = small_run(tmp_path)
    record = json.loads(run.results_path.read_text())
    assert len(checked_results(run)) == 1
    run.results_path.write_text(json.dumps({**record, **fields}) + "\n")
    with pytest.raises(RunError, match="a record in"):
        checked_results(run)


def test_records_may_not_be_links(tmp_path: Path) -> None:
    """results.jsonl as a link would show another file's lines."""
    run = small_run(tmp_path)
    run.results_path.rename(tmp_path / "elsewhere")
    run.results_path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="links"):
        checked_results(run)


def test_an_undone_decision_is_pending_again(tmp_path: Path) -> None:
    """The last word on a check counts."""
    run = small_run(tmp_path)
    name = f"{TEST}::video"
    assert [result.id for result in pending(run)] == [name]
    run.write_decision(decision_now(name, "reject", "no"))
    assert not pending(run)
    run.write_decision(decision_now(name, "undo", ""))
    assert [result.id for result in pending(run)] == [name]
    with run.decisions_path.open("a") as stream:
        stream.write('{"id": "cut by a cra')
    assert len(pending(run)) == 1
