"""The objects behind ``golden_video``, ``golden_tensors`` and all other fixtures that check."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from seedpin.checking.artifact import PendingCheck, gather
from seedpin.checking.context import CheckContext
from seedpin.checking.judge import judge
from seedpin.kinds.base import Obtained, obtain
from seedpin.kinds.registry import kind_of_fixture
from seedpin.run.result import CheckResult

Check = TypeVar("Check", bound=Callable[..., CheckResult])


def _leaves_a_result(check: Check) -> Check:
    """Every call of ``check`` leaves a result: one that raises is recorded as invalid, then raises on.

    A test that swallows the error thus fails all the same, also one in the arguments' names.
    """

    @functools.wraps(check)
    def recorded(self: Gate, /, *args: Any, **kwargs: Any) -> CheckResult:
        __tracebackhide__ = True
        self._begin(args, kwargs, location_of(1))
        try:
            result = check(self, *args, **kwargs)
        except Exception as error:
            self._end_invalid(error)
            raise
        self._warn()
        return result

    return cast(Check, recorded)


class Gate:
    """Compares with goldens for ``golden_<fixture>``; a check without a name is called as that."""

    argument: ClassVar[str] = "obj"
    """How ``check`` calls what it is given."""

    def __init__(self, context: CheckContext) -> None:
        self._context = context
        self._kind = kind_of_fixture(context.fixture)
        self._pending = PendingCheck(None, None, "", self._kind)
        self._said: list[tuple[str, type[Warning]]] = []

    @_leaves_a_result
    def check(
        self,
        obj: object,
        name: str | None = None,
        *,
        tolerance: Mapping[str, Any] | None = None,
        allow: Iterable[str] = (),
        **how: Any,
    ) -> CheckResult:
        """Compare ``obj`` with its golden; the test fails at its end if this check did not pass.

        obj, how: what the kind takes (docs/reference.md). name: names the check within its test, and its
        golden's files. tolerance: limits on the kind's metrics, which then hold in the golden's own
        environment too. allow: kinds of suspicious content that may become a golden.

        A call that raises is a check too, of the verdict invalid: its test fails also where it catches
        the error.

        Raises ClipError's subclasses for what the kind cannot read, ToleranceError, DuplicateGoldenError, and
        SuspiciousClipError in an update.
        """
        return self._check(obtain(self._kind, obj, self._context.fixture, **how), name, tolerance, allow)

    def _begin(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], location: str) -> None:
        given = args[0] if args else kwargs.get(self.argument)
        name = args[1] if len(args) > 1 else kwargs.get("name")
        rest = {self.argument, "name", "tolerance", "allow"}
        how = {key: value for key, value in kwargs.items() if key not in rest}
        self._pending = PendingCheck(given, name, location, self._kind, how)

    def _warn(self) -> None:
        """Give the warnings of the check that was just kept; one that a filter raises fails the test."""
        said, self._said = self._said, []
        path, _, line = self._pending.location.rpartition(":")
        for message, category in said:
            warnings.warn_explicit(message, category, path, int(line))

    def _end_invalid(self, error: Exception) -> None:
        """Records the check that is pending as invalid; its name is free for another try."""
        from seedpin.checking.invalid import invalid_result

        state = self._context.state
        state.add(invalid_result(self._context, self._pending, error))
        if self._pending.claimed is not None:
            state.claimed.discard(self._pending.claimed)

    def _check(
        self,
        obtained: Obtained,
        name: str | None,
        tolerance: Mapping[str, Any] | None,
        allow: Iterable[str],
    ) -> CheckResult:
        started = time.perf_counter()
        artifact = gather(self._context, self._pending, obtained, name, tolerance, allow)
        result = dataclasses.replace(judge(artifact), seconds=time.perf_counter() - started)
        self._context.state.add(result)
        self._said = artifact.said
        return result


class ClipGate(Gate):
    """Compares clips (``golden_video``) or single images (``golden_image``) with their goldens."""

    argument = "clip"

    @_leaves_a_result
    def check(  # type: ignore[override]  # named as users name it
        self,
        clip: object,
        name: str | None = None,
        *,
        fps: float | None = None,
        tolerance: Mapping[str, Any] | None = None,
        layout: str | None = None,
        value_range: tuple[float, float] | None = None,
        allow: Iterable[str] = (),
    ) -> CheckResult:
        """Compare ``clip`` with its golden; the test fails at its end if this check did not pass.

        clip: whatever ``seedpin.as_clip`` takes; so are fps, layout and value_range. name: names the check
        within its test, and its golden's files. tolerance: limits such as ``{"psnr": 45}``, which then hold
        in the golden's own environment too. allow: kinds of suspicious content that may become a golden
        ("black", "constant", "static", "noise").

        A call that raises is a check too, of the verdict invalid: its test fails also where it catches
        the error.

        Raises ClipError's subclasses for what is no clip, ToleranceError, DuplicateGoldenError, and
        SuspiciousClipError in an update.
        """
        how = {"fps": fps, "layout": layout, "value_range": value_range}
        return self._check(obtain(self._kind, clip, self._context.fixture, **how), name, tolerance, allow)


class TensorGate(Gate):
    """Compares latents or other tensors with their golden."""

    argument = "tensors"

    @_leaves_a_result
    def check(  # type: ignore[override]  # named as users name it
        self,
        tensors: object,
        name: str | None = None,
        *,
        tolerance: Mapping[str, Any] | None = None,
        allow: Iterable[str] = (),
    ) -> CheckResult:
        """Compare a tensor or array, or a dict of them by name, with their golden.

        tolerance: limits such as ``{"relative_l2": 1e-5}``. allow: ("zero",) lets zeros become a golden.

        Raises UnsupportedClipError, EmptyClipError, NonFiniteClipError, ToleranceError and
        DuplicateGoldenError; SuspiciousClipError in an update.
        """
        return self._check(obtain(self._kind, tensors), name, tolerance, allow)


def location_of(above: int) -> str:
    """``file:line`` of the call of the function that asks (0), or of one further up."""
    frame = sys._getframe(above + 1)
    path = Path(frame.f_code.co_filename)
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return f"{path.as_posix()}:{frame.f_lineno}"
