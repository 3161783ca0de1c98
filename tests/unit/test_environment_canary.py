"""The canary: what operations compute here, measured without a trace of it left behind."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from seedpin.environment import battery, canary
from seedpin.environment.device import DeviceClass, cpu_class
from seedpin.environment.fingerprint import Environment, EnvironmentValue, capture_environment
from seedpin.environment.measured import WORDS, is_measured, measured_key
from seedpin.pinning import sources, switches
from seedpin.pinning.pin import pin
from seedpin.trace.record.recorder import record

CPU = torch.device("cpu")
PROGRAM = """
import json, sys, torch
from seedpin.environment.canary import measure
from seedpin.pinning.pin import pin

with pin(1, profile="native"):
    found = measure(torch.device("cpu"))
assert not {"torch._dynamo", "torch._inductor", "sympy"} & sys.modules.keys(), "slow imports"
print(json.dumps(found))
"""
x86_64 = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="the variables choose between x86 kernels"
)


def elsewhere(**variables: str) -> dict[str, str]:
    """What a fresh process measures."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def families(one: dict[str, str], other: dict[str, str]) -> set[str]:
    return {key.split(".")[1] for key in one if one[key] != other[key]}


@pytest.fixture(scope="module")
def here() -> dict[str, str]:
    """Under ``native``: the other profile sets the variables that are varied here, and holds own kernels."""
    with pin(1, profile="native"):
        return canary.measure(CPU)


def test_a_fresh_process_measures_the_same(here: dict[str, str]) -> None:
    """Under the same pin every digest repeats in another process, which loads no compiler for it."""
    assert elsewhere(PYTHONHASHSEED="77") == here


@x86_64
def test_other_kernels_of_aten_are_seen(here: dict[str, str]) -> None:
    """Scalar kernels compute other norms and draw other noise; integers and NumPy stay."""
    found = families(elsewhere(ATEN_CPU_CAPABILITY="default"), here)
    assert {"norms", "randn", "interpolation", "softmax"} <= found
    assert not {"randint", "denormals", "numpy-exp", "numpy-matmul"} & found


@x86_64
def test_other_kernels_of_onednn_are_seen(here: dict[str, str]) -> None:
    """A lower limit of oneDNN's instruction sets moves convolutions."""
    found = families(elsewhere(ONEDNN_MAX_CPU_ISA="SSE41"), here)
    assert "conv2d" in found
    assert not {"sqrt", "randn", "norms"} & found


def test_the_battery_covers_what_models_are_made_of(here: dict[str, str]) -> None:
    """About forty families in the dtypes that models use, each with its words."""
    names = [family.name for family in battery.FAMILIES]
    assert len(names) == len(set(names)) == 47
    assert set(names) == set(WORDS)
    for key in (
        "sqrt.float32", "sqrt.float64", "pow.float64", "attention.bfloat16", "attention-math.float32",
        "attention-flash.float32", "conv3d.float16", "randn.float32", "numpy-power.float64", "fft.float32",
    ):  # fmt: skip
        assert f"canary.{key}" in here


