"""The threads of NumPy's BLAS: read, held by a pin, restored, and recorded."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import seedpin
from seedpin import blas
from seedpin.environment.settings import torch_settings

needs_library = pytest.mark.skipif(
    not blas.read_threads().libraries, reason="no BLAS library here can be asked for its threads"
)


@needs_library
def test_a_pin_holds_one_thread_and_restores_the_number() -> None:
    """Under strict and warn NumPy's BLAS has one thread; ``seeds`` leaves it; afterwards all is as before."""
    before = blas.read_threads()
    many = blas.BlasThreads(tuple((path, 2) for path, _ in before.libraries))
    blas.write_threads(many)
    try:
        for level in ("strict", "warn"):
            with seedpin.pin(1, level=level):
                assert str(blas.read_threads()) == "1"
                with seedpin.unpinned():
                    assert blas.read_threads() == many
            assert blas.read_threads() == many
        with seedpin.pin(1, level="seeds"):
            assert blas.read_threads() == many
    finally:
        blas.write_threads(before)


@needs_library
def test_products_do_not_depend_on_the_threads_outside() -> None:
    """A matrix product under a pin has the bits of one thread, whatever the number was before."""
    a = np.linspace(-1, 1, 600 * 600).reshape(600, 600)
    before, found = blas.read_threads(), []
    try:
        for number in (1, 2):
            blas.write_threads(blas.BlasThreads(tuple((path, number) for path, _ in before.libraries)))
            with seedpin.pin(1):
                found.append((a @ a.T).tobytes())
    finally:
        blas.write_threads(before)
    assert found[0] == found[1]


def test_the_number_is_an_environment_key_that_moves_bits() -> None:
    """A manifest records how many threads NumPy's BLAS had under the pin."""
    with seedpin.pin(1):
        value, moves_bits = torch_settings("cpu")["numpy_blas_threads"]
    assert value == str(blas.read_threads().single())
    assert moves_bits


def test_libraries_that_cannot_be_asked_are_unknown() -> None:
    """Where no library is found nothing is held, and the record says ``unknown``."""
    nothing = blas.BlasThreads(())
    blas.write_threads(nothing)
    assert str(nothing) == "unknown"
    assert nothing.single() == nothing
    assert str(blas.BlasThreads((("a", 1), ("b", 4)))) == "1 4"


def test_the_library_is_imported_on_first_use() -> None:
    """Importing the plugin and the module brings no threadpoolctl."""
    code = "import seedpin.plugin.entry, seedpin.blas, sys; print('threadpoolctl' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
