"""When, why and at which commit a golden was updated."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from seedpin.errors import RevisionError
from seedpin.git import git
from seedpin.version import __version__

if TYPE_CHECKING:
    from seedpin.goldens.manifest import Provenance


def now() -> str:
    """The time in UTC, to the second, as manifests and decisions hold it."""
    return f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def updated(root: Path, reason: str) -> Provenance:
    """What a manifest says of its writing: now, the reason, this seedpin, and the commit where git tells."""
    from seedpin.goldens.manifest import Provenance

    commit, dirty = _commit(root)
    return Provenance(when=now(), reason=reason, seedpin=__version__, commit=commit, dirty=dirty)


@cache
def _commit(root: Path) -> tuple[str | None, bool | None]:
    """The commit and whether tracked files differed from it; None outside of a repository."""
    try:
        head = git(root, "rev-parse", "HEAD", timeout=20)
        dirty = bool(git(root, "status", "--porcelain", "--untracked-files=no", timeout=20))
    except RevisionError:
        return None, None
    return head, dirty
