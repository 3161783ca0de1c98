"""Replace attributes for a while, and the call site of whoever calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

__all__ = ["Patches", "call_site", "wrapped_like"]

_ABSENT = object()
_HERE = str(Path(__file__).parent)
_SKIPPED = (
    _HERE + "/",
    str(Path(__file__).parent.parent / "pinning") + "/",
    str(Path(torch.__file__).parent) + "/",
    "<",
)
_HELPERS = ("randn_tensor",)  # diffusers
_SKIPPED_NAMES = ("/contextlib.py", "/functools.py")


class Patches:
    """Attributes that were replaced; ``undo`` puts back what was there, last first."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, object]] = []

    def set(self, owner: Any, name: str, value: object) -> bool:
        """Replace ``owner.name``; False where the owner takes no attribute."""
        namespace = getattr(owner, "__dict__", None)
        before = _ABSENT if namespace is None else namespace.get(name, _ABSENT)
        try:
            if isinstance(namespace, dict) and not isinstance(owner, type):
                # Past any __setattr__ (nn.Module, pipelines): nothing shall notice.
                namespace[name] = value
            else:
                setattr(owner, name, value)
        except (AttributeError, TypeError):
            return False
        self._done.append((owner, name, before))
        return True

    def undo(self) -> None:
        """Put everything back."""
        while self._done:
            owner, name, before = self._done.pop()
            namespace = owner.__dict__
            if isinstance(namespace, dict) and not isinstance(owner, type):
                if before is _ABSENT:
                    namespace.pop(name, None)
                else:
                    namespace[name] = before
            elif before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)


def wrapped_like(watched: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    """What of ``functools.wraps`` is of use here, at a quarter of its price: hundreds are wrapped at once."""
    watched.__wrapped__ = original
    watched.__name__ = getattr(original, "__name__", "watched")
    watched.__doc__ = original.__doc__
    replacement: Callable[..., Any] = watched
    return replacement


@lru_cache(maxsize=4096)
def _shorten(filename: str) -> str:
    """Path from the package's or the working directory's root: no machine's own folders in a trace."""
    for marker in ("/site-packages/", "/dist-packages/", "/src/"):
        if marker in filename:
            return filename.rpartition(marker)[2]
    try:
        return str(Path(filename).relative_to(Path.cwd()))
    except ValueError:
        return "/".join(Path(filename).parts[-2:])


@lru_cache(maxsize=4096)
def _skipped(filename: str) -> bool:
    return filename.startswith(_SKIPPED) or filename.endswith(_SKIPPED_NAMES)


def call_site(depth: int = 2, chain: int = 3) -> tuple[str, str]:
    """``file:line`` of the innermost caller outside of torch and seedpin, and the functions it sits in.

    The second text names up to ``chain`` functions, innermost first: ``randn_tensor < prepare_latents``. The
    line is not that of a helper through which every draw of a library goes, but of who called it.
    """
    frame = sys._getframe(depth)
    site, helping = "", True
    names: list[str] = []
    walker: Any = frame
    while walker is not None and len(names) < chain:
        code = walker.f_code
        if not _skipped(code.co_filename):
            if helping:
                site = f"{_shorten(code.co_filename)}:{walker.f_lineno}"
                helping = code.co_name in _HELPERS
            names.append(code.co_name)
        walker = walker.f_back
    return site, " < ".join(names)
