"""What pyproject.toml asks of an installation, and what the source imports."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

import seedpin

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
SOURCE = Path(seedpin.__file__).parent  # of the installed wheel where that is what is tested
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

Imports = dict[str, set[str]]
"""Distribution -> the files, relative to the source, that import it."""


def _name(requirement: str) -> str:
    """The normalised name of the distribution that a requirement is for."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None
    return re.sub(r"[-_.]+", "-", match[0]).lower()


REQUIRED = sorted(map(_name, PROJECT["dependencies"]))
OPTIONAL = {_name(line) for extra in PROJECT["optional-dependencies"].values() for line in extra}


def _imported(tree: ast.AST) -> Iterator[str]:
    """The top-level modules that a file imports, at whatever depth and under whatever condition."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            yield node.module.partition(".")[0]


@pytest.fixture(scope="module")
def imports() -> Imports:
    providers = metadata.packages_distributions()
    found: Imports = {}
    for path in SOURCE.rglob("*.py"):
        for module in _imported(ast.parse(path.read_text(encoding="utf-8"))):
            if module != "seedpin" and module not in sys.stdlib_module_names:
                # What this Python needs not, and so has not, goes by its own name (tomli).
                for name in providers.get(module, [module]):
                    found.setdefault(_name(name), set()).add(path.relative_to(SOURCE).as_posix())
    return found


@pytest.mark.parametrize("name", REQUIRED)
def test_what_every_installation_brings_is_imported(name: str, imports: Imports) -> None:
    """A dependency that the source does not import is none."""
    assert imports.get(name), f"nothing below src/ imports {name}: it belongs to an extra, or nowhere"


def test_what_is_imported_is_asked_for(imports: Imports) -> None:
    """The source imports nothing that only another package happens to bring."""
    stray = {name: files for name, files in imports.items() if name not in {*REQUIRED, *OPTIONAL}}
    assert not stray, "ask for it in pyproject.toml, in `dependencies` or in an extra"
