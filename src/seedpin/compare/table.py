"""The table of metrics: seedpin's own, those that a project registers, and those that packages bring.

Everything that speaks of a metric reads its row here: tolerances, verdicts, terminal, report and docs.
A project registers its own in ``conftest.py``, which every process imports that runs its tests; a package
brings one by an entry point of the group ``seedpin.metrics``, whose value is a `Metric` of the same name.
Nothing is imported before a tolerance asks for what is not in the table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from seedpin.compare.metric import FORMAT, Function, Metric, checked
from seedpin.errors import MetricError

GROUP = "seedpin.metrics"


def _from(module: str, function: str) -> Function:
    """A function of ``seedpin.compare``, imported at its first call: with what only an extra installs."""

    def call(golden: Any, obtained: Any) -> Any:
        return getattr(import_module(f"seedpin.compare.{module}"), function)(golden, obtained)

    return call


REGISTERING = "a metric of your own: seedpin.register_metric(seedpin.Metric(...)) in conftest.py"

# What is refused as blind is what content reached that has nothing to do with the golden
# (benchmarks/blind_limits.py), with room. Limits in the values' own units are judged where those are known.
OWN: tuple[Metric, ...] = (
    Metric(
        "ssim",
        label="SSIM",
        meaning="structural similarity; 1 for equal frames",
        better="higher",
        best=1.0,
        high=1.0,
        blind_from=0.5,
        blind_why="against photographs another one reached 0.47",
        format=".6f",
    ),
    Metric(
        "psnr",
        label="PSNR",
        meaning="peak signal-to-noise ratio in dB; infinite for equal frames",
        better="higher",
        unit="dB",
        blind_from=20.0,
        blind_why="against photographs another one reached 19.3 dB, black 10.8 dB and noise 10.4 dB",
        format=".2f",
        leads=True,
    ),
    Metric(
        "max_abs",
        label="largest difference",
        meaning="largest difference of any value",
        in_values=True,
        blind_share=0.5,
        beside="largest difference {value}",
    ),
    Metric(
        "mean_abs",
        label="mean difference",
        meaning="mean of the absolute differences",
        in_values=True,
        blind_share=0.08,
    ),
    Metric(
        "changed",
        label="changed pixels",
        meaning="share of pixels in which any channel differs",
        unit="%",
        high=1.0,
        blind_from=0.85,
        blind_why="against photographs black frames differed in 0.9 of the pixels",
        format=".3g",
        beside="{value} of pixels",
    ),
    Metric(
        "temporal",
        label="flicker",
        meaning="mean difference of the changes from frame to frame",
        in_values=True,
        blind_share=0.08,
    ),
    Metric(
        "ssim_gaussian",
        compare=_from("scikit", "gaussian_ssim"),
        least_side=11,
        label="SSIM, Gaussian",
        meaning="structural similarity in Gaussian windows of 11 pixels, as in its paper",
        better="higher",
        best=1.0,
        high=1.0,
        blind_from=0.55,
        blind_why="against photographs another one reached 0.50",
        format=".6f",
    ),
    Metric(
        "flip",
        compare=_from("flip", "mean_flip"),
        channels=(3,),
        label="FLIP",
        meaning="mean LDR-FLIP: the difference seen when one flips between the frames",
        high=1.0,
        blind_from=0.2,
        blind_why="against photographs flat grey reached 0.24 and another one 0.31",
    ),
    Metric(
        "relative_l2",
        kind="tensors",
        label="relative distance",
        meaning="size of the difference, as a share of the golden's",
        blind_from=0.2,
        blind_why="an output of zeros has 1, of photographs another one has 0.24",
        leads=True,
    ),
    Metric(
        "cosine",
        kind="tensors",
        label="cosine distance",
        meaning="1 less the cosine of the angle between golden and obtained; 0 for equal directions",
        high=2.0,
        blind_from=0.02,
        blind_why="this is a distance, 0 for equal tensors, not a similarity; "
        "of photographs another one is at 0.03, flat grey at 0.007",
    ),
    Metric(
        "max_abs",
        kind="tensors",
        label="largest difference",
        meaning="largest difference of any value",
        in_values=True,
        blind_share=0.5,
        beside="largest difference {value}",
    ),
    Metric(
        "mean_abs",
        kind="tensors",
        label="mean difference",
        meaning="mean of the absolute differences",
        in_values=True,
        blind_share=0.5,
    ),
    # Of sounds: benchmarks/blind_audio_limits.py.
    Metric(
        "snr",
        kind="audio",
        label="signal-to-noise ratio",
        meaning="power of the golden's second to that of the difference; infinite for equal seconds",
        better="higher",
        unit="dB",
        blind_from=10.0,
        blind_why="silence reached 0 dB, and a sound half as loud 6 dB",
        format=".2f",
        leads=True,
    ),
    Metric(
        "max_abs",
        kind="audio",
        label="largest difference",
        meaning="largest difference of any sample, of full scale",
        in_values=True,
        blind_share=0.5,
        beside="largest difference {value}",
    ),
    Metric(
        "log_mel",
        kind="audio",
        label="log-mel distance",
        meaning="mean difference of the levels in 64 mel bands",
        unit="dB",
        blind_from=4.0,
        blind_why="another sound was at 15 dB, one half as loud at 6, without all above 3 kHz of 8 at 4.9",
        format=".3g",
        beside="log-mel distance {value}",
    ),
    Metric(
        "tilt",
        kind="audio",
        label="spectral tilt",
        meaning="difference of the slopes of the levels over the octaves: what a filter does to all of them",
        unit="dB/octave",
        alone=False,
        blind_from=1.0,
        blind_why="silence was at 0.15 dB an octave, a sound without all above 5 kHz of 8 at 1.5",
        format=".3g",
    ),
)
OWN_KINDS = tuple(dict.fromkeys(row.kind for row in OWN))
_OWN = {(row.kind, row.name): row for row in OWN}
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
    if key in _OWN:
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
    return _OWN.get(key) or _registered.get(key) or _brought().get(key)


def metrics_of(kind: str) -> tuple[Metric, ...]:
    """All rows for goldens of ``kind``, seedpin's own first. Raises as ``metric_named``."""
    return tuple(row for row in (*OWN, *_registered.values(), *_brought().values()) if row.kind == kind)


