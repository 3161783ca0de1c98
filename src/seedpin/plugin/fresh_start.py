"""How this session was started, and how a process is that runs tests of it once more."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from seedpin.checking.fresh import Start
from seedpin.invocation import Invocation, settings_of, shown_options
from seedpin.plugin.stash_keys import VARIABLES

# Files that the session that asks writes, possibly because an ini file says so: the other must not.
_OUTPUTS = {"xmlpath": "--junitxml", "htmlpath": "--html", "report_log": "--report-log"}
# Given anew, whatever the session was given; with the number of values that follow.
_SET_HERE = {"--rootdir": 1, "-c": 1, "--config-file": 1}


def invocation_of(config: pytest.Config) -> Invocation:
    """How the session of ``config`` was started."""
    variables: dict[str, str] = config.stash.get(VARIABLES, dict(os.environ))
    return Invocation(
        folder=config.invocation_params.dir.resolve(),
        arguments=tuple(str(argument) for argument in config.invocation_params.args),
        positionals=tuple(config.option.file_or_dir or ()),
        variables=variables,
    )


def typed_command(config: pytest.Config, program: str = "pytest") -> str:
    """``pytest`` with the options of this session that may change what a test gives: tests follow."""
    started = invocation_of(config)
    options = shown_options(started.arguments, started.positionals)
    return shlex.join([*program.split(), *(option for option in options if option != "--golden-report")])


def same_start(config: pytest.Config, scratch: Path) -> Start:
    """As the session of ``config`` was started, less its selection and output. ``scratch`` takes files."""
    started = invocation_of(config)
    given = settings_of(started.arguments, started.positionals, without=_SET_HERE)
    last = ["--continue-on-collection-errors", "--maxfail=0"]
    if config.inipath is not None:
        last += ["-c", str(config.inipath)]
    if config.pluginmanager.hasplugin("xdist"):
        last.append("-n0")
    if config.pluginmanager.hasplugin("cacheprovider"):
        last += ["-o", f"cache_dir={scratch / 'cache'}"]
    if config.pluginmanager.hasplugin("_cov"):
        last.append("--no-cov")
    for name, flag in _OUTPUTS.items():
        if getattr(config.option, name, None):
            last.append(f"{flag}={scratch / name}")
    return Start(
        folder=started.folder,
        variables=started.variables,
        arguments=tuple(argument for argument in given if argument != "--golden-report"),
        last=tuple(last),
        importable=any(Path(entry or ".").resolve() == started.folder for entry in sys.path),
        typed=typed_command(config, "python -m pytest"),
    )
