"""The table of metrics: a row says all that tolerances, verdicts, terminal, report and docs need of one.

Rows of seedpin's own stand here; `seedpin.compare.registry` adds those of projects and of packages.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Literal, TypeAlias

from seedpin.compare.recorded import MetricWords, RecordedMetrics
from seedpin.errors import MetricError

Function: TypeAlias = "Callable[[Any, Any], float | Sequence[float]]"
RESERVED = frozenset({"same_environment", "use", "name", "kind"})
"""What stands beside limits in tables, or in records."""
FORMAT = re.compile(r"\.\d{1,2}f|\.[1-9]\d?g")


@dataclass(frozen=True, slots=True)
class Metric:
    """A row of the table of metrics.

    name: the key of its limits, an identifier. compare: called with the golden's and the obtained frame, in
    this order, and only where a limit asks for it; None where the kind's own comparison gives the values.
    kind: the kind of golden that it is for.

    per: "item" for one value a frame, of which the worst counts (of tensors one each, of audio one a second);
    "whole" where ``compare`` takes both whole values (a ``seedpin.Clip``, a dict of tensors) and returns
    one value, or one for each item.
    scaled: frames come as float32 in [0, 1], whatever the clip's dtype and range; False: as they are. Either
    way of shape (H, W, C). channels: how many C may be, empty for any. least_side: of H and W.

    better: whether a "lower" or a "higher" value is nearer to the golden. best: the value of equal content
    (0 where lower is better, else infinite). low, high: between them lie all values.
    blind_from: a limit that is no stricter than this guards next to nothing, because of ``blind_why``.
    blind_share: the same as a share of the values' own range. alone: whether a limit guards anything where it
    is the only one.

    label, meaning: what people call it, and a sentence. unit: "dB", "%" (values are shares, 0 to 1), ... ;
    in_values: in units of the values themselves. format: how many digits, ".2f" or ".4g".
    leads: tells most where no limit decided. beside: what is then said of this one, around ``{value}``.
    """

    name: str
    compare: Function | None = None
    kind: str = "clip"
    per: Literal["item", "whole"] = "item"
    scaled: bool = True
    channels: tuple[int, ...] = ()
    least_side: int = 1
    better: Literal["lower", "higher"] = "lower"
    best: float | None = None
    low: float = 0.0
    high: float = math.inf
    blind_from: float | None = None
    blind_share: float | None = None
    alone: bool = True
    blind_why: str = ""
    label: str = ""
    meaning: str = ""
    unit: str = ""
    in_values: bool = False
    format: str = ".4g"
    leads: bool = False
    beside: str = ""

    @property
    def higher(self) -> bool:
        """Whether a higher value is nearer to the golden."""
        return self.better == "higher"

    @property
    def equal(self) -> float:
        """The value of equal content."""
        if self.best is not None:
            return self.best
        return math.inf if self.higher else 0.0

    @property
    def title(self) -> str:
        """What people call it."""
        return self.label or self.name

    def badness(self, value: float) -> tuple[bool, float]:
        """A key by which the worst value is the largest; what is no number is worse than anything."""
        return value != value, -value if self.higher else value

    def holds(self, value: float, limit: float) -> bool:
        """Whether a value is within a limit. NaN never is."""
        return value >= limit if self.higher else value <= limit

    def used(self, value: float, limit: float) -> float:
        """The share of what ``limit`` allows that ``value`` takes, above 1 where it is broken."""
        if not self.higher:
            return value / limit if limit else (math.inf if value else 0.0)
        if math.isfinite(self.equal) and limit < self.equal:
            return (self.equal - value) / (self.equal - limit)
        return limit / value if value > 0 else math.inf

    def text(self, value: float | None) -> str:
        """A value with its unit; None stands for an infinite one, as of PSNR for equal frames."""
        if value is None:
            return "inf"
        if self.unit == "%":
            value = 100 * value
        return f"{value:{self.format}}{f' {self.unit}' if self.unit else ''}"


def checked(metric: object) -> Metric:
    """``metric``, if it is one that tolerances can name. Raises MetricError."""
    if not isinstance(metric, Metric):
        raise MetricError(f"{metric!r} is no metric", hint="pass a seedpin.Metric(name=..., compare=...)")
    name = metric.name
    wrong = ""
    if not isinstance(name, str) or not name.isidentifier() or name in RESERVED:
        wrong = "a metric's name is an identifier" + (f"; {name} means something else" * (name in RESERVED))
    elif metric.compare is not None and not callable(metric.compare):
        wrong = f"compare is {metric.compare!r}, which cannot be called"
    elif metric.better not in ("lower", "higher"):
        wrong = f'better is {metric.better!r}: write "lower" or "higher"'
    elif metric.per not in ("item", "whole"):
        wrong = f'per is {metric.per!r}: write "item" or "whole"'
    elif not metric.low < metric.high:
        wrong = f"low = {metric.low!r} is not below high = {metric.high!r}"
    elif not FORMAT.fullmatch(metric.format):
        wrong = f'format is {metric.format!r}: write for example ".3f" or ".4g"'
    if wrong:
        raise MetricError(f"the metric {name!r} is wrong: {wrong}", hint="mend it where it is made")
    return metric


def _extra(function: str) -> Function:
    """A function of ``seedpin.compare.extra``, which is imported at its first call."""

    def call(golden: Any, obtained: Any) -> Any:
        return getattr(import_module("seedpin.compare.extra"), function)(golden, obtained)

    return call


_LARGEST = Metric(
    "max_abs",
    label="largest difference",
    meaning="largest difference of any value",
    in_values=True,
    blind_share=0.5,
    beside="largest difference {value}",
)
_MEAN = Metric(
    "mean_abs",
    label="mean difference",
    meaning="mean of the absolute differences",
    in_values=True,
    blind_share=0.08,
)

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
    _LARGEST,
    _MEAN,
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
        compare=_extra("gaussian_ssim"),
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
        compare=_extra("mean_flip"),
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
    replace(_LARGEST, kind="tensors"),
    replace(_MEAN, kind="tensors", blind_share=0.5),
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
    replace(_LARGEST, kind="audio", meaning="largest difference of any sample, of full scale"),
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
OWN_ROWS = {(row.kind, row.name): row for row in OWN}


def rank(name: str, kind: str) -> int:
    """Where in the table a metric of seedpin's own stands; all others come after them."""
    names = [row.name for row in OWN if row.kind == kind]
    return names.index(name) if name in names else len(names)


def described(metric: Metric) -> MetricWords:
    """What a record keeps of a metric that is not seedpin's own, for processes that do not know it."""
    return MetricWords(
        label=metric.title,
        meaning=metric.meaning,
        unit=metric.unit,
        format=metric.format,
        better=metric.better,
        best=metric.equal if math.isfinite(metric.equal) else None,
        in_values=metric.in_values,
    )


def words_of(name: str, metrics: RecordedMetrics | None) -> Metric:
    """How to speak of the metric ``name`` of a record's ``metrics``; nothing is loaded or computed.

    Records come from anywhere: a format that is none is not used.
    """
    told = None if metrics is None else metrics.described.get(name)
    if told is None:
        kind = "clip" if metrics is None else metrics.kind
        return OWN_ROWS.get((kind, name)) or _by_name(name)
    return Metric(
        name,
        kind="clip" if metrics is None else metrics.kind,
        label=told.label or name,
        meaning=told.meaning,
        unit=told.unit,
        better="higher" if told.better == "higher" else "lower",
        best=told.best,
        in_values=told.in_values,
        format=told.format if FORMAT.fullmatch(told.format) else ".4g",
    )


def _by_name(name: str) -> Metric:
    return next((row for row in OWN if row.name == name), Metric(name))
