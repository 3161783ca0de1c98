"""A revision checked out beside the project, for a while."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seedpin.errors import RevisionError
from seedpin.git import git, short

_PREFIX = "seedpin-revision-"


@dataclass(frozen=True, slots=True)
class Checkout:
    """``commit`` of the repository at ``top``, checked out at ``tree``; ``scratch`` is free for use."""

    top: Path
    tree: Path
    commit: str
    scratch: Path

    def mapped(self, path: Path) -> Path:
        """The place of ``path`` in the checkout; ``path`` itself where it is outside of the project."""
        resolved = path.resolve()
        return self.tree / resolved.relative_to(self.top) if resolved.is_relative_to(self.top) else path


@contextlib.contextmanager
def checked_out(top: Path, commit: str, links: Sequence[str] = ()) -> Iterator[Checkout]:
    """A worktree of ``commit`` in a temporary folder, removed at the end whatever happens.

    ``links`` are paths relative to ``top`` that git does not track (weights, data); where the checkout has
    none of that name it gets a link to the one here. No hook runs.

    Raises RevisionError where git refuses.
    """
    _remove_left_over(top)
    parent = Path(tempfile.gettempdir()).resolve()
    if parent.is_relative_to(top):
        parent = top.parent
    scratch = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent)).resolve()
    tree = scratch / top.name
    try:
        git(
            top, "-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach", str(tree), commit
        )
        _link(top, tree, links)
        yield Checkout(top, tree, commit, scratch)
    finally:
        _remove(top, tree, scratch)


def _link(top: Path, tree: Path, links: Sequence[str]) -> None:
    for name in links:
        source, target = top / name, tree / name
        if not source.exists():
            raise RevisionError(
                f"worktree_links names {name!r}, and {source} does not exist",
                hint="correct worktree_links in [tool.seedpin]",
            )
        if not target.exists() and not target.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source, target_is_directory=source.is_dir())


def _remove(top: Path, tree: Path, scratch: Path) -> None:
    with contextlib.suppress(RevisionError):
        git(top, "worktree", "remove", "--force", "--force", str(tree))
    shutil.rmtree(scratch, ignore_errors=True)
    with contextlib.suppress(RevisionError):
        git(top, "worktree", "prune")


def _remove_left_over(top: Path) -> None:
    """Removes worktrees of processes that were killed before they could."""
    for line in git(top, "worktree", "list", "--porcelain").splitlines():
        tree = Path(line.removeprefix("worktree "))
        name = tree.parent.name
        if not line.startswith("worktree ") or not name.startswith(_PREFIX):
            continue
        process = name.removeprefix(_PREFIX).partition("-")[0]
        if process.isdigit() and not _alive(int(process)):
            _remove(top, tree, tree.parent)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def describe(ref: str, commit: str) -> str:
    """``main (1a2b3c4d5e)``, or the short id alone where the ref is just that."""
    return short(commit) if commit.startswith(ref) else f"{ref} ({short(commit)})"
