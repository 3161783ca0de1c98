"""Code that runs around the import of modules: while functions are replaced, and while a pin is active.

``from torch import randn`` in a module that a model imports would keep a replacement for as long as the
process lives, which is neither pickled nor compared as torch's own. So modules run while nothing is replaced.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader, SourcelessFileLoader
from types import ModuleType
from typing import Any, Protocol

_COMPILER = "torch._dynamo"
_TABLES = ("get_torch_obj_rule_map", "get_tensor_method")


class ImportHook(MetaPathFinder):
    """Finds nothing itself; has modules that others find run within ``around(name)``.

    names: of these modules alone. loaders: only those of exactly these classes; None: whichever.
    """

    def __init__(
        self,
        around: Callable[[str], AbstractContextManager[None]],
        *,
        names: frozenset[str] | None = None,
        loaders: tuple[type, ...] | None = None,
    ) -> None:
        self._around = around
        self._names = names
        self._loaders = loaders

    def start(self) -> None:
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if (self._names is not None and fullname not in self._names) or self not in sys.meta_path:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if self._loaders is None or type(spec.loader) in self._loaders:
                    self._wrap(fullname, spec.loader)
                return spec
        return None

    def _wrap(self, fullname: str, loader: Any) -> None:
        execute = loader.exec_module  # may be that of a hook around this one

        def exec_module(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)
            with self._around(fullname):
                execute(module)

        loader.exec_module = exec_module


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

    @contextmanager
    def without(name: str) -> Iterator[None]:
        with patches.suspended():
            yield
        if name == _COMPILER:
            _fill_tables(patches)

    if _COMPILER in sys.modules:
        _fill_tables(patches)
    # A loader of these is made for its module alone; others (pytest's) may serve several.
    hook = ImportHook(without, loaders=(SourceFileLoader, SourcelessFileLoader))
    hook.start()
    try:
        yield
    finally:
        hook.stop()


def _fill_tables(patches: Suspendable) -> None:
    """They are filled when they are first asked for, which may be in the midst of a recording."""
    rules = sys.modules.get(f"{_COMPILER}.trace_rules")
    tables: list[Any] = [getattr(rules, name, None) for name in _TABLES]
    empty = [table for table in tables if hasattr(table, "cache_info") and not table.cache_info().currsize]
    if empty:
        with patches.suspended():
            for table in empty:
                table()
