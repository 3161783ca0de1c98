"""Goldens that a test has and did not check though it passed: nothing is held against them any more."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seedpin.plugin.nodes import node_of
from seedpin.plugin.state import AGAINST, CONFIG, UPDATE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seedpin.checking.state import AttemptState
    from seedpin.config import Config
    from seedpin.goldens.manifest import Manifest
    from seedpin.run.result import CheckResult


def find_unchecked(item: pytest.Item, state: AttemptState) -> list[CheckResult]:
    """A record for each golden of this device class that no check of ``item``, which passed, asked for.

    It looks at the goldens of every test, with a golden fixture or without: it costs one look for a folder.
    The device classes are those of the test's own checks; of a test without any, those of this machine. A
    name that was checked on one device is checked: which device a model runs on is the test's affair.
    """
    config = item.config
    update = config.stash[UPDATE]
    if update.collect or AGAINST in config.stash:
        return []
    from seedpin.goldens.names import golden_folder, split_stem

    settings = config.stash[CONFIG]
    folder = settings.golden_path / golden_folder(node_of(item))
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        return []
    found = {name: split_stem(name) for name in names if name.endswith(".json") and name.count(".") == 2}
    claimed = {result.golden.rpartition("/")[2] for result in state.results}
    checked = {split_stem(name)[0] for name in claimed} | {
        stem.rpartition("/")[2].partition(".")[0] for stem in state.claimed
    }
    left = {name: parts for name, parts in found.items() if parts[0] not in checked}
    if not left:
        return []
    classes = {result.device_class for result in state.results} or _classes_here(
        settings, {device_class for _, device_class in left.values()}
    )
    return [
        _record(item, state, folder / name, *parts, settings)
        for name, parts in left.items()
        if parts[1] in classes
    ]


def _classes_here(settings: Config, wanted: Iterable[str]) -> set[str]:
    """Those of ``wanted`` that a model of this session could have run on."""
    if settings.device_class != "auto":
        return {settings.device_class}
    from seedpin.environment.device import device_class
    from seedpin.errors import SeedpinError

    found = set()
    for kind in {name.partition("-")[0] for name in wanted}:
        try:
            found.add(device_class(kind, settings.cpu_profile).name)
        except SeedpinError:
            continue  # there is no such device here
    return found


def _record(
    item: pytest.Item, state: AttemptState, path: Path, check: str, device_class: str, settings: Config
) -> CheckResult:
    from seedpin.compare.verdict import unchecked
    from seedpin.errors import SeedpinError
    from seedpin.goldens.manifest import from_json
    from seedpin.goldens.names import decode_component
    from seedpin.goldens.store import digest_or_none
    from seedpin.run.message import format_failure
    from seedpin.run.result import CheckResult

    manifest: Manifest | None
    try:
        manifest = from_json(path.read_bytes(), path)
    except (SeedpinError, OSError):
        manifest = None  # that it is damaged is seen by whoever checks it
    decision = unchecked(f"{node_of(item)} passed without checking this golden, which it has.")
    where, line, _ = item.location
    updating = item.config.stash[UPDATE].mode is not None
    result = CheckResult(
        test=node_of(item),
        check=(decode_component(check) or check) if manifest is None else manifest.check,
        kind=_kind(manifest),
        verdict=decision.verdict.value,
        device_class=device_class,
        golden=path.relative_to(settings.golden_path).as_posix(),
        message="",
        location=f"{Path(where).as_posix()}:{(line or 0) + 1}",
        seed=None if manifest is None else manifest.seed,
        level=None if manifest is None else manifest.level,
        profile=None if manifest is None else manifest.profile,
        golden_digest=None if manifest is None else manifest.digest,
        manifest_digest=digest_or_none(path),
        facts_golden={} if manifest is None else dict(manifest.facts),
        reasons=decision.reasons,
        written="kept" if updating else None,
        attempt=state.attempt,
    )
    message = format_failure(result, golden_dir=settings.golden_dir, run_folder="")
    return dataclasses.replace(result, message=message)


def _kind(manifest: Manifest | None) -> str:
    """The fixture that the check probably had."""
    from seedpin.errors import SeedpinError
    from seedpin.kinds.registry import kind_named

    try:
        return "video" if manifest is None else kind_named(manifest.kind).fixture_of(manifest.facts)
    except SeedpinError:
        return "video" if manifest is None else manifest.kind
