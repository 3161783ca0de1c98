"""Who began a pin: the thread, the asyncio task and the block of code, without keeping any of them alive."""

from __future__ import annotations

import sys
import threading
import warnings
import weakref
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

from seedpin.pinning.caller_warnings import calling_frame

# On the way from a user's ``with`` to here.
_WAY = ("contextlib", "seedpin.pinning.pin", "seedpin.pinning.pin_origin")


@dataclass(frozen=True, slots=True, eq=False)
class PinOrigin:
    """``block`` and ``code`` tell the Python frame of the block; ``file`` and ``line`` are the user's."""

    thread: threading.Thread
    task: weakref.ref[Any] | None
    block: int
    code: CodeType
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def warn(self, message: str, category: type[Warning]) -> None:
        """Warn at the user's line."""
        warnings.warn_explicit(message, category, self.file, self.line)

    def is_on_the_stack(self) -> bool:
        """Whether the block is running now, below what is called; a suspended generator's is not.

        A frame is known by its address: to keep it would keep all its variables alive.
        """
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if id(frame) == self.block and frame.f_code is self.code:
                return True
            frame = frame.f_back
        return False

    def excludes(self, other: PinOrigin) -> str:
        """Who this is, in words, if it runs beside ``other`` rather than around it; else "".

        Another thread, or another task of asyncio, that is still alive and may go on at any time.
        """
        if self.thread is not other.thread:
            return f"thread {self.thread.name!r}" if self.thread.is_alive() else ""
        task = self.task() if self.task is not None else None
        now = other.task() if other.task is not None else None
        if task is None or task is now or task.done() or task.get_loop().is_closed():
            return ""
        return "" if self.is_on_the_stack() else f"the task {task.get_name()!r}"


def find_origin() -> PinOrigin:
    """The origin of a pin that begins now, on behalf of the first caller that is not on the way here."""
    block = sys._getframe(1)
    while block.f_back is not None and block.f_globals.get("__name__") in _WAY:
        block = block.f_back
    users = calling_frame(block)
    task = _current_task()
    return PinOrigin(
        threading.current_thread(),
        None if task is None else weakref.ref(task),
        id(block),
        block.f_code,
        users.f_code.co_filename,
        users.f_lineno,
    )


def _current_task() -> Any:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return None
