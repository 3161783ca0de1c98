"""Which room may import which: the picture in docs/architecture.md is the table, and the source obeys it."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import seedpin
from seedpin.checking import judge

SOURCE = Path(seedpin.__file__).parent
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"


def module_of(path: Path, source: Path = SOURCE) -> str:
    """``seedpin.clip.codec`` for a file below ``source``; the package itself for an ``__init__.py``."""
    parts = ["seedpin", *path.relative_to(source).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES: Mapping[str, Path] = {module_of(path): path for path in sorted(SOURCE.rglob("*.py"))}
TREES: Mapping[str, ast.Module] = {
    name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()
}


def floors(page: str) -> dict[str, int]:
    """The rooms of the picture (``trace/diff`` is a part of one), and their floors, counted from below."""
    match = re.search(r"^```text norun floors\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert match is not None, "docs/architecture.md has no picture"
    lines = [line.split() for line in reversed(match[1].splitlines()) if line.strip()]
    rooms = [(room, number) for number, line in enumerate(lines) for room in line]
    assert len(rooms) == len(dict(rooms)), "a room stands in the picture twice"
    return dict(rooms)


def room_of(module: str, rooms: Iterable[str]) -> str:
    """The room of a module: the longest name in the picture that it lies in; the face is ``seedpin``."""
    inner = module.removeprefix("seedpin").lstrip(".").replace(".", "/")
    holding = [room for room in rooms if inner == room or inner.startswith(f"{room}/")]
    return max(holding, key=len) if holding else inner or "seedpin"


def known(name: str, modules: Iterable[str]) -> str | None:
    """The module that ``name`` is, or lies in; None for what is no part of seedpin."""
    modules = frozenset(modules)
    parts = name.split(".")
    while parts and ".".join(parts) not in modules:
        parts.pop()
    return ".".join(parts) or None


def imported(tree: ast.AST, modules: Iterable[str]) -> Iterator[str]:
    """Modules of ours that a file names: imported anywhere in it, for types only too, or by a string.

    A string counts where it is nothing but the name of a module, or of something in one: that is how modules
    are named that are imported later (``seedpin.clip.clip:Clip``).
    """
    modules = frozenset(modules)
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r"seedpin(\.\w+)+(:\w+)?", node.value) is None:
                continue
            names = [node.value.partition(":")[0]]
        for name in names:
            module = known(name, modules)
            # A message may name what users import from the package itself; an import of it counts.
            if module is not None and not (isinstance(node, ast.Constant) and module == "seedpin"):
                yield module


def at_import(tree: ast.Module, modules: Iterable[str]) -> Iterator[str]:
    """Modules that are imported when the file itself is: not in functions, and not for types only.

    Packages around them are, too.
    """
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for module in imported(node, modules):
                parts = module.split(".")
                yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            held = (ast.stmt, ast.excepthandler, ast.match_case)
            waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, held)]


def upwards(trees: Mapping[str, ast.Module], rooms: Mapping[str, int]) -> set[tuple[str, str]]:
    """Imports that do not lead to a lower floor: (importing module, imported module)."""
    wrong = set()
    for module, tree in trees.items():
        here = room_of(module, rooms)
        for target in imported(tree, trees):
            there = room_of(target, rooms)
            if there != here and rooms[there] >= rooms[here]:
                wrong.add((module, target))
    return wrong


@pytest.fixture(scope="module")
def picture() -> dict[str, int]:
    return floors(PAGE.read_text(encoding="utf-8"))


def test_every_room_stands_in_the_picture(picture: dict[str, int]) -> None:
    """A new file at the top, or a new folder, has to get its floor; a room that went leaves the picture."""
    assert {room_of(module, picture) for module in FILES} == picture.keys()


def test_imports_lead_downwards_only(picture: dict[str, int]) -> None:
    """Each room knows only those on lower floors, be it for types, in a function or by a name in a string."""
    assert upwards(TREES, picture) == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Whichever module is imported first, none is met half-made."""
    graph = {
        module: {target for target in at_import(tree, TREES) if not f"{module}.".startswith(f"{target}.")}
        for module, tree in TREES.items()
    }  # the packages around a module are there before it is
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_page_speaks_of_what_is_there() -> None:
    """Files that it names are files; steps of a check are called by `judge`, in the order of the page."""
    page = PAGE.read_text(encoding="utf-8")
    files = re.findall(r"`([\w/]+\.py)`", page)
    assert len(files) > 20
    for name in files:
        assert (SOURCE / name).is_file() or (ROOT / name).is_file(), name
    steps = re.findall(r"(?m)^    \| ((?:`\w+`(?:, )?)+) \|", page)
    calls = inspect.getsource(judge.judge)
    places = [calls.index(f"{name}(") for names in steps for name in re.findall(r"`(\w+)`", names)]
    assert len(places) > 5
    assert places == sorted(places)


LOWER_AND_UPPER = {"upper": 1, "beside": 1, "lower": 0}


@pytest.mark.parametrize(
    "text",
    [
        "import seedpin.upper.a",
        "from seedpin.upper import a",
        "from seedpin.upper.a import Thing",
        "def late():\n    from seedpin.upper.a import Thing",
        "if TYPE_CHECKING:\n    from seedpin.upper.a import Thing",
        "HOME = {'Thing': 'seedpin.upper.a'}",
        "HOME = 'seedpin.upper.a:Thing'",
    ],
)
def test_an_import_is_seen_however_it_is_written(text: str) -> None:
    """The two tests above would be blind where one way to import were not read."""
    empty = ast.parse("")
    rooms = ("lower.b", "beside.c", "upper.d")
    trees = {"seedpin.upper.a": empty, **{f"seedpin.{room}": ast.parse(text) for room in rooms}}
    assert upwards(trees, LOWER_AND_UPPER) == {
        ("seedpin.lower.b", "seedpin.upper.a"),
        ("seedpin.beside.c", "seedpin.upper.a"),
    }


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("class A:\n    import seedpin.other", True),
        ("try:\n    import seedpin.other\nexcept ImportError:\n    pass", True),
        ("try:\n    pass\nexcept ImportError:\n    import seedpin.other", True),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import seedpin.other", True),
        ("if TYPE_CHECKING:\n    import seedpin.other", False),
        ("def late():\n    import seedpin.other", False),
        ("class A:\n    def late(self):\n        import seedpin.other", False),
    ],
)
def test_what_runs_at_import_is_told_from_what_runs_later(text: str, seen: bool) -> None:
    """A circle through a function or through types only harms nobody."""
    modules = ["seedpin", "seedpin.other"]
    assert list(at_import(ast.parse(text), modules)) == (modules if seen else [])
