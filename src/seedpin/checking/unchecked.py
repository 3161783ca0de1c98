"""Goldens that a test has and did not check though it passed: nothing is held against them any more."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seedpin.checking.state import AttemptState
    from seedpin.config import Config
    from seedpin.goldens.manifest import Manifest
    from seedpin.run.result import CheckResult


def find_unchecked(
    test: str, location: str, state: AttemptState, settings: Config, *, updating: bool
) -> list[CheckResult]:
    """A record for each golden of this device class that no check of ``test``, which passed, asked for.

    It looks at the goldens of every test, with a golden fixture or without: it costs one look for a folder.
    The device classes are those of the test's own checks; of a test without any, those of this machine. A
    name that was checked on one device is checked: which device a model runs on is the test's affair.
    """
    from seedpin.goldens.names import decode_component, golden_folder, split_stem

    folder = settings.golden_path / golden_folder(test)
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        return []
    goldens = {name: split_stem(name) for name in names if name.endswith(".json") and name.count(".") == 2}
    claimed = {result.golden.rpartition("/")[2] for result in state.results}
    checked = {split_stem(name)[0] for name in claimed} | {
        stem.rpartition("/")[2].partition(".")[0] for stem in state.claimed
    }
    left = {name: parts for name, parts in goldens.items() if parts[0] not in checked}
    if not left:
        return []
    from seedpin.run.result import CheckResult

    classes = {result.device_class for result in state.results} or _classes_here(
        settings, {device_class for _, device_class in left.values()}
    )
    return [
        _record(
            CheckResult(
                test=test,
                check=decode_component(parts[0]) or parts[0],
                kind="video",
                verdict="unchecked",
                device_class=parts[1],
                golden=(folder / name).relative_to(settings.golden_path).as_posix(),
                message="",
                location=location,
                written="kept" if updating else None,
                attempt=state.attempt,
            ),
            folder / name,
            settings,
        )
        for name, parts in left.items()
        if parts[1] in classes
    ]


def _classes_here(settings: Config, wanted: Iterable[str]) -> set[str]:
    """Those of ``wanted`` that a model of this session could have run on."""
    if settings.device_class != "auto":
        return {settings.device_class}
    from seedpin.environment.device import device_class
    from seedpin.errors import SeedpinError

    classes = set()
    for kind in {name.partition("-")[0] for name in wanted}:
        try:
            classes.add(device_class(kind, settings.cpu_profile).name)
        except SeedpinError:
            continue  # there is no such device here
    return classes


def _record(result: CheckResult, path: Path, settings: Config) -> CheckResult:
    """``result`` with what the golden's manifest at ``path`` tells, and with its message."""
    from seedpin.compare.verdict import unchecked
    from seedpin.errors import SeedpinError
    from seedpin.goldens.manifest import from_json
    from seedpin.goldens.store import digest_or_none
    from seedpin.run.message import format_failure

    decision = unchecked(f"{result.test} passed without checking this golden, which it has.")
    result = dataclasses.replace(result, manifest_digest=digest_or_none(path), reasons=decision.reasons)
    # That a manifest is damaged is seen by whoever checks it.
    with contextlib.suppress(SeedpinError, OSError):
        manifest = from_json(path.read_bytes(), path)
        result = dataclasses.replace(
            result,
            check=manifest.check,
            kind=_fixture(manifest),
            seed=manifest.seed,
            level=manifest.level,
            profile=manifest.profile,
            golden_digest=manifest.digest,
            facts_golden=manifest.facts,
        )
    message = format_failure(result, golden_dir=settings.golden_dir, run_folder="")
    return dataclasses.replace(result, message=message)


def _fixture(manifest: Manifest) -> str:
    """The fixture that the check probably had."""
    from seedpin.errors import SeedpinError
    from seedpin.kinds.registry import kind_named

    try:
        return kind_named(manifest.kind).fixture_of(manifest.facts)
    except SeedpinError:
        return manifest.kind
