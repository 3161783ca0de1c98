"""Elementary functions of IEEE operations: near the true values, and right at the edges."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest

from seedpin.pinning import elementary

NAMES = ("log", "log2", "log10", "acos", "asin", "atan", "tan")
TRUE: dict[str, Any] = {
    "log": mpmath.log,
    "log2": lambda x: mpmath.log(x, 2),
    "log10": mpmath.log10,
    **{name: getattr(mpmath, name) for name in ("acos", "asin", "atan", "tan")},
}


def _inside(name: str) -> Any:
    """Arguments of all sizes, near poles and zeros too."""
    rng = np.random.RandomState(3)
    small = 10.0 ** -(rng.random_sample(60) * 16)
    if name.startswith("log"):
        edges = [5e-324, 1e-310, 2.0**-1022, 2.0, 10.0, 1000.0, 1e22, 1.0, 1.7e308]
        return np.concatenate(
            [
                rng.random_sample(150) * 9,
                10.0 ** (rng.random_sample(90) * 600 - 300),
                1 + small,
                1 - small,
                edges,
            ]
        )
    if name in ("acos", "asin"):
        return np.concatenate(
            [rng.random_sample(250) * 2 - 1, 1 - small, small - 1, small, [0.0, 1.0, -1.0, 0.5, -0.5]]
        )
    multiples = np.arange(1, 40) * math.pi / 4
    edges = [
        1e5,
        2.0**20,
        2.0**20 + 0.5,
        1e22,
        6381956970095103 * 2.0**797,
        -(2.0**1023),
        7 / 16,
        11 / 16,
        19 / 16,
        39 / 16,
    ]
    return np.concatenate(
        [rng.standard_normal(250) * 4, small, -small, multiples, rng.standard_normal(60) * 1e5, edges]
    )


def _evaluated(name: str, x: Any) -> Any:
    out = np.empty_like(x)
    getattr(elementary, name)(x, out=out)
    return out


@pytest.mark.parametrize("name", NAMES)
def test_float64_is_within_one_ulp(name: str) -> None:
    """No result is further than one unit in the last place from the true value (mpmath, 160 bits)."""
    x = _inside(name)
    with mpmath.workprec(160):
        for argument, result in zip(x.tolist(), _evaluated(name, x).tolist(), strict=True):
            true = TRUE[name](mpmath.mpf(argument))
            assert abs(mpmath.mpf(result) - true) <= mpmath.mpf(math.ulp(float(true))), argument


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_the_nearest(name: str) -> None:
    """Results in float32 are the true values, rounded once."""
    with np.errstate(over="ignore"):
        x = _inside(name).astype(np.float32)
    x = x[(x != 0) & np.isfinite(x)] if name.startswith("log") else x[np.isfinite(x)]
    with mpmath.workprec(160):
        true = [float(TRUE[name](mpmath.mpf(float(argument)))) for argument in x]
    np.testing.assert_array_equal(_evaluated(name, x), np.array(true).astype(np.float32))


NAN, INF = math.nan, math.inf
LOGARITHM = [(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (INF, INF), (-1.0, NAN), (-INF, NAN), (NAN, NAN)]
SPECIAL: dict[str, list[tuple[float, float]]] = {
    "log": LOGARITHM,
    "log2": LOGARITHM,
    "log10": LOGARITHM,
    "acos": [
        (1.0, 0.0),
        (-1.0, math.pi),
        (0.0, math.pi / 2),
        (1.5, NAN),
        (-1.5, NAN),
        (INF, NAN),
        (NAN, NAN),
    ],
    "asin": [(1.0, math.pi / 2), (-1.0, -math.pi / 2), (0.0, 0.0), (-0.0, -0.0), (1.5, NAN), (-INF, NAN)],
    "atan": [
        (INF, math.pi / 2),
        (-INF, -math.pi / 2),
        (0.0, 0.0),
        (-0.0, -0.0),
        (1e30, math.pi / 2),
        (NAN, NAN),
    ],
    "tan": [(0.0, 0.0), (-0.0, -0.0), (5e-324, 5e-324), (INF, NAN), (-INF, NAN), (NAN, NAN)],
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name: str, dtype: Any) -> None:
    """Poles, signed zeros, infinities, NaN and what lies outside of the domain, to the last bit."""
    x, expected = np.array(SPECIAL[name], dtype).T
    result = _evaluated(name, x)
    np.testing.assert_array_equal(result, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(result)[numbers], np.signbit(expected)[numbers])


@pytest.mark.parametrize("name", NAMES)
def test_a_value_does_not_depend_on_its_place(name: str) -> None:
    """Blocks, strides, in-place results and single elements give the same bits."""
    x = np.resize(_inside(name), 20011)
    whole = _evaluated(name, x)
    np.testing.assert_array_equal(_evaluated(name, x[::-3]), whole[::-3])
    np.testing.assert_array_equal(_evaluated(name, x[5:6]), whole[5:6])
    np.testing.assert_array_equal(_evaluated(name, x[7].reshape(())), whole[7])
    np.testing.assert_array_equal(
        _evaluated(name, np.asfortranarray(x[:20000].reshape(100, 200))), whole[:20000].reshape(100, 200)
    )
    same = x.copy()
    getattr(elementary, name)(same, out=same)
    np.testing.assert_array_equal(same, whole)
    assert _evaluated(name, x[:0]).shape == (0,)


def test_powers_of_two_have_exact_logarithms() -> None:
    """log2 is exact for every power of two, subnormal ones included."""
    x = 2.0 ** np.arange(-1074, 1024)
    np.testing.assert_array_equal(_evaluated("log2", x), np.arange(-1074, 1024))
