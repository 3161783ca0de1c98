"""What is first imported while functions of torch are replaced, and must not see that they are.

``from torch import randn`` in such a module would keep a replacement for as long as the process lives, which
is neither pickled nor compared as torch's own. So modules run while nothing is replaced.
"""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.machinery import ModuleSpec, SourceFileLoader, SourcelessFileLoader
from types import ModuleType
from typing import Any, Protocol

__all__ = ["Suspendable", "originals_for_imports"]

_COMPILER = "torch._dynamo"
_TABLES = ("get_torch_obj_rule_map", "get_tensor_method")


class Suspendable(Protocol):
    """Replacements that can be taken away for a while."""

    def suspended(self) -> AbstractContextManager[None]: ...


@contextmanager
def originals_for_imports(patches: Suspendable) -> Iterator[None]:
    """Within the block modules of Python code are imported while nothing of ``patches`` is replaced.

    The compiler, ``torch._dynamo``, keeps tables of torch's functions besides, which it fills when they are
    first asked for. With ours in them it would know torch's own in no later graph: a warning, or an error
    where ``fullgraph=True`` is asked for.
    """
    if _COMPILER in sys.modules:
        _fill_tables(patches)
    finder = _Finder(patches)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


def _fill_tables(patches: Suspendable) -> None:
    """They are filled when they are first asked for, which may be in the midst of a recording."""
    rules = sys.modules.get(f"{_COMPILER}.trace_rules")
    tables: list[Any] = [getattr(rules, name, None) for name in _TABLES]
    empty = [table for table in tables if hasattr(table, "cache_info") and not table.cache_info().currsize]
    if empty:
        with patches.suspended():
            for table in empty:
                table()


class _Finder(importlib.abc.MetaPathFinder):
    """Finds nothing itself; has what others find run while nothing is replaced."""

    def __init__(self, patches: Suspendable) -> None:
        self._patches = patches

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if self not in sys.meta_path:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                # A loader of these is made for its module alone; others (pytest's) may serve several.
                if type(spec.loader) in (SourceFileLoader, SourcelessFileLoader):
                    self._wrap(spec.loader, fullname)
                return spec
        return None

    def _wrap(self, loader: Any, fullname: str) -> None:
        execute = loader.exec_module  # may be that of a recording around this one

        def exec_module(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)
            with self._patches.suspended():
                execute(module)
            if fullname == _COMPILER:
                _fill_tables(self._patches)

        loader.exec_module = exec_module
