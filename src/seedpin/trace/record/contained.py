"""A recorder's own work: what goes wrong in it is a note in the trace, and nothing of it shows to a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from seedpin.trace.record.quiet import dispatch_modes, function_modes, quietly

R = TypeVar("R")


class Contained:
    """Base of the recorder.

    A class to inherit from and not an object beside the recorder, as ``busy`` is asked at each call of a
    watched module: one lookup, not two.
    """

    def __init__(self) -> None:
        self.busy = False
        """Whether the recorder itself works: calls made now are its own."""
        self.failures: dict[str, None] = {}
        """What could not be seen, in words, each once and in order: a set has none."""

    def guarded(self, what: str, function: Callable[..., R], *args: Any) -> R | None:
        """Do some of the recorder's own work; an error in it is a note, and gives None."""
        before, self.busy = self.busy, True
        try:
            if function_modes() or dispatch_modes():
                with quietly():
                    return function(*args)
            return function(*args)
        except Exception as error:
            self.failed(what, error)
            return None
        finally:
            self.busy = before

    def failed(self, what: str, error: Exception) -> None:
        """Note an error of the recorder's own."""
        # Its text alone: the error itself would keep the user's frames alive.
        text = next(iter(str(error).splitlines()), "")[:160]
        self.failures.setdefault(
            f"could not read {what}: {type(error).__name__}{f': {text}' if text else ''}"
        )
