"""Notice the import of a module while a pin is active.

``torch.compile`` imports torch's compiler on first use, 1.5 s that a pin must not cost everyone. Its
settings are therefore pinned at the moment when they come into being.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from seedpin.trace.record.imports import ImportHook


class ImportWatch(ImportHook):
    """Calls ``arrived(name)`` right after one of ``names`` was executed for the first time."""

    def __init__(self, names: frozenset[str], arrived: Callable[[str], None]) -> None:
        @contextmanager
        def then_told(name: str) -> Iterator[None]:
            yield
            arrived(name)

        super().__init__(then_told, names=names)
        self._awaited = names

    def start(self) -> None:
        if not all(name in sys.modules for name in self._awaited):
            super().start()
