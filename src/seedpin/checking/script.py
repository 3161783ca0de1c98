"""``seedpin.check``: one check in a script, a notebook or a service; pytest is not imported."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from seedpin.checking.artifact import PendingCheck, gather
from seedpin.checking.context import CheckContext
from seedpin.checking.gate import location_of
from seedpin.checking.judge import judge
from seedpin.checking.proof import write_born
from seedpin.checking.state import AttemptState, Update, refuse_in_ci
from seedpin.config import Config, find_root, load_config
from seedpin.errors import GoldenMismatch, UsageError
from seedpin.goldens.manifest import WRITE_ANEW, Born
from seedpin.goldens.store import GoldenKey, GoldenStore, read_golden
from seedpin.kinds.base import obtain
from seedpin.kinds.registry import kind_named, kind_of_fixture
from seedpin.run.ledger import Run, RunMeta, new_run_id, write_retention
from seedpin.run.result import CheckResult
from seedpin.version import __version__

_BORN = Born("off", "written by a script, which no fresh process ran again")
_MODES = ("changed", "missing", "all")


@dataclasses.dataclass(frozen=True, slots=True)
class _GoldenAddress:
    """Which golden is asked for: below ``root``, of a test and check; ``fixture`` says how it is read."""

    root: Path
    test: str
    check: str
    fixture: str


def check(
    obj: object,
    *,
    golden: str | Path,
    fixture: str | None = None,
    tolerance: Mapping[str, Any] | None = None,
    allow: Iterable[str] = (),
    update: bool | str = False,
    reason: str = "",
    root: str | Path | None = None,
    **how: Any,
) -> CheckResult:
    """Compare ``obj`` with a golden, without pytest; returns the result if it passes.

    golden: a name, such as ``"red ball"``, whose golden lies below the project's golden folder; or the path
    of a golden's manifest (``.json``), a test's too: it names test and check, and what counts is their golden
    for the device class on which ``obj`` came about. fixture: how ``obj`` is read, as ``golden_<fixture>``
    would: "video" (the default for a name), "image", "tensors", or that of an installed kind; ``how``, as
    fps, layout and value_range, goes with it. tolerance and allow are those of the fixtures. root: the
    project's folder, by default the nearest one with a pyproject.toml; its settings hold.

    The seed, the level, the device and the environment are those of the last pin, and so of the last call of
    a seeded model: make the check right after it.

    update: True writes what is missing or beyond its gate, with ``reason``; so do "changed" (the same),
    "missing" and "all". Without it nothing below the golden folder is ever written. No fresh process runs the
    script again before a golden is born, and its manifest says so. A check that did not pass, and one that
    wrote, leave a run under ``.seedpin/``, for ``seedpin accept`` and the report.

    Raises:
        GoldenMismatch: the check did not pass; the message is that of a failing test.
        UpdateRefusedError: an update where the environment variable CI is set.
        UsageError: ``golden`` names nothing that can be read.
        ClipError, ToleranceError, SuspiciousClipError, DamagedGoldenError, GoldenWriteError: as in a test.
    """
    started = time.perf_counter()
    settings = load_config(find_root(Path.cwd()) if root is None else Path(root).resolve())
    address = _address_of(golden, fixture, settings)
    kind = kind_of_fixture(address.fixture)
    state = AttemptState()
    context = CheckContext(
        test=address.test,
        fixture=address.fixture,
        settings=settings,
        update=_update(update, reason),
        run=_run_of_process(settings.state_path),
        store=GoldenStore(address.root, settings.state_path),
        state=state,
        offered=_offered,
    )
    pending = PendingCheck(obj, address.check, location_of(1), kind, how)
    artifact = gather(
        context, pending, obtain(kind, obj, address.fixture, **how), address.check, tolerance, allow
    )
    result = judge(artifact)
    if state.staged:
        result = _written(context, result)
    result = dataclasses.replace(result, seconds=time.perf_counter() - started)
    if result.obtained is not None:
        _write_record(context, result)
    if not result.passed:
        raise GoldenMismatch(result.message)
    return result


def _address_of(golden: str | Path, fixture: str | None, settings: Config) -> _GoldenAddress:
    text = str(golden)
    if not text.endswith(".json"):
        return _named(golden, text, fixture or "video", settings)
    path = Path(golden).resolve()
    stored = read_golden(path)
    if stored is None:
        raise UsageError(
            f"there is no golden {path}", hint='give a name instead, as in check(clip, golden="red ball")'
        )
    manifest = stored.manifest
    stem = GoldenKey(manifest.test, manifest.check, manifest.device_class).stem
    if not path.as_posix().endswith(f"/{stem}.json"):
        raise UsageError(
            f"{path} is the golden of {manifest.test} ({manifest.check}), and does not lie where that would",
            hint="name it where it was written, or by a name of its own",
        )
    own = fixture or kind_named(manifest.kind).fixture_of(manifest.facts)
    return _GoldenAddress(path.parents[stem.count("/")], manifest.test, manifest.check, own)


def _named(golden: str | Path, name: str, fixture: str, settings: Config) -> _GoldenAddress:
    """A name's golden lies in a folder of its own; ``::`` is for tests, so that none is ever taken for it."""
    with contextlib.suppress(UnicodeEncodeError):
        parts = name.split("/")
        if name.encode() and "::" not in name and all(part not in ("", ".", "..") for part in parts):
            return _GoldenAddress(settings.golden_path, name, fixture, fixture)
    raise UsageError(
        f"{golden!r} is no name for a golden",
        hint='write a name or a path of names, as in check(clip, golden="demo/red ball")',
    )


def _update(update: bool | str, reason: str) -> Update:
    if update is False:
        return Update(None, reason)
    mode = "changed" if update is True else update
    if mode not in _MODES:
        raise UsageError(
            f"update={update!r} is none of its values", hint=f"True, or one of {', '.join(_MODES)}"
        )
    refuse_in_ci("seedpin.check(update=...)", hint="update on your machine, and commit the golden")
    return Update(mode, reason)


@cache
def _run_of_process(state: Path) -> Run:
    return Run(state / "runs" / new_run_id())


def _written(context: CheckContext, result: CheckResult) -> CheckResult:
    """Writes what was staged. Raises GoldenWriteError, StaleGoldenError."""
    for waiting in context.state.staged:
        write_born(waiting, _BORN)
    context.store.write_goldens([waiting.golden for waiting in context.state.staged])
    return dataclasses.replace(result, written="created" if result.golden_digest is None else "updated")


def _write_record(context: CheckContext, result: CheckResult) -> None:
    """Keeps the record in this process's run; what cannot be kept is worth less than the verdict."""
    run, settings = context.run, context.settings
    with contextlib.suppress(OSError, ValueError):
        if not run.read_meta().run:
            write_retention(settings.state_path, settings.keep_runs - 1, current=run)
            run.write_meta(
                RunMeta(
                    run=run.id,
                    seedpin=__version__,
                    arguments=tuple(sys.argv),
                    golden_dir=settings.golden_dir,
                    update=context.update.mode,
                    complete=False,
                    partial_because=("it holds checks of a script, and no tests",),
                )
            )
        run.write_result(result)


def _offered(result: CheckResult, hint: str) -> str:
    """What to type next, in a script: what tests would be told is of no use there."""
    if result.verdict == "damaged":
        return hint.replace(WRITE_ANEW, 'write it anew: seedpin.check(..., update="all")')
    if hint or result.verdict in ("unstable", "invalid"):
        return hint
    if result.verdict == "missing":
        return "look at the obtained clip, then: seedpin.check(..., update=True)"
    return 'if this is meant: seedpin.check(..., update=True, reason="why")'
