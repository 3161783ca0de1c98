"""Where in the user's own code, or a library's, a call was made."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from seedpin.trace.drawing import HELPERS

_TRACE = Path(__file__).parent.parent
_SKIPPED = (f"{_TRACE}/", f"{_TRACE.parent / 'pinning'}/", f"{Path(torch.__file__).parent}/", "<")
_SKIPPED_NAMES = ("/contextlib.py", "/functools.py")


@lru_cache(maxsize=4096)
def _shorten(filename: str) -> str:
    """Path from the package's or the working directory's root: no machine's own folders in a trace."""
    for marker in ("/site-packages/", "/dist-packages/", "/src/"):
        if marker in filename:
            return filename.rpartition(marker)[2]
    try:
        return str(Path(filename).relative_to(Path.cwd()))
    except ValueError:
        path = Path(filename)
        top = path.parent
        while (top / "__init__.py").exists() and top.parent != top:
            top = top.parent
        return str(path.relative_to(top)) if top != path.parent else "/".join(path.parts[-2:])


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
                helping = code.co_name in HELPERS
            names.append(code.co_name)
        walker = walker.f_back
    return site, " < ".join(names)
