"""Goldens that nobody asks for any more, each by evidence of its own; without evidence a golden is kept.

A golden is unused if its test passed and did not check it, if its test's file was collected and the test is
not in it any more, or if that file is gone. That a run did not ask for it proves nothing: tests are left out
in more ways than a run can know.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seedpin.errors import PruneRefusedError, RevisionError
from seedpin.git import git
from seedpin.goldens.inventory import Entry, Inventory
from seedpin.goldens.names import split_node_id
from seedpin.goldens.store import digest_or_none
from seedpin.run.ledger import Run, latest_results, runs
from seedpin.run.result import CheckResult


@dataclass(frozen=True, slots=True)
class Judged:
    """A golden that a run did not ask for, and why it is unused, or why it is kept all the same."""

    entry: Entry
    why: str


@dataclass(frozen=True, slots=True)
class Unused:
    """What is unused, what is kept although the run did not ask for it, and other device classes' number."""

    unused: tuple[Judged, ...] = ()
    kept: tuple[Judged, ...] = ()
    other_classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What one run tells: see ``Completeness`` of the plugin. ``left`` are its unchecked goldens by stem."""

    run: Run
    claimed: frozenset[str]
    skipped: tuple[str, ...] = ()
    files: frozenset[str] = frozenset()
    collected: frozenset[str] = frozenset()
    passed: frozenset[str] = frozenset()
    left: Mapping[str, CheckResult] = field(default_factory=dict)
    own_options: str = ""

    @property
    def began(self) -> str:
        """The run's time as manifests write theirs."""
        name = self.run.id
        return f"{name[0:4]}-{name[4:6]}-{name[6:8]}T{name[9:11]}:{name[11:13]}:{name[13:15]}Z"


def read_told(run: Run) -> Told:
    meta = run.read_meta()
    results = latest_results(run)
    claimed = {result.golden.removesuffix(".json") for result in results if result.verdict != "unchecked"}

    def texts(key: str) -> frozenset[str]:
        value: Any = meta.get(key)
        return frozenset(map(str, value)) if isinstance(value, list) else frozenset()

    return Told(
        run,
        claimed=frozenset(claimed) | texts("claimed"),
        skipped=tuple(sorted(texts("skipped"))),
        files=texts("files"),
        collected=texts("collected"),
        passed=texts("passed"),
        own_options=" ".join(sorted(texts("own_options"))),
        left={
            result.golden.removesuffix(".json"): result for result in results if result.verdict == "unchecked"
        },
    )


def whole_run(run: Run, golden_dir: str) -> Told:
    """What ``run`` tells of all goldens.

    Raises:
        PruneRefusedError: it was partial or failed, did not tell, or was about other goldens.
    """
    meta = run.read_meta()
    told = read_told(run)
    if meta.get("complete") is not True:
        reasons = meta.get("partial_because")
        why = "; ".join(map(str, reasons)) if isinstance(reasons, list) and reasons else "it did not end"
        also = "; seedpin prune --unchecked lists those that passing tests left out" if told.left else ""
        raise PruneRefusedError(
            f"the last run, {run.id}, does not tell which goldens are unused: {why}",
            hint=f"run pytest, whole and green, then prune{also}",
        )
    if meta.get("golden_dir", golden_dir) != golden_dir:
        raise PruneRefusedError(
            f"the last run, {run.id}, was about the goldens in {meta['golden_dir']}, not in {golden_dir}",
            hint=f"add --golden-dir {meta['golden_dir']}, or run pytest, whole and green, then prune",
        )
    return told


def last_of_test(state: Path, test: str) -> Told:
    """What the last run that had a check, or an unchecked golden, of ``test`` tells of it.

    Raises:
        PruneRefusedError: there is none.
    """
    for run in reversed(runs(state)):
        if not run.read_meta().get("against") and any(result.test == test for result in run.results()):
            return read_told(run)
    raise PruneRefusedError(
        f"no run under {state / 'runs'} tells anything of {test}", hint="run it with pytest, then prune"
    )


