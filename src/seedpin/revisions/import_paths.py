"""Import paths: where this process finds the project's code, and the same places in another work tree."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType

_INSTALLED = frozenset({"site-packages", "dist-packages", ".seedpin"})


def is_project_file(path: Path, top: Path) -> bool:
    """Whether ``path`` is code of the work tree ``top``, not of an environment that lies inside of it."""
    if not path.is_relative_to(top):
        return False
    if not _INSTALLED.isdisjoint(path.relative_to(top).parts):
        return False
    prefixes = {Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    return not any(
        prefix != top and prefix.is_relative_to(top) and path.is_relative_to(prefix) for prefix in prefixes
    )


def imported_from(top: Path) -> dict[str, str]:
    """Modules of this process whose file is project code of ``top``, with the file."""
    imported = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and is_project_file(Path(file).resolve(), top):
            imported[name] = file
    return imported


def project_entries(top: Path, entries: Iterable[str], folder: Path) -> list[Path]:
    """Entries of an import path that are folders of the project, resolved, in order, each once.

    Relative ones, and the empty one, are taken from ``folder``.
    """
    resolved = ((folder / entry).resolve() for entry in entries)
    return list(dict.fromkeys(path for path in resolved if is_project_file(path, top)))


def editable_modules(modules: Mapping[str, ModuleType]) -> dict[str, Path]:
    """Top-level names that editable installs redirect, with the folder or file behind each.

    Known are setuptools' finders (``__editable___*_finder.MAPPING``) and those of the ``editables``
    package, which hatch uses. Plain ``.pth`` files need nothing: they are entries of ``sys.path``.
    """
    redirected: dict[str, Path] = {}
    for _, mapping in editable_mappings(modules):
        for name, target in mapping.items():
            path = Path(target)
            redirected[name] = path.parent if path.name == "__init__.py" else path
    return redirected


def editable_mappings(modules: Mapping[str, ModuleType]) -> list[tuple[str, dict[str, str]]]:
    """The finders' own tables, by module name; changing them redirects the imports."""
    tables = []
    for name, module in list(modules.items()):
        if name.startswith("__editable__") and name.endswith("_finder"):
            table = getattr(module, "MAPPING", None)
        elif name == "editables.redirector":
            table = getattr(getattr(module, "RedirectingFinder", None), "_redirections", None)
        else:
            continue
        if isinstance(table, dict):
            tables.append((name, table))
    return tables


def mapped(path: Path, top: Path, tree: Path) -> Path:
    """The place in ``tree`` of what lies at ``path`` below ``top``."""
    return tree / path.relative_to(top)


def reference_path(
    top: Path,
    tree: Path,
    shims: Path,
    *,
    folder: Path,
    entries: Iterable[str] | None = None,
    modules: Mapping[str, ModuleType] | None = None,
) -> list[str]:
    """``PYTHONPATH`` for a process that is to import from ``tree`` what this one imports from ``top``.

    Editable installs whose folder has another name than the module get a link in ``shims``, a folder
    that this function writes to. What the user's own ``PYTHONPATH`` holds outside of ``top`` comes last.
    """
    entries = sys.path if entries is None else entries
    paths = [mapped(entry, top, tree) for entry in project_entries(top, entries, folder)]
    for name, target in editable_modules(sys.modules if modules is None else modules).items():
        resolved = target.resolve()
        if not is_project_file(resolved, top):
            continue
        paths.append(_import_folder(name, mapped(resolved, top, tree), shims))
    outside = [
        entry
        for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep)
        if entry and not is_project_file((folder / entry).resolve(), top)
    ]
    inside = [str(path) for path in dict.fromkeys(paths) if path.is_dir()]
    return [*inside, *outside]


def _import_folder(name: str, target: Path, shims: Path) -> Path:
    """The folder from which ``import name`` gives ``target``."""
    parts = name.split(".")
    if target.with_suffix("").parts[-len(parts) :] == tuple(parts):
        return target.parents[len(parts) - 1]
    link = shims.joinpath(*parts)
    if not target.exists() and target.with_suffix(".py").exists():
        target, link = target.with_suffix(".py"), link.with_suffix(".py")
    link.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and not link.exists():
        link.symlink_to(target, target_is_directory=target.is_dir())
    return shims
