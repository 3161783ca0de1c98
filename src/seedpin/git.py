"""The one way to run git, and what is asked of it. What stands here changes nothing by itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from seedpin.errors import RevisionError

# Set while git runs a hook; with them, git would work on the hook's repository wherever it is called.
_LOCAL = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)
# The branch that a pull request goes to, as CI services tell it.
_TARGETS = ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "BITBUCKET_PR_DESTINATION_BRANCH")


def git_environment() -> dict[str, str]:
    """This process's environment without what binds git to one repository."""
    return {key: value for key, value in os.environ.items() if key not in _LOCAL}


def git(folder: Path, *arguments: str, timeout: float | None = None) -> str:
    """What ``git ARGUMENTS`` prints when run in ``folder``, without surrounding blanks.

    Raises RevisionError with git's own words, or where it takes longer than ``timeout`` seconds.
    """
    done = _run(folder, *arguments, timeout=timeout)
    if done.returncode:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        raise RevisionError(f"git {' '.join(arguments)} failed in {folder}: {said}")
    return done.stdout.strip()


def git_lines(folder: Path, *arguments: str) -> Iterator[str]:
    """Each line that ``git ARGUMENTS`` prints, as it comes, errors among them, whatever its exit code."""
    with subprocess.Popen(
        ["git", "-C", str(folder), *arguments],
        env=git_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield from process.stdout or ()


def _run(folder: Path, *arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            env=git_environment(),
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
    except OSError as error:
        raise RevisionError(f"git cannot be run: {error}", hint="install git") from error
    except subprocess.TimeoutExpired as error:
        raise RevisionError(
            f"git {' '.join(arguments)} did not end within {timeout} s in {folder}"
        ) from error


def write_ignored_folder(folder: Path) -> None:
    """Makes the folder, and git ignore all that it holds; a ``.gitignore`` that stands there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")


def succeeds(folder: Path, *arguments: str) -> bool:
    return _run(folder, *arguments).returncode == 0


def toplevel(folder: Path) -> Path:
    """The root of the work tree around ``folder``, resolved.

    Raises RevisionError where there is none.
    """
    try:
        return Path(git(folder, "rev-parse", "--show-toplevel")).resolve()
    except RevisionError as error:
        raise RevisionError(
            f"{folder} is in no git repository, so there is no other revision to run", hint="git init"
        ) from error


def resolve_commit(top: Path, ref: str) -> str:
    """The full commit id of ``ref``.

    Raises RevisionError for an unknown one.
    """
    done = _run(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if done.returncode:
        raise RevisionError(
            f"{ref!r} names no commit of {top}",
            hint="give a branch, tag or commit that exists here; `git fetch` gets what others have",
        )
    return done.stdout.strip()


def short(commit: str) -> str:
    return commit[:10]


def is_dirty(top: Path) -> bool:
    """Whether anything differs from HEAD, untracked files included, ignored ones not."""
    return bool(git(top, "status", "--porcelain"))


def merge_base(top: Path, environment: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """The commit where HEAD left the main branch, and that branch's name.

    The main branch is the pull request's target where CI names one, then origin/HEAD, main, master.
    Raises RevisionError where there is none, or no common commit (a shallow clone).
    """
    targets = [f"origin/{environment[key]}" for key in _TARGETS if environment.get(key)]
    names = [*targets, "origin/HEAD", "origin/main", "origin/master", "main", "master"]
    branch = next(
        (name for name in names if succeeds(top, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")),
        None,
    )
    if branch is None:
        raise RevisionError(
            f"no main branch was found in {top} (tried {', '.join(names)})",
            hint="name the revision: pytest --golden-against=REF",
        )
    done = _run(top, "merge-base", "HEAD", branch)
    if done.returncode:
        raise RevisionError(
            f"HEAD and {branch} have no common commit here; a shallow clone lacks it",
            hint="git fetch --unshallow (in GitHub's checkout action: fetch-depth: 0), "
            "or name the revision: pytest --golden-against=REF",
        )
    return done.stdout.strip(), branch
