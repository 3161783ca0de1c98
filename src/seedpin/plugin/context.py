"""What pytest knows of a test, as a check needs it."""

from __future__ import annotations

import functools

import pytest

from seedpin.checking.context import CheckContext
from seedpin.goldens.store import GoldenStore
from seedpin.plugin.nodes import node_of
from seedpin.plugin.regressions import perform
from seedpin.plugin.stash_keys import AGAINST, CONFIG, CURRENT_TEST, EARLIER, ITEM, RUN, UPDATE


def context_of(request: pytest.FixtureRequest, fixture: str) -> CheckContext:
    """The context of the checks of one golden fixture; ``fixture`` as in CheckContext."""
    stash, item = request.config.stash, request.node
    settings, earlier = stash[CONFIG], stash[EARLIER]
    return CheckContext(
        test=node_of(item),
        fixture=fixture,
        settings=settings,
        update=stash[UPDATE],
        run=stash[RUN],
        store=GoldenStore(settings.golden_path, settings.state_path),
        state=item.stash[ITEM],
        fixtures=frozenset(getattr(item, "fixturenames", ())),
        marker=functools.partial(item.get_closest_marker, "golden"),
        earlier=earlier,
        revision=stash.get(AGAINST, None),
        pin_behind=functools.partial(stash[CURRENT_TEST].pin_behind, item),
        living=lambda: {node_of(living) for living in request.session.items},
        last_step=functools.partial(perform, request),
    )
