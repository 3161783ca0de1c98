"""Which instruction sets move bits on this CPU: run operations under each limit and compare digests.

    python benchmarks/cpu_bits.py            # table on standard output
    python benchmarks/cpu_bits.py --json     # every digest, for comparing two machines

Every limit runs in a process of its own, because oneDNN, ATen and MKL read their variables once, at the
first operation. Inputs are integers of a fixed formula, so that no random kernel takes part. One row of
the table is one operation and dtype; equal letters mean equal bits over all of its shapes. ``seedpin``
names a CPU device class by the columns that differ (``seedpin.environment.device``).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Column title -> variables of that child. "all" is the machine without limits.
LIMITS: dict[str, dict[str, str]] = {
    "all": {},
    "amx_fp16": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX_FP16"},
    "amx": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX"},
    "fp16": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_FP16"},
    "bf16": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"},
    "vnni": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"},
    "avx512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "avx2_vnni": {"ONEDNN_MAX_CPU_ISA": "AVX2_VNNI"},
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "sse41": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    "mkl_e3": {"MKL_ENABLE_INSTRUCTIONS": "AVX512_E3"},
    "mkl_e1": {"MKL_ENABLE_INSTRUCTIONS": "AVX512_E1"},
    "mkl_avx512": {"MKL_ENABLE_INSTRUCTIONS": "AVX512"},
    "mkl_avx2": {"MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "aten_avx2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "aten_default": {"ATEN_CPU_CAPABILITY": "default"},
}
DTYPES = ("float32", "bfloat16", "float16")


def _values(*shape: int, salt: int = 0, scale: float = 1.0) -> torch.Tensor:
    """Values in [-1, 1) x ``scale`` from integers of a fixed formula (splitmix64)."""
    import numpy as np
    import torch

    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = z + np.uint64(salt * 0xD1342543DE82EF95 % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1.0
    return torch.from_numpy((unit * scale).reshape(shape))


def _cases() -> dict[str, list[Callable[[Any], torch.Tensor]]]:
    """Operation -> functions of a dtype, one per shape."""
    import torch
    import torch.nn.functional as F

    def conv2d(batch: int, cin: int, cout: int, side: int, kernel: int) -> Callable[[Any], torch.Tensor]:
        x, w = _values(batch, cin, side, side), _values(cout, cin, kernel, kernel, salt=1, scale=0.2)
        b = _values(cout, salt=2)
        return lambda dtype: F.conv2d(x.to(dtype), w.to(dtype), b.to(dtype), padding=kernel // 2)

    def conv3d(cin: int, cout: int, frames: int, side: int, kernel: int) -> Callable[[Any], torch.Tensor]:
        x = _values(1, cin, frames, side, side)
        w = _values(cout, cin, kernel, kernel, kernel, salt=1, scale=0.1)
        return lambda dtype: F.conv3d(x.to(dtype), w.to(dtype), padding=kernel // 2)

    def conv_transpose2d(cin: int, cout: int, side: int) -> Callable[[Any], torch.Tensor]:
        x, w = _values(1, cin, side, side), _values(cin, cout, 4, 4, salt=1, scale=0.2)
        return lambda dtype: F.conv_transpose2d(x.to(dtype), w.to(dtype), stride=2, padding=1)

    def linear(rows: int, fan_in: int, fan_out: int) -> Callable[[Any], torch.Tensor]:
        x, w = _values(rows, fan_in), _values(fan_out, fan_in, salt=1, scale=0.1)
        b = _values(fan_out, salt=2)
        return lambda dtype: F.linear(x.to(dtype), w.to(dtype), b.to(dtype))

    def bmm(batch: int, m: int, k: int, n: int) -> Callable[[Any], torch.Tensor]:
        x, y = _values(batch, m, k), _values(batch, k, n, salt=1)
        return lambda dtype: torch.bmm(x.to(dtype), y.to(dtype))

    def sdpa(heads: int, tokens: int, width: int) -> Callable[[Any], torch.Tensor]:
        q, k, v = (_values(1, heads, tokens, width, salt=s) for s in range(3))
        return lambda dtype: F.scaled_dot_product_attention(q.to(dtype), k.to(dtype), v.to(dtype))

    def pointwise(function: Callable[[torch.Tensor], torch.Tensor]) -> list[Callable[[Any], torch.Tensor]]:
        xs = [_values(2, 77, 64, scale=4.0), _values(5, 1000, salt=3, scale=8.0)]
        return [lambda dtype, x=x: function(x.to(dtype)) for x in xs]  # type: ignore[misc]

    def norm(groups: int) -> Callable[[Any], torch.Tensor]:
        x = _values(1, 32, 24, 24)
        return lambda dtype: F.group_norm(x.to(dtype), groups)

    return {
        "conv2d": [conv2d(1, 3, 16, 32, 3), conv2d(1, 16, 32, 24, 3), conv2d(2, 64, 64, 16, 1)],
        "conv3d": [conv3d(3, 8, 5, 16, 3), conv3d(16, 16, 4, 12, 3), conv3d(32, 32, 3, 8, 1)],
        "conv_transpose2d": [conv_transpose2d(16, 8, 12), conv_transpose2d(32, 32, 16)],
        "linear": [linear(1, 64, 256), linear(77, 256, 256), linear(33, 100, 70), linear(512, 768, 96)],
        "bmm": [bmm(4, 32, 48, 32), bmm(2, 77, 64, 77)],
        "sdpa": [sdpa(2, 16, 16), sdpa(4, 77, 64), sdpa(2, 600, 32)],
        "gelu": pointwise(lambda x: F.gelu(x)),
        "gelu_tanh": pointwise(lambda x: F.gelu(x, approximate="tanh")),
        "silu": pointwise(F.silu),
        "softmax": pointwise(lambda x: F.softmax(x, dim=-1)),
        "layer_norm": pointwise(lambda x: F.layer_norm(x, x.shape[-1:])),
        "group_norm": [norm(8)],
        "sum": pointwise(lambda x: x.sum(-1)),
    }


def child() -> dict[str, Any]:
    """Digests of every case in this process, and what the libraries say they use."""
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    digests: dict[str, str] = {}
    with torch.no_grad():
        for (name, functions), dtype in product(_cases().items(), DTYPES):
            for index, function in enumerate(functions):
                try:
                    out = function(getattr(torch, dtype)).contiguous()
                    raw = out.view(torch.uint8).numpy().tobytes()
                    digests[f"{name} {dtype} {index}"] = hashlib.sha256(raw).hexdigest()[:16]
                except RuntimeError as error:
                    digests[f"{name} {dtype} {index}"] = f"error: {error}"[:60]
    return {"aten": torch.backends.cpu.get_cpu_capability(), "torch": torch.__version__, "digests": digests}


def run_child(variables: dict[str, str]) -> dict[str, Any]:
    cleared = {"DNNL_MAX_CPU_ISA", "MKL_CBWR"}.union(*LIMITS.values())
    env = {key: value for key, value in os.environ.items() if key not in cleared}
    env |= {"ONEDNN_VERBOSE": "dispatch", **variables}
    done = subprocess.run(
        [sys.executable, __file__, "--child"], env=env, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    result: dict[str, Any] = json.loads(lines[-1])
    isa = [line.split("isa:", 1)[1] for line in lines if "info,cpu,isa:" in line]
    result["onednn"] = isa[0] if isa else "not reported"
    return result


def table(results: dict[str, dict[str, Any]]) -> str:
    """One row per operation and dtype, one letter per distinct set of bits."""
    rows: dict[str, dict[str, tuple[str, ...]]] = {}
    for limit, result in results.items():
        grouped: dict[str, list[str]] = {}
        for case, digest in result["digests"].items():
            grouped.setdefault(case.rsplit(" ", 1)[0], []).append(digest)
        for row, digests in grouped.items():
            rows.setdefault(row, {})[limit] = tuple(digests)
    first = max(map(len, rows))
    lines = [" " * first + "  " + "  ".join(results)]
    for row, by_limit in rows.items():
        letters: dict[tuple[str, ...], str] = {}
        cells = []
        for limit in results:
            letter = letters.setdefault(by_limit[limit], chr(ord("a") + len(letters)))
            cells.append(letter.center(len(limit)))
        lines.append(f"{row:<{first}}  " + "  ".join(cells))
    return "\n".join(line.rstrip() for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print every digest instead of the table")
    parser.add_argument("--limits", nargs="*", choices=list(LIMITS), default=list(LIMITS))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(child()))
        return
    results = {limit: run_child(LIMITS[limit]) for limit in args.limits}
    if args.json:
        print(json.dumps(results, indent=1, sort_keys=True))
        return
    for limit, result in results.items():
        print(f"{limit:<14} ATen {result['aten']:<8} oneDNN {result['onednn']}")
    print()
    print(table(results))


if __name__ == "__main__":
    main()
