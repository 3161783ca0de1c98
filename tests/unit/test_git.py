"""git is run in one place, whose answers and failures are told alike."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import seedpin
from seedpin.errors import RevisionError
from seedpin.git import git, git_lines, write_ignored_folder


def test_git_is_started_in_one_file_only() -> None:
    """No file but git.py begins a command with ``"git"``."""
    package = Path(seedpin.__file__).parent
    starting = [
        path.relative_to(package).as_posix()
        for path in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.List, ast.Tuple)) and node.elts
        if isinstance(node.elts[0], ast.Constant) and node.elts[0].value == "git"
    ]
    assert set(starting) == {"git.py"}


def test_a_failure_is_told_with_gits_own_words(tmp_path: Path) -> None:
    """What git wrote to stderr is in the error."""
    with pytest.raises(RevisionError, match=r"(?i)git rev-parse HEAD failed in .*not a git repository"):
        git(tmp_path, "rev-parse", "HEAD")


def test_a_hooks_variables_do_not_bind_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a git hook, git still works on the folder that is named."""
    git(tmp_path, "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert git(tmp_path, "rev-parse", "--git-dir") == ".git"


def test_lines_come_with_what_went_wrong_among_them(tmp_path: Path) -> None:
    """A failing command's words are lines, too, and no error is raised."""
    lines = list(git_lines(tmp_path, "no-such-command"))
    assert any("no-such-command" in line for line in lines)


def test_an_ignored_folder_keeps_the_users_rules(tmp_path: Path) -> None:
    """The folder is ignored as a whole, unless a ``.gitignore`` stands there already."""
    new, old = tmp_path / "new" / "deep", tmp_path / "old"
    old.mkdir()
    (old / ".gitignore").write_text("mine\n", encoding="utf-8")
    write_ignored_folder(new)
    write_ignored_folder(old)
    assert (new / ".gitignore").read_text(encoding="utf-8") == "*\n"
    assert (old / ".gitignore").read_text(encoding="utf-8") == "mine\n"
