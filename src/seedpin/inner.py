"""A pytest that seedpin starts itself: what it is asked and what it tells, as files of one folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seedpin.records import as_plain, read_record


@dataclass(frozen=True, slots=True)
class Selection:
    """Tests that a path argument means: a file or folder relative to the project, and names below it."""

    path: str
    names: tuple[str, ...] = ()

    def holds(self, path: str, names: Sequence[str]) -> bool:
        """Whether a test of ``names`` (class, function[parameters]) in the file ``path`` is among them."""
        if self.path not in (".", path) and not path.startswith(f"{self.path}/"):
            return False
        if len(names) < len(self.names):
            return False
        return all(
            have == want or ("[" not in want and have.partition("[")[0] == want)
            for want, have in zip(self.names, names[: len(self.names)], strict=True)
        )


@dataclass(frozen=True, slots=True)
class InnerTree:
    """Another work tree that the tests run in: at ``tree``; code at ``here`` must not be imported.

    selections: what the tests are chosen by, None for all that have goldens. from_folder: whether the working
    folder is to be on the import path.
    """

    here: Path
    tree: Path
    selections: tuple[Selection, ...] | None = None
    from_folder: bool = False


@dataclass(frozen=True, slots=True)
class InnerRequest:
    """What the process is asked. ``wanted`` are the only tests to run, None for all; ``known`` need no run.

    reverse: in reverse order. tree: None for tests of the very work tree that asks.
    """

    wanted: tuple[str, ...] | None = None
    known: tuple[str, ...] = ()
    reverse: bool = False
    tree: InnerTree | None = None

    def write(self, folder: Path) -> Path:
        """The file in which ``folder``, which takes what is told, holds the request."""
        path = folder / "request.json"
        path.write_text(json.dumps(as_plain(self)), encoding="utf-8")
        return path


def read_request(path: Path) -> InnerRequest:
    """The request that was written to ``path``."""
    return read_record(InnerRequest, path.read_bytes())


@dataclass(frozen=True, slots=True)
class InnerOutcome:
    """What came of a test: ``outcome`` is "passed", "failed" or "skipped", and ``error`` says why."""

    outcome: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class InnerReport:
    """What was told, of all processes: tests that were collected and what came of those that ran.

    errors: by file, why it could not be collected. imports: by module, the file of code that was imported
    though it must not be.
    """

    collected: tuple[str, ...] = ()
    outcomes: Mapping[str, InnerOutcome] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    imports: Mapping[str, str] = field(default_factory=dict)


def write_report(folder: Path, report: InnerReport) -> None:
    """Tells what this process knows; with xdist there are several."""
    path = folder / f"report-{os.getpid()}.json"
    path.write_text(json.dumps(as_plain(report)), encoding="utf-8")


def read_report(folder: Path) -> InnerReport:
    """What all processes told."""
    collected: dict[str, None] = {}
    outcomes: dict[str, InnerOutcome] = {}
    errors: dict[str, str] = {}
    imports: dict[str, str] = {}
    for path in sorted(folder.glob("report-*.json")):
        part = read_record(InnerReport, path.read_bytes())
        collected |= dict.fromkeys(part.collected)
        outcomes |= part.outcomes
        errors |= part.errors
        imports |= part.imports
    return InnerReport(tuple(collected), outcomes, errors, imports)
