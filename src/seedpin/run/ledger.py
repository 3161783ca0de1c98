"""Runs on disk: ``.seedpin/runs/<run id>/`` with ``results.jsonl`` and the clips that await a decision."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from seedpin.git import write_ignored_folder
from seedpin.goldens.provenance import now
from seedpin.untrusted import read_plain

if TYPE_CHECKING:
    from seedpin.run.result import CheckResult

T = TypeVar("T")

_LARGEST_META = 1 << 26

OBTAINED = "obtained"
GOLDEN = "golden"


@dataclass(frozen=True, slots=True)
class ReviewDecision:
    """What somebody decided on a check: ``decision`` is "accept", "reject" or "undo".

    ``effect`` says what became of the golden: "created", "updated", "also" (one more accepted digest),
    "known-bad", or "" for nothing. ``when`` is UTC.
    """

    id: str
    decision: str
    reason: str
    when: str
    effect: str = ""


def decision_now(check: str, decision: str, reason: str, effect: str = "") -> ReviewDecision:
    return ReviewDecision(check, decision, reason, now(), effect)


def new_run_id() -> str:
    """A run's name: UTC time to the second, its fraction as four hex digits; names sort by time."""
    moment = datetime.now(timezone.utc)
    return f"{moment:%Y%m%d-%H%M%S}-{moment.microsecond * 0x10000 // 1_000_000:04x}"


@dataclass(frozen=True, slots=True)
class RunMeta:
    """What ``run.json`` tells of a session; None is not told.

    ``update`` is the mode of an update, ``against`` the commit that a run was held against. ``complete`` is
    noted at its end: whether it tells which goldens are unused, else ``partial_because``. ``claimed`` are the
    goldens that it asked for; ``files``, ``collected`` and ``passed`` the test files and tests with goldens.
    """

    run: str = ""
    seedpin: str = ""
    arguments: tuple[str, ...] = ()
    golden_dir: str | None = None
    update: str | None = None
    against: str | None = None
    complete: bool | None = None
    partial_because: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    claimed: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    collected: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    own_options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One run's folder. ``decisions_file`` is where decisions are kept, if not in it."""

    path: Path
    decisions_file: Path | None = None

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def results_path(self) -> Path:
        return self.path / "results.jsonl"

    @property
    def decisions_path(self) -> Path:
        return self.decisions_file or self.path / "decisions.jsonl"

    def write_decision(self, decision: ReviewDecision) -> None:
        """Appends one decision. Raises OSError where the run's folder cannot be written."""
        from seedpin.records import as_plain

        self.decisions_path.parent.mkdir(parents=True, exist_ok=True)
        with self.decisions_path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(as_plain(decision), sort_keys=True) + "\n")

    def decisions(self) -> dict[str, ReviewDecision]:
        """The last decision on each check, by its id; one that was undone is left out."""
        found: dict[str, ReviewDecision] = {}
        for decision in _records(ReviewDecision, self.decisions_path):
            found.pop(decision.id, None)
            if decision.decision in {"accept", "reject"}:
                found[decision.id] = decision
        return found

    def write_meta(self, meta: RunMeta) -> None:
        """Creates the folder, git-ignored, and ``run.json`` in it; what is None is left out."""
        from seedpin.records import as_plain

        self.path.mkdir(parents=True, exist_ok=True)
        write_ignored_folder(self.path.parent.parent)
        told = {key: value for key, value in as_plain(meta).items() if value is not None}
        text = json.dumps(told, indent=1, sort_keys=True, allow_nan=False) + "\n"
        (self.path / "run.json").write_text(text, encoding="utf-8")

    def read_meta(self) -> RunMeta:
        """What ``run.json`` tells; nothing where it is not there, or not what seedpin writes."""
        from seedpin.records import read_record

        try:
            return read_record(RunMeta, read_plain(self.path / "run.json", _LARGEST_META))
        except (OSError, ValueError):
            return RunMeta()

    def write_result(self, result: CheckResult) -> None:
        """Appends one record; a crash later loses none before it."""
        from seedpin.records import as_plain

        line = json.dumps(as_plain(result), sort_keys=True, allow_nan=False)
        with self.results_path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")

    def results(self) -> Iterator[CheckResult]:
        """The records in order; a last line cut by a crash is left out."""
        return read_results(self.results_path)


def read_results(path: Path) -> Iterator[CheckResult]:
    """The records of a file in order; what is none is left out."""
    from seedpin.run.result import CheckResult

    return _records(CheckResult, path)


def _records(kind: type[T], path: Path) -> Iterator[T]:
    """The records of a file with one on each line; what is none is left out."""
    from seedpin.records import read_record

    try:
        lines = read_plain(path).split(b"\n")
    except OSError:
        return
    for line in lines:
        with contextlib.suppress(ValueError):
            yield read_record(kind, line)


def latest_results(run: Run) -> list[CheckResult]:
    """The record that counts of each check of a run, in the order of their first appearance."""
    from seedpin.run.attempts import last_of_each

    return list(last_of_each(run.results()).values())


def runs(state: Path) -> list[Run]:
    """All runs below a ``.seedpin`` folder, oldest first."""
    folder = state / "runs"
    if not folder.is_dir():
        return []
    return [Run(path) for path in sorted(folder.iterdir()) if path.is_dir()]


def write_retention(state: Path, keep: int, *, current: Run) -> None:
    """Deletes all but ``current`` and the last ``keep`` runs before it.

    A run stays that may still be going on in another process, or of which a clip awaits a decision and no
    run since made that check: a test that fails in each of many runs keeps one of them, not all.
    """
    earlier = [run for run in runs(state) if run != current]
    first = max(len(earlier) - keep, 0)
    newer: set[tuple[str, str]] = set()
    for index, run in reversed(list(enumerate(earlier))):
        undecided = {(result.id, result.device_class) for result in pending(run)} if index < first else set()
        if index < first and undecided <= newer and not _may_go_on(run):
            shutil.rmtree(run.path, ignore_errors=True)
            continue
        if first > 0 and not run.read_meta().against:
            newer.update((result.id, result.device_class) for result in latest_results(run))


def _may_go_on(run: Run) -> bool:
    """Whether a session may still write here: its end was not noted, and it wrote within the last day."""
    if run.read_meta().complete is not None:
        return False
    try:
        newest = max(path.stat().st_mtime for path in (run.path, *run.path.iterdir()))
    except (OSError, ValueError):
        return False
    return time.time() - newest < 24 * 3600


def decidable(run: Run) -> list[CheckResult]:
    """Results that did not pass and whose obtained clip is there, decided or not.

    None of a run that was held against another revision: its clips say nothing about the goldens.
    """
    if run.read_meta().against:
        return []
    return [
        result
        for result in latest_results(run)
        if result.obtained is not None and not result.passed and (run.path / result.obtained).is_file()
    ]


def pending(run: Run) -> list[CheckResult]:
    """Results of a run whose obtained clip still awaits accept or reject."""
    decided = run.decisions()
    return [result for result in decidable(run) if result.id not in decided]
