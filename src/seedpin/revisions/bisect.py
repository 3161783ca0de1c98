"""``seedpin bisect``: git bisect in a temporary worktree, driven by the bits that a test's checks obtain."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from seedpin.errors import RevisionError
from seedpin.git import git, git_lines, short, succeeds, write_ignored_folder
from seedpin.revisions.bisect_step import COMMAND, SAYS, CommitResult, Plan, commit_folder, obtain, same
from seedpin.revisions.divergences import divergence_between
from seedpin.revisions.worktree import Checkout, checked_out

_FIRST = re.compile(r"^# first bad commit: \[([0-9a-f]{40,64})\]", re.MULTILINE)
_POSSIBLE = re.compile(r"^# possible first bad commit: \[([0-9a-f]{40,64})\]", re.MULTILINE)
KEEP = 5


@dataclass(frozen=True, slots=True)
class FirstBadCommit:
    """The first commit whose bits differ: its text, where they part (by check), and the clips around it."""

    commit: str
    description: str
    locations: Mapping[str, str]
    before: Path
    after: Path


def find_first_bad(
    plan: Plan, good: str, bad: str, links: tuple[str, ...], say: Callable[[str], None]
) -> FirstBadCommit | None:
    """The first commit between ``good`` and ``bad`` at which the plan's checks change; None if none does.

    Raises RevisionError if good is not before bad, if either cannot be tested or does not repeat, or if
    only commits are left that cannot be tested; ForeignImportError.
    """
    top = plan.top
    _check_order(top, good, bad)
    write_retention(plan.out.parent)
    with checked_out(top, good, links) as checkout:
        there = _twice(plan, checkout, "good", say)
        plan = replace(plan, good=dict(there.digests))
        path = plan.write()
        at_bad = _moved(checkout, bad)
        here = _tested(plan, at_bad, "bad", say)
        if same(there.digests, here.digests) is None:
            raise RevisionError(
                f"{short(good)} and {short(bad)} have no check in common", hint="name another test"
            )
        if same(there.digests, here.digests):
            return None
        _repeats(plan, at_bad, here, "bad")
        first = _search(checkout, good, bad, path, say)
        return _told(plan, checkout, first, say)


def _check_order(top: Path, good: str, bad: str) -> None:
    if good == bad:
        raise RevisionError(
            f"good and bad are the same commit, {short(good)}",
            hint="for uncommitted changes: pytest --golden-against=HEAD",
        )
    if not succeeds(top, "merge-base", "--is-ancestor", good, bad):
        swapped = succeeds(top, "merge-base", "--is-ancestor", bad, good)
        order = "after" if swapped else "not before"
        raise RevisionError(
            f"the good commit {short(good)} is {order} the bad one {short(bad)}",
            hint="swap --good and --bad"
            if swapped
            else f"try --good $(git merge-base {short(good)} {short(bad)})",
        )


def _moved(checkout: Checkout, commit: str) -> Checkout:
    """The same worktree, at another commit."""
    no_hooks = ("-c", f"core.hooksPath={os.devnull}")
    git(checkout.tree, *no_hooks, "checkout", "--quiet", "--force", "--detach", commit)
    return replace(checkout, commit=commit)


def _tested(plan: Plan, checkout: Checkout, name: str, say: Callable[[str], None]) -> CommitResult:
    say(f"{name} {short(checkout.commit)}: running")
    result = obtain(plan, checkout)
    if result.problem:
        log = commit_folder(plan, checkout.commit) / "pytest.log"
        raise RevisionError(
            f"the {name} commit {short(checkout.commit)} cannot be tested: {result.problem}",
            hint=f"choose another; what pytest printed: {log}",
        )
    return result


def _twice(plan: Plan, checkout: Checkout, name: str, say: Callable[[str], None]) -> CommitResult:
    result = _tested(plan, checkout, name, say)
    _repeats(plan, checkout, result, name)
    return result


def _repeats(plan: Plan, checkout: Checkout, result: CommitResult, name: str) -> None:
    again = obtain(plan, checkout, kept_as=f"repeat-{name}")
    if again.problem or again.digests != result.digests:
        how = f"its second run failed: {again.problem}" if again.problem else "two runs gave different bits"
        raise RevisionError(
            f"the {name} commit {short(checkout.commit)} does not repeat: {how}",
            hint=f"seedpin probe {' '.join(plan.selection)}",
        )
    shutil.rmtree(commit_folder(plan, f"repeat-{name}"), ignore_errors=True)


def _search(checkout: Checkout, good: str, bad: str, plan: Path, say: Callable[[str], None]) -> str:
    """Runs git bisect. Its state and refs belong to the worktree alone."""
    no_hooks = ("-c", f"core.hooksPath={os.devnull}")
    git(checkout.tree, *no_hooks, "bisect", "start", "--no-checkout", bad, good)
    git(checkout.tree, "bisect", "reset", good)
    git(checkout.tree, *no_hooks, "bisect", "start", bad, good)
    printed = []
    for line in git_lines(checkout.tree, *no_hooks, "bisect", "run", *COMMAND, str(plan)):
        printed.append(line)
        if line.startswith(SAYS):
            say(line.removeprefix(SAYS).rstrip())
    log = git(checkout.tree, "bisect", "log")
    (plan.parent / "bisect.log").write_text("".join(printed) + log, encoding="utf-8")
    first = _FIRST.search(log)
    if first is not None:
        return first.group(1)
    possible = _POSSIBLE.findall(log)
    if possible:
        names = "\n".join(f"  {_described(checkout.top, commit)}" for commit in possible)
        raise RevisionError(
            f"only commits are left that cannot be tested; the first bad one is among these:\n{names}",
            hint=f"see what they said: {plan.parent / 'commits'}; --build may help",
        )
    raise RevisionError(f"git bisect ended early:\n{''.join(printed[-15:])}", hint=f"see {plan.parent}")


def _told(plan: Plan, checkout: Checkout, first: str, say: Callable[[str], None]) -> FirstBadCommit:
    parent = _last_good(plan, checkout, first, say)
    before, after = plan.out / "before", plan.out / "after"
    for commit, target in ((parent, before), (first, after)):
        source = commit_folder(plan, commit) / "golden"
        if not source.is_dir():
            obtain(plan, _moved(checkout, commit))
        shutil.copytree(source, target, dirs_exist_ok=True)
    return FirstBadCommit(
        first, _described(checkout.top, first), dict(_locations(before, after)), before, after
    )


def _last_good(plan: Plan, checkout: Checkout, first: str, say: Callable[[str], None]) -> str:
    """The parent whose bits are the good ones; of a merge any one may be."""
    parents = git(checkout.top, "rev-parse", f"{first}^@").split()
    for parent in parents:
        if not (commit_folder(plan, parent) / "golden").is_dir():
            say(f"parent {short(parent)}: running")
            result = obtain(plan, _moved(checkout, parent))
            if result.problem or not same(plan.good or {}, result.digests):
                continue
        return parent
    return parents[0]


def _described(top: Path, commit: str) -> str:
    return f"{short(commit)}  {git(top, 'log', '-1', '--date=iso', '--format=%ad  %an  %s', commit)}"


def _locations(before: Path, after: Path) -> Iterator[tuple[str, str]]:
    for manifest in sorted(before.rglob("*.json")):
        relative = manifest.relative_to(before)
        other = after / relative
        if manifest.name.count(".") != 2 or not other.is_file():
            continue
        divergence = divergence_between(manifest, other)
        if divergence is not None:
            yield relative.as_posix(), divergence.sentence


def write_retention(folder: Path, keep: int = KEEP) -> None:
    """Deletes all but the last searches."""
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(path for path in folder.iterdir() if path.is_dir())[:-keep]:
            shutil.rmtree(path, ignore_errors=True)


def new_plan(
    *,
    top: Path,
    root: Path,
    state: Path,
    folder: Path,
    name: str,
    selection: tuple[str, ...],
    arguments: tuple[str, ...],
    build: str,
) -> Plan:
    """The plan of a search; its folder is made, git-ignored."""
    out = state / "bisect" / name
    write_ignored_folder(state)
    out.mkdir(parents=True, exist_ok=True)
    # As `python -m pytest` does: the working folder is on the import path.
    entries = (str(folder), *sys.path)
    return Plan(top, folder, root, out, arguments, selection, entries, build)
