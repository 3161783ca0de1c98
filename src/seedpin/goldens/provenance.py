"""When, why and at which commit a golden was updated."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from seedpin.errors import RevisionError
from seedpin.git import git
from seedpin.version import __version__


def now() -> str:
    """The time in UTC, to the second, as manifests and decisions hold it."""
    return f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def updated(root: Path, reason: str) -> dict[str, Any]:
    """The manifest's ``updated``: time (UTC), reason, seedpin's version, and the commit where git tells."""
    return {
        "when": now(),
        "reason": reason,
        "seedpin": __version__,
        **_commit(root),
    }


@cache
def _commit(root: Path) -> dict[str, Any]:
    """``commit`` and whether tracked files differed from it; empty outside of a repository."""
    try:
        head = git(root, "rev-parse", "HEAD", timeout=20)
        dirty = bool(git(root, "status", "--porcelain", "--untracked-files=no", timeout=20))
    except RevisionError:
        return {}
    return {"commit": head, "dirty": dirty}
