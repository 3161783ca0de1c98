"""Which operations execute instructions whose bits each CPU vendor defines: the evidence for ``portable``.

    PYTHONPATH=tests python benchmarks/vendor_defined.py            # under a strict pin of the profile
    PYTHONPATH=tests python benchmarks/vendor_defined.py --own      # with ATen's and MKL's own kernels

Needs Linux on x86-64, ``gdb`` and ``objdump``; takes a few minutes. torch's CPU library is disassembled, a
breakpoint is set on each ``rcp*``, ``rsqrt*`` and transcendental x87 instruction in it, and the battery of
tests/support/bits.py runs, followed by operations that it lacks. Each operation that meets a breakpoint is
printed once per function in which that happened. Every other instruction of arithmetic has one result by
IEEE 754, so where none is met, two machines that take the same path through the library compute the same
bits. Code that oneDNN generates at run time is not seen by this; ``ONEDNN_JIT_DUMP=1`` writes it out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

INSTRUCTION = re.compile(r"\b(v?rcp\w*|v?rsqrt\w*|fsin|fcos|fsincos|fptan|fpatan|f2xm1|fyl2x|fyl2xp1)\b")
LIBRARY = "libtorch_cpu.so"
MARK = "case: "

# Runs inside of gdb. The process announces each case with a line and then calls getppid, where gdb stops.
GDB = """
import gdb, json
for command in ("pagination off", "confirm off", "debuginfod enabled off"):
    gdb.execute(f"set {command}")
gdb.execute("catch syscall getppid")
gdb.execute("run")
mappings = gdb.execute("info proc mappings", to_string=True).splitlines()
base = next(int(line.split()[0], 16) for line in mappings if LIBRARY in line)
met = []

class Met(gdb.Breakpoint):
    def stop(self):
        gdb.write(f"met: {self.function} {self.instruction}\\n")
        gdb.flush()
        self.enabled = False  # once for each case: a stop takes a millisecond
        met.append(self)
        return False

for function, address, instruction in json.load(open(ADDRESSES)):
    point = Met(f"*{base + address}", internal=True)
    point.function, point.instruction = function, instruction
while True:
    gdb.execute("continue")
    if not gdb.selected_inferior().pid:
        break
    while met:
        met.pop().enabled = True
"""


def addresses(library: Path) -> list[tuple[str, int, str]]:
    """(function, address, instruction) of each vendor-defined instruction in ``library``."""
    command = ["objdump", "-d", "--no-show-raw-insn", "-j", ".text", str(library)]
    found, function = [], ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith(">:\n"):
                function = line.split("<", 1)[1][:-3]
            else:
                match = INSTRUCTION.search(line)
                if match and ":" in line:
                    found.append((function, int(line.split(":", 1)[0], 16), match[1]))
    return found


def _named(names: str) -> list[str]:
    return names.split()


def more_cases() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Operations beyond the battery: linear algebra, sparse matrices, optimisers, wide ranges, draws."""
    import torch

    for dtype, n in product((torch.float32, torch.float64, torch.complex64), (5, 64, 300)):
        yield from _matrix_cases(dtype, n)
    functions = "tan tanh sin cos exp erf erfc erfinv log log1p expm1 lgamma digamma sigmoid logit sinh i0"
    for dtype, n in product((torch.float32, torch.float64), (5, 20_000)):
        x, named = torch.rand(n, dtype=dtype), f"{dtype} {n}"
        for name, scale in product(functions.split(), (1.0, 1e3, 1e6, 1e30, 1e-30)):
            yield f"{name} of up to {scale:g} {named}", partial(getattr(torch, name), scale * x)
            yield f"{name} of down to -{scale:g} {named}", partial(getattr(torch, name), -scale * x)
        for name in _named("exponential_ normal_ log_normal_ cauchy_"):
            yield f"{name} {named}", getattr(x.clone(), name)
        yield f"cdist {named}", partial(torch.cdist, x[:100].reshape(-1, 5), x[:100].reshape(-1, 5))
        for name in _named("norm std var"):
            yield f"{name} {named}", partial(getattr(torch, name), x)
        yield f"gamma {named}", partial(torch._standard_gamma, x + 0.5)
        yield f"poisson {named}", partial(torch.poisson, 5 * x)
        for name in _named("AdamW Adam RMSprop Adagrad Adadelta Adamax NAdam RAdam Rprop ASGD"):
            yield f"{name} {named}", partial(_step, name, x)
        for name in ("AdamW", "Adagrad"):
            yield f"{name} fused {named}", partial(_step, name, x, fused=True)


