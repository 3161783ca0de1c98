"""Which test runs: a model that several tests share asks at each call whose call it is."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from seedpin.plugin.nodes import node_of
from seedpin.plugin.stash_keys import AGAINST, CONFIG, CURRENT_TEST, ITEM, UPDATE

if TYPE_CHECKING:
    from seedpin.checking.calls import Call, CallWatcher
    from seedpin.checking.state import AttemptState
    from seedpin.config import Config
    from seedpin.pinning.model import CallSettings, SeededModel
    from seedpin.pinning.pin import Pin


class CurrentTest:
    """Registered once per process. ``item`` is None between tests, and while a fixture that outlives its test
    is set up: what such a fixture calls belongs to no test.
    """

    def __init__(self, config: pytest.Config) -> None:
        config.stash[CURRENT_TEST] = self
        self.item: pytest.Item | None = None
        self.built: Pin | None = None
        self._pins: dict[pytest.FixtureDef[Any], Pin] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self.item = item
        try:
            return (yield)
        finally:
            self.item = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        if fixturedef.scope == "function":
            return (yield)
        before, self.item = self.item, None
        last = _last_pin()
        try:
            return (yield)
        finally:
            self.item = before
            self._pins.pop(fixturedef, None)
            pinned = _last_pin()
            if pinned is not None and pinned is not last and pinned is not self.built:
                self._pins[fixturedef] = pinned

    def pin_behind(self, item: pytest.Item, pinned: Pin | None) -> Pin | None:
        """``pinned``, the last pin that ``item`` itself used; else the last that a fixture shared with other
        tests used: what such a fixture made has the same pin in each of them.

        A pin under which such a fixture only built a model is none.
        """
        if pinned is not None and pinned is not self.built:
            return pinned
        info = getattr(item, "_fixtureinfo", None)
        own = {definition for defs in getattr(info, "name2fixturedefs", {}).values() for definition in defs}
        return next((pin for known, pin in reversed(self._pins.items()) if known in own), None)


def _last_pin() -> Pin | None:
    pinning = sys.modules.get("seedpin.pinning.stack")  # not imported for a fixture that pins nothing
    pinned: Pin | None = None if pinning is None else pinning.last_pin()
    return pinned


def pin_of(item: pytest.Item, settings: Config) -> tuple[int, str]:
    """Seed and level of a test: its ``seed`` marker, else the configuration. Raises UsageError of pytest."""
    marker = item.get_closest_marker("seed")
    if marker is None:
        return settings.seed, settings.level
    if len(marker.args) != 1 or marker.kwargs.keys() - {"level"}:
        raise pytest.UsageError(
            f"{node_of(item)}: write @pytest.mark.seed(1234) or @pytest.mark.seed(1234, level='warn')"
        )
    return marker.args[0], marker.kwargs.get("level", settings.level)


def watch(config: pytest.Config, calls: list[Call]) -> CallWatcher:
    """What watches calls of one test in this session, as its options say."""
    from seedpin.checking.calls import CallWatcher

    settings, update = config.stash[CONFIG], config.stash[UPDATE]
    asked = update.mode is not None or AGAINST in config.stash
    repeats = update.thorough or (asked and settings.probe == "twice" and not update.collect)
    return CallWatcher(
        calls,
        level=settings.trace,
        repeats=repeats,
        thorough=update.thorough,
        packages=settings.packages,
    )


def share(model: SeededModel, config: pytest.Config, seed: int | None, level: str | None) -> None:
    """Lets calls of ``model`` take seed, level, trace and probe of the test that makes them.

    ``seed`` and ``level`` win where they are given. Outside of any test the configuration's hold, and nothing
    is recorded.
    """
    model.settings_for_call = lambda called: _settings(called, config, seed, level)


def _settings(model: SeededModel, config: pytest.Config, seed: int | None, level: str | None) -> CallSettings:
    from seedpin.pinning.audit import AuditPolicy
    from seedpin.pinning.model import CallSettings, PinInfo
    from seedpin.pinning.pin import check_level, check_seed

    settings = config.stash[CONFIG]
    policy = AuditPolicy(settings.audit, settings.audit_allow)
    item = config.stash[CURRENT_TEST].item
    own_seed, own_level = (settings.seed, settings.level) if item is None else pin_of(item, settings)
    pin = PinInfo(
        check_seed(own_seed if seed is None else seed),
        check_level(own_level if level is None else level),
        model.pin_info.profile,
    )
    state: AttemptState | None = None if item is None else item.stash.get(ITEM, None)
    if state is None:
        return CallSettings(pin, audit_policy=policy)
    if not any(known is model for known in state.models):
        state.models.append(model)
    watching = watch(config, state.calls)
    return CallSettings(pin, (watching.around,), (watching.after,), policy)
