"""pytest's arguments, rewritten for a run of the same tests in another work tree."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from seedpin.goldens.names import split_node_id
from seedpin.refs.worktree import Checkout

# Options by the number of values that follow them as arguments of their own.
# Not for the other side: outputs, debuggers, early ends, and what seedpin sets itself.
_DROPPED: Mapping[str, int] = {
    "--golden-against": 0,
    "--golden-attribute": 0,
    "--golden-dir": 1,
    "--golden-device-class": 1,
    "--seedpin-cpu-profile": 1,
    "--seedpin-trace": 1,
    "--basetemp": 1,
    "--exitfirst": 0,
    "--html": 1,
    "--junit-xml": 1,
    "--junitxml": 1,
    "--maxfail": 1,
    "--pdb": 0,
    "--report-log": 1,
    "--sw": 0,
    "--stepwise": 0,
    "--trace": 0,
    "-x": 0,
}
# Of these, what says how a model is run: part of a command that the user is to type.
_OWN_SETTINGS = frozenset(
    ["--golden-dir", "--golden-device-class", "--seedpin-cpu-profile", "--seedpin-trace"]
)
_UPDATING: Mapping[str, int] = {"--golden-probe": 1, "--golden-reason": 1, "--update-golden": 0}
# Change which tests run: never the bits that one test gives.
_SELECTING: Mapping[str, int] = {
    "--deselect": 1,
    "--failed-first": 0,
    "--ff": 0,
    "--ignore": 1,
    "--ignore-glob": 1,
    "--last-failed": 0,
    "--lf": 0,
    "--new-first": 0,
    "--nf": 0,
    "-k": 1,
    "-m": 1,
}
# Change what is printed, or where tests run.
_OUTPUT: Mapping[str, int] = {
    "--capture": 1,
    "--color": 1,
    "--dist": 1,
    "--durations": 1,
    "--no-header": 0,
    "--no-summary": 0,
    "--numprocesses": 1,
    "--quiet": 0,
    "--show-capture": 1,
    "--showlocals": 0,
    "--tb": 1,
    "--verbose": 0,
    "--verbosity": 1,
    "-n": 1,
    "-r": 1,
}
_OUTPUT_PLUGINS = frozenset({"no:cacheprovider", "no:terminal", "no:xdist", "xdist"})
_SHORT_FLAGS = re.compile(r"-[lqsvx]+")
_SHORT_SELECTING = re.compile(r"-[km].+")
_SHORT_OUTPUT = re.compile(r"-[nr].+")


@dataclass(frozen=True, slots=True)
class Selection:
    """Tests that a path argument means: a file or folder relative to the project, and names below it."""

    path: str
    names: tuple[str, ...] = ()

    def holds(self, path: str, names: Sequence[str]) -> bool:
        """Whether a test of ``names`` (class, function[parameters]) in the file ``path`` is among them."""
        if self.path not in (".", path) and not path.startswith(f"{self.path}/"):
            return False
        if len(names) < len(self.names):
            return False
        return all(
            have == want or ("[" not in want and have.partition("[")[0] == want)
            for want, have in zip(self.names, names[: len(self.names)], strict=True)
        )


@dataclass(frozen=True, slots=True)
class Arguments:
    """``passed`` go to pytest. ``selections`` are what the paths among them mean, None for all.

    ``absent`` are paths that the other side lacks; with ``nothing`` no path is left, so nothing is to run.
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
    for argument in _without(raw, _DROPPED):
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


def settings_of(
    raw: Sequence[str],
    positionals: Sequence[str],
    without: Mapping[str, int] = MappingProxyType({}),
    dropped: Iterable[str] = _DROPPED,
) -> tuple[str, ...]:
    """The arguments that may change what a test gives: all but paths, selection and output.

    ``without``: further options to leave out, each with the number of values that follow it. ``dropped``: as
    of ``selection_of``.
    """
    rest = list(positionals)
    kept: list[str] = []
    # From the end: of `--rootdir tests tests` the last one is the path, the other an option's value.
    for argument in reversed(selection_of(_without(raw, without), dropped)):
        if argument in rest:
            rest.remove(argument)
        else:
            kept.insert(0, argument)
    return tuple(
        argument for argument in _without(kept, _SELECTING) if not _SHORT_SELECTING.fullmatch(argument)
    )


def shown_options(raw: Sequence[str], positionals: Sequence[str]) -> tuple[str, ...]:
    """As ``settings_of``, for a user to type: with seedpin's own options, less those of an update."""
    return settings_of(_without(raw, _UPDATING), positionals, dropped=_DROPPED.keys() - _OWN_SETTINGS)


def selection_of(raw: Sequence[str], dropped: Iterable[str] = _DROPPED) -> tuple[str, ...]:
    """The arguments that may change which tests run and what they give: all but output.

    ``dropped``: which of the options go that are not for another run.
    """
    away = {name: _DROPPED[name] for name in dropped}
    return tuple(
        argument
        for argument in _without_plugins(_without(raw, {**away, **_OUTPUT}))
        if not _SHORT_FLAGS.fullmatch(argument) and not _SHORT_OUTPUT.fullmatch(argument)
    )


def _without_plugins(raw: Sequence[str]) -> list[str]:
    """``raw`` without ``-p`` of plugins that only print, cache or distribute."""
    kept: list[str] = []
    for argument in raw:
        name = argument.removeprefix("-p")
        if name in _OUTPUT_PLUGINS:
            if argument == name and kept[-1:] == ["-p"]:
                kept.pop()
            elif argument == name:
                kept.append(argument)
            continue
        kept.append(argument)
    return kept


def _without(raw: Sequence[str], options: Mapping[str, int]) -> list[str]:
    kept = []
    skip = 0
    for argument in raw:
        if skip:
            skip -= 1
            continue
        name, has_value, _ = argument.partition("=")
        if name in options:
            skip = 0 if has_value else options[name]
            continue
        if "-x" in options and _SHORT_FLAGS.fullmatch(argument):
            argument = argument.replace("x", "")
            if argument == "-":
                continue
        kept.append(argument)
    return kept


def _moved(argument: str, checkout: Checkout) -> str:
    """``argument`` with an absolute path of the project, alone or after ``=``, moved to the checkout."""
    name, equals, value = argument.partition("=")
    option = argument.startswith("-") and equals
    text = value if option else argument
    if not os.path.isabs(text) or not Path(text).resolve().is_relative_to(checkout.top):  # noqa: PTH117
        return argument
    target = str(checkout.mapped(Path(text)))
    return f"{name}={target}" if option else target
