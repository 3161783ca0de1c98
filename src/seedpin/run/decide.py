"""Accept and reject: from a run's obtained clips to goldens here. Nothing is generated, no GPU is asked.

The command line and the review server decide through this module alone. What is accepted is copied first,
then read back and checked against every digest, then written with all others or not at all.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seedpin.clip.suspect import Suspicion
from seedpin.errors import (
    DamagedGoldenError,
    DecisionRefusedError,
    RunError,
    StaleGoldenError,
    SuspiciousClipError,
)
from seedpin.git import write_ignored_folder
from seedpin.goldens.content import verify_content
from seedpin.goldens.manifest import Manifest, NotedDigest, to_json
from seedpin.goldens.provenance import updated
from seedpin.goldens.store import Golden, GoldenKey, GoldenStore, StagedGolden, digest_or_none, read_golden
from seedpin.run.ledger import Run, decision_now
from seedpin.run.opening import contained
from seedpin.run.result import CheckResult

UNDECIDABLE = {
    "unstable": "the model does not repeat under its pin, so no golden can hold",
    "invalid": "what was handed in is no clip, so there is nothing to accept",
    "unchecked": "its test obtained nothing for it, so there is nothing to accept",
    "damaged": "its golden is damaged and must be restored, not accepted over",
}
_FETCH = "fetch the artifact again, or run the test again"


@dataclass(frozen=True, slots=True)
class ProjectFolders:
    """Where goldens are written: the project's root, its golden folder and its ``.seedpin`` folder."""

    root: Path
    golden_root: Path
    state: Path

    @property
    def store(self) -> GoldenStore:
        return GoldenStore(self.golden_root, self.state)


@dataclass(frozen=True, slots=True)
class AppliedDecision:
    """What a decision did. ``effect`` is "created", "updated", "also", "known-bad", "already" or "".

    ``old`` and ``new`` are the digests of the golden's clip; ``written`` that of the manifest now in place.
    """

    result: CheckResult
    effect: str
    old: str | None = None
    new: str | None = None
    written: str | None = None


def key_of(result: CheckResult) -> GoldenKey:
    return GoldenKey(result.test, result.check, result.device_class)


def write_accepted(
    run: Run,
    results: Iterable[CheckResult],
    folders: ProjectFolders,
    reason: str,
    *,
    also: bool = False,
    allow: Collection[str] = (),
) -> list[AppliedDecision]:
    """Makes the obtained clips of ``results`` goldens: all of them, or none.

    ``also`` adds each digest to those that the golden accepts, and leaves the golden's own clip.
    ``allow`` names kinds of suspicious content that may become a golden.

    Raises:
        DecisionRefusedError: no reason, an unstable or damaged check, ``also`` without a golden that fits.
        StaleGoldenError: the golden is not the one that the run was held against.
        SuspiciousClipError: a clip that looks broken.
        RunError: what the run holds is incomplete or was changed.
        GoldenWriteError, NewerFormatError, DamagedGoldenError: as ``GoldenStore.write_goldens``.
    """
    if not reason.strip():
        raise DecisionRefusedError("accepting needs a reason", hint="add --reason 'why this is right now'")
    _refuse_read_only(run)
    decided = _write_staged(
        folders, results, lambda result, folder: _stage(run, result, folders, reason, folder, also, allow)
    )
    for applied in decided:
        run.write_decision(decision_now(applied.result.id, "accept", reason, applied.effect))
    return decided


def write_rejected(
    run: Run,
    results: Sequence[CheckResult],
    folders: ProjectFolders,
    reason: str = "",
    *,
    known_bad: bool = False,
) -> list[AppliedDecision]:
    """Records that the obtained clips of ``results`` are not wanted; they await nothing then.

    ``known_bad`` adds each digest to those that never pass, in the golden's manifest.

    Raises:
        DecisionRefusedError: ``known_bad`` where there is no golden, or without a reason.
        DamagedGoldenError, NewerFormatError, GoldenWriteError: the golden cannot be read or written.
    """
    _refuse_read_only(run)
    decided = [AppliedDecision(result, "") for result in results]
    if known_bad:
        if not reason.strip():
            raise DecisionRefusedError(
                "known-bad needs a reason", hint="add --reason 'what is wrong with it'"
            )
        decided = _write_staged(
            folders, results, lambda result, folder: _stage_known_bad(result, folders, reason, folder)
        )
    for applied in decided:
        run.write_decision(decision_now(applied.result.id, "reject", reason, applied.effect))
    return decided


