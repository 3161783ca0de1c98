"""What a test file's text tells of a test that pytest did not find in it: gone, or perhaps only not made."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_MAKERS = frozenset(
    {
        *("globals", "locals", "vars", "setattr", "exec", "eval", "__getattr__", "scenarios", "load_tests"),
        *("sys.modules", "sys._getframe", "inspect.currentframe", "currentframe", "builtins.setattr"),
    }
)
"""What gives a module or a class further names while it runs, as written: ``model.eval`` is none of it."""
_DEFINITION_NODES = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Definition:
    """``spelled``: the file holds the test. ``made_by``: if not, what in it may make it as it runs."""

    spelled: bool
    made_by: str = ""


def find_definition(path: Path, names: Sequence[str], collected: Iterable[Sequence[str]]) -> Definition:
    """What the file says of ``names``, classes and then a function; spelled where its text cannot tell.

    ``collected`` are the names of the tests that pytest found in the file: one that is not spelled there was
    made by something, which may make others another time.
    """
    try:
        tree: ast.AST = ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError):
        return Definition(spelled=True)
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    if imported & {"*", *names} or _is_spelled(tree, names):
        return Definition(spelled=True)
    return Definition(spelled=False, made_by=_maker(tree, names, collected))


def _is_spelled(tree: ast.AST, names: Sequence[str]) -> bool:
    matching: list[ast.AST] = [tree]
    for name in names:
        # A class may have it from one that is defined elsewhere; what is assigned may hold anything.
        open_ended = any(isinstance(parent, ast.ClassDef) and parent.bases for parent in matching)
        inner = [node for parent in matching for node in ast.walk(parent) if node is not parent]
        if any(isinstance(node, ast.Name) and node.id == name and _is_set(node) for node in inner):
            return True
        matching = [node for node in inner if isinstance(node, _DEFINITION_NODES) and node.name == name]
        if not matching:
            return open_ended
    return bool(matching)


def _is_set(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _maker(tree: ast.AST, names: Sequence[str], collected: Iterable[Sequence[str]]) -> str:
    for other in collected:
        if not _is_spelled(tree, other):
            return f"{'::'.join(other)}, which is not spelled in it, was found there"
    for node in ast.walk(tree):
        name = node.name if isinstance(node, _DEFINITION_NODES) else _written(node)
        if name in _MAKERS or name.endswith(".__dict__"):
            return f"it uses {name}"
        if isinstance(node, ast.Call) and _hands_over_itself(node):
            return f"line {node.lineno} hands __name__ to another function"
        if isinstance(node, ast.ClassDef) and node.keywords:
            return f"the class {node.name} has a metaclass"
        if isinstance(node, _DEFINITION_NODES):
            known = node.name in names if isinstance(node, ast.ClassDef) else names[-1].startswith(node.name)
            other = next(_not_of_pytest(node.decorator_list), "")
            if known and other:
                return f"{node.name} is decorated with {other}"
    return ""


def _written(node: ast.AST) -> str:
    return ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else ""


def _hands_over_itself(call: ast.Call) -> bool:
    if ast.unparse(call.func).endswith("getLogger"):
        return False
    return any(isinstance(value, ast.Name) and value.id == "__name__" for value in call.args)


def _not_of_pytest(decorators: Iterable[ast.expr]) -> Iterator[str]:
    """Decorators that are not pytest's own: those of other packages make several tests of one."""
    for decorator in decorators:
        name = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if not name.startswith(("pytest.", "mark.")):
            yield f"@{name}"