def test_two_overrides_of_one_operation_are_told_apart() -> None:
    """What the user puts in the place of a kernel is measured, and another one after it as well."""
    library: Any = torch.library.Library
    found = []
    with pin(1, profile="native"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for value in (1.0, 2.0):
            own = library("aten", "IMPL")
            own.impl("sqrt", lambda x, value=value: torch.full_like(x, value), "CPU")
            try:
                measured = canary.with_canary(capture_environment(cpu_class()), cpu_class())
                found.append({entry.key: entry.value for entry in measured.entries}["canary.sqrt.float32"])
            finally:
                own._destroy()
    assert found[0] != found[1]


def test_definitions_are_pinned() -> None:
    """Whoever changes what a family computes raises its version, so that goldens of before excuse nothing.

    Then this number: the hash of the module's code without comments, docstrings and layout.
    """
    code = ast.parse(inspect.getsource(battery))
    for node in ast.walk(code):
        body: Any = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            del body[0]
    found = hashlib.sha256(ast.unparse(code).encode()).hexdigest()[:12]
    assert found == "80b91324fc14", "raise the version of each family that computes something else now"


def test_inputs_are_made_without_kernels() -> None:
    """They are multiples of a power of two, the same numbers everywhere."""
    found = battery.values(4)
    assert found.tolist() == [3.066486358642578, -0.5477762222290039, -3.7885303497314453, 3.7670555114746094]


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


class Listening(TorchFunctionMode):
    calls = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def test_nothing_is_disturbed() -> None:
    """Generators, switches, default dtype, gradients and autocast are as before; nobody is told anything."""
    np.random.seed(3)
    before = sources.snapshot(), switches.snapshot(), np.geterr()
    torch.set_default_dtype(torch.float64)
    try:
        with warnings.catch_warnings(record=True) as told, torch.autocast("cpu"), torch.enable_grad():
            warnings.simplefilter("always")
            canary.measure(CPU)
            state = torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.get_default_dtype()
    finally:
        torch.set_default_dtype(torch.float32)
    assert state == (True, True, torch.float64)
    assert told == []
    after = sources.snapshot(), switches.snapshot(), np.geterr()
    for old, new in zip(before, after, strict=True):
        assert str(old) == str(new)
    assert torch.equal(before[0]["torch-cpu"], after[0]["torch-cpu"])


def test_what_the_caller_has_entered_does_not_move_it(here: dict[str, str]) -> None:
    """Autocast, inference mode, a default dtype and modes change no digest, and the modes see no call."""
    counting: Any = Counting()  # type: ignore[no-untyped-call]
    listening = Listening()
    with pin(1, profile="native"), torch.inference_mode(), torch.autocast("cpu"), counting, listening:
        counting.calls = listening.calls = 0
        found = canary.measure(CPU)
        seen = counting.calls, listening.calls
    assert seen == (0, 0)
    assert found == here
    torch.set_default_dtype(torch.float64)
    try:
        with pin(1, profile="native"):
            assert canary.measure(CPU) == here
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_recorder_takes_no_note(here: dict[str, str]) -> None:
    """Inside of a recording neither draws nor modules nor kernels of the canary are recorded."""
    with record(nn.Linear(2, 2), level="modules") as recorder, pin(1, profile="native"):
        found = canary.measure(CPU)
    assert found == here
    trace = recorder.trace()
    assert [entry for entry in trace.records if entry.kind in ("draw", "module", "step")] == []


def test_it_runs_once_for_a_device_and_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second check costs nothing; under other settings it is measured again."""
    runs: list[torch.device] = []
    monkeypatch.setattr(canary, "_PROCESS", canary._Process())

    def measure(device: torch.device) -> dict[str, str]:
        runs.append(device)
        return {"canary.sqrt.float32": "1:a"}

    monkeypatch.setattr(canary, "measure", measure)
    device = cpu_class()
    with pin(1) as held:
        captured = capture_environment(device, held)
        first, again = canary.with_canary(captured, device), canary.with_canary(captured, device)
        assert first == again == canary.with_canary(first, device)
        assert first.get("canary.sqrt.float32") == "1:a"
        assert len(runs) == 1
        torch.set_num_threads(2)
        canary.with_canary(capture_environment(device, held), device)
    assert len(runs) == 2


def test_a_device_that_is_not_in_use_is_not_measured() -> None:
    """A golden of another machine's GPU starts no GPU, and gets no keys."""
    captured = Environment((EnvironmentValue("torch", "2.13.0", True),))
    elsewhere = DeviceClass("cuda", "cuda-sm90-nvidia_h100_80gb_hbm3-132sm")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert canary.with_canary(captured, elsewhere) == captured


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_measured_and_so_is_the_cpu_beside_it() -> None:
    """Digests repeat on the device; noise and schedules of the CPU have keys of their own."""
    device = torch.device("cuda", torch.cuda.current_device())
    torch.ones(1, device=device)
    before = torch.cuda.get_rng_state(device)
    with pin(1):
        found = canary.measure(device)
        assert canary.measure(device) == found
    assert torch.equal(torch.cuda.get_rng_state(device), before)
    assert {"canary.matmul.bfloat16", "canary.host-randn.float32", "canary.numpy-exp.float64"} <= set(found)
    assert not {value for key, value in found.items() if key.startswith("canary.matmul.") and "n/a" in value}


def test_beside_an_accelerator_the_cpu_is_measured_too() -> None:
    """On a stand-in that computes nothing, only what models compute on the CPU beside it is left."""
    found = canary.measure(torch.device("meta"))
    told = {key for key, value in found.items() if not value.endswith("n/a")}
    assert {"canary.host-sqrt.float32", "canary.host-randn.float32", "canary.numpy-exp.float64"} <= told
    assert {key.split(".")[1].split("-")[0] for key in told} == {"host", "numpy"}
    assert "canary.linalg.float32" not in found


def test_what_cannot_run_is_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel, a refusal by the pin: n/a. No memory, a back end that is off: left out."""

    def refuse(bench: battery.Bench) -> Iterator[Any]:
        raise RuntimeError("not implemented for 'Half'")
        yield

    def exhaust(bench: battery.Bench) -> Iterator[Any]:
        raise MemoryError
        yield

    def nothing(bench: battery.Bench) -> Iterator[Any]:
        yield from ()

    table = [("sqrt", refuse), ("pow", exhaust), ("exp", nothing)]
    monkeypatch.setattr(
        battery, "FAMILIES", tuple(battery.Family(name, ("float32",), run) for name, run in table)
    )
    assert canary.measure(CPU) == {"canary.sqrt.float32": "1:n/a"}


@pytest.fixture
def lower_sqrt() -> Iterator[None]:
    """A provider of kernels whose square roots of float32 are one ulp lower for some values."""
    library: Any = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]

    def sqrt(x: torch.Tensor) -> torch.Tensor:
        exact = np.sqrt(x.detach().numpy())
        lower = np.nextafter(exact, np.zeros_like(exact))
        taken = (exact.astype(np.float64) * 1024 % 5 < 1) & (exact.dtype == np.float32)
        return torch.from_numpy(np.where(taken, lower, exact).astype(exact.dtype))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library.impl("sqrt", sqrt, "CPU")
    yield
    library._destroy()


def unpinned() -> dict[str, str]:
    device = cpu_class()
    found = canary.with_canary(capture_environment(device), device)
    return {entry.key: entry.value for entry in found.entries if is_measured(entry.key)}


def test_another_attention_function_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that takes the place of torch's attention is measured as models get it."""
    before = unpinned()
    original = torch.nn.functional.scaled_dot_product_attention

    def sparse(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, **more: Any) -> torch.Tensor:
        return original(q, k * 1.001, v, **more)

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.functional, "scaled_dot_product_attention", sparse)
        assert families(before, unpinned()) == {"attention"}
    assert unpinned() == before


def test_flushed_denormals_are_seen() -> None:
    """A setting that torch cannot tell is measured, and what was measured before is not reused."""
    before = unpinned()
    if not torch.set_flush_denormal(True):
        pytest.skip("this CPU cannot flush them")
    try:
        after = unpinned()
    finally:
        torch.set_flush_denormal(False)
    assert "denormals" in families(before, after)
    assert unpinned() == before


def test_a_swapped_kernel_is_seen(request: pytest.FixtureRequest) -> None:
    """Versions and settings agree, and sqrt in float32 does not; what was measured before is not reused."""
    before = unpinned()
    request.getfixturevalue("lower_sqrt")
    after = unpinned()
    assert families(before, after) == {"sqrt"}
    assert before[measured_key("sqrt", "float32")] != after[measured_key("sqrt", "float32")]
