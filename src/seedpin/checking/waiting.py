"""What waits to become a golden, as it travels from the process that obtained it to the one that writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seedpin.goldens.store import StagedGolden


@dataclass(frozen=True, slots=True)
class Waiting:
    """A staged golden of a test that passed.

    tolerance: limits within which another run may differ. noticed: what the entropy audit saw in its calls.
    """

    golden: StagedGolden
    tolerance: Mapping[str, float] | None = None
    noticed: tuple[str, ...] = ()
