"""The canary's operations: small, of every family that models are made of, on inputs made without kernels.

One table. A family is measured in several dtypes; each of its results is hashed, in order. Whoever changes
what a family computes raises its ``version``: digests of different versions are never compared.

Sizes: large enough for the vector kernels and for blocking along ``k``, odd where that adds the scalar tail.
Long sums, because a half type rounds most of what differs away.

Draws go past the names that a recorder or an audit may have replaced, so that neither takes note of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

F64, F32, HALVES = ("float64",), ("float32",), ("bfloat16", "float16")
BOTH = (*F32, *F64)
FLOATS = (*F32, *HALVES)

_SIZE = 4099
_SEED = 7
_DRAW: Any = torch._C._VariableFunctions
_BASE: Any = torch._C.TensorBase
_SWITCH: Any = torch.backends.cuda  # its SDPA switches are those of the CPU as well


@lru_cache(maxsize=256)
def values(*shape: int, salt: int = 0, lo: float = -4.0, hi: float = 4.0) -> np.ndarray[Any, Any]:
    """Numbers from ``lo`` to ``hi``, float64, the same everywhere: integers (SplitMix64), exact steps."""
    count = int(np.prod(shape)) if shape else 1
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt * 7919)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    unit = (z >> np.uint64(41)).astype(np.float64) / 2**23
    array: np.ndarray[Any, Any] = (lo + unit * (hi - lo)).reshape(shape)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, slots=True)
class Bench:
    """Where a family is measured: gives inputs of one dtype on one device."""

    device: torch.device
    dtype: torch.dtype

    def x(self, *shape: int, salt: int = 0, lo: float = -4.0, hi: float = 4.0, scale: float = 1.0) -> Any:
        """A tensor of ``shape``; ``scale`` is a power of two, so that nothing is rounded twice."""
        tensor = torch.from_numpy(values(*shape, salt=salt, lo=lo, hi=hi) * scale)
        return tensor.to(dtype=self.dtype).to(device=self.device)

    def array(self, *shape: int, salt: int = 0, lo: float = -4.0, hi: float = 4.0) -> np.ndarray[Any, Any]:
        kind = np.float32 if self.dtype == torch.float32 else np.float64
        return values(*shape, salt=salt, lo=lo, hi=hi).astype(kind)

    def generator(self) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(_SEED)


Operations = Callable[[Bench], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class Family:
    """``run`` yields tensors or arrays; what people read of it is in ``measured.WORDS``.

    ``place`` is "device"; "host" for what models also compute on the CPU beside an accelerator (noise,
    schedules), measured there once more; "numpy"; or "cpu" for what is measured on a CPU only.
    """

    name: str
    dtypes: Sequence[str]
    run: Operations
    place: str = "device"
    version: int = 1


def _elementwise(
    *functions: Callable[[Any], Any], lo: float = -4.0, hi: float = 4.0, numpy: bool = False
) -> Operations:
    def run(bench: Bench) -> Iterator[Any]:
        x = (bench.array if numpy else bench.x)(_SIZE, lo=lo, hi=hi)
        for function in functions:
            yield function(x)

    return run


def _sqrt(bench: Bench) -> Iterator[Any]:
    # Where vendors differ, they do in about every fifth value.
    for salt in range(3):
        yield torch.sqrt(bench.x(_SIZE, salt=salt, lo=0, hi=9))


def _pow(bench: Bench) -> Iterator[Any]:
    p, q = bench.x(_SIZE, lo=2**-10, hi=5), bench.x(_SIZE, salt=5)
    for exponent in (0.5, -0.5, 1.5, 0.3333):
        yield p**exponent
    yield torch.pow(p, q)
    yield torch.pow(10000.0, -p)  # rotary frequencies


def _arithmetic(bench: Bench) -> Iterator[Any]:
    p, q, r = bench.x(_SIZE, lo=2**-10, hi=5), bench.x(_SIZE, salt=5), bench.x(_SIZE, salt=6)
    yield q / p
    yield torch.reciprocal(p)
    yield torch.addcmul(q, r, p)
    yield torch.addcdiv(q, r, p)
    yield torch.lerp(q, p, 0.3)
    yield p * q + r


def _denormals(bench: Bench) -> Iterator[Any]:
    tiny = bench.x(64, lo=1, hi=2)
    yield tiny * torch.finfo(bench.dtype).tiny / 4


def _complex(bench: Bench) -> Iterator[Any]:
    a, b = torch.polar(bench.x(999, lo=0, hi=4), bench.x(999, salt=1)), bench.x(999, 2, salt=2)
    yield a
    yield a * torch.view_as_complex(b)  # rotary embedding as Wan and Flux multiply it


def _matmul(bench: Bench) -> Iterator[Any]:
    for m, k, n in ((33, 100, 70), (16, 1031, 40), (3, 5, 7)):
        yield bench.x(m, k) @ bench.x(k, n, salt=1)
    yield torch.bmm(bench.x(4, 32, 48), bench.x(4, 48, 32, salt=1))
    yield torch.mv(bench.x(100, 200), bench.x(200, salt=1))
    yield torch.dot(bench.x(999), bench.x(999, salt=1))


def _linear(bench: Bench) -> Iterator[Any]:
    for rows, k, n in ((1, 320, 160), (77, 128, 96), (16, 1031, 40)):
        weight, bias = bench.x(n, k, salt=1, scale=2**-4), bench.x(n, salt=2)
        yield F.linear(bench.x(rows, k), weight, bias)


def _conv2d(bench: Bench) -> Iterator[Any]:
    for batch, inputs, outputs, size, kernel in ((1, 3, 16, 16, 3), (2, 16, 24, 12, 3), (2, 32, 48, 8, 1)):
        weight = bench.x(outputs, inputs, kernel, kernel, salt=1, scale=2**-3)
        yield F.conv2d(bench.x(batch, inputs, size, size), weight, padding=kernel // 2)
    yield F.conv_transpose2d(
        bench.x(1, 16, 9, 9), bench.x(16, 8, 4, 4, salt=1, scale=2**-3), stride=2, padding=1
    )


def _conv3d(bench: Bench) -> Iterator[Any]:
    for inputs, outputs, frames, size, kernel in ((3, 8, 4, 8, 3), (16, 12, 3, 12, 3)):
        weight = bench.x(outputs, inputs, kernel, kernel, kernel, salt=1, scale=2**-3)
        yield F.conv3d(bench.x(1, inputs, frames, size, size), weight, padding=kernel // 2)


def _heads(bench: Bench) -> Iterator[tuple[Any, Any, Any]]:
    for heads, tokens, width in ((2, 16, 16), (2, 77, 40), (1, 200, 32)):
        q, k, v = (bench.x(1, heads, tokens, width, salt=salt, scale=0.5) for salt in range(3))
        yield q, k, v


def attention_function() -> Any:
    """What models call, which a package may have put in torch's place; without a recorder's wrapping."""
    function: Any = F.scaled_dot_product_attention
    while str(getattr(function, "__module__", "")).startswith("seedpin."):
        function = function.__wrapped__
    return function


def _attention(bench: Bench) -> Iterator[Any]:
    """As models get it, under the switches that are set."""
    function = attention_function()
    for q, k, v in _heads(bench):
        yield function(q, k, v)
    yield function(q, k, v, is_causal=True)


def _attention_math(bench: Bench) -> Iterator[Any]:
    if _SWITCH.math_sdp_enabled():
        for heads in _heads(bench):
            yield torch.ops.aten._scaled_dot_product_attention_math(*heads)[0]


def _attention_flash(bench: Bench) -> Iterator[Any]:
    if _SWITCH.flash_sdp_enabled():
        name = "_scaled_dot_product_flash_attention" + ("_for_cpu" if bench.device.type == "cpu" else "")
        for heads in _heads(bench):
            yield getattr(torch.ops.aten, name)(*heads)[0]


def _attention_efficient(bench: Bench) -> Iterator[Any]:
    if bench.device.type == "cuda" and _SWITCH.mem_efficient_sdp_enabled():
        for heads in _heads(bench):
            yield torch.ops.aten._scaled_dot_product_efficient_attention(*heads, None, False)[0]


def _attention_cudnn(bench: Bench) -> Iterator[Any]:
    enabled = getattr(_SWITCH, "cudnn_sdp_enabled", bool)
    if bench.device.type == "cuda" and enabled():
        for heads in _heads(bench):
            yield torch.ops.aten._scaled_dot_product_cudnn_attention(*heads, None, False)[0]


def _norms(bench: Bench) -> Iterator[Any]:
    rows, maps = bench.x(19, 320, salt=9), bench.x(1, 32, 9, 9, salt=3)
    yield F.layer_norm(rows, (320,), bench.x(320, salt=1), bench.x(320, salt=2))
    yield F.rms_norm(rows, (320,))
    yield F.group_norm(maps, 8)
    yield F.batch_norm(maps, None, None, training=True)
    yield F.normalize(rows, dim=-1)


def _softmax(bench: Bench) -> Iterator[Any]:
    rows = bench.x(19, 77, salt=9)
    yield F.softmax(rows, dim=-1)
    yield F.log_softmax(rows, dim=-1)
    yield torch.logsumexp(rows, dim=-1)


def _reductions(bench: Bench) -> Iterator[Any]:
    rows = bench.x(19, 333, salt=9)
    yield rows.sum()
    yield rows.sum(dim=-1)
    yield rows.mean(dim=0)
    yield rows.std(dim=-1)
    yield torch.linalg.vector_norm(rows, dim=-1)


def _cumsum(bench: Bench) -> Iterator[Any]:
    yield torch.cumsum(bench.x(5, 333, salt=9), dim=-1)  # a strict pin refuses it on CUDA


def _cumprod(bench: Bench) -> Iterator[Any]:
    yield torch.cumprod(1 - bench.x(1000, lo=0, hi=2**-6), dim=0)


def _schedule(bench: Bench) -> Iterator[Any]:
    place: Any = {"device": bench.device, "dtype": bench.dtype}
    yield torch.linspace(0.00085**0.5, 0.012**0.5, 1000, **place)
    yield torch.arange(0, 1, 0.001, **place)
    yield torch.logspace(-3, 0, 100, **place)


def _interpolation(bench: Bench) -> Iterator[Any]:
    maps = bench.x(1, 4, 13, 13, salt=3)
    for mode in ("bilinear", "bicubic"):
        yield F.interpolate(maps, scale_factor=1.7, mode=mode)
    yield F.interpolate(maps[:, :, None], scale_factor=(1.0, 2.0, 2.0), mode="trilinear")
    yield F.avg_pool2d(maps, 3)


def _antialias(bench: Bench) -> Iterator[Any]:
    maps = bench.x(1, 4, 21, 21, salt=3)
    yield F.interpolate(maps, scale_factor=0.6, mode="bilinear", antialias=True)
    yield F.interpolate(maps, scale_factor=0.6, mode="bicubic", antialias=True)


def _grid_sample(bench: Bench) -> Iterator[Any]:
    grid = bench.x(1, 17, 17, 2, salt=2, lo=-1, hi=1)
    yield F.grid_sample(bench.x(1, 8, 13, 13, salt=3), grid, align_corners=False)


def _fft(bench: Bench) -> Iterator[Any]:
    yield torch.fft.rfft2(bench.x(3, 40, 48))
    yield torch.fft.irfft(torch.fft.rfft(bench.x(3, 45)))


def _linalg(bench: Bench) -> Iterator[Any]:
    eye = torch.eye(9, dtype=bench.dtype, device=bench.device)
    square = bench.x(9, 9)
    yield torch.linalg.cholesky(eye * 256 + square @ square.T)
    yield torch.linalg.inv(square + 16 * eye)
    yield torch.linalg.solve(square + 16 * eye, bench.x(9, salt=2))
    yield torch.linalg.svdvals(bench.x(12, 9))


def _normal(bench: Bench) -> Iterator[Any]:
    # Below 16 another algorithm; on CUDA the stream depends on the device's size for long ones.
    sizes = (5, 16, 17, 1000, _SIZE) if bench.device.type == "cpu" else (5, _SIZE, 400_003)
    for size in sizes:
        yield _DRAW.randn(size, generator=bench.generator(), dtype=bench.dtype, device=bench.device)


def _uniform(bench: Bench) -> Iterator[Any]:
    yield _DRAW.rand(_SIZE, generator=bench.generator(), dtype=bench.dtype, device=bench.device)
    room = torch.zeros(999, dtype=bench.dtype, device=bench.device)
    yield _BASE.exponential_(room, generator=bench.generator())


def _integers(bench: Bench) -> Iterator[Any]:
    yield _DRAW.randint(
        0, 1000, (_SIZE,), generator=bench.generator(), dtype=bench.dtype, device=bench.device
    )
    yield _DRAW.randperm(777, generator=bench.generator(), dtype=bench.dtype, device=bench.device)


def _numpy_power(bench: Bench) -> Iterator[Any]:
    p = bench.array(_SIZE, lo=2**-10, hi=5)
    yield np.power(p, bench.array(_SIZE, salt=5))
    yield p**0.5


def _numpy_matmul(bench: Bench) -> Iterator[Any]:
    yield bench.array(96, 300) @ bench.array(300, 80, salt=1)
    yield bench.array(100, 200) @ bench.array(200, salt=1)


def _numpy_reductions(bench: Bench) -> Iterator[Any]:
    rows = bench.array(19, 333)
    yield rows.sum()
    yield rows.mean(axis=0)
    yield rows.std(axis=1)


def _numpy_random(bench: Bench) -> Iterator[Any]:
    dtype: Any = np.float32 if bench.dtype == torch.float32 else np.float64
    yield np.random.default_rng(_SEED).standard_normal(_SIZE, dtype=dtype)
    yield np.random.RandomState(_SEED).standard_normal(999).astype(dtype)


_numpy = partial(_elementwise, numpy=True)

FAMILIES: tuple[Family, ...] = (
    Family("sqrt", BOTH, _sqrt, "host"),
    Family("rsqrt", FLOATS, _elementwise(torch.rsqrt, lo=2**-10, hi=9)),
    Family("pow", BOTH, _pow, "host"),
    Family("exp", (*FLOATS, *F64), _elementwise(torch.exp, torch.expm1, torch.exp2)),
    Family("log", BOTH, _elementwise(torch.log, torch.log2, torch.log1p, lo=2**-10, hi=9)),
    Family("log10", BOTH, _elementwise(torch.log10, lo=2**-10, hi=9)),
    Family("tanh", FLOATS, _elementwise(torch.tanh)),
    Family("sigmoid", FLOATS, _elementwise(torch.sigmoid)),
    Family("erf", F32, _elementwise(torch.erf, torch.erfc)),
    Family("sin", BOTH, _elementwise(torch.sin, torch.cos), "host"),
    Family("tan", BOTH, _elementwise(torch.tan)),
    Family("arc", BOTH, _elementwise(torch.asin, torch.acos, torch.atan, lo=-1, hi=1)),
    Family("gelu", FLOATS, _elementwise(F.gelu, lambda x: F.gelu(x, approximate="tanh"))),
    Family("silu", FLOATS, _elementwise(F.silu, F.mish, F.softplus)),
    Family("arithmetic", (*F32, "bfloat16"), _arithmetic),
    Family("denormals", F32, _denormals),
    Family("complex", BOTH, _complex),
    Family("matmul", (*FLOATS, *F64), _matmul),
    Family("linear", FLOATS, _linear),
    Family("conv2d", FLOATS, _conv2d),
    Family("conv3d", FLOATS, _conv3d),
    Family("attention", FLOATS, _attention),
    Family("attention-math", FLOATS, _attention_math),
    Family("attention-flash", FLOATS, _attention_flash),
    Family("attention-efficient", FLOATS, _attention_efficient),
    Family("attention-cudnn", HALVES, _attention_cudnn),
    Family("norms", FLOATS, _norms),
    Family("softmax", FLOATS, _softmax),
    Family("reductions", (*FLOATS, *F64), _reductions),
    Family("cumsum", BOTH, _cumsum),
    Family("cumprod", BOTH, _cumprod, "host"),
    Family("schedule", BOTH, _schedule, "host"),
    Family("interpolation", (*F32, "bfloat16"), _interpolation),
    Family("antialias", F32, _antialias),
    Family("grid_sample", F32, _grid_sample),
    Family("fft", BOTH, _fft),
    Family("linalg", F32, _linalg, "cpu"),
    Family("randn", (*F32, "bfloat16", *F64), _normal, "host"),
    Family("rand", BOTH, _uniform, "host"),
    Family("randint", ("int64",), _integers, "host"),
    Family("numpy-exp", BOTH, _numpy(np.exp, np.tanh), "numpy"),
    Family("numpy-log", BOTH, _numpy(np.log, np.log1p, lo=2**-10, hi=9), "numpy"),
    Family("numpy-sin", BOTH, _numpy(np.sin, np.cos), "numpy"),
    Family("numpy-power", BOTH, _numpy_power, "numpy"),
    Family("numpy-matmul", BOTH, _numpy_matmul, "numpy"),
    Family("numpy-reductions", BOTH, _numpy_reductions, "numpy"),
    Family("numpy-random", BOTH, _numpy_random, "numpy"),
)
