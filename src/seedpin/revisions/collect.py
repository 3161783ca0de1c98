"""pytest in its own process on another work tree, and what came of it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seedpin import process
from seedpin.errors import ForeignImportError, RevisionError
from seedpin.git import git_environment, short
from seedpin.inner import InnerReport, InnerRequest, InnerTree, Selection, read_report
from seedpin.process import REQUEST_VARIABLE, RUN_VARIABLE, inherited
from seedpin.revisions.import_paths import project_entries, reference_path
from seedpin.revisions.inner_pytest import COMMAND
from seedpin.revisions.worktree import Checkout
from seedpin.run.ledger import Run, latest_results
from seedpin.run.result import CheckResult

_NO_TESTS = 5
_LINES = 25


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """``outcome`` is "passed", "failed", "skipped", "absent", or "uncollected": its file could not be read.

    ``checks`` maps each of its checks to the digest that it obtained.
    """

    __test__ = False

    outcome: str
    error: str = ""
    checks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CollectedRun:
    """Of one run: outcomes of the tests that ran, all selected tests, files that could not be collected."""

    tests: Mapping[str, TestOutcome]
    selected: tuple[str, ...]
    errors: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """How tests run in the checkout. ``folder`` is the working folder here, ``golden`` takes the clips."""

    golden: Path
    folder: Path
    log: Path
    trace: str = "modules"
    profile: str = ""
    device_class: str = ""
    rootdir: Path | None = None


def collect(
    checkout: Checkout,
    arguments: Sequence[str],
    options: CollectOptions,
    *,
    wanted: Iterable[str] | None = None,
    known: Iterable[str] = (),
    selections: tuple[Selection, ...] | None = None,
    entries: Sequence[str] | None = None,
) -> CollectedRun:
    """Runs the tests of ``checkout`` against its code and leaves what they obtain in ``options.golden``.

    ``wanted``, ``known``, ``selections``: see ``InnerRequest``. ``entries`` is the import path of here
    (default: this process's). What pytest prints goes to ``options.log``.

    Raises ForeignImportError if code of the project was imported from here, RevisionError if pytest ended
    with anything but passed or failed tests.
    """
    out = Path(tempfile.mkdtemp(prefix="out-", dir=checkout.scratch))
    entries = sys.path if entries is None else entries
    folder = options.folder.resolve()
    tree = InnerTree(
        here=checkout.top,
        tree=checkout.tree,
        selections=selections,
        from_folder=folder in project_entries(checkout.top, entries, folder),
    )
    only = None if wanted is None else tuple(wanted)
    environment = _environment(checkout, folder, entries) | {
        REQUEST_VARIABLE: str(InnerRequest(only, tuple(known), tree=tree).write(out)),
        RUN_VARIABLE: str(out / "state" / "runs" / "run"),
    }
    code = _run(checkout, _command(arguments, checkout, options), environment, options)
    report = read_report(out)
    _refuse_imports_from_here(report, checkout)
    if code not in (0, 1, _NO_TESTS):
        raise RevisionError(
            f"pytest ended with exit code {code} at {short(checkout.commit)}; its last lines:\n"
            f"{_tail(options.log)}",
            hint=f"all it printed: {options.log}",
        )
    return _collected(report, latest_results(Run(Path(environment[RUN_VARIABLE]))))


def _command(arguments: Sequence[str], checkout: Checkout, options: CollectOptions) -> list[str]:
    given = any(argument.partition("=")[0] == "--rootdir" for argument in arguments)
    fixed = [
        "--continue-on-collection-errors",
        f"--golden-dir={options.golden}",
        "--seedpin-collect",
        f"--seedpin-trace={options.trace}",
    ]
    if options.profile:
        fixed.append(f"--seedpin-cpu-profile={options.profile}")
    if options.device_class:
        fixed.append(f"--golden-device-class={options.device_class}")
    if options.rootdir is not None and not given:
        fixed.append(f"--rootdir={checkout.mapped(options.rootdir)}")
    return [*COMMAND, *fixed, *arguments]


def _environment(checkout: Checkout, folder: Path, entries: Sequence[str]) -> dict[str, str]:
    environment = inherited(git_environment())
    path = reference_path(
        checkout.top, checkout.tree, checkout.scratch / "shims", folder=folder, entries=entries
    )
    environment["PYTHONPATH"] = os.pathsep.join(path)
    # Two checkouts within one second may leave bytecode that looks fresh and is not.
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return environment


def _run(
    checkout: Checkout, command: list[str], environment: Mapping[str, str], options: CollectOptions
) -> int:
    folder = checkout.mapped(options.folder)
    if not folder.is_dir():
        folder = checkout.tree
    options.log.parent.mkdir(parents=True, exist_ok=True)
    with options.log.open("w", encoding="utf-8") as stream:
        stream.write(f"$ {' '.join(command)}\n")
        stream.flush()
        return process.run(command, folder, environment, log=stream).returncode


def _refuse_imports_from_here(report: InnerReport, checkout: Checkout) -> None:
    if not report.imports:
        return
    shown = [f"  {name} from {file}" for name, file in sorted(report.imports.items())]
    more = [f"  and {len(shown) - 10} more"] if len(shown) > 10 else []
    raise ForeignImportError(
        f"the run of {short(checkout.commit)} imported code from here, so it is no run of that revision:\n"
        + "\n".join([*shown[:10], *more]),
        hint="something puts an absolute path of this folder on the import path: look for sys.path.insert "
        "in conftest.py, `pythonpath` in the pytest configuration, or an unusual editable install; "
        "make it relative to the file that sets it",
    )


def _collected(report: InnerReport, results: Iterable[CheckResult]) -> CollectedRun:
    checks: dict[str, dict[str, str]] = {}
    for result in results:
        if result.obtained_digest is not None:
            checks.setdefault(result.test, {})[result.check] = result.obtained_digest
    tests = {
        node: TestOutcome(test.outcome, test.error, checks.get(node, {}))
        for node, test in report.outcomes.items()
    }
    return CollectedRun(tests, report.collected, report.errors)


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-_LINES:])
