"""Two clips side by side, wherever they come from: files, folders, goldens, runs. No test needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedpin.clip.adapt import as_clip
from seedpin.clip.clip import Clip
from seedpin.clip.codec import decode_tensors, encode, encode_tensors
from seedpin.clip.digest import clip_digest, frame_digests
from seedpin.compare.diagnose import hints
from seedpin.compare.metrics import compare_clips
from seedpin.compare.tensors import compare_tensors, tensor_facts
from seedpin.compare.verdict import facts_differences
from seedpin.environment.fingerprint import Environment, difference
from seedpin.errors import RunError, UsageError
from seedpin.goldens.content import tensors_digest, verify_content
from seedpin.goldens.manifest import Manifest
from seedpin.goldens.store import GoldenKey, load_clip, read_golden, write_staged
from seedpin.run.intake import checked_results, contained
from seedpin.run.ledger import GOLDEN, OBTAINED, Run, decidable
from seedpin.run.result import CheckResult


@dataclass(frozen=True, slots=True)
class Side:
    """One clip, or named tensors. ``load`` gives a ``Clip`` or a dict; ``manifest`` is a golden's."""

    name: str
    kind: str
    digest: str
    facts: Mapping[str, Any]
    load: Callable[[], Any] | None
    manifest: Manifest | None = None


def find_sides(source: str, state: Path) -> dict[str, Side]:
    """Check ids to sides for a run; one side under "" for a clip.

    ``source`` is a golden's manifest or frames file, a picture or video, a folder of images, a run's id or
    folder. Raises UsageError, RunError, DamagedGoldenError, or what ``as_clip`` raises.
    """
    path = Path(source)
    own = state / "runs" / source
    for folder in (own, path):
        if (folder / "results.jsonl").is_file():
            return _run_sides(Run(folder))
    manifest = path if path.suffix == ".json" else path.parent / f"{'.'.join(path.name.split('.')[:2])}.json"
    if path.is_file() and manifest.is_file():
        return {"": _golden_side(manifest, source)}
    if path.is_file() and path.suffix == ".safetensors":
        tensors = decode_tensors(path)
        return {"": _tensor_side(source, tensors)}
    if not path.exists():
        raise UsageError(
            f"there is no file, folder or run {source!r}",
            hint="name a clip, a folder of images, a golden's manifest, or a run",
        )
    return {"": _clip_side(source, as_clip(path))}


def _run_sides(run: Run) -> dict[str, Side]:
    kept = {result.id for result in decidable(run)}
    sides = {}
    for result in checked_results(run):
        load = (lambda result=result: _load(_kept_path(run, result))) if result.id in kept else None
        kind = "tensors" if result.kind == "tensors" else "clip"
        facts, digest = result.facts_obtained, result.obtained_digest or ""
        sides[result.id] = Side(f"{run.id} {result.id}", kind, digest, facts, load)
    if not sides:
        raise RunError(f"{run.path} holds no results", hint="run pytest, or name another run")
    return sides


def _kept_path(run: Run, result: CheckResult) -> Path:
    assert result.obtained is not None
    return contained(run.path, result.obtained, f"the obtained clip of {result.id}")


def _load(manifest: Path) -> Any:
    golden = read_golden(manifest)
    if golden is None:
        raise UsageError(f"there is no golden {manifest}", hint="name a manifest that is there")
    if golden.manifest.kind == "clip":
        return load_clip(golden)
    verify_content(golden)
    return decode_tensors(golden.file("tensors"))


def _golden_side(path: Path, name: str) -> Side:
    golden = read_golden(path)
    assert golden is not None
    manifest = golden.manifest
    return Side(name, manifest.kind, manifest.digest, _facts(manifest), lambda: _load(path), manifest)


def _facts(manifest: Manifest) -> dict[str, Any]:
    if manifest.kind != "clip":
        return dict(manifest.facts)
    return {**manifest.facts, "value_range": list(manifest.value_range or ())}


