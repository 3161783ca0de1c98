"""The only bridge to pytest-regressions: the last step of a check, on the manifest.

pytest-regressions regenerates what its own switches ask for; here those switches are answered for goldens
alone. ``--force-regen`` and ``--regen-all`` leave goldens alone, ``--update-golden`` leaves other
regression files alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_regressions.common import perform_regression_check

_SWITCHES = ("force_regen", "regen_all", "with_test_class_names")


class _RegressionConfig:
    """pytest's configuration, with pytest-regressions' switches as seedpin wants them."""

    def __init__(self, config: pytest.Config, *, regenerate: bool) -> None:
        self._config = config
        self._regenerate = regenerate

    def getoption(self, name: str, *default: Any) -> Any:
        if name in _SWITCHES:
            return name == "regen_all" and self._regenerate
        return self._config.getoption(name, *default)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)


class _Request:
    def __init__(self, request: pytest.FixtureRequest, *, regenerate: bool) -> None:
        self.config = _RegressionConfig(request.config, regenerate=regenerate)
        self.node = request.node


def perform(
    request: pytest.FixtureRequest,
    *,
    golden: Path,
    obtained: Path,
    dump: Callable[[Path], None],
    check: Callable[[Path, Path], None],
    stage: bool,
) -> None:
    """Compares (``dump`` to ``obtained``, then ``check(obtained, golden)``), or with ``stage`` only dumps.

    ``golden`` must exist for a comparison: pytest-regressions would write what is missing, and only an
    update may do that. Raises what ``check`` raises.
    """
    __tracebackhide__ = True
    if not stage and not golden.is_file():
        raise FileNotFoundError(golden)
    perform_regression_check(
        datadir=obtained.parent,  # type: ignore[arg-type]  # unused with fullpath and obtained_filename
        original_datadir=obtained.parent,
        request=_Request(request, regenerate=stage),  # type: ignore[arg-type]
        check_fn=check,
        dump_fn=dump,
        extension=".json",
        fullpath=obtained if stage else golden,
        obtained_filename=obtained,
    )
