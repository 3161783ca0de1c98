"""``seedpin trace show`` and ``seedpin trace diff``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from seedpin.cli._say import say
from seedpin.config import find_root
from seedpin.errors import TraceError, UsageError
from seedpin.goldens.manifest import from_json
from seedpin.run.ledger import latest_results, runs
from seedpin.trace.diff.divergence import format_divergence
from seedpin.trace.diff.locate import first_divergence
from seedpin.trace.model import Trace
from seedpin.trace.storage import from_bytes
from seedpin.trace.summary import summarise
from seedpin.untrusted import read_plain


@click.group("trace")
def command() -> None:
    """Look at stored traces: what happened inside a model."""


@command.command("show")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--records", is_flag=True, help="List every record.")
def show(path: Path, records: bool) -> None:
    """Say what the trace at PATH holds: a .trace file, or the manifest beside it."""
    trace = read_trace(path)
    say(summarise(trace), lines=True)
    if records:
        for record in trace.records:
            step = "" if record.step is None else f" step {record.step}"
            say(f"{'  ' * record.depth}{record.kind} {record.name} #{record.call}{step} {record.site}")


@command.command("diff")
@click.argument("first")
@click.argument("second", required=False)
def diff(first: str, second: str | None) -> None:
    """Say where two traces part.

    FIRST and SECOND are files; or FIRST alone is part of a check's name in the last run.
    Exit code 0 if they agree, 1 if not.
    """
    golden, here = (Path(first), Path(second)) if second is not None else _of_last_run(first)
    divergence = first_divergence(read_trace(golden), read_trace(here))
    say("the traces agree" if divergence is None else format_divergence(divergence), lines=True)
    sys.exit(0 if divergence is None else 1)


def read_trace(path: Path) -> Trace:
    """The trace in a ``.trace`` file, or beside a manifest.

    Raises TraceError, UsageError, and DamagedGoldenError or NewerFormatError for the manifest.
    """
    try:
        if path.suffix == ".json":
            files = from_json(read_plain(path), path).files
            if "trace" not in files:
                raise UsageError(f"{path} has no trace beside it", hint="run with --seedpin-trace=stages")
            path = path.parent / files["trace"].name
        return from_bytes(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="name a .trace file") from error
    except TraceError as error:
        raise TraceError(f"{path}: {error.what}", hint=error.hint) from error


def _of_last_run(part: str) -> tuple[Path, Path]:
    """Manifests of golden and obtained clip of the one failing check of the last run that ``part`` names."""
    ended = runs(find_root(Path.cwd()) / ".seedpin")
    if not ended:
        raise UsageError("there is no run yet", hint="run pytest, or name two .trace files")
    run = ended[-1]
    matching = [
        result
        for result in latest_results(run)
        if part in result.id and result.obtained is not None and result.golden_copy is not None
    ]
    if len(matching) != 1:
        names = ", ".join(result.id for result in matching) or "none"
        raise UsageError(
            f"{part!r} names {len(matching)} checks with two traces in run {run.id}: {names}",
            hint="name one of them, or two .trace files",
        )
    chosen = matching[0]
    return run.path / str(chosen.golden_copy), run.path / str(chosen.obtained)
