"""What is first imported while functions of torch are replaced, and must not see that they are."""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from seedpin.trace.patching import Patches

__all__ = ["originals_for_the_compiler"]

_COMPILER = "torch._dynamo"
_TABLES = ("get_torch_obj_rule_map", "get_tensor_method")


@contextmanager
def originals_for_the_compiler(patches: Patches) -> Iterator[None]:
    """Within the block ``torch._dynamo``, if a model imports it, is imported while nothing is replaced.

    It keeps tables of torch's functions for as long as the process lives. With ours in them it would know
    torch's own in no later graph: a warning, or an error where ``fullgraph=True`` is asked for.
    """
    if _COMPILER in sys.modules:
        _fill_tables(patches)
        yield
        return
    finder = _Finder(patches)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


def _fill_tables(patches: Patches) -> None:
    """They are filled when they are first asked for, which may be in the midst of a recording."""
    rules = sys.modules.get(f"{_COMPILER}.trace_rules")
    tables: list[Any] = [getattr(rules, name, None) for name in _TABLES]
    empty = [table for table in tables if hasattr(table, "cache_info") and not table.cache_info().currsize]
    if empty:
        with patches.suspended():
            for table in empty:
                table()


class _Finder(importlib.abc.MetaPathFinder):
    """Finds nothing itself; has the compiler, wherever others find it, run while nothing is replaced."""

    def __init__(self, patches: Patches) -> None:
        self._patches = patches

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _COMPILER or self not in sys.meta_path:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                self._wrap(spec.loader)
                return spec
        return None

    def _wrap(self, loader: Any) -> None:
        execute = loader.exec_module  # may be that of a recording around this one

        def exec_module(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)
            with self._patches.suspended():
                execute(module)
            _fill_tables(self._patches)

        loader.exec_module = exec_module
