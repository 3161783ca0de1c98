"""When, why and at which commit a golden was updated."""

from __future__ import annotations

import subprocess
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from seedpin import __version__


def updated(root: Path, reason: str) -> dict[str, Any]:
    """The manifest's ``updated``: time (UTC), reason, seedpin's version, and the commit where git tells."""
    return {
        "when": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
        "reason": reason,
        "seedpin": __version__,
        **_commit(root),
    }


@cache
def _commit(root: Path) -> dict[str, Any]:
    """``commit`` and whether tracked files differed from it; empty outside of a repository."""
    try:
        head = _git(root, "rev-parse", "HEAD")
        dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": head, "dirty": dirty}


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.strip()
