"""What other revisions gave on this machine, kept under ``.seedpin/against/``.

One folder per commit and environment: ``golden/`` in the golden layout, ``index.json``, pytest's output. A
folder is left when anything changes that may move bits; with a doubt the tests run once more.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from seedpin.config import Config
from seedpin.goldens.atomic import write_replaced
from seedpin.records import as_plain, read_record
from seedpin.revisions.collect import TestOutcome
from seedpin.revisions.import_paths import is_project_file

KEEP = 5

# Variables that belong to a terminal, a shell, a desktop or a CI job. All others may reach the user's code,
# so they are part of the key: a needless run costs time, a stale clip would cost the verdict.
_FREE = """
    _ CI COLORTERM COLUMNS DISPLAY FORCE_COLOR HOME HOSTNAME INVOCATION_ID LESS LINES LOGNAME LS_COLORS MAIL
    NO_COLOR OLDPWD PAGER PS1 PWD PYTHONDONTWRITEBYTECODE PY_COLORS SHELL SHLVL STY TERM TMPDIR TMUX USER
    USERNAME USERPROFILE VIRTUAL_ENV VIRTUAL_ENV_PROMPT WAYLAND_DISPLAY WINDOWID
"""
_FREE_PREFIXES = """
    BUILDKITE CIRCLE_ CI_ DBUS_ GITHUB_ GITLAB_ GIT_ GPG_ ITERM_ JENKINS KITTY_ KONSOLE_ LC_ MEMORY_PRESSURE
    PYTEST_CURRENT_TEST PYTEST_DEBUG PYTEST_VERSION PYTEST_XDIST_ RUNNER_ SEEDPIN_ SSH_ SYSTEMD_ TERM_ TMUX_
    VSCODE_ VTE_ XDG_
"""


@dataclass(frozen=True, slots=True)
class Index:
    """What is known of one revision: its tests, what each selection of tests held, what could not be read."""

    tests: Mapping[str, TestOutcome] = field(default_factory=dict)
    selections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)


def environment_key(
    settings: Config, top: Path, arguments: Sequence[str], environ: Mapping[str, str]
) -> dict[str, Any]:
    """What, beside the commit, may move the bits of a run on this machine.

    ``top`` is the work tree: entries of PYTHONPATH below it are the commit's own. ``arguments`` are those of
    pytest that are more than paths, selection and output. ``environ`` are the variables as the process began
    with them: libraries set more when they are imported.
    """
    variables = {key: value for key, value in sorted(environ.items()) if not _is_free(key)}
    path = variables.pop("PYTHONPATH", "").split(os.pathsep)
    outside = [entry for entry in path if entry and not is_project_file(Path(entry).resolve(), top)]
    distributions = {(entry.name or "", entry.version) for entry in metadata.distributions()}
    return {
        "machine": [platform.node(), platform.machine(), platform.release()],
        "python": [sys.version, sys.executable],
        "distributions": sorted(f"{name}=={version}" for name, version in distributions),
        "variables": variables,
        "path": outside,
        "arguments": list(arguments),
        "profile": settings.cpu_profile,
        "device_class": settings.device_class,
        "trace": settings.trace,
        "links": list(settings.worktree_links),
    }


def _is_free(variable: str) -> bool:
    return variable in _FREE.split() or variable.startswith(tuple(_FREE_PREFIXES.split()))


def cache_folder(state: Path, commit: str, key: Mapping[str, Any]) -> Path:
    """The folder of ``commit`` in the environment ``key``."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return state / "against" / f"{commit[:12]}-{digest[:12]}"


def read_index(folder: Path) -> Index:
    """The index; an empty one where there is none that can be read."""
    path = folder / "index.json"
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (OSError, ValueError):
        return Index()


@functools.lru_cache(maxsize=8)
def _read(path: Path, _changed: int) -> Index:
    return read_record(Index, path.read_bytes())


def write_index(folder: Path, index: Index) -> None:
    """Keeps the index, all or nothing."""
    text = json.dumps(as_plain(index), indent=1, sort_keys=True) + "\n"
    write_replaced(folder / "index.json", text.encode())


def write_retention(folder: Path, keep: int = KEEP) -> None:
    """Deletes all but the ``keep`` folders that were used last; ``folder`` is in use."""
    index = folder / "index.json"
    if index.exists():
        index.touch()
    others = [path for path in folder.parent.iterdir() if path.is_dir() and path != folder]
    others.sort(key=_last_use, reverse=True)
    for path in others[keep - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


def _last_use(folder: Path) -> int:
    try:
        return (folder / "index.json").stat().st_mtime_ns
    except OSError:
        return 0
