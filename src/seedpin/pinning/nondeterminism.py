"""Operations that torch says have no deterministic implementation: errors when strict, records when not."""

from __future__ import annotations

import re
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from seedpin.errors import NondeterministicOpError, NondeterministicOpWarning

_NO_IMPLEMENTATION = "does not have a deterministic implementation"
_CUBLAS = "because it uses CuBLAS"
_TORCH_FOLDER = str(Path(torch.__file__).parent)
_OWN_FOLDER = str(Path(__file__).parent)


@dataclass(frozen=True, slots=True)
class NondeterministicOp:
    """One operation that ran without a deterministic implementation, and where Python called it."""

    op: str
    message: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.op} at {self.file}:{self.line}"


def _op_in(message: str) -> str | None:
    """The operation that torch's message is about; None if it is about something else."""
    if _CUBLAS in message:
        return "a cuBLAS operation"
    match = re.search(rf"(\S+) {_NO_IMPLEMENTATION}", message)
    return match.group(1) if match else None


def error_from(error: RuntimeError, *, seed: int) -> NondeterministicOpError | None:
    """The named error for torch's own; None if ``error`` has another cause."""
    op = _op_in(str(error))
    if op is None:
        return None
    hint = (
        'replace the operation; or collect such operations with level="warn" '
        '(@pytest.mark.seed(..., level="warn"), --seedpin-level=warn), and declare a tolerance if bits differ'
    )
    if _CUBLAS in str(error):
        hint = "set CUBLAS_WORKSPACE_CONFIG=:4096:8 before CUDA starts (the plugin does so when it loads)"
    return NondeterministicOpError(
        f"{op} has no deterministic implementation, and ran under a strict pin (seed {seed})"
        f"{_where(error.__traceback__)}",
        hint=hint,
    )


def _where(tb: TracebackType | None) -> str:
    frames = [
        frame
        for frame in traceback.extract_tb(tb)
        if not frame.filename.startswith((_TORCH_FOLDER, _OWN_FOLDER))
    ]
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""


class Collector:
    """Puts torch's warnings about such operations where ``target`` says; all others go where they went.

    It is installed once for all pins of level ``warn``, so that they may end in any order. Where ``target``
    gives None, the warning goes on as well.
    """

    def __init__(self, target: Callable[[], list[NondeterministicOp] | None]) -> None:
        self._target = target
        self._saved: warnings.catch_warnings[None] | None = None

    def start(self) -> None:
        if self._saved is not None:
            return
        saved = warnings.catch_warnings()
        saved.__enter__()
        self._saved = saved
        # Else Python tells each place once in a process, and a later pin would collect nothing of it.
        warnings.filterwarnings("always", message=rf".*({_NO_IMPLEMENTATION}|{_CUBLAS})")
        # Replaced, not `record=True`: what is not ours goes on to who showed it before, pytest for one.
        forward: Any = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: Any = None,
            line: str | None = None,
        ) -> None:
            op = _op_in(str(message))
            ops = self._target() if op is not None else None
            if op is None or ops is None:
                forward(message, category, filename, lineno, file, line)
            else:
                ops.append(NondeterministicOp(op, str(message), filename, lineno))

        warnings.showwarning = show

    def stop(self) -> None:
        if self._saved is not None:
            self._saved.__exit__(None, None, None)
            self._saved = None


def warn_about(ops: list[NondeterministicOp], *, seed: int, file: str, line: int) -> None:
    """One warning for all of ``ops``, at the place of the pin; none if it is empty."""
    if not ops:
        return
    places = list(dict.fromkeys(map(str, ops)))
    listed = ", ".join(places[:5]) + (f" and {len(places) - 5} more" if len(places) > 5 else "")
    warnings.warn_explicit(
        f"{len(places)} operation(s) without a deterministic implementation ran under a pin of level 'warn' "
        f"(seed {seed}): {listed}. Their bits may differ from run to run: replace them, or declare a "
        f"tolerance.",
        NondeterministicOpWarning,
        file,
        line,
    )