def _refuse_read_only(run: Run) -> None:
    """A golden must not be written where the decision cannot be kept."""
    try:
        run.decisions_path.parent.mkdir(parents=True, exist_ok=True)
        run.decisions_path.open("a").close()
    except OSError as error:
        raise RunError(
            f"the decision could not be kept in {run.decisions_path}: {error}; nothing was written",
            hint="make the folder writable, or copy it first",
        ) from error


def _write_staged(
    folders: ProjectFolders,
    results: Iterable[CheckResult],
    stage: Callable[[CheckResult, Path], tuple[StagedGolden | None, AppliedDecision]],
) -> list[AppliedDecision]:
    """Stages each result in a folder of its own, then writes all that is to be written, or nothing."""
    write_ignored_folder(folders.state)
    with tempfile.TemporaryDirectory(prefix="staging-", dir=folders.state) as folder:
        staged = [stage(result, Path(folder) / str(number)) for number, result in enumerate(results)]
        folders.store.write_goldens([change for change, _ in staged if change is not None])
    decided = []
    for _, applied in staged:
        path = folders.store.manifest_path(key_of(applied.result))
        decided.append(dataclasses.replace(applied, written=digest_or_none(path)))
    return decided


def _stage(
    run: Run,
    result: CheckResult,
    folders: ProjectFolders,
    reason: str,
    folder: Path,
    also: bool,
    allow: Collection[str],
) -> tuple[StagedGolden | None, AppliedDecision]:
    why = UNDECIDABLE.get(result.verdict)
    if why is not None:
        raise DecisionRefusedError(
            f"{result.id} is {result.verdict}: {why}", hint=f"seedpin explain {result.verdict}"
        )
    key = key_of(result)
    target = folders.store.manifest_path(key)
    present = folders.store.read(key)
    obtained, suspects = _verified(run, result, folder)
    old = None if present is None else present.manifest.digest
    new = obtained.manifest.digest
    in_place = None if present is None else present.manifest_digest
    accepted = () if present is None else present.manifest.accepted_digests()
    if in_place != result.manifest_digest and (new in accepted if also else new == old):
        return None, AppliedDecision(result, "already", old, new)
    if in_place != result.manifest_digest:
        raise StaleGoldenError(
            f"{target} changed since the run {run.id} was held against it: "
            f"it was {result.manifest_digest or 'absent'}, it is {in_place or 'absent'}; nothing was written",
            hint="check out the commit of the run, or run the test again here",
        )
    if also:
        return _stage_also(result, folders, present, obtained.manifest, reason, folder)
    permitted = {*allow}
    if present is not None and any(suspicion.kind not in permitted for suspicion in suspects):
        permitted |= {suspicion.kind for suspicion in verify_content(present)}
    for suspicion in suspects:
        if suspicion.kind not in permitted:
            raise SuspiciousClipError(
                f"{result.id}: {suspicion.message}; such a clip is refused as a golden",
                hint=f"if it is meant, say so: seedpin accept ... --allow {suspicion.kind}",
            )
    manifest = dataclasses.replace(
        obtained.manifest,
        accepted=_without(() if present is None else present.manifest.accepted, new),
        known_bad=_without(() if present is None else present.manifest.known_bad, new),
        updated=dataclasses.replace(updated(folders.root, reason), run=run.id),
    )
    obtained.path.write_text(to_json(manifest), encoding="utf-8")
    return StagedGolden(obtained.path, key, in_place), AppliedDecision(
        result, "updated" if present else "created", old, new
    )


