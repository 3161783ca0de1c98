"""How pytest was started, and what of its command line another run of the same tests is to have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from seedpin.options import OPTIONS


def _own(*becomes: str) -> dict[str, int]:
    """seedpin's own options with this fate in other runs."""
    return {one.flag: one.values for one in OPTIONS if one.flag and one.other_runs in becomes}


# Options by the number of values that follow them as arguments of their own.
# Not for another run: outputs, debuggers, early ends, and what seedpin sets itself.
_DROPPED: Mapping[str, int] = {
    **_own("dropped", "set"),
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
_OWN_SETTINGS = _own("set").keys()
_UPDATING: Mapping[str, int] = _own("update")
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
class Invocation:
    """How a session of pytest was started: in which folder, with which arguments and variables.

    positionals: what of the arguments, and of the ini file, names paths or tests. variables: the environment
    before any conftest or test was imported: libraries set more when they are imported.
    """

    folder: Path
    arguments: tuple[str, ...]
    positionals: tuple[str, ...]
    variables: Mapping[str, str]


def for_another_run(raw: Sequence[str]) -> list[str]:
    """The arguments less outputs, debuggers, early ends, and what seedpin sets itself."""
    return _without(raw, _DROPPED)


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
