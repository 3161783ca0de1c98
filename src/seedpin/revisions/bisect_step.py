"""One step of ``seedpin bisect``: what a commit gives, and whether that is what the good one gave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seedpin.errors import ForeignImportError, RevisionError, SeedpinError
from seedpin.git import git, git_environment, short
from seedpin.process import python_code
from seedpin.records import as_plain, read_record
from seedpin.revisions.arguments import rewritten
from seedpin.revisions.collect import CollectOptions, collect
from seedpin.revisions.worktree import Checkout

SAME, DIFFERENT, SKIP, ABORT = 0, 1, 125, 128
SAYS = "seedpin: "
"""How lines begin that are meant for the user, among git's own."""
COMMAND = tuple(python_code("from seedpin.revisions.bisect_step import main; main()"))


@dataclass(frozen=True, slots=True)
class Plan:
    """What every step needs, as a file. Paths are absolute; ``good`` maps checks to the good digests."""

    top: Path
    folder: Path
    root: Path
    out: Path
    arguments: tuple[str, ...]
    selection: tuple[str, ...]
    entries: tuple[str, ...]
    build: str = ""
    good: Mapping[str, str] | None = None

    def write(self) -> Path:
        path = self.out / "plan.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(as_plain(self), indent=1), encoding="utf-8")
        return path


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What a commit gave: a digest for each check, or why it cannot be tested."""

    digests: Mapping[str, str]
    problem: str = ""


def read_plan(path: Path) -> Plan:
    return read_record(Plan, path.read_bytes())


def commit_folder(plan: Plan, commit: str) -> Path:
    """Where the clips of ``commit`` are kept, in the golden layout below ``golden``."""
    return plan.out / "commits" / commit[:12]


def obtain(plan: Plan, checkout: Checkout, *, kept_as: str = "") -> CommitResult:
    """Builds and runs what is checked out; clips go to the commit's folder (``kept_as`` instead).

    Raises ForeignImportError.
    """
    folder = commit_folder(plan, kept_as or checkout.commit)
    log = folder / "pytest.log"
    options = CollectOptions(folder / "golden", plan.folder, log, rootdir=plan.root)
    folder.mkdir(parents=True, exist_ok=True)
    problem = _build(plan, checkout, folder)
    if problem:
        return CommitResult({}, problem)
    arguments = rewritten((*plan.arguments, *plan.selection), plan.selection, checkout, plan.folder)
    if arguments.nothing:
        return CommitResult({}, "there is no such file")
    try:
        collected = collect(
            checkout, arguments.passed, options, selections=arguments.selections, entries=plan.entries
        )
    except ForeignImportError:
        raise
    except RevisionError as error:
        return CommitResult({}, error.what)
    broken = [
        f"{name} {test.outcome}: {test.error}"
        for name, test in collected.tests.items()
        if test.outcome != "passed"
    ]
    digests = {
        f"{name}::{check}": digest
        for name, test in collected.tests.items()
        if test.outcome == "passed"
        for check, digest in test.checks.items()
    }
    if broken or collected.errors:
        errors = [f"{path}: {error}" for path, error in collected.errors.items()]
        return CommitResult({}, "; ".join([*broken, *errors]))
    return CommitResult(digests, "" if digests else "there is no such test, or it checks nothing")


def _build(plan: Plan, checkout: Checkout, folder: Path) -> str:
    """Runs the user's build command in the checkout; why it failed, or nothing."""
    if not plan.build:
        return ""
    log = folder / "build.log"
    with log.open("w", encoding="utf-8") as stream:
        done = subprocess.run(  # noqa: S602  (the user's own command line)
            plan.build,
            shell=True,
            cwd=checkout.tree,
            env=git_environment(),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return f"the build failed with exit code {done.returncode}, see {log}" if done.returncode else ""


def same(good: Mapping[str, str], other: Mapping[str, str]) -> bool | None:
    """Whether the checks that both commits have gave the same bits; None where there is none."""
    common = good.keys() & other.keys()
    return all(good[name] == other[name] for name in common) if common else None


def main() -> None:
    """``git bisect run`` calls this in the worktree; the only argument is the plan's file."""
    plan = read_plan(Path(sys.argv[1]))
    tree = Path.cwd().resolve()
    commit = git(tree, "rev-parse", "HEAD")
    subject = git(tree, "log", "-1", "--format=%s")
    try:
        result = obtain(plan, Checkout(plan.top, tree, commit, tree.parent))
        git(tree, "reset", "--quiet", "--hard")
    except SeedpinError as error:
        _say(f"{short(commit)} {subject}: {error}")
        sys.exit(ABORT)
    verdict = None if result.problem else same(plan.good or {}, result.digests)
    words = {
        True: "as good",
        False: "different",
        None: f"skipped, {result.problem or 'it has none of the checks'}",
    }
    _say(f"{short(commit)} {subject}: {words[verdict]}")
    sys.stdout.flush()
    sys.exit({True: SAME, False: DIFFERENT, None: SKIP}[verdict])


def _say(text: str) -> None:
    first, *rest = text.splitlines() or [""]
    print(f"{SAYS}{first}{' ...' if rest else ''}", flush=True)
    if rest:
        print(os.linesep.join(rest), flush=True)
