"""What a check obtained, with all that is known of it, and how it is kept."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from seedpin.compare.tolerance import Tolerance
from seedpin.compare.verdict import Decision
from seedpin.config import Config
from seedpin.errors import GoldenMismatch, GoldenWriteError
from seedpin.goldens.manifest import Manifest
from seedpin.goldens.regressions import perform
from seedpin.goldens.store import Golden, GoldenKey, GoldenStore, StagedGolden, write_staged
from seedpin.kinds.base import Obtained
from seedpin.plugin.calls import Call, draws_of, trace_of
from seedpin.plugin.circumstances import Circumstances
from seedpin.plugin.provenance import updated
from seedpin.plugin.state import AGAINST, ItemState, Update, Waiting
from seedpin.refs.against import Against
from seedpin.run.ledger import GOLDEN, OBTAINED, Run
from seedpin.run.result import CheckResult
from seedpin.trace.storage import to_bytes

COMPARED = {"probe": "off", "why": "obtained by a run that compared, and accepted"}
WAITS = {"probe": "off", "why": "the session ended before a fresh process could obtain it too"}
"""What stands in a staged manifest until a fresh process has obtained the same."""


@dataclasses.dataclass(frozen=True, slots=True)
class Desk:
    """What the checks of one fixture of one test share; a check is called as its ``fixture`` unless named."""

    request: pytest.FixtureRequest
    settings: Config
    update: Update
    run: Run
    store: GoldenStore
    state: ItemState
    fixture: str

    @property
    def against(self) -> Against | None:
        """The revision that takes the goldens' place, if one does."""
        return self.request.config.stash.get(AGAINST, None)


@dataclasses.dataclass(frozen=True, slots=True)
class Exhibit:
    """A subject, which golden it belongs to, how it came about, and the calls of models behind it."""

    desk: Desk
    subject: Obtained
    key: GoldenKey
    here: Circumstances
    declared: Tolerance | None
    calls: tuple[Call, ...]

    def manifest(self, golden: Golden | None, born: Mapping[str, Any]) -> Manifest:
        here = self.here
        known_bad: tuple[Mapping[str, str], ...] = ()
        accepted: tuple[Mapping[str, str], ...] = ()
        if golden is not None and self.subject.digest in golden.manifest.accepted_digests():
            accepted = tuple(
                entry for entry in golden.manifest.accepted if entry["digest"] != self.subject.digest
            )
            if golden.manifest.digest != self.subject.digest:
                accepted += ({"digest": golden.manifest.digest, "reason": "the golden before this one"},)
        if golden is not None:
            known_bad = tuple(
                entry for entry in golden.manifest.known_bad if entry["digest"] != self.subject.digest
            )
        return Manifest(
            test=self.key.test,
            check=self.key.check,
            kind=self.subject.kind.name,
            device_class=self.key.device_class,
            facts=self.subject.facts,
            digest=self.subject.digest,
            frame_digests=self.subject.digests,
            files={},
            device=dict(here.device.details),
            environment=here.environment.as_dict(),
            seed=here.seed,
            level=here.level,
            profile=here.profile,
            value_range=self.subject.value_range,
            source=self.subject.source,
            accepted=accepted,
            known_bad=known_bad,
            tolerance=None if self.declared is None else self.declared.limits(),
            updated=updated(self.desk.settings.root, self._reason(golden)),
            born=born,
            draws=draws_of(self.calls),
        )

    def _reason(self, golden: Golden | None) -> str:
        """Why the golden is as it is: what is said now, or what was said of the same clip before."""
        said = self.desk.update.reason
        if said or golden is None or golden.manifest.device_class != self.key.device_class:
            return said
        same = (golden.manifest.digest, dict(golden.manifest.facts)) == (
            self.subject.digest,
            dict(self.subject.facts),
        )
        return str(golden.manifest.updated.get("reason", "")) if same else ""

    def dump(self, golden: Golden | None, path: Path, born: Mapping[str, Any] = COMPARED) -> None:
        folder = self.desk.run.path / OBTAINED
        stem = path.relative_to(folder).with_suffix("").as_posix()
        contents = {self.subject.kind.role: self.subject.kind.encode(self.subject.value)}
        trace = trace_of(self.calls, self.subject.items(), self.subject.names)
        if trace is not None:
            contents["trace"] = ("trace", to_bytes(trace))
        write_staged(folder, stem, self.manifest(golden, born), contents)

    def obtained_path(self) -> Path:
        return self.desk.run.path / OBTAINED / f"{self.key.stem}.json"

    def born(self, tolerance: Tolerance | None) -> Mapping[str, Any]:
        """What is known so far of whether this repeats; ``tolerance`` is the one in force for it."""
        probe = self.desk.settings.probe
        if self.desk.update.collect:
            return {"probe": "off", "why": "obtained to be compared with another run"}
        if probe == "off":
            return {"probe": "off", "why": "the probe was turned off"}
        if probe == "twice":
            if tolerance is not None and tolerance.same_environment:
                return {"probe": "off", "why": "a tolerance is declared for the golden's own environment"}
            calls = sum(call.repetition is not None for call in self.calls)
            return {"probe": "twice", "why": f"{calls} call(s) were repeated in the process that made them"}
        return WAITS

    def stage(
        self, golden: Golden | None, result: CheckResult, tolerance: Tolerance | None, *, force: bool
    ) -> CheckResult:
        """Keeps the clip until its test has passed and is known to repeat; then the session writes it."""
        path = self.obtained_path()
        try:
            perform(
                self.desk.request,
                golden=self.desk.store.manifest_path(self.key),
                obtained=path,
                dump=lambda target: self.dump(golden, target, self.born(tolerance)),
                check=lambda obtained, expected: None,
                stage=True,
            )
        except OSError as error:
            raise GoldenWriteError(
                f"the obtained clip could not be kept in {path.parent}: {error}; no golden was changed",
                hint="make room on the disk, then run the update again",
            ) from error
        staged = StagedGolden(path, self.key, result.manifest_digest, force or self.desk.update.mode == "all")
        lenient = tolerance is not None and tolerance.same_environment
        limits = tolerance.limits() if tolerance is not None and lenient else None
        noticed = tuple(dict.fromkeys(text for call in self.calls for text in call.noticed))
        self.desk.state.staged.append(Waiting(staged, limits, noticed))
        return dataclasses.replace(
            result, written="staged", obtained=path.relative_to(self.desk.run.path).as_posix()
        )

    def hold_against(self, golden: Golden, decision: Decision) -> None:
        """The last step, through pytest-regressions. Raises GoldenMismatch."""

        def check(obtained: Path, expected: Path) -> None:
            if not decision.passed:
                raise GoldenMismatch(f"{expected} and {obtained}: {decision.verdict.value}")

        perform(
            self.desk.request,
            golden=golden.path,
            obtained=self.obtained_path(),
            dump=(lambda target: None) if decision.passed else (lambda target: self.dump(golden, target)),
            check=check,
            stage=False,
        )

    def keep(self, golden: Golden | None, decision: Decision, result: CheckResult) -> CheckResult:
        """Keeps the obtained clip, and a copy of the golden it was held against, in the run's folder."""
        path = self.obtained_path()
        run = self.desk.run.path
        copy = None
        try:
            if golden is None:
                self.dump(None, path)
            else:
                try:
                    self.hold_against(golden, decision)
                except GoldenMismatch:
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
