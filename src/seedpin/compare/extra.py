"""What metrics need that only an extra of seedpin installs."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from seedpin.errors import MetricError


def imported(module: str, metric: str, *, extra: str) -> ModuleType:
    """``module``, which ``metric`` needs. Raises MetricError that names the extra that installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MetricError(
            f"the metric {metric!r} needs {module}, which cannot be imported: {error}",
            hint=f"pip install 'seedpin[{extra}]'",
        ) from error
