"""What pytest loads: options, ini values, markers, CPU profile. Nothing heavy is imported here."""

from __future__ import annotations

import argparse
import copy
import os
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from seedpin.checking.state import Update, refuse_in_ci
from seedpin.config import Config, load_config, suggest
from seedpin.errors import ConfigError, SeedpinError, UpdateRefusedError
from seedpin.kinds.registry import further_kinds
from seedpin.options import OPTIONS, SETTINGS, Option
from seedpin.pinning.profiles import apply_profile
from seedpin.plugin.fixtures import (
    fixtures_of,
    golden_audio,
    golden_image,
    golden_tensors,
    golden_text,
    golden_video,
    seeded_model,
    seeded_model_factory,
)
from seedpin.plugin.leftover_pins import LeftoverPins
from seedpin.plugin.stash_keys import CONFIG, UPDATE, VARIABLES
from seedpin.process import REQUEST_VARIABLE, RUN_VARIABLE

__all__ = [
    "golden_audio",
    "golden_image",
    "golden_tensors",
    "golden_text",
    "golden_video",
    "seeded_model",
    "seeded_model_factory",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("seedpin", "seedpin: seed-pinned regression testing of generative models")
    for option in OPTIONS:
        _add_flag(group, option)
        if option.setting:
            if option.form == "list":
                parser.addini(option.ini, option.help, type="args", default=None)
            else:
                parser.addini(option.ini, option.help, default=None)


def _add_flag(group: pytest.OptionGroup, option: Option) -> None:
    """Nothing has a default here: what is not on the command line may still stand in a file."""
    if option.form == "mode":
        for number, (spelling, does) in enumerate(option.spellings):
            mode = option.choices[max(number - 1, 0)]
            group.addoption(
                spelling,
                dest=option.dest,
                action="store_const",
                const=mode,
                default=option.default,
                help=does,
            )
        return
    how: dict[str, Any] = {"metavar": "TEXT"}
    if option.form == "int":
        how = {"type": int, "metavar": "N"}
    elif option.form == "choice":
        how = {"choices": option.choices}
    elif option.form == "flag":
        how = {"action": "store_true"}
    elif option.form == "revision":
        how = {"nargs": "?", "const": "", "metavar": "REF"}
    if option.flag:
        group.addoption(
            option.flag,
            dest=option.dest,
            default=None if option.setting else option.default,
            help=argparse.SUPPRESS if option.hidden else option.help,
            **how,
        )


def _load(config: pytest.Config, arguments: Any) -> Config:
    known = {option.ini for option in SETTINGS}
    with warnings.catch_warnings():  # pytest 9 deprecates it and has nothing else that lists what is set
        warnings.simplefilter("ignore")
        names = list(getattr(config, "inicfg", ()))
    for name in names:
        if name.startswith("seedpin_") and name not in known:
            raise ConfigError(
                f"{config.inipath}: unknown key {name!r} in pytest's ini options", hint=suggest(name, known)
            )
    ini = {option.key: config.getini(option.ini) for option in SETTINGS}
    cli = {option.key: getattr(arguments, option.dest, None) for option in SETTINGS if option.flag}
    ini = {key: value for key, value in ini.items() if value not in (None, "", [])}
    return load_config(config.rootpath, ini=ini, cli=cli)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, None, None]:
    """A bare ``--golden-against`` must not take the path after it for its revision."""
    early_config.stash[VARIABLES] = dict(os.environ)
    if "--golden-against" in args:
        args[:] = ["--golden-against=" if arg == "--golden-against" else arg for arg in args]
        known = early_config.known_args_namespace
        again = parser.parse_known_args(args, namespace=copy.copy(early_config.option))
        known.golden_against = again.golden_against
        known.file_or_dir = again.file_or_dir
    _set_profile(early_config)
    return (yield)


def _set_profile(early_config: pytest.Config) -> None:
    """Sets the CPU profile's variables before any conftest or test can run a first operation."""
    try:
        config = _load(early_config, early_config.known_args_namespace)
        apply_profile(config.cpu_profile)
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "seed(value, level=None): seed (and level) of this test's pins.")
    config.addinivalue_line(
        "markers",
        "golden(**tolerance): tolerance of this test's checks, for example golden(psnr=45, max_abs=4).",
    )
    try:
        settings = _load(config, config.option)
        if settings.device_class != "auto":
            from seedpin.environment.device import named_class

            named_class(settings.device_class)
        apply_profile(settings.cpu_profile)
        config.stash[UPDATE] = _update(config)
        if config.getoption("golden_against") is not None and not config.getoption("seedpin_collect"):
            from seedpin.plugin.against import compared_settings

            settings = compared_settings(config, settings)
        config.stash[CONFIG] = settings
        config.pluginmanager.register(fixtures_of(further_kinds()), "seedpin-further-kinds")
    except SeedpinError as error:
        raise pytest.UsageError(str(error)) from error
    from seedpin.plugin.current_test import CurrentTest
    from seedpin.plugin.session import SeedpinSession

    # A pytest that a test of such a session starts has the variable too, and not the option.
    if config.stash[UPDATE].collect and REQUEST_VARIABLE in os.environ:
        from seedpin.plugin.inner import register as register_inner

        register_inner(config)  # first: what is not to run is dropped before anybody looks at it
    config.pluginmanager.register(CurrentTest(config), "seedpin-running")
    session = SeedpinSession(config)
    config.pluginmanager.register(session, "seedpin-session")
    config.pluginmanager.register(LeftoverPins(), "seedpin-leftover-pins")
    if config.getoption("golden_attribute") and not session.is_worker:
        from seedpin.plugin.attribute import AttributeSession

        config.pluginmanager.register(AttributeSession(config, session, settings), "seedpin-attribute")
    if not session.is_worker:
        from seedpin.plugin.publish import Publisher

        config.pluginmanager.register(Publisher(config, session.run, session.latest), "seedpin-publisher")


def _update(config: pytest.Config) -> Update:
    if config.getoption("seedpin_collect") or config.getoption("seedpin_thorough"):
        _refuse_collect_by_hand(config)
        return Update("all", "", collect=True, thorough=config.getoption("seedpin_thorough"))
    mode = config.getoption("update_golden")
    reason = config.getoption("golden_reason")
    if mode is None:
        if reason:
            raise UpdateRefusedError(
                "--golden-reason is given without --update-golden", hint="add --update-golden"
            )
        return Update(None, "")
    if not config.getoption("golden_allow_ci"):
        refuse_in_ci("--update-golden", hint="update on your machine, or add --golden-allow-ci")
    return Update(mode, reason)


def _refuse_collect_by_hand(config: pytest.Config) -> None:
    """The flags of seedpin's own runs in other processes take every clip as a golden, unasked: they are for
    those runs alone, which name the folder of their results and a folder of their own for these goldens.
    """
    folder = config.getoption("seedpin_golden_dir")
    if RUN_VARIABLE not in os.environ or folder is None or not Path(folder).is_absolute():
        raise UpdateRefusedError(
            "--seedpin-collect and --seedpin-thorough are for runs that seedpin starts itself",
            hint="to write goldens: pytest --update-golden; to see whether a model repeats: seedpin probe",
        )
