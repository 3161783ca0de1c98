"""Goldens that nobody asks for any more, each by evidence of its own; without evidence a golden is kept.

A golden is unused if its test passed and did not check it, if its test's file was collected and nothing in
it can be the test any more, or if that file is gone. That a run did not ask for it proves nothing: tests are
left out in more ways than a run can know, and an environment variable may choose parameters, or tests that a
file makes as it runs. Such goldens are "unseen": told apart, and unused only for someone who says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from seedpin.errors import PruneRefusedError, RevisionError
from seedpin.git import git
from seedpin.goldens.inventory import GoldenEntry, Inventory
from seedpin.goldens.names import split_node_id
from seedpin.goldens.store import digest_or_none
from seedpin.run.definitions import find_definition
from seedpin.run.ledger import Run, latest_results, runs
from seedpin.run.opening import checked_results
from seedpin.run.result import CheckResult


@dataclass(frozen=True, slots=True)
class Judged:
    """A golden that a run did not ask for, and why it is unused, or why it is kept all the same."""

    entry: GoldenEntry
    why: str


@dataclass(frozen=True, slots=True)
class Unused:
    """What is unused, what is kept although the run did not ask for it, and names of other device classes.

    ``unseen`` is kept too: its test was not in the run and may be in another, for all that is known.
    """

    unused: tuple[Judged, ...] = ()
    unseen: tuple[Judged, ...] = ()
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
    return Told(
        run,
        claimed=frozenset({*claimed, *meta.claimed}),
        skipped=tuple(sorted(set(meta.skipped))),
        files=frozenset(meta.files),
        collected=frozenset(meta.collected),
        passed=frozenset(meta.passed),
        own_options=" ".join(sorted(set(meta.own_options))),
        left={
            result.golden.removesuffix(".json"): result for result in results if result.verdict == "unchecked"
        },
    )


def whole_run(run: Run, golden_dir: str) -> Told:
    """What ``run`` tells of all goldens.

    Raises:
        PruneRefusedError: it was partial or failed, did not tell, or was about other goldens.
        RunError: one of its records cannot be read, and might be of a golden that is in use.
    """
    meta = run.read_meta()
    told = read_told(run)
    if not meta.complete:
        why = "; ".join(meta.partial_because) or "it did not end"
        also = "; seedpin prune --unchecked lists those that passing tests left out" if told.left else ""
        raise PruneRefusedError(
            f"the last run, {run.id}, does not tell which goldens are unused: {why}",
            hint=f"run pytest, whole and green, then prune{also}",
        )
    if meta.golden_dir not in (None, golden_dir):
        raise PruneRefusedError(
            f"the last run, {run.id}, was about the goldens in {meta.golden_dir}, not in {golden_dir}",
            hint=f"add --golden-dir {meta.golden_dir}, or run pytest, whole and green, then prune",
        )
    checked_results(run)
    return told


def last_of_test(state: Path, test: str) -> Told:
    """What the last run that had a check, or an unchecked golden, of ``test`` tells of it.

    Raises:
        PruneRefusedError: there is none.
    """
    for run in reversed(runs(state)):
        if not run.read_meta().against and any(result.test == test for result in run.results()):
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
    found: dict[str, list[Judged]] = {"unused": [], "unseen": [], "kept": []}
    hidden = _hidden_by_git(project, {_file(entry) for entry in inventory.entries if entry.manifest})
    for entry in inventory.entries:
        if entry.manifest is None or entry.device_class not in classes:
            continue
        if tests and entry.manifest.test not in tests:
            continue
        if entry.stem in told.claimed:
            continue
        kind, why = _judge(entry, told, project, hidden, only_unchecked)
        if why:
            found[kind].append(Judged(entry, why))
    others = {entry.device_class for entry in inventory.entries} - set(classes)
    parts = {kind: tuple(judged) for kind, judged in found.items()}
    return Unused(**parts, other_classes=tuple(sorted(others)))


def _judge(
    entry: GoldenEntry, told: Told, project: Path, hidden: Collection[str], only_unchecked: bool
) -> tuple[Literal["unused", "unseen", "kept"], str]:
    """What a golden is that was not asked for, and why; no words where there is nothing to say."""
    assert entry.manifest is not None
    test, file = entry.manifest.test, _file(entry)
    left = told.left.get(entry.stem)
    if left is not None:
        if left.manifest_digest != digest_or_none(entry.path):
            return "kept", "it was written again since that run"
        return "unused", "its test passed and did not check it"
    if only_unchecked:
        return "kept", ""
    if (entry.manifest.updated.when or "") > told.began:
        return "kept", "it is newer than the run"
    if (entry.manifest.updated.moved or "") >= told.began:  # a move may follow within the second
        return "kept", "it was moved since the run"
    if "::" not in test:
        return "kept", "a script asks for it (seedpin.check), of which no run of pytest tells"
    if not (project / file).exists():
        if file in hidden:
            return "kept", f"{file} is hidden by a sparse checkout"
        return "unused", f"there is no {file}"
    if _below(test, told.skipped):
        return "kept", "its test was skipped"
    if file not in told.files:
        return "kept", f"{file} was not collected"
    if test in told.collected:
        done = "ran, and may check it under other conditions" if test in told.passed else "did not run"
        return "kept", f"its test {done}"
    base = test.partition("[")[0]
    if any(other.partition("[")[0] == base for other in told.collected):
        if told.own_options:
            return "kept", f"its test ran with other parameters, which {told.own_options} may have chosen"
        return "unseen", "its test ran with other parameters"
    here = [other for other in told.collected if other.partition("::")[0] == file]
    definition = find_definition(
        project / file, _names(base, file), sorted({_names(other.partition("[")[0], file) for other in here})
    )
    if definition.spelled:
        return "kept", f"{file} still defines its test, which was not collected"
    if definition.made_by:
        return (
            "unseen",
            f"{file} does not spell its test and may make it as it runs: {definition.made_by}",
        )
    return "unused", f"its test is not in {file} any more"


def _names(base: str, file: str) -> tuple[str, ...]:
    """Classes and function of a test in ``file``, without its parameters."""
    return split_node_id(base)[len(Path(file).parts) :]


def used_since(
    entry: GoldenEntry,
    told: Told,
    project: Path,
    state: Path,
    *,
    only_unchecked: bool = False,
    unseen: bool = False,
) -> str:
    """Why a golden that ``told`` showed to be unused may be in use by now; empty for no reason.

    The evidence is weighed again, for a test may be back, and so are the runs since: they make a check on
    their own device only, and yet tell that it is made. ``unseen``: such goldens are meant too.
    """
    assert entry.manifest is not None
    for run in reversed(runs(state)):
        if run.id <= told.run.id:
            break
        for result in run.results():
            if result.verdict == "unchecked":
                continue
            if result.golden == f"{entry.stem}.json":
                return f"the run {run.id} asked for it since"
            if (result.test, result.check) == (entry.manifest.test, entry.manifest.check):
                return f"the run {run.id} made its check since, on {result.device_class}"
    hidden = _hidden_by_git(project, {_file(entry)})
    kind, why = _judge(entry, told, project, hidden, only_unchecked)
    return "" if kind == "unused" or (unseen and kind == "unseen") else why


def _file(entry: GoldenEntry) -> str:
    assert entry.manifest is not None
    return entry.manifest.test.partition("[")[0].partition("::")[0]


def _below(test: str, nodes: Sequence[str]) -> bool:
    """Whether ``test`` is one of ``nodes`` or lies in it."""
    return any(test == node or (test.startswith(node) and test[len(node)] in ":/[") for node in nodes)


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
