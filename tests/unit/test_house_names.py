"""One meaning a name in the whole source, and words of the field."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "seedpin"
FILES = sorted(SOURCE.rglob("*.py"))

# Words of this project's own making: a reader who knows PyTorch and pytest would have to look them up.
_UNFIT = {
    *("desk", "exhibit", "circumstance", "circumstances", "guest", "foreign", "intake"),
    *("answer", "answers", "growth", "subject", "sides"),
}
_KEPT = {"ForeignImportError"}  # its slug is what people type: seedpin explain foreign-import


def _types(tree: ast.Module) -> Iterator[str]:
    """Classes, type variables and aliases of types that a module defines."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in (target.id for target in targets if isinstance(target, ast.Name)):
                if re.fullmatch(r"_?[A-Z]\w*[a-z]\w*", name):
                    yield name


def test_a_type_has_a_name_of_its_own() -> None:
    """No two modules define classes or aliases of one name, nor of names that differ in an underscore."""
    homes = defaultdict(list)
    for path in FILES:
        for name in _types(ast.parse(path.read_bytes())):
            homes[name.lstrip("_")].append(path.relative_to(SOURCE).as_posix())
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def test_names_are_words_of_the_field() -> None:
    """No module, class or function is called by a word that this project once made up."""
    unfit = []
    for path in FILES:
        names = [path.stem, path.parent.name]
        names += [
            node.name
            for node in ast.walk(ast.parse(path.read_bytes()))
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        ]
        for name in names:
            words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
            if words & _UNFIT and name not in _KEPT:
                unfit.append(f"{path.relative_to(SOURCE).as_posix()}: {name}")
    assert unfit == []
