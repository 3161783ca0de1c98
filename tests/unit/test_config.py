"""Configuration from files, ini and command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedpin.config import Config, find_root, load_config
from seedpin.errors import ConfigError
from seedpin.options import SETTINGS


def write(root: Path, text: str) -> Path:
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    return root


def test_without_any_setting_the_defaults_hold(tmp_path: Path) -> None:
    """A project that says nothing gets the default seed, strict, the native profile and golden/."""
    assert load_config(tmp_path) == Config(root=tmp_path.resolve())


def test_the_option_table_and_the_config_have_the_same_defaults() -> None:
    """Config's own defaults are those of the option table."""
    config = Config(root=Path())
    for option in SETTINGS:
        assert getattr(config, option.key) == option.default, option.key


def test_the_command_line_beats_ini_beats_pyproject(tmp_path: Path) -> None:
    """The strongest layer that sets a key decides."""
    write(tmp_path, "[tool.seedpin]\nseed = 1\nlevel = 'warn'\ngolden_dir = 'g'\n")
    config = load_config(tmp_path, ini={"seed": "2", "level": "seeds"}, cli={"seed": 3, "level": None})
    assert (config.seed, config.level, config.golden_dir) == (3, "seeds", "g")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sed = 1", ["unknown key 'sed'", "did you mean 'seed'", "pyproject.toml"]),
        ("seed = 'x'", ["seed must be an integer", "'x'"]),
        ("seed = true", ["seed must be an integer"]),
        ("level = 'strickt'", ["level = 'strickt'", "did you mean 'strict'"]),
        ("packages = [1]", ["packages must be a list of texts"]),
        ("tolerance = 3", ["tolerance must map device-class patterns to tables"]),
        ("seed = ", ["not valid TOML"]),
    ],
)
def test_a_bad_setting_is_an_error_that_names_the_way_out(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    """Unknown keys, wrong types and wrong values are told with their place and the valid names."""
    write(tmp_path, f"[tool.seedpin]\n{text}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path)
    for word in words:
        assert word in str(caught.value)


def test_the_root_is_the_nearest_folder_with_a_pyproject(tmp_path: Path) -> None:
    """The command line finds the project from a folder below it."""
    write(tmp_path, "")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_root(below) == tmp_path
