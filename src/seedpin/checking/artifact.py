"""What a check obtained, and how far the check has come with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from seedpin.checking.calls import Call, draws_of
from seedpin.checking.conditions import Conditions, find_conditions
from seedpin.checking.context import CheckContext
from seedpin.compare.tolerance import Tolerance, choose_tolerance, parse_tolerance, parse_tolerances
from seedpin.errors import DuplicateGoldenError, ToleranceError, UsageError
from seedpin.goldens.store import GoldenKey
from seedpin.kinds.base import AnyKind, Obtained


@dataclass(slots=True)
class PendingCheck:
    """A call of ``check`` as far as it has come: what was handed in, and what is known of it by now.

    ``how`` holds the arguments that say how ``given`` is to be read.
    """

    given: object
    name: object
    location: str
    kind: AnyKind
    how: Mapping[str, Any] = field(default_factory=dict)
    obtained: Obtained | None = None
    conditions: Conditions | None = None
    key: GoldenKey | None = None
    calls: tuple[Call, ...] | None = None
    claimed: str | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a check obtained, which golden it belongs to, how it came about, and the calls behind it.

    declared: the tolerance that the call or its test declares. allow: kinds of suspicious content that are
    meant. location: ``file:line`` of the call of ``check``.
    """

    context: CheckContext
    obtained: Obtained
    key: GoldenKey
    conditions: Conditions
    declared: Tolerance | None
    calls: tuple[Call, ...]
    location: str
    allow: frozenset[str]
    said: list[tuple[str, type[Warning]]] = field(default_factory=list)
    """Warnings about what was judged. They are given once the result is kept: a filter may raise them."""

    def draws(self) -> tuple[str, ...] | None:
        """The random draws of all calls, as a manifest keeps them; None if nothing was recorded."""
        return self.calls[0].draws if len(self.calls) == 1 else draws_of(self.calls)

    def tolerance(self) -> Tolerance | None:
        """The tolerance that is in force: the declared one, else the configuration's for this class."""
        table = self.context.settings.tolerance
        if self.declared is not None or not table:
            return self.declared
        chosen = choose_tolerance(
            parse_tolerances(table, kind=self.obtained.kind.name), self.key.device_class
        )
        return None if chosen is None else chosen[1]


def gather(
    context: CheckContext,
    pending: PendingCheck,
    obtained: Obtained,
    name: str | None,
    tolerance: Mapping[str, Any] | None,
    allow: Iterable[str],
) -> Artifact:
    """All that a check needs to be judged. What is known is noted in ``pending``, also where this raises.

    Raises UsageError for a name that is none, ToleranceError, DuplicateGoldenError for a name that was
    checked before, and what ``find_conditions`` raises.
    """
    pending.obtained = obtained
    name = _named(context, name)
    declared = _declared(context, pending, tolerance)
    pending.conditions = find_conditions(context, obtained.devices, pending.location)
    pending.key = GoldenKey(context.test, name, pending.conditions.device.name)
    pending.claimed = _claimed(context, pending.key)
    pending.calls = tuple(context.state.calls_for_check())
    return Artifact(
        context=context,
        obtained=obtained,
        key=pending.key,
        conditions=pending.conditions,
        declared=declared,
        calls=pending.calls,
        location=pending.location,
        allow=frozenset(allow),
    )


def _named(context: CheckContext, name: str | None) -> str:
    if name is None:
        return context.fixture
    try:
        if name.encode():
            return name
    except (AttributeError, UnicodeEncodeError):
        pass
    raise UsageError(
        f"{context.test}: the name of a check is a text, not {name!r}",
        hint='write for example check(clip, name="second")',
    )


def _claimed(context: CheckContext, key: GoldenKey) -> str:
    stem = key.stem
    if stem in context.state.claimed:
        raise DuplicateGoldenError(
            f"{key.test} checks {key.check!r} twice: both would share one golden",
            hint='give each check of a test its own name, for example check(clip, name="second")',
        )
    context.state.claimed.add(stem)
    return stem


def _declared(
    context: CheckContext, pending: PendingCheck, tolerance: Mapping[str, Any] | None
) -> Tolerance | None:
    """The tolerance that the call, or else the test's marker, declares; none on one machine."""
    if context.revision is not None:
        return None
    place = f"check() at {pending.location}"
    if tolerance is None:
        marker, place = context.marker(), "@pytest.mark.golden"
        if marker is None:
            return None
        if marker.args:
            raise ToleranceError(
                f"{context.test}: the golden marker takes keywords only: {marker.args!r}",
                hint="write for example @pytest.mark.golden(psnr=45)",
            )
        tolerance = marker.kwargs
    return parse_tolerance(tolerance, place, kind=pending.kind.name, same_environment=True)