def kinds_with_metrics() -> tuple[str, ...]:
    """The kinds of which rows are known here, "clip" first."""
    return tuple(dict.fromkeys(row.kind for row in (*OWN, *_registered.values(), *_brought().values())))


def rank(name: str, kind: str) -> int:
    """Where in the table a metric of seedpin's own stands; all others come after them."""
    names = [row.name for row in OWN if row.kind == kind]
    return names.index(name) if name in names else len(names)


@cache
def _brought() -> dict[tuple[str, str], Metric]:
    found: dict[tuple[str, str], Metric] = {}
    for point in entry_points(group=GROUP):
        row = _loaded(point)
        key = (row.kind, row.name)
        if key in _OWN or found.setdefault(key, row) is not row:
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


def described(metric: Metric) -> dict[str, Any]:
    """What a record keeps of a metric that is not seedpin's own, for processes that do not know it."""
    words = {"label": metric.title, "meaning": metric.meaning, "unit": metric.unit, "format": metric.format}
    best = metric.equal if math.isfinite(metric.equal) else None
    return {**words, "better": metric.better, "best": best, "in_values": metric.in_values}


def words_of(name: str, metrics: Mapping[str, Any] | None) -> Metric:
    """How to speak of the metric ``name`` of a record's ``metrics``; nothing is loaded or computed.

    Records come from anywhere: what is no description is left out.
    """
    kind = str((metrics or {}).get("kind") or "clip")
    told = ((metrics or {}).get("described") or {}).get(name)
    if not isinstance(told, Mapping):
        return _OWN.get((kind, name)) or _by_name(name)
    shape, best = str(told.get("format")), told.get("best")
    return Metric(
        name,
        kind=kind,
        label=str(told.get("label") or name),
        meaning=str(told.get("meaning") or ""),
        unit=str(told.get("unit") or ""),
        better="higher" if told.get("better") == "higher" else "lower",
        best=best if isinstance(best, (int, float)) else None,
        in_values=bool(told.get("in_values")),
        format=shape if FORMAT.fullmatch(shape) else ".4g",
    )


def _by_name(name: str) -> Metric:
    return next((row for row in OWN if row.name == name), Metric(name))
