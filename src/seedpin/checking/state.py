"""What one attempt of a test has done so far, and what may be written in its session."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seedpin.errors import UpdateRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpin.checking.calls import Call
    from seedpin.checking.waiting import Waiting
    from seedpin.pinning.model import SeededModel
    from seedpin.pinning.pin import Pin
    from seedpin.run.result import CheckResult


@dataclass(frozen=True, slots=True)
class Update:
    """What may be written: ``mode`` is None, "changed", "missing" or "all".

    ``collect`` gathers what a run gives, for a comparison with another run: nothing is refused then.
    ``thorough`` collects too, and probes each call at length.
    """

    mode: str | None
    reason: str
    collect: bool = False
    thorough: bool = False


def refuse_in_ci(what: str, *, hint: str) -> None:
    """Raises UpdateRefusedError where the environment variable CI is set; ``what`` would update."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        raise UpdateRefusedError(
            f"{what} is refused because the environment variable CI is set: "
            "a gate that rewrites its own goldens gates nothing",
            hint=hint,
        )


@dataclass(slots=True)
class AttemptState:
    """One attempt of one test: its models, its results, and what waits to be written."""

    attempt: int = 1
    models: list[SeededModel] = field(default_factory=list)
    results: list[CheckResult] = field(default_factory=list)
    staged: list[Waiting] = field(default_factory=list)
    failed: bool = False
    ran: bool = False
    claimed: set[str] = field(default_factory=set)
    pin_before: Pin | None = None
    devices: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    window: tuple[int, int] = (0, 0)
    told: int = 0
    keep: Callable[[CheckResult], None] | None = None

    def add(self, result: CheckResult) -> None:
        """Every result of a check comes in here; ``keep`` puts it where a crash does not reach."""
        self.results.append(result)
        if self.keep is not None:
            self.keep(result)

    def release(self) -> None:
        """Let go of all that is as large as a model: pytest keeps its items to the session's end."""
        self.models.clear()
        self.calls.clear()
        self.staged.clear()
        self.pin_before = None

    def failing(self) -> list[CheckResult]:
        """Checks that did not pass and that no report has told yet."""
        return [result for result in self.results[self.told :] if not result.passed]

    def calls_for_check(self) -> list[Call]:
        """The calls since the last check; where there are none, those of the last check."""
        if len(self.calls) > self.window[1]:
            self.window = (self.window[1], len(self.calls))
        return self.calls[slice(*self.window)]
