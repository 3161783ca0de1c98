"""Declared fallbacks: on a device class without goldens, those of another class, within a tolerance.

[tool.seedpin.fallback."cuda-sm90-nvidia_h200-132sm"]
use = "cuda-sm90-nvidia_h100_80gb_hbm3-132sm"
psnr = 60
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seedpin.compare.tolerance import Tolerance, choose_tolerance, parse_kinds
from seedpin.errors import ToleranceError

WHERE = "tool.seedpin.fallback"


@dataclass(frozen=True, slots=True)
class Fallback:
    """Use the golden of class ``use``, an exact name; other than identical passes within ``tolerance`` only.

    ``tolerance`` is None where no limit of this kind is declared: then only identical passes.
    """

    use: str
    tolerance: Tolerance | None


def parse_fallbacks(table: Mapping[str, Mapping[str, Any]], *, kind: str = "clip") -> dict[str, Fallback]:
    """All of ``[tool.seedpin.fallback]``: pattern of the class here -> fallback. Raises ToleranceError.

    ``kind`` is "clip" or "tensors"; limits are read as ``parse_kinds`` does.
    """
    fallbacks = {}
    for pattern, values in table.items():
        place = f'[{WHERE}."{pattern}"]'
        use = values.get("use") if isinstance(values, Mapping) else None
        if not isinstance(use, str) or not re.fullmatch(r"[a-z0-9_-]+", use):
            raise ToleranceError(
                f"{place}: use = {use!r} is no device class", hint="name one class exactly, without wildcards"
            )
        if use == pattern:
            raise ToleranceError(f"{place}: a class cannot fall back to itself", hint="name another class")
        limits = {key: value for key, value in values.items() if key != "use"}
        fallbacks[pattern] = Fallback(use, parse_kinds(limits, place).get(kind))
    return fallbacks


def choose_fallback(table: Mapping[str, Fallback], device_class_name: str) -> tuple[str, Fallback] | None:
    """The pattern and fallback for the class here; the rules are those of ``choose_tolerance``."""
    return choose_tolerance(table, device_class_name, where=WHERE)
