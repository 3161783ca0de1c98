"""Keys of what the plugin keeps on pytest's config and items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from seedpin.checking.state import AttemptState, Update
    from seedpin.config import Config
    from seedpin.errors import SeedpinError
    from seedpin.plugin.current_test import CurrentTest
    from seedpin.revisions.against import Against
    from seedpin.run.ledger import Run
    from seedpin.run.result import CheckResult

CONFIG: pytest.StashKey[Config] = pytest.StashKey()
VARIABLES: pytest.StashKey[dict[str, str]] = pytest.StashKey()
"""Environment variables before any conftest or test was imported: libraries set some when imported."""
UPDATE: pytest.StashKey[Update] = pytest.StashKey()
RUN: pytest.StashKey[Run] = pytest.StashKey()
ITEM: pytest.StashKey[AttemptState] = pytest.StashKey()
CURRENT_TEST: pytest.StashKey[CurrentTest] = pytest.StashKey()
AGAINST: pytest.StashKey[Against] = pytest.StashKey()
REFUSED: pytest.StashKey[SeedpinError] = pytest.StashKey()
EARLIER: pytest.StashKey[dict[str, list[CheckResult]]] = pytest.StashKey()
"""By its id, what each earlier attempt of a check came to in this process; none is forgotten."""
