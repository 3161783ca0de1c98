"""The files around the source: workflows, forms, and what CONTRIBUTING.md and SECURITY.md speak of."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from seedpin import __version__

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[0-9]-*.yml"))
PAGES = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
# Pages of GitHub's, which it finds relative to the file that it shows.
ADVISORY = "../../security/advisories/new"


def _workflow(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_commit(path: Path) -> None:
    """A tag can be moved to other code; a commit cannot. The comment names its version, for who reads it."""
    used = re.findall(r"uses: *(.*)", path.read_text(encoding="utf-8"))
    assert used
    for line in used:
        pinned = re.fullmatch(r"[\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)
        assert pinned or re.fullmatch(r"\./\.github/workflows/[\w-]+\.yml", line), line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_and_no_more(path: Path) -> None:
    """Only the job that publishes may sign in elsewhere; no checkout leaves its token to later steps."""
    workflow = _workflow(path)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for name, job in workflow["jobs"].items():
        granted = {} if (path.name, name) != ("release.yml", "publish") else {"id-token": "write"}
        assert job.get("permissions", {}) in (granted, {"contents": "read"})
        for step in job.get("steps", ()):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_the_publishing_job_runs_no_code_of_the_repository() -> None:
    """It fetches what was tested, and hands it on."""
    publish = _workflow(ROOT / ".github" / "workflows" / "release.yml")["jobs"]["publish"]
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]
    assert publish["needs"] == "ci"
    assert publish["environment"]["name"] == "pypi"


@pytest.mark.parametrize(
    ("tag", "version", "heading", "said"),
    [
        ("v1.2.3", "1.2.3", "## 1.2.3 (2026-12-31)", ""),
        ("v1.2.3", "1.2.4", "## 1.2.3 (2026-12-31)", "file=pyproject.toml"),
        ("v1.2.3", "1x2.3", "## 1.2.3 (2026-12-31)", "file=pyproject.toml"),
        ("v1.2.3", "1.2.3", "## 1.2.3 (unreleased)", "file=CHANGELOG.md"),
        ("v1.2.3", "1.2.3", "## 1.2.30 (2026-12-31)", "file=CHANGELOG.md"),
    ],
)
@pytest.mark.skipif(shutil.which("bash") is None, reason="the step is run by bash")
def test_a_tag_is_released_only_with_its_version_and_a_dated_changelog(
    tag: str, version: str, heading: str, said: str, tmp_path: Path
) -> None:
    """The first job of a release names the file that speaks of another version, and stops it."""
    steps = _workflow(ROOT / ".github" / "workflows" / "release.yml")["jobs"]["tag"]["steps"]
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "seedpin"\nversion = "{version}"\n')
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n\n- All is new.\n")
    done = subprocess.run(
        ["bash", "-e", "-c", steps[-1]["run"]],
        cwd=tmp_path,
        env={**os.environ, "GITHUB_REF_NAME": tag},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == (not said), done.stdout
    assert said in done.stdout


def test_the_step_that_compares_the_versions_reads_this_project_as_it_is() -> None:
    """The version stands where that step looks for it, once; what manifests and reports say is the same."""
    page = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r'(?m)^version = "([\d.]+)"$', page) == [__version__]


def test_forms_ask_for_the_environment_and_blindness_comes_first() -> None:
    """Who opens an issue sees the gravest class of bug first, and each form asks for `seedpin env`."""
    forms = [_workflow(path) for path in FORMS]
    assert forms[0]["name"] == "The gate was blind"
    for form in forms:
        asked = [part for part in form["body"] if "seedpin env" in part["attributes"].get("label", "")]
        assert len(asked) == 1


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files(name: str) -> None:
    """Neither page links to a file that is not there."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", (ROOT / name).read_text(encoding="utf-8")):
        if "://" not in target and target != ADVISORY:
            assert (ROOT / target).exists(), f"{name} links to {target}"


def test_what_contributing_tells_to_type_is_there() -> None:
    """Its make targets and test files exist."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    asked = set(re.findall(r"[`$] ?make ((?:[a-z]+ ?)+)", page))
    assert {"dev", "test", "coverage"} <= asked
    assert {one for many in asked for one in many.split()} <= targets
    for path in re.findall(r"\b(tests/[\w/.]+)", page):
        assert (ROOT / path.rstrip(".")).exists(), path


def test_hooks_take_their_tools_from_the_environment_that_make_dev_makes() -> None:
    """One version of ruff and mypy, that of constraints.txt; hooks from elsewhere are pinned to a commit."""
    for repo in _workflow(ROOT / ".pre-commit-config.yaml")["repos"]:
        if repo["repo"] == "local":
            assert {hook["entry"].split()[0] for hook in repo["hooks"]} == {
                ".venv/bin/ruff",
                ".venv/bin/mypy",
            }
        else:
            assert re.fullmatch(r"[0-9a-f]{40}", repo["rev"])


def test_coverage_has_a_floor_that_ci_holds() -> None:
    """The workflow runs `make coverage`, whose last step fails below the floor of pyproject.toml."""
    assert re.search(r"(?m)^fail_under = \d\d", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    jobs = _workflow(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]
    assert [step["run"] for step in jobs["coverage"]["steps"] if "run" in step][-1] == "make coverage"
    recipe = re.search(r"(?m)^coverage:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert recipe is not None
    assert recipe[1].splitlines()[-1] == "\t$(BIN)/coverage report"
