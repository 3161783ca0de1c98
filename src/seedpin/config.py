"""Configuration: ``[tool.seedpin]``, pytest's ini options and the command line become one frozen Config.

Precedence, strongest first: command line, pytest ini, ``[tool.seedpin]`` in pyproject.toml, default.
What there is to set stands in `seedpin.options`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seedpin.errors import ConfigError
from seedpin.options import DEFAULT_SEED, SETTINGS, Form, Option

_TABLES = ("tolerance", "fallback")


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of one session. ``root`` is the absolute folder that relative paths start from."""

    root: Path
    seed: int = DEFAULT_SEED
    level: str = "strict"
    golden_dir: str = "golden"
    device_class: str = "auto"
    cpu_profile: str = "native"
    trace: str = "stages"
    probe: str = "fresh"
    audit: str = "warn"
    audit_allow: tuple[str, ...] = ()
    keep_runs: int = 5
    worktree_links: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    tolerance: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fallback: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def golden_path(self) -> Path:
        return self.root / self.golden_dir

    def shown(self, path: Path) -> str:
        """``path`` for a message: relative to the root where it lies below it."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.as_posix()

    @property
    def state_path(self) -> Path:
        return self.root / ".seedpin"


def suggest(name: str, valid: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for a near miss, and the valid names in any case."""
    import difflib

    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return f"{meant}valid names: {', '.join(names)}"


def read_tool_table(root: Path) -> dict[str, Any]:
    """``[tool.seedpin]`` of ``root/pyproject.toml``; empty where there is none.

    Raises:
        ConfigError: the file is not TOML, or the table is not a table.
    """
    path = root / "pyproject.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if "seedpin" not in text:
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        table = tomllib.loads(text).get("tool", {}).get("seedpin", {})
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    if not isinstance(table, dict):
        raise ConfigError(f"[tool.seedpin] in {path} must be a table, not {table!r}")
    return table


def _as_int(value: Any) -> int:
    if isinstance(value, bool):
        raise ValueError
    return int(value)


def _as_list(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split())
    if not all(isinstance(part, str) for part in value):
        raise ValueError
    return tuple(value)


def _as_text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


_CONVERT: dict[Form, tuple[Callable[[Any], Any], str]] = {
    "int": (_as_int, "an integer"),
    "text": (_as_text, "a text"),
    "choice": (_as_text, "a text"),
    "list": (_as_list, "a list of texts"),
}


def convert(option: Option, value: Any, where: str) -> Any:
    """``value`` as the option's type.

    Raises:
        ConfigError: it is of another type or not among the choices; ``where`` names its place.
    """
    function, wanted = _CONVERT[option.form]
    try:
        result = function(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{where}: {option.key} must be {wanted}, not {value!r}") from None
    if option.limits and not option.limits[0] <= result <= option.limits[1]:
        low, high = option.limits
        raise ConfigError(f"{where}: {option.key} = {result} is not between {low} and {high}")
    if option.choices and result not in option.choices:
        raise ConfigError(
            f"{where}: {option.key} = {result!r} is not one of its values",
            hint=suggest(result, option.choices),
        )
    return result


def load_config(
    root: Path, *, ini: Mapping[str, Any] | None = None, cli: Mapping[str, Any] | None = None
) -> Config:
    """The settings of the project at ``root``.

    ``ini`` and ``cli`` map option keys to raw values; a key that is absent or None is not set there.

    Raises:
        ConfigError: an unknown key or a bad value, named with its place.
    """
    table = read_tool_table(root)
    known = {option.key for option in SETTINGS} | set(_TABLES)
    place = f"[tool.seedpin] in {root / 'pyproject.toml'}"
    for key in table:
        if key not in known:
            raise ConfigError(f"{place}: unknown key {key!r}", hint=suggest(key, known))
    values: dict[str, Any] = {}
    for option in SETTINGS:
        layers = ((cli, f"command line ({option.flag})"), (ini, f"pytest ini ({option.ini})"), (table, place))
        for layer, where in layers:
            if layer is not None and layer.get(option.key) is not None:
                values[option.key] = convert(option, layer[option.key], where)
                break
    for name in _TABLES:
        value = table.get(name, {})
        if not isinstance(value, dict) or not all(isinstance(entry, dict) for entry in value.values()):
            raise ConfigError(
                f"{place}: {name} must map device-class patterns to tables",
                hint=f'write for example [tool.seedpin.{name}."cuda-*"]',
            )
        values[name] = value
    return Config(root=root.resolve(), **values)


def find_root(start: Path) -> Path:
    """The nearest folder at or above ``start`` with a pyproject.toml; ``start`` where there is none."""
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file():
            return folder
    return start
