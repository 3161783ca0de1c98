"""Two values side by side, wherever they come from: files, folders, goldens, runs. No test needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedpin.compare.diagnoses import further_hints
from seedpin.compare.verdict import facts_differences
from seedpin.environment.fingerprint import Environment, EnvironmentChange, difference
from seedpin.errors import RunError, UsageError
from seedpin.goldens.content import load
from seedpin.goldens.manifest import Manifest
from seedpin.goldens.store import GoldenKey, read_golden, write_staged
from seedpin.kinds.base import AnyKind, Obtained, Range, obtain_value, recorded
from seedpin.kinds.registry import kind_named, kind_of_fixture, kind_that_opens
from seedpin.records import Facts
from seedpin.run.ledger import GOLDEN, OBTAINED, Run, decidable
from seedpin.run.opening import checked_results, contained
from seedpin.run.result import CheckResult


@dataclass(frozen=True, slots=True)
class ComparedInput:
    """A clip, named tensors, or what else there are kinds for. ``load`` gives the value, None if it was lost;
    ``manifest`` is a golden's.
    """

    name: str
    kind: AnyKind
    digest: str
    facts: Facts
    load: Callable[[], Any] | None
    manifest: Manifest | None = None


def find_inputs(source: str, state: Path) -> dict[str, ComparedInput]:
    """Check ids to inputs for a run; one input under "" for anything else.

    ``source`` is a golden's manifest or payload, a picture, video or other file that a kind opens, a
    folder of images, a run's id or folder.

    Raises UsageError, RunError, DamagedGoldenError, or what ``as_clip`` raises.
    """
    path = Path(source)
    own = state / "runs" / source
    for folder in (own, path):
        if (folder / "results.jsonl").is_file():
            return _of_run(Run(folder))
    manifest = path if path.suffix == ".json" else path.parent / f"{'.'.join(path.name.split('.')[:2])}.json"
    if path.is_file() and manifest.is_file():
        return {"": _of_golden(manifest, source)}
    if not path.exists():
        raise UsageError(
            f"there is no file, folder or run {source!r}",
            hint="name a clip, a folder of images, a golden's manifest, or a run",
        )
    kind = kind_that_opens(path)
    return {"": _of_value(source, obtain_value(kind, kind.open(path)))}


def _of_run(run: Run) -> dict[str, ComparedInput]:
    kept = {result.id for result in decidable(run)}
    inputs = {}
    for result in checked_results(run):
        load = (lambda result=result: _load(_kept_path(run, result))) if result.id in kept else None
        kind = kind_of_fixture(result.kind)
        facts, digest = result.facts_obtained, result.obtained_digest or ""
        inputs[result.id] = ComparedInput(f"{run.id} {result.id}", kind, digest, facts, load)
    if not inputs:
        raise RunError(f"{run.path} holds no results", hint="run pytest, or name another run")
    return inputs


def _kept_path(run: Run, result: CheckResult) -> Path:
    assert result.obtained is not None
    return contained(run.path, result.obtained, f"the obtained clip of {result.id}")


def _load(manifest: Path) -> Any:
    golden = read_golden(manifest)
    if golden is None:
        raise UsageError(f"there is no golden {manifest}", hint="name a manifest that is there")
    return load(golden)


def _of_golden(path: Path, name: str) -> ComparedInput:
    golden = read_golden(path)
    assert golden is not None
    manifest = golden.manifest
    facts = _facts(manifest.facts, manifest.value_range)
    return ComparedInput(
        name, kind_named(manifest.kind), manifest.digest, facts, lambda: _load(path), manifest
    )


def _of_value(name: str, obtained: Obtained) -> ComparedInput:
    facts = _facts(obtained.facts, obtained.value_range)
    return ComparedInput(name, obtained.kind, obtained.digest, facts, lambda: obtained.value)


def _facts(facts: Facts, value_range: Range | None) -> dict[str, Any]:
    return {**facts, **({} if value_range is None else {"value_range": list(value_range)})}


def compare_inputs(first: ComparedInput, second: ComparedInput) -> CheckResult:
    """A record of how ``second`` differs from ``first``; its verdict is identical, changed or incomparable.

    The rate of a clip counts only where both inputs know theirs.
    """
    kind = first.kind
    old, new = dict(first.facts), dict(second.facts)
    for key in ("fps", "value_range"):
        if old.get(key) is None or new.get(key) is None:
            old.pop(key, None)
            new.pop(key, None)
    reasons = facts_differences(old, new)
    if kind is not second.kind:
        reasons = (f"{first.name} holds {kind.name}, {second.name} holds {second.kind.name}.",)
    record = CheckResult(
        test="compare",
        check=kind.name,
        kind=kind.fixtures[0],
        verdict="incomparable" if reasons else "identical",
        device_class="files",
        golden="compare/clip.files.json",
        message="",
        golden_digest=first.digest,
        obtained_digest=second.digest,
        facts_golden=old,
        facts_obtained=new,
        environment_changes=_changes(first, second),
        reasons=reasons,
    )
    if kind is not second.kind or (not reasons and first.digest == second.digest):
        return record
    if first.load is None or second.load is None:
        lost = first.name if first.load is None else second.name
        why = f"The digests differ; the clip of {lost} was not kept, so nothing can be measured."
        return dataclasses.replace(
            record, verdict=record.verdict if reasons else "changed", reasons=(*reasons, why)
        )
    one, other = first.load(), second.load()
    record = dataclasses.replace(record, hints=kind.hints(one, other))
    if reasons:
        return record
    hints = (*record.hints, *further_hints(kind.name, one, other))
    metrics = kind.compare(one, other)
    said = (metrics.summary(),) if metrics.summary() else ()
    return dataclasses.replace(
        record, verdict="changed", metrics=recorded(kind, metrics), reasons=said, hints=hints
    )


def _changes(first: ComparedInput, second: ComparedInput) -> tuple[EnvironmentChange, ...]:
    if first.manifest is None or second.manifest is None:
        return ()
    old, new = (Environment.of(one.environment) for one in (first.manifest, second.manifest))
    return difference(old, new)


def write_pair(
    run: Run, number: int, first: ComparedInput, second: ComparedInput, record: CheckResult
) -> CheckResult:
    """Adds a comparison to a run made for it, with both inputs, so that a report can be written of it."""
    name = f"compare {first.name} {second.name}" if number == 0 else f"compare {second.name}"
    key = GoldenKey(name, record.check, "files")
    copies = [_write_input(run, place, key, one) for place, one in ((GOLDEN, first), (OBTAINED, second))]
    record = dataclasses.replace(
        record, test=name, golden=f"{key.stem}.json", golden_copy=copies[0], obtained=copies[1]
    )
    run.write_result(record)
    return record


def _write_input(run: Run, place: str, key: GoldenKey, one: ComparedInput) -> str | None:
    if one.load is None:
        return None
    obtained = obtain_value(one.kind, one.load())
    manifest = Manifest(
        test=key.test,
        check=key.check,
        kind=one.kind.name,
        device_class=key.device_class,
        facts=obtained.facts,
        digest=obtained.digest,
        frame_digests=obtained.digests,
        files={},
        value_range=obtained.value_range,
    )
    contents = {one.kind.role: one.kind.encode(obtained.value)}
    return write_staged(run.path / place, key.stem, manifest, contents).relative_to(run.path).as_posix()
