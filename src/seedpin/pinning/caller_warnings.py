"""Warnings at the line of the user's code that they speak of, once per line as Python's own."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

_STDLIB = frozenset(sys.stdlib_module_names) - {"__main__"}


def calling_frame(frame: FrameType) -> FrameType:
    """The innermost frame that is neither of seedpin (but for its demo) nor of Python's own library."""
    while frame.f_back is not None:
        module = str(frame.f_globals.get("__name__", ""))
        own = module.startswith("seedpin.") and not module.startswith("seedpin.demo")
        if not own and module.partition(".")[0] not in _STDLIB:
            break
        frame = frame.f_back
    return frame


def warn_at_frame(message: str, category: type[Warning], frame: FrameType) -> None:
    """Warn at the line where ``frame`` stands."""
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, category, frame.f_code.co_filename, frame.f_lineno, registry=registry)


def warn_at(message: str, category: type[Warning], module: str, file: str, line: int) -> None:
    """Warn at a line of an imported module."""
    names = vars(sys.modules[module]) if module in sys.modules else {}
    registry = names.setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, category, file, line, registry=registry)
