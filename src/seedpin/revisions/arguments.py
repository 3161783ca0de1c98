"""pytest's arguments, rewritten for a run of the same tests in another work tree."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seedpin.goldens.names import split_node_id
from seedpin.inner import Selection
from seedpin.invocation import for_another_run
from seedpin.revisions.worktree import Checkout


@dataclass(frozen=True, slots=True)
class Arguments:
    """``passed`` go to pytest. ``selections`` are what the paths among them mean, None for all.

    ``absent`` are paths that the checkout lacks; with ``nothing`` no path is left, so nothing is to run.
    """

    passed: tuple[str, ...]
    selections: tuple[Selection, ...] | None
    absent: tuple[str, ...] = ()
    nothing: bool = False


def rewritten(raw: Sequence[str], positionals: Sequence[str], checkout: Checkout, folder: Path) -> Arguments:
    """The arguments for the checkout: paths below the project are those of the checkout.

    raw: as typed, in ``folder``. positionals: those among them (and from the ini file) that are paths or
    node ids. Node ids become their file, and a selection: a test that one side lacks is then no error.
    """
    rest = list(positionals)
    passed: list[str] = []
    selections: list[Selection] = []
    absent: list[str] = []
    everything = False
    for argument in for_another_run(raw):
        if argument not in rest:
            passed.append(_moved(argument, checkout))
            continue
        rest.remove(argument)
        head, *names = split_node_id_argument(argument)
        path = (folder / head).resolve()
        if not path.exists():
            everything = True  # a package name of --pyargs
            passed.append(argument)
            continue
        target = checkout.mapped(path)
        if not target.exists():
            absent.append(argument)
            continue
        moved = str(target) if Path(head).is_absolute() else head
        if moved not in passed:
            passed.append(moved)
        if path.is_relative_to(checkout.top):
            selections.append(Selection(path.relative_to(checkout.top).as_posix(), tuple(names)))
    nothing = bool(absent) and not selections and not everything
    return Arguments(
        tuple(passed), tuple(selections) if selections and not everything else None, tuple(absent), nothing
    )


def split_node_id_argument(argument: str) -> tuple[str, ...]:
    """File, class, function of an argument; the file stays one part."""
    head = argument.partition("[")[0].partition("::")[0]
    names = split_node_id(f"x{argument[len(head) :]}")[1:] if "::" in argument else ()
    return (head, *names)


def _moved(argument: str, checkout: Checkout) -> str:
    """``argument`` with an absolute path of the project, alone or after ``=``, moved to the checkout."""
    name, equals, value = argument.partition("=")
    option = argument.startswith("-") and equals
    text = value if option else argument
    if not os.path.isabs(text) or not Path(text).resolve().is_relative_to(checkout.top):  # noqa: PTH117
        return argument
    target = str(checkout.mapped(Path(text)))
    return f"{name}={target}" if option else target
