"""Notice the import of a module while a pin is active.

``torch.compile`` imports torch's compiler on first use, 1.5 s that a pin must not cost everyone. Its
settings are therefore pinned at the moment when they come into being.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class ImportWatch(MetaPathFinder):
    """Calls ``arrived(name)`` right after one of ``names`` was executed for the first time."""

    def __init__(self, names: frozenset[str], arrived: Callable[[str], None]) -> None:
        self._names = names
        self._arrived = arrived

    def start(self) -> None:
        if self not in sys.meta_path and not all(name in sys.modules for name in self._names):
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._names:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                self._wrap(fullname, spec.loader)
                return spec
        return None

    def _wrap(self, fullname: str, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            del loader.exec_module
            self._arrived(fullname)

        loader.exec_module = exec_module
