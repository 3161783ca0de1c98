"""A git repository around a project, made commit by commit."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path


class Repository:
    """``git init`` in ``root``, with an identity of its own and no hooks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet", "--initial-branch=main")
        for key, value in {
            "user.name": "Tester",
            "user.email": "tester@example.invalid",
            "commit.gpgsign": "false",
            "core.hooksPath": "/dev/null",
        }.items():
            self.git("config", key, value)

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.root), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def commit(self, subject: str, files: Mapping[str, str] | None = None) -> str:
        """Writes the files, commits everything, and returns the commit's id."""
        self.write(files or {})
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "HEAD")

    def state(self) -> tuple[str, str, str, str]:
        """What no command of seedpin's may change: HEAD, status, refs, worktrees."""
        return (
            self.git("rev-parse", "HEAD", "--abbrev-ref", "HEAD"),
            self.git("status", "--porcelain"),
            self.git("for-each-ref"),
            self.git("worktree", "list", "--porcelain"),
        )
