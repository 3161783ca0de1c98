"""Which metrics there are: seedpin's own, those that a project registers, and those that packages bring.

A project registers its own in ``conftest.py``, which every process imports that runs its tests; a package
brings one by an entry point of the group ``seedpin.metrics``, whose value is a `Metric` of the same name.
Nothing is imported before a tolerance asks for what is not seedpin's own.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from seedpin.compare.metric import OWN, OWN_ROWS, Metric, checked
from seedpin.errors import MetricError

GROUP = "seedpin.metrics"
REGISTERING = "a metric of your own: seedpin.register_metric(seedpin.Metric(...)) in conftest.py"

_registered: dict[tuple[str, str], Metric] = {}


def register_metric(metric: Metric) -> None:
    """Let tolerances name a metric of your own. Call it in ``conftest.py``, or where a plugin is imported.

    Its values are computed only where a limit asks for them, kept with the result, and never computed again.
    Registering the same function again, as an import of the same ``conftest.py`` does, replaces it.

    Raises MetricError for what is no metric, and for a name that is seedpin's own or another metric's.
    """
    metric = checked(metric)
    key = (metric.kind, metric.name)
    if metric.compare is None:
        raise MetricError(
            f"the metric {metric.name!r} has no function", hint="pass compare=, called with two frames"
        )
    if key in OWN_ROWS:
        raise MetricError(f"the metric {metric.name!r} is seedpin's own", hint="give yours another name")
    known = _registered.get(key)
    if known is not None and place_of(known) != place_of(metric):
        raise MetricError(
            f"a metric {metric.name!r} is registered already by {place_of(known)}, now by {place_of(metric)}",
            hint="give one of them another name",
        )
    _registered[key] = metric


def place_of(metric: Metric) -> str:
    """Where a metric's function stands, for messages."""
    code = getattr(metric.compare, "__code__", None)
    if code is not None:
        return f"{code.co_filename}:{code.co_firstlineno}"
    return (
        f"{getattr(metric.compare, '__module__', '')}.{getattr(metric.compare, '__qualname__', metric.name)}"
    )


def metric_named(name: str, kind: str) -> Metric | None:
    """The row that a limit ``name`` on goldens of ``kind`` speaks of. Raises MetricError for bad ones."""
    key = (kind, name)
    return OWN_ROWS.get(key) or _registered.get(key) or _brought().get(key)


def metrics_of(kind: str) -> tuple[Metric, ...]:
    """All rows for goldens of ``kind``, seedpin's own first. Raises as ``metric_named``."""
    return tuple(row for row in (*OWN, *_registered.values(), *_brought().values()) if row.kind == kind)


def kinds_with_metrics() -> tuple[str, ...]:
    """The kinds of which rows are known here, "clip" first."""
    return tuple(dict.fromkeys(row.kind for row in (*OWN, *_registered.values(), *_brought().values())))


@cache
def _brought() -> dict[tuple[str, str], Metric]:
    found: dict[tuple[str, str], Metric] = {}
    for point in entry_points(group=GROUP):
        row = _loaded(point)
        key = (row.kind, row.name)
        if key in OWN_ROWS or found.setdefault(key, row) is not row:
            raise _broken(point, "that name is taken")
    return found


def _loaded(point: EntryPoint) -> Metric:
    try:
        row = checked(point.load())
    except MetricError as error:
        raise _broken(point, error.what) from error
    except Exception as error:
        raise _broken(point, f"it cannot be loaded: {type(error).__name__}: {error}") from error
    # "mesh.max_abs" is for a kind whose metrics are called as another's.
    if point.name not in (row.name, f"{row.kind}.{row.name}"):
        raise _broken(point, f"it is called {row.name!r}")
    return row


def _broken(point: EntryPoint, why: str) -> MetricError:
    by = "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"
    return MetricError(
        f"the metric {point.name!r} of {by} cannot be used: {why}", hint="mend or uninstall that package"
    )
