"""Put many things back, whatever happens to one of them on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from seedpin.errors import SeedpinError


def run_all(steps: Iterable[tuple[str, Callable[[], object]]]) -> list[str]:
    """Run every step, a failing one once more; returns in words what failed twice, which stops nothing.

    Steps can be repeated. One that failed and then succeeded was cut short from outside (the handler of a
    signal raised in the middle of it): its exception is raised once all is done.
    """
    failures: list[str] = []
    cut_short: Exception | None = None
    for name, step in steps:
        try:
            step()
        except Exception as first:
            try:
                step()
            except Exception as error:
                failures.append(f"{name}: {_words(error)}")
            else:
                cut_short = cut_short or first
    if cut_short is not None:
        raise cut_short
    return failures


def _words(error: Exception) -> str:
    if isinstance(error, SeedpinError):
        return f"{error.what} ({error.hint})"
    return f"{type(error).__name__}: {error}"
