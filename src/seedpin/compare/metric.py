"""What a metric is: one row, that says all that tolerances, verdicts, reports and docs need to know of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from seedpin.errors import MetricError

Function: TypeAlias = "Callable[[Any, Any], float | Sequence[float]]"
RESERVED = frozenset({"same_environment", "use", "name", "kind"})
"""What stands beside limits in tables, or in records."""
FORMAT = re.compile(r"\.\d{1,2}[fg]")


@dataclass(frozen=True, slots=True)
class Metric:
    """A row of the table of metrics (`seedpin.compare.table`).

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