def find_unused(
    inventory: Inventory,
    told: Told,
    project: Path,
    classes: Collection[str],
    *,
    tests: Collection[str] = (),
    only_unchecked: bool = False,
) -> Unused:
    """What ``told`` shows to be unused among goldens of ``classes``, of ``tests`` only where some are named.

    ``project`` is the folder in which test files are looked for. With ``only_unchecked`` the run need not
    have been whole: nothing is concluded from tests that are not there.
    """
    unused: list[Judged] = []
    kept: list[Judged] = []
    hidden = _hidden_by_git(project, {_file(entry) for entry in inventory.entries if entry.manifest})
    for entry in inventory.entries:
        if entry.manifest is None or entry.device_class not in classes:
            continue
        if tests and entry.manifest.test not in tests:
            continue
        if entry.stem in told.claimed:
            continue
        verdict, why = _judge(entry, told, project, hidden, only_unchecked)
        if why:
            (unused if verdict else kept).append(Judged(entry, why))
    others = {entry.device_class for entry in inventory.entries} - set(classes)
    return Unused(tuple(unused), tuple(kept), tuple(sorted(others)))


def _judge(
    entry: Entry, told: Told, project: Path, hidden: Collection[str], only_unchecked: bool
) -> tuple[bool, str]:
    """Whether a golden that was not asked for is unused, and why; no words where there is nothing to say."""
    assert entry.manifest is not None
    test, file = entry.manifest.test, _file(entry)
    left = told.left.get(entry.stem)
    if left is not None:
        if left.manifest_digest != digest_or_none(entry.path):
            return False, "it was written again since that run"
        return True, "its test passed and did not check it"
    if only_unchecked:
        return False, ""
    if str(entry.manifest.updated.get("when", "")) > told.began:
        return False, "it is newer than the run"
    if str(entry.manifest.updated.get("moved", "")) >= told.began:  # a move may follow within the second
        return False, "it was moved since the run"
    if not (project / file).exists():
        if file in hidden:
            return False, f"{file} is hidden by a sparse checkout"
        return True, f"there is no {file}"
    if _below(test, told.skipped):
        return False, "its test was skipped"
    if file not in told.files:
        return False, f"{file} was not collected"
    if test in told.collected:
        done = "ran, and may check it under other conditions" if test in told.passed else "did not run"
        return False, f"its test {done}"
    base = test.partition("[")[0]
    if any(other.partition("[")[0] == base for other in told.passed):
        if told.own_options:
            return False, f"its test ran with other parameters, which {told.own_options} may have chosen"
        return True, "its test runs with other parameters"
    if _defines(project / file, split_node_id(base)[len(Path(file).parts) :]):
        return False, f"{file} still defines its test, which was not collected"
    return True, f"its test is not in {file} any more"


def asked_since(entry: Entry, told: Told, state: Path) -> str:
    """Why a golden may have come into use since ``told``; empty for no reason."""
    for run in reversed(runs(state)):
        if run.id <= told.run.id:
            break
        for result in run.results():
            if result.golden == f"{entry.stem}.json" and result.verdict != "unchecked":
                return f"the run {run.id} asked for it since"
    return ""


def _file(entry: Entry) -> str:
    assert entry.manifest is not None
    return entry.manifest.test.partition("[")[0].partition("::")[0]


def _below(test: str, nodes: Sequence[str]) -> bool:
    """Whether ``test`` is one of ``nodes`` or lies in it."""
    return any(test == node or (test.startswith(node) and test[len(node)] in ":/[") for node in nodes)


def _defines(path: Path, names: Sequence[str]) -> bool:
    """Whether the file may hold ``names``, classes and then a function; True where its text cannot tell."""
    try:
        tree: ast.AST = ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError):
        return True
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    if imported & {"*", *names}:
        return True
    found: list[ast.AST] = [tree]
    for name in names:
        inherits = any(isinstance(parent, ast.ClassDef) and parent.bases for parent in found)
        found = [
            node
            for parent in found
            for node in ast.walk(parent)
            if node is not parent
            and isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and node.name == name
        ]
        if not found:
            return inherits  # from a class that may define it elsewhere
    return bool(found)


def _hidden_by_git(project: Path, files: Iterable[str]) -> frozenset[str]:
    """Files that git keeps out of the work tree; none where there is no git."""
    gone = sorted(file for file in files if not (project / file).exists())
    if not gone:
        return frozenset()
    try:
        listed = git(project, "ls-files", "-v", "-z", "--", *gone, timeout=60)
    except RevisionError:
        return frozenset()
    return frozenset(line[2:] for line in listed.split("\0") if line[:2] in ("S ", "s "))
