"""The threads of the BLAS libraries that NumPy and SciPy bring along; torch's number of threads is another.

Products in these libraries are split by the number of threads, and so are their sums: another number, other
bits. Imports threadpoolctl on first use, which takes some 20 ms once.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

# Modules that load a library of their own; threadpoolctl sees what is loaded when it looks.
_LOADERS = ("numpy", "scipy.linalg", "scipy.sparse.linalg", "mkl")


@dataclass(frozen=True, slots=True)
class BlasThreads:
    """The number of threads of each library, by the path of its file."""

    libraries: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        """One number where all agree; ``unknown`` where no library can be asked (Apple's Accelerate)."""
        return " ".join(sorted({str(number) for _, number in self.libraries})) or "unknown"

    def single(self) -> BlasThreads:
        """The same libraries with one thread each."""
        return BlasThreads(tuple((path, 1) for path, _ in self.libraries))


@lru_cache(maxsize=1)
def _controllers(_loaded: tuple[str, ...]) -> dict[str, Any]:
    from threadpoolctl import ThreadpoolController

    controllers = ThreadpoolController().lib_controllers
    return {one.filepath: one for one in controllers if one.user_api == "blas"}


def _current() -> dict[str, Any]:
    return _controllers(tuple(name for name in _LOADERS if name in sys.modules))


def read_threads() -> BlasThreads:
    """The numbers as they are now; a few microseconds after the first time."""
    return BlasThreads(tuple((path, one.num_threads) for path, one in _current().items()))


def write_threads(value: BlasThreads) -> None:
    """Set the numbers of the libraries in ``value``; one that was loaded since keeps its own."""
    libraries = _current()
    for path, number in value.libraries:
        if path in libraries and libraries[path].num_threads != number:
            libraries[path].set_num_threads(number)
