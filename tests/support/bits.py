"""A battery of operations whose bits are compared between machines: 6,464 cases under one CPU profile.

    PYTHONPATH=tests python -m support.bits portable            # prints digests, one family of cases a line
    PYTHONPATH=tests python -m support.bits native
    PYTHONPATH=tests python -m support.bits --diff A.json B.json

Inputs are made from integers by exact arithmetic, so that no random kernel takes part. It runs in a process
of its own, on one thread, under a strict pin. A family is an operation and a dtype; its digests are in the
order of its cases, the first 32 bits of SHA-256 over the result's bytes, or ``error`` where torch refuses.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import seedpin
from seedpin.environment.cpu import read_cpu
from seedpin.pinning.profiles import apply_profile

Case = Callable[[torch.dtype], torch.Tensor]
Cases = dict[str, list[Case]]

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


UNARY = _words(
    "exp expm1 exp2 log log2 log10 log1p sqrt rsqrt reciprocal sin cos tan asin acos atan sinh cosh tanh "
    "asinh acosh atanh sigmoid erf erfc erfinv lgamma digamma logit sinc i0 abs round floor frac neg"
)
ACTIVATIONS = _words("gelu silu softplus elu mish hardswish logsigmoid selu tanhshrink relu leaky_relu")
ROWWISE = _words("sum mean std var logsumexp cumsum softmax log_softmax prod norm")
NUMPY = _words(
    "exp expm1 exp2 log log2 log10 log1p sqrt cbrt sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh"
)
DOMAINS = {
    **dict.fromkeys(("log", "log2", "log10", "rsqrt"), (1e-3, 9.0)),
    **dict.fromkeys(("asin", "acos"), (-1.0, 1.0)),
    **dict.fromkeys(("atanh", "erfinv"), (-0.99, 0.99)),
    **dict.fromkeys(("lgamma", "digamma"), (0.1, 9.0)),
    "log1p": (-0.9, 9.0),
    "sqrt": (0.0, 9.0),
    "acosh": (1.0, 9.0),
    "logit": (0.01, 0.99),
}
WHOLE = (-4.0, 4.0)


def values(*shape: int, salt: int = 0, lo: float = -4.0, hi: float = 4.0) -> torch.Tensor:
    """float64 in [lo, hi) from integers of a fixed formula (splitmix64)."""
    count = int(np.prod(shape)) if shape else 1
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt * 7919)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    unit = (z >> np.uint64(41)).astype(np.float64) / 2**23
    return torch.from_numpy((lo + unit * (hi - lo)).reshape(shape))


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def _of(function: Callable[..., torch.Tensor], x: torch.Tensor) -> Case:
    return lambda d: function(x.to(d))


def _elementwise() -> Cases:
    cases: Cases = {}
    for name in UNARY:
        lo, hi = DOMAINS.get(name, WHOLE)
        function = getattr(torch, name)
        cases[name] = [_of(function, values(3, 1237, lo=lo, hi=hi))]
        cases[f"{name} 0-d"] = [_of(function, values(salt=salt, lo=lo, hi=hi)) for salt in range(40)]
    p, q = values(3, 1237, lo=1e-3, hi=5), values(3, 1237, salt=5)
    for exponent in (0.5, -0.5, 1.5, 2, 3, -1, -2, 0.3333):
        cases[f"pow {exponent}"] = [lambda d, e=exponent: p.to(d) ** e]  # type: ignore[misc]
    cases |= {
        "pow tensor": [lambda d: torch.pow(p.to(d), q.to(d))],
        "scalar pow": [lambda d: torch.pow(10000.0, -p.to(d))],
        "atan2": [lambda d: torch.atan2(q.to(d), p.to(d))],
        "hypot": [lambda d: torch.hypot(q.to(d), p.to(d))],
        "div": [lambda d: q.to(d) / p.to(d)],
        "addcdiv": [lambda d: torch.addcdiv(q.to(d), q.to(d), p.to(d))],
        "addcmul": [lambda d: torch.addcmul(q.to(d), q.to(d), p.to(d))],
        "lerp": [lambda d: torch.lerp(q.to(d), p.to(d), 0.3)],
        "polar": [lambda d: torch.view_as_real(torch.polar(p.to(d), q.to(d)))],
        "gelu tanh": [lambda d: F.gelu(q.to(d), approximate="tanh")],
    }
    for name in ACTIVATIONS:
        cases[name] = [_of(getattr(F, name), q)]
    return cases


def _reductions() -> Cases:
    cases: Cases = {}
    r, g = values(4, 77, 320, salt=9), values(2, 32, 24, 24, salt=3)
    for name in ROWWISE:
        function, scale = getattr(torch, name), 0.1 if name == "prod" else 1
        cases[name] = [lambda d, f=function, s=scale: f(r.to(d) * s, dim=-1)]  # type: ignore[misc]
    cases |= {
        "sum all": [lambda d: r.to(d).sum()],
        "layer_norm": [lambda d: F.layer_norm(r.to(d), (320,))],
        "rms_norm": [lambda d: F.rms_norm(r.to(d), (320,))],
        "group_norm": [lambda d: F.group_norm(g.to(d), 8)],
        "batch_norm": [lambda d: F.batch_norm(g.to(d), None, None, training=True)],
        "interpolate aa": [
            lambda d: F.interpolate(g.to(d), scale_factor=0.6, mode="bilinear", antialias=True)
        ],
        "avg_pool2d": [lambda d: F.avg_pool2d(g.to(d), 3)],
        "grid_sample": [
            lambda d: F.grid_sample(
                g.to(d), values(2, 9, 9, 2, salt=2, lo=-1, hi=1).to(d), align_corners=False
            )
        ],
    }
    for mode in ("nearest", "bilinear", "bicubic", "area"):
        cases[f"interpolate {mode}"] = [
            lambda d, m=mode: F.interpolate(g.to(d), scale_factor=1.7, mode=m)  # type: ignore[misc]
        ]
    return cases


def _linear(rows: int, k: int, n: int) -> Case:
    return lambda d: F.linear(
        values(rows, k).to(d), values(n, k, salt=1).to(d) * 0.1, values(n, salt=2).to(d)
    )


def _bmm(b: int, m: int, k: int, n: int) -> Case:
    return lambda d: torch.bmm(values(b, m, k).to(d), values(b, k, n, salt=1).to(d))


def _attention(heads: int, tokens: int, width: int, *, causal: bool) -> Case:
    def attend(d: torch.dtype) -> torch.Tensor:
        query, key, value = (values(1, heads, tokens, width, salt=salt).to(d) for salt in range(3))
        return F.scaled_dot_product_attention(query, key, value, is_causal=causal)

    return attend


def _conv2d(batch: int, fan_in: int, fan_out: int, side: int, kernel: int) -> Case:
    return lambda d: F.conv2d(
        values(batch, fan_in, side, side).to(d),
        values(fan_out, fan_in, kernel, kernel, salt=1).to(d) * 0.2,
        padding=kernel // 2,
    )


def _conv3d(fan_in: int, fan_out: int, frames: int, side: int, kernel: int) -> Case:
    return lambda d: F.conv3d(
        values(1, fan_in, frames, side, side).to(d),
        values(fan_out, fan_in, kernel, kernel, kernel, salt=1).to(d) * 0.1,
        padding=kernel // 2,
    )


def _products() -> Cases:
    shapes = ((1, 64, 256), (77, 256, 256), (33, 100, 70), (512, 768, 96), (1, 320, 1280), (2, 1280, 320))
    attended = ((2, 16, 16), (4, 77, 64), (2, 600, 32), (1, 1024, 40))
    return {
        "linear": [_linear(*shape) for shape in (*shapes, (3, 5, 7))],
        "bmm": [_bmm(*shape) for shape in ((4, 32, 48, 32), (2, 77, 64, 77), (8, 256, 40, 256))],
        "mv dot": [
            lambda d: torch.mv(values(300, 200).to(d), values(200, salt=1).to(d)),
            lambda d: torch.dot(values(999).to(d), values(999, salt=1).to(d)),
        ],
        "einsum": [
            lambda d: torch.einsum(
                "bhid,bhjd->bhij", values(2, 4, 20, 16).to(d), values(2, 4, 20, 16, salt=1).to(d)
            )
        ],
        "sdpa": [_attention(*shape, causal=False) for shape in attended],
        "sdpa causal": [_attention(*shape, causal=True) for shape in attended],
        "conv2d": [
            _conv2d(*shape)
            for shape in ((1, 3, 16, 32, 3), (1, 16, 32, 24, 3), (2, 64, 64, 16, 1), (1, 4, 320, 16, 3))
        ],
        "conv3d": [_conv3d(*shape) for shape in ((3, 8, 5, 16, 3), (16, 16, 4, 12, 3), (32, 32, 3, 8, 1))],
        "conv1d": [lambda d: F.conv1d(values(1, 8, 400).to(d), values(16, 8, 5, salt=1).to(d))],
        "conv_transpose2d": [
            lambda d: F.conv_transpose2d(
                values(1, 16, 12, 12).to(d), values(16, 8, 4, 4, salt=1).to(d) * 0.2, stride=2, padding=1
            )
        ],
        "fft": [
            lambda d: torch.view_as_real(torch.fft.rfft2(values(3, 40, 48).to(d))),
            lambda d: torch.fft.irfft(torch.fft.rfft(values(3, 40).to(d))),
        ],
    }


def _linalg() -> Cases:
    def square(d: torch.dtype) -> torch.Tensor:
        return values(8, 8).to(d) + 9 * torch.eye(8, dtype=d)

    def cholesky(d: torch.dtype) -> torch.Tensor:
        x = values(9, 9).to(d)
        factor: torch.Tensor = torch.linalg.cholesky(torch.eye(9, dtype=d) * 20 + x @ x.T)
        return factor

    def qr(d: torch.dtype) -> torch.Tensor:
        q: torch.Tensor = torch.linalg.qr(values(12, 9).to(d))[0]
        return q

    return {
        "linalg": [
            lambda d: torch.linalg.inv(square(d)),
            cholesky,
            lambda d: torch.linalg.svdvals(values(12, 9).to(d)),
            qr,
            lambda d: torch.linalg.solve(square(d), values(8, salt=2).to(d)),
            lambda d: torch.linalg.matrix_exp(values(6, 6, lo=-1, hi=1).to(d)),
        ]
    }


def _three_draws(count: int, d: torch.dtype) -> torch.Tensor:
    return torch.stack(
        [
            torch.empty(count, dtype=d).cauchy_(generator=_generator()),
            torch.empty(count, dtype=d).log_normal_(generator=_generator()),
            torch.empty(count, dtype=d).geometric_(0.3, generator=_generator()),
        ]
    )


def _draws() -> Cases:
    cases: Cases = {}
    for n in (5, 15, 16, 17, 1000, 4099):
        drawn: dict[str, Case] = {
            "randn": lambda d, n=n: torch.randn(n, generator=_generator(), dtype=d),  # type: ignore[misc]
            "rand": lambda d, n=n: torch.rand(n, generator=_generator(), dtype=d),  # type: ignore[misc]
            "exponential": lambda d, n=n: torch.empty(n, dtype=d).exponential_(generator=_generator()),  # type: ignore[misc]
            "cauchy lognormal geometric": lambda d, n=n: _three_draws(n, d),  # type: ignore[misc]
            "bernoulli": lambda d, n=n: torch.empty(n, dtype=d).bernoulli_(0.3, generator=_generator()),  # type: ignore[misc]
            "normal_ 2,3": lambda d, n=n: torch.empty(n, dtype=d).normal_(2, 3, generator=_generator()),  # type: ignore[misc]
        }
        for name, case in drawn.items():
            cases.setdefault(name, []).append(case)
    cases["multinomial"] = [
        lambda d: torch.multinomial(values(4, 50, lo=0.01, hi=1).to(d), 20, generator=_generator())
    ]
    cases["randperm"] = [lambda d: torch.randperm(777, generator=_generator())]
    return cases


def _adamw(d: torch.dtype) -> torch.Tensor:
    weight = torch.nn.Parameter(values(40, 30, salt=4).float().to(d).clone())
    optimiser = torch.optim.AdamW([weight], lr=1e-2, foreach=False)
    for step in range(3):
        optimiser.zero_grad()
        (weight * values(40, 30, salt=step).to(d)).pow(2).mean().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return weight.detach()


def torch_cases() -> Cases:
    """Name of an operation -> its cases, each a function of the dtype."""
    cases = _elementwise() | _reductions() | _products() | _linalg() | _draws()
    return cases | {"adamw foreach=False": [_adamw]}


def numpy_results() -> Iterator[tuple[str, Any]]:
    """What NumPy computes: the profile ``portable`` promises nothing of it but the root."""
    p, q = values(3, 1237, lo=1e-3, hi=5), values(3, 1237, salt=5)
    for name, dtype in product(NUMPY, ("float32", "float64")):
        lo, hi = DOMAINS.get(name.replace("arc", "a"), (0.01, 4))
        yield f"{name} {dtype}", getattr(np, name)(values(4099, lo=lo, hi=hi).numpy().astype(dtype))
    for dtype in ("float32", "float64"):
        kind: Any = np.dtype(dtype).type
        a, b = (values(600, 600, salt=salt).numpy().astype(dtype) for salt in (0, 1))
        yield f"matmul {dtype}", a @ b
        yield f"power {dtype}", np.power(p.numpy().astype(dtype), q.numpy().astype(dtype))
        yield f"sum {dtype}", a.sum()
        yield f"normal {dtype}", np.random.RandomState(3).standard_normal(4099).astype(dtype)
        yield f"default_rng normal {dtype}", np.random.default_rng(3).standard_normal(4099, dtype=kind)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]


def digests() -> dict[str, list[str]]:
    """The digests of each family of cases, as computed in this process now."""
    found: dict[str, list[str]] = {}
    for (name, functions), dtype in product(torch_cases().items(), DTYPES):
        family = found.setdefault(f"torch {name} {str(dtype).removeprefix('torch.')}", [])
        for function in functions:
            try:
                result = function(dtype).detach().contiguous().reshape(-1).view(torch.uint8)
                family.append(_digest(result.numpy().tobytes()))
            except (RuntimeError, TypeError, NotImplementedError):
                family.append("error")
    for name, array in numpy_results():
        found[f"numpy {name}"] = [_digest(array.tobytes())]
    return found


def differing(a: dict[str, str], b: dict[str, str]) -> list[str]:
    """The cases of both whose digests differ, as family and number; ``-`` is a case that was left out."""
    return [
        f"{family} [{index}]"
        for family in sorted(a.keys() & b.keys())
        for index, (one, other) in enumerate(zip(a[family].split(), b[family].split(), strict=True))
        if one != other and "-" not in (one, other)
    ]


def _cpu() -> str:
    """Vendor, model name, and on Linux family and model, for virtual machines hide the name."""
    cpu, numbers = read_cpu(), ""
    path = Path("/proc/cpuinfo")
    if path.is_file():
        fields = dict(
            re.findall(r"^(cpu family|model)\s*: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        )
        numbers = f", family {fields.get('cpu family')} model {fields.get('model')}"
    return f"{cpu.vendor}: {cpu.brand}{numbers}"


def main(profile: str) -> None:
    apply_profile(profile)
    with seedpin.pin(7, profile=profile):
        found = digests()
    machine = {
        "aten": torch.backends.cpu.get_cpu_capability(),
        "cpu": _cpu(),
        "libc": " ".join(platform.libc_ver()),
        "numpy": np.__version__,
        "profile": profile,
        "torch": torch.__version__,
    }
    lines = {family: " ".join(values) for family, values in found.items()}
    json.dump({"machine": machine, "digests": lines}, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    if sys.argv[1] == "--diff":
        first, second = (
            json.loads(Path(path).read_text(encoding="utf-8"))["digests"] for path in sys.argv[2:4]
        )
        sys.stdout.writelines(f"{case}\n" for case in differing(first, second))
    else:
        main(sys.argv[1])