def _verified(run: Run, result: CheckResult, folder: Path) -> tuple[Golden, tuple[Suspicion, ...]]:
    """A private copy of a result's obtained clip, every digest of it checked."""
    if result.obtained is None:
        raise RunError(f"{result.id} left no clip in {run.path}", hint=_FETCH)
    source = contained(run.path, result.obtained, f"the obtained clip of {result.id}")
    try:
        # Read before anything is copied: the manifest's names are checked, and sizes are what it says.
        there = read_golden(source)
        if there is None:
            raise RunError(f"{source} is not there, though the run names it", hint=_FETCH)
        folder.mkdir()
        for name in (source.name, *(file.name for file in there.manifest.files.values())):
            path = source.parent / name
            if path.is_symlink():
                raise RunError(f"{path} is a link", hint=_FETCH)
            shutil.copyfile(path, folder / name)
        copy = read_golden(folder / source.name)
        assert copy is not None
        if dict(copy.manifest.facts) != dict(result.facts_obtained):
            raise RunError(
                f"{source} is of {dict(copy.manifest.facts)}, the run's record tells {result.facts_obtained}",
                hint=_FETCH,
            )
        suspects = verify_content(copy)
    except (DamagedGoldenError, OSError) as error:
        what = error.what if isinstance(error, DamagedGoldenError) else str(error)
        raise RunError(
            f"the obtained clip of {result.id} is incomplete or was changed: {what}; nothing was written",
            hint=_FETCH,
        ) from error
    manifest = copy.manifest
    said = (result.test, result.check, result.device_class, result.obtained_digest)
    held = (manifest.test, manifest.check, manifest.device_class, manifest.digest)
    if said != held or f"{key_of(result).stem}.json".rpartition("/")[2] != source.name:
        raise RunError(
            f"{source} is not the clip that the run's record tells: {held} in the file, {said} in the record",
            hint=_FETCH,
        )
    return copy, suspects


def _stage_also(
    result: CheckResult,
    folders: ProjectFolders,
    present: Golden | None,
    obtained: Manifest,
    reason: str,
    folder: Path,
) -> tuple[StagedGolden, AppliedDecision]:
    if present is None or dict(present.manifest.facts) != dict(obtained.facts):
        why = (
            "there is no golden to add it to"
            if present is None
            else "its frame count, size, dtype or fps differ"
        )
        raise DecisionRefusedError(
            f"{result.id} cannot be accepted besides its golden: {why}", hint="accept it without --also"
        )
    old = present.manifest
    entry = NotedDigest(obtained.digest, reason)
    manifest = dataclasses.replace(
        old,
        accepted=(*_without(old.accepted, obtained.digest), entry),
        known_bad=_without(old.known_bad, obtained.digest),
    )
    staged = _stage_manifest(present, manifest, folder / "also")
    return StagedGolden(staged, key_of(result), present.manifest_digest), AppliedDecision(
        result, "also", old.digest, obtained.digest
    )


def _stage_known_bad(
    result: CheckResult, folders: ProjectFolders, reason: str, folder: Path
) -> tuple[StagedGolden, AppliedDecision]:
    key = key_of(result)
    present = folders.store.read(key)
    digest = result.obtained_digest
    if present is None or digest is None:
        raise DecisionRefusedError(
            f"{result.id} has no golden, so its digest cannot be kept as known to be bad",
            hint="reject it without --known-bad",
        )
    old = present.manifest
    if digest == old.digest:
        raise DecisionRefusedError(
            f"{result.id}: these bits are the golden itself", hint="accept another clip, or delete the golden"
        )
    manifest = dataclasses.replace(
        old,
        accepted=_without(old.accepted, digest),
        known_bad=(*_without(old.known_bad, digest), NotedDigest(digest, reason)),
    )
    folder.mkdir()
    staged = _stage_manifest(present, manifest, folder / "bad")
    return StagedGolden(staged, key, present.manifest_digest), AppliedDecision(
        result, "known-bad", old.digest, digest
    )


def _stage_manifest(golden: Golden, manifest: Manifest, folder: Path) -> Path:
    """The golden once more below ``folder``, with another manifest."""
    folder.mkdir()
    for role in golden.manifest.files:
        shutil.copyfile(golden.file(role), folder / golden.file(role).name)
    path = folder / golden.path.name
    path.write_text(to_json(manifest), encoding="utf-8")
    return path


def _without(entries: Sequence[NotedDigest], digest: str) -> tuple[NotedDigest, ...]:
    return tuple(entry for entry in entries if entry.digest != digest)