def _clip_side(name: str, clip: Clip) -> Side:
    facts = {**clip.facts(), "value_range": list(clip.value_range)}
    return Side(name, "clip", clip_digest(frame_digests(clip)), facts, lambda: clip)


def _tensor_side(name: str, tensors: Mapping[str, Any]) -> Side:
    return Side(
        name, "tensors", tensors_digest(encode_tensors(tensors)), tensor_facts(tensors), lambda: tensors
    )


def compare_sides(first: Side, second: Side) -> CheckResult:
    """A record of how ``second`` differs from ``first``; its verdict is identical, changed or incomparable.

    The rate of a clip counts only where both sides know theirs.
    """
    old, new = dict(first.facts), dict(second.facts)
    for key in ("fps", "value_range"):
        if old.get(key) is None or new.get(key) is None:
            old.pop(key, None)
            new.pop(key, None)
    reasons = facts_differences(old, new)
    if first.kind != second.kind:
        reasons = (f"{first.name} holds {first.kind}, {second.name} holds {second.kind}.",)
    record = CheckResult(
        test="compare",
        check=first.kind,
        kind="tensors" if first.kind == "tensors" else "video",
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
    if first.kind != second.kind or (not reasons and first.digest == second.digest):
        return record
    if first.load is None or second.load is None:
        lost = first.name if first.load is None else second.name
        why = f"The digests differ; the clip of {lost} was not kept, so nothing can be measured."
        return dataclasses.replace(
            record, verdict=record.verdict if reasons else "changed", reasons=(*reasons, why)
        )
    one, other = first.load(), second.load()
    said = hints(one, other) if first.kind == "clip" else ()
    if reasons:
        return dataclasses.replace(record, hints=said)
    if first.kind == "tensors":
        tensors = compare_tensors(one, other)
        return dataclasses.replace(record, verdict="changed", metrics=tensors.as_dict())
    metrics = compare_clips(one, other)
    count, total = len(metrics.differing), len(metrics.ssim)
    sentence = f"{count} of {total} frames differ, the first is frame {metrics.first_differing}."
    return dataclasses.replace(
        record, verdict="changed", metrics=metrics.as_dict(), reasons=(sentence,), hints=said
    )


def _changes(first: Side, second: Side) -> tuple[Mapping[str, Any], ...]:
    if first.manifest is None or second.manifest is None:
        return ()
    sides = [Environment.from_dict(side.manifest.environment) for side in (first, second) if side.manifest]
    return tuple(change.as_dict() for change in difference(sides[0], sides[1]))


def write_pair(run: Run, number: int, first: Side, second: Side, record: CheckResult) -> CheckResult:
    """Adds a comparison to a run made for it, with both clips, so that a report can be written of it."""
    name = f"compare {first.name} {second.name}" if number == 0 else f"compare {second.name}"
    key = GoldenKey(name, record.check, "files")
    copies = [_write_side(run, place, key, side) for place, side in ((GOLDEN, first), (OBTAINED, second))]
    record = dataclasses.replace(
        record, test=name, golden=f"{key.stem}.json", golden_copy=copies[0], obtained=copies[1]
    )
    run.write_result(record)
    return record


def _write_side(run: Run, place: str, key: GoldenKey, side: Side) -> str | None:
    if side.load is None:
        return None
    value = side.load()
    if side.kind == "tensors":
        contents = {"tensors": ("safetensors", encode_tensors(value))}
        frames: tuple[str, ...] = ()
    else:
        contents = {"frames": encode(value)}
        frames = frame_digests(value)
    manifest = Manifest(
        test=key.test,
        check=key.check,
        kind=side.kind,
        device_class=key.device_class,
        facts=value.facts() if isinstance(value, Clip) else dict(side.facts),
        digest=clip_digest(frames),
        frame_digests=frames,
        files={},
        value_range=value.value_range if isinstance(value, Clip) else None,
    )
    return write_staged(run.path / place, key.stem, manifest, contents).relative_to(run.path).as_posix()
