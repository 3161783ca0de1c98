"""The result of a check that raised: it is recorded before the error goes on, and so cannot be swallowed."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seedpin.compare.fallback import choose_fallback, parse_fallbacks
from seedpin.compare.verdict import Verdict, facts_differences
from seedpin.errors import NonFiniteClipError, SeedpinError
from seedpin.goldens.store import Golden, GoldenKey, digest_or_none
from seedpin.kinds.base import AnyKind, Obtained, devices_of
from seedpin.plugin.calls import Call
from seedpin.plugin.circumstances import Circumstances, find_circumstances
from seedpin.plugin.evidence import parting
from seedpin.plugin.exhibit import Desk
from seedpin.plugin.nodes import node_of
from seedpin.report.terminal import format_failure
from seedpin.run.result import CheckResult


@dataclass(slots=True)
class UnderWay:
    """A call of ``check`` as far as it has come: what was handed in, and what is known of it by now.

    ``how`` holds the arguments that say how ``given`` is to be read.
    """

    given: object
    name: object
    location: str
    kind: AnyKind
    how: Mapping[str, Any] = field(default_factory=dict)
    subject: Obtained | None = None
    here: Circumstances | None = None
    key: GoldenKey | None = None
    calls: tuple[Call, ...] | None = None
    claimed: str | None = None


def invalid_result(desk: Desk, under_way: UnderWay, error: Exception) -> CheckResult:
    """The record of a check that ``error`` ended: its facts against the golden's, and the trace's place.

    Whatever cannot be found out is told in a sentence and left out: the user's error is the one that counts.
    """
    notes: list[str] = []
    here = under_way.here
    if here is None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they were given, or are the error
                here = find_circumstances(
                    desk.request, desk.state, desk.settings, devices_of(under_way.given)
                )
        except Exception as second:
            if str(second) != str(error):
                notes.append(f"The device class is not known: {_words(second)}.")
    configured = desk.settings.device_class
    device_class = here.device.name if here is not None else "unknown" if configured == "auto" else configured
    key = under_way.key or GoldenKey(node_of(desk.request.node), _name(under_way.name, desk), device_class)
    golden = _golden(desk, key, under_way.kind.name, notes)
    facts, described = _facts(under_way, error)
    reasons = [_words(error)]
    if golden is not None and facts:
        reasons += facts_differences(golden.manifest.facts, facts)
    elif described:
        reasons.append(f"Handed in: {described}.")
        if golden is not None:
            reasons.append(f"The golden: {_said(golden.manifest.facts)}.")
    calls = tuple(desk.state.calls_for_check()) if under_way.calls is None else under_way.calls
    parted = parting(calls, under_way.subject, golden, nonfinite=isinstance(error, NonFiniteClipError))
    own = desk.store.manifest_path(key)
    result = CheckResult(
        test=key.test,
        check=key.check,
        kind=desk.fixture,
        verdict=Verdict.INVALID.value,
        device_class=key.device_class,
        golden=(own if golden is None else golden.path).relative_to(desk.store.root).as_posix(),
        message="",
        location=under_way.location,
        seed=None if here is None else here.seed,
        level=None if here is None else here.level,
        profile=None if here is None else here.profile,
        golden_digest=None if golden is None else golden.manifest.digest,
        manifest_digest=digest_or_none(own) if golden is None else golden.manifest_digest,
        facts_golden={} if golden is None else dict(golden.manifest.facts),
        facts_obtained=facts or ({"given": described} if described else {}),
        environment={} if here is None else here.environment.as_dict(),
        reasons=(*reasons, *notes),
        divergence=None if parted is None else parted.as_dict(),
        reason=desk.update.reason,
        attempt=desk.state.attempt,
    )
    hint = error.hint if isinstance(error, SeedpinError) else ""
    if isinstance(error, Warning):
        # Raised by a filter of the user's, in the middle of a check that would have gone on.
        kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        hint = f"a warning filter makes this an error: mend it, or set filterwarnings = default::{kind}"
    message = format_failure(
        result,
        golden_dir=desk.settings.golden_dir,
        run_folder=desk.settings.shown(desk.run.path),
        hint=hint,
        reference="" if desk.against is None else desk.against.short,
    )
    return dataclasses.replace(result, message=message)


def _words(error: Exception) -> str:
    """What an error says, in one line; of one that is not seedpin's, with its type."""
    if isinstance(error, SeedpinError):
        return " ".join(error.what.split())
    return " ".join(f"{type(error).__name__}: {error}".split())


def _name(name: object, desk: Desk) -> str:
    """The check's name where it is one; what is none (the error tells) is counted under the default."""
    try:
        if isinstance(name, str) and name.encode():
            return name
    except UnicodeEncodeError:
        pass
    return desk.fixture


def _golden(desk: Desk, key: GoldenKey, kind: str, notes: list[str]) -> Golden | None:
    """The golden that the check would have met, a declared fallback's too."""
    try:
        golden = desk.store.read(key)
        if golden is None and desk.update.mode is None:
            chosen = choose_fallback(parse_fallbacks(desk.settings.fallback, kind=kind), key.device_class)
            if chosen is not None:
                golden = desk.store.read(dataclasses.replace(key, device_class=chosen[1].use))
    except Exception as error:
        notes.append(f"The golden could not be read: {_words(error)}.")
        return None
    return golden


def _facts(under_way: UnderWay, error: Exception) -> tuple[dict[str, Any], str]:
    """The facts as a golden has them, where they are known; else what was handed in, in words."""
    if under_way.subject is not None:
        return dict(under_way.subject.facts), ""
    described = describe(under_way.given)
    try:
        return dict(under_way.kind.guess_facts(under_way.given, error, **under_way.how)), described
    except Exception:
        return {}, described  # no facts are known: described is what is left


def describe(given: object) -> str:
    """What an object is, in a few words: its type, and its shape and dtype or its length."""
    kind = type(given)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if given is None:
        return "None"
    shape, dtype = getattr(given, "shape", None), getattr(given, "dtype", None)
    try:
        if shape is not None and dtype is not None:
            return f"{name} of shape {tuple(shape)}, {str(dtype).removeprefix('torch.')}"
        if isinstance(given, (list, tuple)):
            first = f" of {describe(given[0])}" if given else ""
            return f"{name} with {len(given)} item(s){first}"
        for attribute in ("frames", "images", "videos"):
            if hasattr(given, attribute):
                return f"{name} with .{attribute}: {describe(getattr(given, attribute))}"
        if isinstance(given, Mapping):
            return f"{name} with {len(given)} entries"
    except Exception:
        return name  # an object that cannot even be asked for its length
    return name


def _said(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items() if value is not None)
