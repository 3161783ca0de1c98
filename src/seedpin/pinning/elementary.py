"""Elementary functions in a fixed sequence of operations that IEEE 754 defines to the last bit.

``+ - * /``, square roots, comparisons and integer operations in float64, each by a NumPy function of its own,
so that no compiler can contract two of them into one: the same bits on every machine. For float32 the result
in float64 is rounded once, which in all but about one of 10**8 cases is the nearest float32.

Formulas and coefficients are those of fdlibm (Sun Microsystems, 1993: e_asin.c, e_acos.c, s_atan.c, k_tan.c,
e_rem_pio2.c, e_log.c) and of FreeBSD's k_log.h, e_log2.c and e_log10.c, which are derived from it; all are
within 1 ulp. Arguments of ``tan`` beyond 2**20 are reduced in integers.

Each function takes an array of float32 or float64 and ``out=`` of the same shape and dtype, which may be the
same array. NaN stays NaN, outside of the domain the result is NaN, at a pole infinity, as in IEEE 754.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

_BLOCK = 8192
"""Elements at a time: the intermediate arrays of a block stay in the processor's cache."""
_UPPER = np.int64(-(2**32))
"""Mask of the upper half of a float64: what it leaves has 21 bits, and products of two such are exact."""


def _blockwise(evaluate: Callable[[Doubles], Doubles]) -> Callable[..., None]:
    """``evaluate``, which takes and gives contiguous float64, for arrays of any strides and size."""

    @wraps(evaluate)
    def function(x: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        blocks = np.nditer(
            [x, out],
            flags=["external_loop", "buffered", "zerosize_ok", "copy_if_overlap"],
            op_flags=[["readonly"], ["writeonly"]],
            op_dtypes=[np.float64, np.float64],
            casting="same_kind",
            order="K",
            buffersize=_BLOCK,
        )
        with np.errstate(all="ignore"), blocks:
            for source, result in blocks:
                result[...] = evaluate(source)

    return function


def _polynomial(x: Doubles, *coefficients: float) -> Doubles:
    """Horner's scheme, the constant coefficient first."""
    result = coefficients[-1] * x
    for coefficient in coefficients[-2:0:-1]:
        result += coefficient
        result *= x
    result += coefficients[0]
    return result


def _upper(x: Doubles) -> Doubles:
    """``x`` without the lower 32 bits of its significand."""
    upper: Doubles = (x.view(np.int64) & _UPPER).view(np.float64)
    return upper


_TINY = 2.0**-1022
_ROOT_OF_HALF = np.int64(0x3FE6A09E_00000000)
_EXPONENT = np.int64(0xFFF) << np.int64(52)


def _split(x: Doubles) -> tuple[Doubles, Doubles]:
    """(k, f) with x = 2**k * (1 + f) and 1 + f between the roots of 1/2 and 2; f is exact."""
    subnormal = x < _TINY
    bits = np.where(subnormal, x * 2.0**54, x).view(np.int64)
    above = bits - _ROOT_OF_HALF
    k = (above >> np.int64(52)).astype(np.float64)
    k -= np.where(subnormal, 54.0, 0.0)
    return k, (bits - (above & _EXPONENT)).view(np.float64) - 1.0


def _log1p(f: Doubles, half: Doubles) -> Doubles:
    """log(1 + f) - f + f**2 / 2, where ``half`` is f**2 / 2 (k_log.h)."""
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    odd = w * _polynomial(w, 3.999999999940941908e-01, 2.222219843214978396e-01, 1.531383769920937332e-01)
    even = z * _polynomial(
        w,
        6.666666666666735130e-01,
        2.857142874366239149e-01,
        1.818357216161805012e-01,
        1.479819860511658591e-01,
    )
    return s * (half + (odd + even))


def _logarithm(x: Doubles, result: Doubles) -> Doubles:
    """``result`` with the values outside of the positive finite numbers put in."""
    regular = (x > 0.0) & (x < np.inf)
    if regular.all():
        return result
    special = np.where(x == 0.0, -np.inf, np.where(x < 0.0, np.nan, x))
    return np.where(regular, result, special)


@_blockwise
def log(x: Doubles) -> Doubles:
    """Natural logarithm."""
    k, f = _split(x)
    half = 0.5 * f * f
    rest = _log1p(f, half) + k * 1.90821492927058770002e-10
    return _logarithm(x, k * 6.93147180369123816490e-01 - ((half - rest) - f))


def logit(x: npt.NDArray[np.float64], out: npt.NDArray[np.float64], eps: float | None = None) -> None:
    """log(x / (1 - x)), with x first brought into [eps, 1 - eps] where ``eps`` is given."""
    if eps is not None and eps >= 0.0:
        x = np.clip(x, eps, 1.0 - eps)
    with np.errstate(all="ignore"):
        log(x / (1.0 - x), out=out)


def _scaled(f: Doubles, upper: float, lower: float) -> tuple[Doubles, Doubles]:
    """log(1 + f) * (upper + lower), as a sum of two numbers of which the first is exact."""
    half = 0.5 * f * f
    high = _upper(f - half)
    low = (f - high) - half + _log1p(f, half)
    return high * upper, (low + high) * lower + low * upper


@_blockwise
def log2(x: Doubles) -> Doubles:
    """Logarithm to the base 2; exact for powers of 2."""
    k, f = _split(x)
    high, low = _scaled(f, 1.44269504072144627571e00, 1.67517131648865118353e-10)
    whole = k + high
    return _logarithm(x, low + ((k - whole) + high) + whole)


@_blockwise
def log10(x: Doubles) -> Doubles:
    """Logarithm to the base 10."""
    k, f = _split(x)
    high, low = _scaled(f, 4.34294481878168880939e-01, 2.50829467116452752298e-11)
    main = k * 3.01029995663611771306e-01
    whole = main + high
    low += k * 3.69423907715893078616e-13
    return _logarithm(x, low + ((main - whole) + high) + whole)


_HALF_PI, _HALF_PI_REST = 1.57079632679489655800e00, 6.12323399573676603587e-17
_QUARTER_PI, _QUARTER_PI_REST = 7.85398163397448278999e-01, 3.06161699786838301793e-17


def _arcsine_rest(z: Doubles) -> Doubles:
    """(asin(x) - x) / x with z = x**2, for z <= 1/4."""
    above = _polynomial(
        z,
        1.66666666666666657415e-01,
        -3.25565818622400915405e-01,
        2.01212532134862925881e-01,
        -4.00555345006794114027e-02,
        7.91534994289814532176e-04,
        3.47933107596021167570e-05,
    )
    below = _polynomial(
        z,
        1.0,
        -2.40339491173441421878e00,
        2.02094576023350569471e00,
        -6.88283971605453293030e-01,
        7.70381505559019352791e-02,
    )
    return z * above / below


def _arc(x: Doubles) -> tuple[Any, Doubles, Doubles, Doubles, Doubles]:
    """Whether |x| >= 1/2, where the half angle is taken, and ``_arcsine_rest`` of it, or of x.

    Then of z = (1 - |x|) / 2 the root, the upper half of that, and what is then missing of it.
    """
    large = np.abs(x) >= 0.5
    z = (1.0 - np.abs(x)) * 0.5
    root = np.sqrt(z)
    upper = _upper(root)
    total = root + upper
    missing = (z - upper * upper) / np.where(total == 0.0, 1.0, total)
    return large, _arcsine_rest(np.where(large, z, x * x)), root, upper, missing


@_blockwise
def asin(x: Doubles) -> Doubles:
    """Arc sine."""
    large, rest, root, upper, missing = _arc(x)
    near = np.abs(x) + np.abs(x) * rest
    p = 2.0 * root * rest - (_HALF_PI_REST - 2.0 * missing)
    far = _QUARTER_PI - (p - (_QUARTER_PI - 2.0 * upper))
    return np.copysign(np.where(large, far, near), x)


@_blockwise
def acos(x: Doubles) -> Doubles:
    """Arc cosine."""
    large, rest, root, upper, missing = _arc(x)
    near = _HALF_PI - (x - (_HALF_PI_REST - x * rest))
    positive = 2.0 * (upper + (rest * root + missing))
    negative = 2.0 * _HALF_PI - 2.0 * (root + (rest * root - _HALF_PI_REST))
    return np.where(large, np.where(x > 0.0, positive, negative), near)


# For each interval of |x|: the new argument is (a x + b) / (c x + d), and what is to be added, in two parts.
_ATAN_FROM = (7 / 16, 11 / 16, 19 / 16, 39 / 16)
_ATAN_A = np.array([1.0, 2.0, 1.0, 1.0, 0.0])
_ATAN_B = np.array([0.0, -1.0, -1.0, -1.5, -1.0])
_ATAN_C = np.array([0.0, 1.0, 1.0, 1.5, 1.0])
_ATAN_D = np.array([1.0, 2.0, 1.0, 1.0, 0.0])
_ATAN_HIGH = np.array([0.0, 4.63647609000806093515e-01, _QUARTER_PI, 9.82793723247329054082e-01, _HALF_PI])
_ATAN_LOW = np.array(
    [0.0, 2.26987774529616870924e-17, _QUARTER_PI_REST, 1.39033110312309984516e-17, _HALF_PI_REST]
)


@_blockwise
def atan(x: Doubles) -> Doubles:
    """Arc tangent."""
    magnitude = np.minimum(np.abs(x), 2.0**66)  # further out it is half of pi
    part = np.zeros(x.shape, np.intp)
    for start in _ATAN_FROM:
        part += magnitude >= start
    t = (_ATAN_A[part] * magnitude + _ATAN_B[part]) / (_ATAN_C[part] * magnitude + _ATAN_D[part])
    z = t * t
    w = z * z
    even = z * _polynomial(
        w,
        3.33333333333329318027e-01,
        1.42857142725034663711e-01,
        9.09088713343650656196e-02,
        6.66107313738753120669e-02,
        4.97687799461593236017e-02,
        1.62858201153657823623e-02,
    )
    odd = w * _polynomial(
        w,
        -1.99999999998764832476e-01,
        -1.11111104054623557880e-01,
        -7.69187620504482999495e-02,
        -5.83357013379057348645e-02,
        -3.65315727442169155270e-02,
    )
    result: Doubles = _ATAN_HIGH[part] - ((t * (even + odd) - _ATAN_LOW[part]) - t)
    return np.copysign(result, x)


# Half of pi in three parts of 33 bits, whose products with whole numbers below 2**20 are exact, and the rest.
_HALF_PI_PARTS = (1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624871116645580e-21)
_HALF_PI_LAST = 8.47842766036889956997e-32
_REDUCED_IN_FLOATS = 2.0**20


def _difference(a: Doubles, b: Doubles) -> tuple[Doubles, Doubles]:
    """a - b as rounded, and the rounding error, exactly (Knuth's two-sum)."""
    result = a - b
    gone = result - a
    return result, (a - (result - gone)) - (b + gone)


def _reduced(x: Doubles) -> tuple[Doubles, Doubles, npt.NDArray[np.bool_]]:
    """x modulo pi / 2 as a sum of two numbers, and where the multiple that was taken off is odd."""
    far = np.abs(x) > _REDUCED_IN_FLOATS
    near = np.where(far, 0.0, x)
    n = np.rint(near * 6.36619772367581382433e-01)
    remainder, error = near, np.zeros_like(near)
    for part in _HALF_PI_PARTS:
        remainder, lost = _difference(remainder, n * part)
        error = error + lost
    error = error - n * _HALF_PI_LAST
    y = remainder + error
    rest = (remainder - y) + error
    odd = np.remainder(n, 2.0) != 0.0
    for index in np.flatnonzero(far & np.isfinite(x)):
        y[index], rest[index], odd[index] = _reduced_exactly(float(x[index]))
    return y, rest, odd


def _reduced_exactly(x: float) -> tuple[float, float, bool]:
    """As ``_reduced``, for one number of any size, in integers."""
    half_pi = _half_pi()
    above, below = abs(x).as_integer_ratio()
    n, remainder = divmod((above << _DIGITS) // below, half_pi)
    if 2 * remainder > half_pi:
        n, remainder = n + 1, remainder - half_pi
    y = remainder / (1 << _DIGITS)
    y_above, y_below = y.as_integer_ratio()
    rest = (remainder * y_below - (y_above << _DIGITS)) / (y_below << _DIGITS)
    return (-y, -rest, n % 2 == 1) if x < 0 else (y, rest, n % 2 == 1)


_DIGITS = 1300
"""Binary digits of pi / 2 after the point: 1,024 for the largest float64, and enough for the rest."""


@cache
def _half_pi() -> int:
    """pi / 2 times 2**_DIGITS, by Machin's formula: pi / 4 = 4 arctan(1/5) - arctan(1/239)."""
    one = 1 << (_DIGITS + 32)

    def arctan_of_inverse(x: int) -> int:
        total, power, divisor = 0, one // x, 1
        while power:
            total += power // divisor if divisor % 4 == 1 else -(power // divisor)
            power //= x * x
            divisor += 2
        return total

    return (2 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))) >> 32