def _matrix_cases(dtype: torch.dtype, n: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    import torch

    linalg: Any = torch.linalg
    a = torch.rand(n, n, dtype=dtype) * 0.1 + 3 * torch.eye(n, dtype=dtype)
    b, named = torch.rand(n, 16, dtype=dtype), f"{dtype} {n}"
    for name in _named("eigh eigvalsh cholesky ldl_factor"):
        yield f"linalg.{name} {named}", partial(getattr(linalg, name), a @ a.mH)
    for name in _named("eig svd qr lu inv pinv det slogdet matrix_exp cond"):
        yield f"linalg.{name} {named}", partial(getattr(linalg, name), a)
    yield f"linalg.solve {named}", partial(linalg.solve, a, b)
    yield f"linalg.lstsq {named}", partial(linalg.lstsq, a, b)
    yield f"cholesky_inverse {named}", partial(torch.cholesky_inverse, a.tril())
    yield f"solve_triangular {named}", partial(linalg.solve_triangular, a.triu(), b, upper=True)
    sparse = (a * (torch.rand(n, n) > 0.7)).to_sparse_csr()
    for other in (a, a[0], sparse):
        yield f"product of sparse {named}", partial(torch.matmul, sparse, other)
    for upper, flipped in product((True, False), (True, False)):
        triangle = (a.triu() if upper else a.tril()).to_sparse_csr()
        solve = partial(torch.triangular_solve, b, triangle, upper=upper, transpose=flipped)
        yield f"triangular_solve of sparse, {upper=} {flipped=} {named}", solve


def _step(name: str, x: Any, **options: Any) -> None:
    import torch

    weight = torch.nn.Parameter(x.clone())
    weight.square().sum().backward()  # type: ignore[no-untyped-call]
    getattr(torch.optim, name)([weight], **options).step()


def inside(own: bool) -> None:
    """What runs under gdb: each case after its name."""
    warnings.simplefilter("ignore")
    import torch

    import seedpin
    from seedpin.errors import VendorDefinedOpError
    from seedpin.pinning.profiles import apply_profile
    from support.bits import DTYPES, torch_cases

    apply_profile("portable")
    battery = (
        (f"{name} {dtype}", partial(function, dtype))
        for (name, functions), dtype in product(torch_cases().items(), DTYPES)
        for function in functions
    )
    torch.set_num_threads(1)
    os.getppid()  # gdb sets its breakpoints here
    with ExitStack() as stack:
        if not own:
            stack.enter_context(seedpin.pin(7, profile="portable"))
        for name, case in (case for cases in (battery, more_cases()) for case in cases):
            os.write(1, f"{MARK}{name}\n".encode())
            os.getppid()
            try:
                case()
            except VendorDefinedOpError:
                os.write(1, b"refused\n")
            except (RuntimeError, TypeError, NotImplementedError):
                pass
    os.write(1, b"finished\n")


def run(own: bool, library: Path, found: list[tuple[str, int, str]]) -> list[str]:
    """The output of the process and of gdb, line by line."""
    with tempfile.TemporaryDirectory() as folder:
        listed, script = Path(folder, "addresses.json"), Path(folder, "script.py")
        listed.write_text(json.dumps(found), encoding="utf-8")
        script.write_text(f"LIBRARY, ADDRESSES = {library.name!r}, {str(listed)!r}\n{GDB}", encoding="utf-8")
        python = [sys.executable, __file__, "--inside", *(["--own"] if own else [])]
        command = ["gdb", "-q", "-batch", "-x", str(script), "--args", *python]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
        if "finished" not in lines:
            raise SystemExit(
                f"the cases did not run to their end:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
        return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--own", action="store_true", help="with ATen's own kernels, as without a pin")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        inside(arguments.own)
        return
    import torch

    library = Path(torch.__file__).parent / "lib" / LIBRARY
    found = addresses(library)
    print(f"{LIBRARY}: {len(found)} such instructions in {len({name for name, _, _ in found})} functions")
    case, cases, met, refused = "", 0, dict[tuple[str, str], int](), dict[str, int]()
    for line in run(arguments.own, library, found):
        if line.startswith(MARK):
            case, cases = line.removeprefix(MARK), cases + 1
        elif line.startswith("met: "):
            met[case, line.split()[1]] = met.get((case, line.split()[1]), 0) + 1
        elif line == "refused":
            refused[case] = refused.get(case, 0) + 1
    for (name, function), _ in met.items():
        print(f"{name:<50} {function}")
    print(f"{cases} cases, {len({name for name, _ in met})} of them execute such an instruction")
    print("refused: " + (", ".join(refused) or "none"))


if __name__ == "__main__":
    main()
