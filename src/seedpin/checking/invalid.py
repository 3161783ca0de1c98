"""The result of a check that raised: it is recorded before the error goes on, and so cannot be swallowed."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping

from seedpin.checking.artifact import PendingCheck
from seedpin.checking.calls import trace_of
from seedpin.checking.conditions import find_conditions
from seedpin.checking.context import CheckContext
from seedpin.checking.evidence import parting
from seedpin.checking.judge import find_golden
from seedpin.compare.verdict import Verdict, facts_differences
from seedpin.environment.fingerprint import StoredEnvironment
from seedpin.errors import NonFiniteClipError, SeedpinError
from seedpin.goldens.store import Golden, GoldenKey, digest_or_none
from seedpin.kinds.base import devices_of
from seedpin.printing import type_name
from seedpin.records import Facts
from seedpin.run.message import format_failure
from seedpin.run.result import CheckResult


def invalid_result(context: CheckContext, pending: PendingCheck, error: Exception) -> CheckResult:
    """The record of a check that ``error`` ended: its facts against the golden's, and the trace's place.

    Whatever cannot be found out is told in a sentence and left out: the user's error is the one that counts.
    """
    notes: list[str] = []
    here = pending.conditions
    if here is None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they were given, or are the error
                here = find_conditions(context, devices_of(pending.given), pending.location)
        except Exception as second:
            if str(second) != str(error):
                notes.append(f"The device class is not known: {_words(second)}.")
    configured = context.settings.device_class
    device_class = here.device.name if here is not None else "unknown" if configured == "auto" else configured
    key = pending.key or GoldenKey(context.test, _name(pending.name, context), device_class)
    golden = _golden(context, key, pending.kind.name, notes)
    facts, described = _facts(pending, error)
    reasons = [_words(error)]
    if golden is not None and facts:
        reasons += facts_differences(golden.manifest.facts, facts)
    elif described:
        reasons.append(f"Handed in: {described}.")
        if golden is not None:
            reasons.append(f"The golden: {_said(golden.manifest.facts)}.")
    calls = tuple(context.state.calls_for_check()) if pending.calls is None else pending.calls
    obtained = pending.obtained
    items, names = (obtained.items(), obtained.names) if obtained is not None else ((), ())
    trace, nonfinite = trace_of(calls, items, names), isinstance(error, NonFiniteClipError)
    parted = None
    if trace is not None:
        parted = parting(trace, golden, came_out=obtained is not None, nonfinite=nonfinite)
    own = context.store.manifest_path(key)
    result = CheckResult(
        test=key.test,
        check=key.check,
        kind=context.fixture,
        verdict=Verdict.INVALID.value,
        device_class=key.device_class,
        golden=(own if golden is None else golden.path).relative_to(context.store.root).as_posix(),
        message="",
        location=pending.location,
        seed=None if here is None else here.seed,
        level=None if here is None else here.level,
        profile=None if here is None else here.profile,
        golden_digest=None if golden is None else golden.manifest.digest,
        manifest_digest=digest_or_none(own) if golden is None else golden.manifest_digest,
        facts_golden={} if golden is None else golden.manifest.facts,
        facts_obtained=facts or ({"given": described} if described else {}),
        environment=StoredEnvironment() if here is None else here.environment.stored(),
        reasons=(*reasons, *notes),
        divergence=parted,
        reason=context.update.reason,
        attempt=context.state.attempt,
    )
    hint = error.hint if isinstance(error, SeedpinError) else ""
    if isinstance(error, Warning):
        # Raised by a filter of the user's, in the middle of a check that would have gone on.
        kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        hint = f"a warning filter makes this an error: mend it, or set filterwarnings = default::{kind}"
    message = format_failure(
        result,
        golden_dir=context.settings.golden_dir,
        run_folder=context.settings.shown(context.run.path),
        hint=hint,
        reference="" if context.revision is None else context.revision.short,
    )
    return dataclasses.replace(result, message=message)


def _words(error: Exception) -> str:
    """What an error says, in one line; of one that is not seedpin's, with its type."""
    if isinstance(error, SeedpinError):
        return " ".join(error.what.split())
    return " ".join(f"{type(error).__name__}: {error}".split())


def _name(name: object, context: CheckContext) -> str:
    """The check's name where it is one; what is none (the error tells) is counted under the default."""
    try:
        if isinstance(name, str) and name.encode():
            return name
    except UnicodeEncodeError:
        pass
    return context.fixture


def _golden(context: CheckContext, key: GoldenKey, kind: str, notes: list[str]) -> Golden | None:
    """The golden that the check would have met, a declared fallback's too."""
    try:
        stored = find_golden(context, key, kind)
        if stored.broken is not None:
            raise stored.broken
    except Exception as error:
        notes.append(f"The golden could not be read: {_words(error)}.")
        return None
    return stored.golden


def _facts(pending: PendingCheck, error: Exception) -> tuple[Facts, str]:
    """The facts as a golden has them, where they are known; else what was handed in, in words."""
    if pending.obtained is not None:
        return dict(pending.obtained.facts), ""
    described = describe(pending.given)
    try:
        return dict(pending.kind.guess_facts(pending.given, error, **pending.how)), described
    except Exception:
        return {}, described  # no facts are known: described is what is left


def describe(given: object) -> str:
    """What an object is, in a few words: its type, and its shape and dtype or its length."""
    name = type_name(given)
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


def _said(facts: Facts) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items() if value is not None)
