"""How what a check obtained is kept: staged to become a golden, or beside the one that it did not match."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from seedpin.checking.artifact import Artifact
from seedpin.checking.waiting import Waiting
from seedpin.compare.tolerance import Tolerance
from seedpin.compare.verdict import Decision
from seedpin.errors import GoldenWriteError
from seedpin.goldens.manifest import Born, Manifest, NotedDigest
from seedpin.goldens.provenance import updated
from seedpin.goldens.store import Golden, StagedGolden, write_staged
from seedpin.run.ledger import GOLDEN, OBTAINED
from seedpin.run.result import CheckResult
from seedpin.trace.model import Trace
from seedpin.trace.storage import to_bytes

COMPARED = Born("off", "obtained by a run that compared, and accepted")
WAITS = Born("off", "the session ended before a fresh process could obtain it too")
"""What stands in a staged manifest until a fresh process has obtained the same."""


class _DiffersError(AssertionError):
    """Ends the last step of a check that did not pass, as pytest-regressions expects it."""


def _manifest(artifact: Artifact, golden: Golden | None, born: Born) -> Manifest:
    here, obtained = artifact.conditions, artifact.obtained
    known_bad: tuple[NotedDigest, ...] = ()
    accepted: tuple[NotedDigest, ...] = ()
    if golden is not None and obtained.digest in golden.manifest.accepted_digests():
        accepted = tuple(entry for entry in golden.manifest.accepted if entry.digest != obtained.digest)
        if golden.manifest.digest != obtained.digest:
            accepted += (NotedDigest(golden.manifest.digest, "the golden before this one"),)
    if golden is not None:
        known_bad = tuple(entry for entry in golden.manifest.known_bad if entry.digest != obtained.digest)
    return Manifest(
        test=artifact.key.test,
        check=artifact.key.check,
        kind=obtained.kind.name,
        device_class=artifact.key.device_class,
        facts=obtained.facts,
        digest=obtained.digest,
        frame_digests=obtained.digests,
        files={},
        device=dict(here.device.details),
        environment=here.environment.stored(),
        seed=here.seed,
        level=here.level,
        profile=here.profile,
        value_range=obtained.value_range,
        source=obtained.source,
        accepted=accepted,
        known_bad=known_bad,
        tolerance=None if artifact.declared is None else dict(artifact.declared.limits),
        updated=updated(artifact.context.settings.root, _reason(artifact, golden)),
        born=born,
        draws=artifact.draws(),
    )


def _reason(artifact: Artifact, golden: Golden | None) -> str:
    """Why the golden is as it is: what is said now, or what was said of the same clip before."""
    said, obtained = artifact.context.update.reason, artifact.obtained
    if said or golden is None or golden.manifest.device_class != artifact.key.device_class:
        return said
    before = golden.manifest
    same = (before.digest, dict(before.facts)) == (obtained.digest, dict(obtained.facts))
    return (before.updated.reason or "") if same else ""


def _write(artifact: Artifact, golden: Golden | None, trace: Trace | None, path: Path, born: Born) -> None:
    folder = artifact.context.run.path / OBTAINED
    stem = path.relative_to(folder).with_suffix("").as_posix()
    obtained = artifact.obtained
    contents = {obtained.kind.role: obtained.kind.encode(obtained.value)}
    if trace is not None:
        contents["trace"] = ("trace", to_bytes(trace))
    write_staged(folder, stem, _manifest(artifact, golden, born), contents)


def _obtained_path(artifact: Artifact) -> Path:
    return artifact.context.run.path / OBTAINED / f"{artifact.key.stem}.json"


def _born(artifact: Artifact, tolerance: Tolerance | None) -> Born:
    """What is known so far of whether this repeats; ``tolerance`` is the one in force for it."""
    probe = artifact.context.settings.probe
    if artifact.context.update.collect:
        return Born("off", "obtained to be compared with another run")
    if probe == "off":
        return Born("off", "the probe was turned off")
    if probe == "twice":
        if tolerance is not None and tolerance.same_environment:
            return Born("off", "a tolerance is declared for the golden's own environment")
        calls = sum(call.repetition is not None for call in artifact.calls)
        return Born("twice", f"{calls} call(s) were repeated in the process that made them")
    return WAITS


def write_staged_golden(
    artifact: Artifact, golden: Golden | None, trace: Trace | None, result: CheckResult, *, force: bool
) -> CheckResult:
    """Keeps what was obtained until its test has passed and is known to repeat; then it is written."""
    context, path = artifact.context, _obtained_path(artifact)
    tolerance = artifact.tolerance()
    try:
        context.last_step(
            golden=context.store.manifest_path(artifact.key),
            obtained=path,
            dump=lambda target: _write(artifact, golden, trace, target, _born(artifact, tolerance)),
            check=lambda obtained, expected: None,
            stage=True,
        )
    except OSError as error:
        raise GoldenWriteError(
            f"the obtained clip could not be kept in {path.parent}: {error}; no golden was changed",
            hint="make room on the disk, then run the update again",
        ) from error
    staged = StagedGolden(path, artifact.key, result.manifest_digest, force or context.update.mode == "all")
    lenient = tolerance is not None and tolerance.same_environment
    limits = tolerance.limits if tolerance is not None and lenient else None
    noticed = tuple(dict.fromkeys(text for call in artifact.calls for text in call.noticed))
    context.state.staged.append(Waiting(staged, limits, noticed))
    return dataclasses.replace(
        result, written="staged", obtained=path.relative_to(context.run.path).as_posix()
    )


def write_obtained(
    artifact: Artifact,
    golden: Golden | None,
    trace: Trace | None,
    decision: Decision,
    result: CheckResult,
) -> CheckResult:
    """Keeps what was obtained, and a copy of the golden it was held against, in the run's folder."""
    path = _obtained_path(artifact)
    run = artifact.context.run.path
    copy = None

    def refuse(obtained: Path, expected: Path) -> None:
        raise _DiffersError(f"{expected} and {obtained}: {decision.verdict.value}")

    try:
        if golden is None:
            _write(artifact, None, trace, path, COMPARED)
        else:
            try:
                artifact.context.last_step(
                    golden=golden.path,
                    obtained=path,
                    dump=lambda target: _write(artifact, golden, trace, target, COMPARED),
                    check=refuse,
                    stage=False,
                )
            except _DiffersError:
                copy = _copied(golden, run / GOLDEN / result.golden)
    except (GoldenWriteError, OSError) as error:  # the verdict is worth more than the clip
        said = error.what if isinstance(error, GoldenWriteError) else f"The clip was not kept: {error}"
        return dataclasses.replace(result, reasons=(*result.reasons, said))
    return dataclasses.replace(
        result,
        obtained=path.relative_to(run).as_posix(),
        golden_copy=None if copy is None else copy.relative_to(run).as_posix(),
    )


def _copied(golden: Golden, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(golden.path, target)
    for role in golden.manifest.files:
        source = golden.file(role)
        shutil.copyfile(source, target.parent / source.name)
    return target