@_blockwise
def tan(x: Doubles) -> Doubles:
    """Tangent (k_tan.c)."""
    y, rest, odd = _reduced(x)
    large = np.abs(y) >= 0.67434
    sign = np.where(large & (y < 0.0), -1.0, 1.0)
    z = _QUARTER_PI - sign * y
    y = np.where(large, z + (_QUARTER_PI_REST - sign * rest), y)
    rest = np.where(large, 0.0, rest)
    z = y * y
    w = z * z
    even = _polynomial(
        w,
        1.33333333333201242699e-01,
        2.18694882948595424599e-02,
        3.59207910759131235356e-03,
        5.88041240820264096874e-04,
        7.81794442939557092300e-05,
        -1.85586374855275456654e-05,
    )
    uneven = z * _polynomial(
        w,
        5.39682539762260521377e-02,
        8.86323982359930005737e-03,
        1.45620945432529025516e-03,
        2.46463134818469906812e-04,
        7.14072491382608190305e-05,
        2.59073051863633712884e-05,
    )
    s = z * y
    r = rest + z * (s * (even + uneven) + rest)
    r += 3.33333333333334091986e-01 * s
    w = y + r
    v = np.where(odd, -1.0, 1.0)
    far = sign * (v - 2.0 * (y - (w * w / (w + v) - r)))
    # -1 / (y + r), which may not be rounded twice
    upper = _upper(w)
    a = -1.0 / w
    t = _upper(a)
    inverse = t + a * ((1.0 + t * upper) + t * (r - (upper - y)))
    result = np.where(large, far, np.where(odd, inverse, w))
    return np.where(np.isfinite(x), np.where(x == 0.0, x, result), np.nan)
