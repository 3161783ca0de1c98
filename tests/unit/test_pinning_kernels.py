"""The kernels of the profile ``portable``: exact by definition, and otherwise as torch's own."""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import seedpin
from seedpin.errors import VendorDefinedOpError, VendorDefinedOpWarning
from seedpin.pinning import kernels, profiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Operation = Callable[[torch.Tensor], torch.Tensor]


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    before = kernels.installed()
    yield
    assert kernels.installed() == before


@contextmanager
def replaced() -> Iterator[None]:
    before = kernels.installed()
    kernels.install("strict")
    try:
        yield
    finally:
        kernels.install(before)


@contextmanager
def own() -> Iterator[None]:
    """ATen's own kernels."""
    before = kernels.installed()
    kernels.install("")
    try:
        yield
    finally:
        kernels.install(before)


def _out(operation: Callable[..., Any], *more: Any) -> Operation:
    def run(x: torch.Tensor) -> torch.Tensor:
        out = torch.full_like(x, 7.0)
        assert operation(x, *more, out=out).data_ptr() == out.data_ptr()
        return out

    return run


MKL: Any = torch.backends.mkl
LIBRARY: Any = torch.library.Library

ROOTS: dict[str, Operation] = {
    "sqrt": torch.sqrt,
    "sqrt_": lambda x: x.clone().sqrt_(),
    "sqrt out": _out(torch.sqrt),
    "sqrt out, in place": lambda x: _into_itself(x.clone()),
    "pow": lambda x: x**0.5,
    "pow_": lambda x: x.clone().pow_(0.5),
    "pow out": _out(torch.pow, 0.5),
    "foreach sqrt": lambda x: torch._foreach_sqrt([x])[0],
    "foreach sqrt_": lambda x: _foreach_in_place(torch._foreach_sqrt_, x),
    "foreach pow": lambda x: torch._foreach_pow([x], 0.5)[0],
    "foreach pow_": lambda x: _foreach_in_place(lambda xs: torch._foreach_pow_(xs, [0.5]), x),
    "every second": lambda x: torch.stack([x, x], 1)[:, 0].sqrt(),
    "transposed": lambda x: torch.stack([x, x]).T.sqrt()[:, 1],
    "one by one": lambda x: torch.stack([element.sqrt() for element in x]),
}


def _into_itself(x: torch.Tensor) -> torch.Tensor:
    torch.sqrt(x, out=x)
    return x


def _foreach_in_place(operation: Callable[[list[torch.Tensor]], Any], x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    operation([y])
    return y


def _floats(dtype: Any) -> Any:
    """Numbers >= 0 of all sizes: subnormal, huge, next to squares, and a few that MKL was seen to miss."""
    rng = np.random.RandomState(0)
    kind = np.uint32 if dtype is np.float32 else np.uint64
    top = np.array(np.finfo(dtype).max).view(kind)
    bits = (rng.random_sample(1500) * int(top)).astype(kind)
    squares = np.arange(1, 200, dtype=dtype) ** 2
    hard = np.array(
        [0.0, 0.89564049243927, 0.5332823395729065, np.finfo(dtype).tiny, np.finfo(dtype).max], dtype
    )
    return np.concatenate([bits.view(dtype), squares, np.nextafter(squares, dtype(0)), hard])


@pytest.mark.parametrize("name", ROOTS)
def test_roots_of_float32_are_rightly_rounded(name: str) -> None:
    """Each way to a square root gives the float32 that is nearest to the true one.

    A float64 root that is rounded once more is that number: 53 bits are enough for 24.
    """
    x = _floats(np.float32)
    with replaced():
        root = ROOTS[name](torch.from_numpy(x)).numpy()
    np.testing.assert_array_equal(root, np.sqrt(x.astype(np.float64)).astype(np.float32))


@pytest.mark.parametrize("name", ROOTS)
def test_roots_of_float64_are_rightly_rounded(name: str) -> None:
    """No other float64 is nearer to the true root, shown in fractions."""
    x = _floats(np.float64)[::4]
    with replaced():
        root = ROOTS[name](torch.from_numpy(x)).numpy()
    for value, found in zip(x.tolist(), root.tolist(), strict=True):
        below = (Fraction(found) + Fraction(np.nextafter(found, -1.0))) / 2
        above = (Fraction(found) + Fraction(np.nextafter(found, np.inf))) / 2
        assert found == 0 or below**2 < value, (value, found)
        assert Fraction(value) < above**2, (value, found)


def test_roots_of_special_values() -> None:
    """Signed zero, infinity, NaN and negative numbers give what IEEE 754 says, in silence."""
    x = torch.tensor([-0.0, 0.0, float("inf"), float("nan"), -1.0, float("-inf")])
    with replaced():
        root = torch.sqrt(x)
    assert root[:3].tolist() == [0.0, 0.0, float("inf")]
    assert root[0].signbit().item()
    assert root[3:].isnan().all()


LAYOUTS: dict[str, torch.Tensor] = {
    "plain": torch.rand(3, 4),
    "0-d": torch.tensor(2.0),
    "empty": torch.empty(0, 3),
    "channels last": torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "transposed": torch.rand(3, 4, 5).permute(2, 0, 1),
    "sliced": torch.rand(6, 8)[::2, ::3],
    "expanded": torch.rand(3, 1, 4).expand(3, 5, 4),
    "float64": torch.rand(5, dtype=torch.float64),
    "bfloat16": torch.rand(5).bfloat16(),
    "float16": torch.rand(5).half(),
    "int64": torch.arange(9),
    "uint8": torch.arange(9, dtype=torch.uint8).reshape(3, 3),
    "bool": torch.tensor([True, False]),
    "complex": torch.complex(torch.rand(4), torch.rand(4)),
    "conjugate": torch.complex(torch.rand(4), torch.rand(4)).conj().imag,
    "negated": torch._neg_view(torch.rand(4) - 2),
    "sparse": torch.eye(3).to_sparse(),
    "csr": torch.eye(3).to_sparse_csr(),
    "meta": torch.ones(2, 3, device="meta"),
    "wanted gradient": torch.rand(3, requires_grad=True),
}


@pytest.mark.parametrize("operation", [torch.sqrt, lambda x: x**0.5, lambda x: x**2, lambda x: x**-0.5])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_results_look_as_torch_makes_them(layout: str, operation: Operation) -> None:
    """Dtype, shape, strides, layout and errors are those of ATen's kernel, values within rounding."""
    x = LAYOUTS[layout]
    expected = _result(own, operation, x)
    obtained = _result(replaced, operation, x)
    if isinstance(expected, str):
        assert obtained == expected
        return
    assert (obtained.dtype, obtained.shape, obtained.layout) == (
        expected.dtype,
        expected.shape,
        expected.layout,
    )
    assert obtained.requires_grad == expected.requires_grad
    if expected.layout is torch.strided:
        assert obtained.stride() == expected.stride()
        if not expected.is_meta:
            torch.testing.assert_close(obtained, expected, rtol=1e-6, atol=0, equal_nan=True)


def _result(state: Callable[[], Any], operation: Callable[..., Any], *arguments: Any) -> Any:
    """What ``operation`` gives with these kernels, an error in words."""
    with state():
        try:
            return operation(*arguments)
        except (RuntimeError, NotImplementedError) as error:
            return str(error).partition("\n")[0]


def test_memory_is_aligned_as_torchs() -> None:
    """Results start at multiples of 64 bytes: kernels that read them choose by that."""
    with replaced():
        assert {torch.rand(n).sqrt().data_ptr() % 64 for n in range(1, 40)} == {0}


OUTPUTS: dict[str, Callable[[], tuple[torch.Tensor, torch.Tensor]]] = {
    "another dtype": lambda: (torch.tensor([2.0, 3.0]), torch.empty(2, dtype=torch.float64)),
    "narrower": lambda: (torch.tensor([2.0, 3.0], dtype=torch.float64), torch.empty(2)),
    "integers": lambda: (torch.tensor([2.0, 3.0]), torch.empty(2, dtype=torch.int64)),
    "of integers": lambda: (torch.tensor([2, 3]), torch.empty(2)),
    "to be resized": lambda: (torch.tensor([2.0, 3.0]), torch.empty(0)),
    "with strides": lambda: (torch.tensor([2.0, 3.0]), torch.empty(4)[::2]),
    "expanded": lambda: (torch.tensor([2.0, 3.0]), torch.empty(1).expand(2)),
    "overlapping": lambda: _overlapping(),
    "apart in one storage": lambda: (lambda whole: (whole[:3], whole[3:]))(torch.arange(1.0, 7.0)),
}


def _overlapping() -> tuple[torch.Tensor, torch.Tensor]:
    whole = torch.arange(1.0, 5.0)
    return whole[:3], whole[1:]


@pytest.mark.parametrize(
    "write", [lambda x, out: torch.sqrt(x, out=out), lambda x, out: torch.pow(x, 0.5, out=out)]
)
@pytest.mark.parametrize("case", OUTPUTS)
def test_outputs_are_treated_as_torch_treats_them(case: str, write: Callable[..., Any]) -> None:
    """``out=`` is converted, resized or refused as by ATen's kernel; the values are the exact ones."""
    x, out = OUTPUTS[case]()
    expected = _result(own, write, x, out)
    x, out = OUTPUTS[case]()
    exact = np.sqrt(x.numpy().astype(np.float64 if x.dtype is torch.float64 else np.float32))
    obtained = _result(replaced, write, x, out)
    if isinstance(expected, str):
        assert obtained == expected
        return
    assert obtained is out
    assert (obtained.shape, obtained.stride()) == (expected.shape, expected.stride())
    np.testing.assert_array_equal(obtained.numpy(), exact.astype(obtained.numpy().dtype))


@pytest.mark.parametrize("x", [torch.arange(3), torch.rand(1).expand(3), torch.rand(2, requires_grad=True)])
@pytest.mark.parametrize("name", ["sqrt_", "pow_"])
def test_in_place_is_refused_as_torch_refuses_it(x: torch.Tensor, name: str) -> None:
    """Integers, several elements in one place, and leaves that want a gradient are not written to."""
    arguments = (0.5,) if name == "pow_" else ()
    expected = _result(own, getattr(x, name), *arguments)
    assert isinstance(expected, str)
    assert _result(replaced, getattr(x, name), *arguments) == expected


@pytest.mark.parametrize("operation", [torch.sqrt, lambda x: x**0.5, lambda x: x.clone().sqrt_()])
def test_gradients(operation: Operation) -> None:
    """First and second derivatives, forward and backward, and the transforms of torch.func work."""
    x = torch.tensor([0.5, 2.0, 7.0], dtype=torch.float64, requires_grad=True)
    with replaced():
        assert torch.autograd.gradcheck(operation, (x,), check_forward_ad=True)
        assert torch.autograd.gradgradcheck(operation, (x,))
        jacobian: Any = torch.func.jacrev(operation)(x.detach())
        torch.testing.assert_close(jacobian.diagonal(), 0.5 / x.detach().sqrt())
        batched = torch.func.vmap(operation)(x.detach().expand(4, 3))
        assert torch.equal(batched, x.detach().sqrt().expand(4, 3))
        with torch.inference_mode():
            assert torch.equal(operation(torch.tensor([4.0])), torch.tensor([2.0]))


@pytest.mark.parametrize("foreach", [True, False])
def test_optimisers_take_the_replaced_root(foreach: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """AdamW divides by a root that was computed here."""
    seen: list[int] = []

    def root(x: Any, out: Any) -> None:
        seen.append(x.size)
        np.sqrt(x, out=out)

    monkeypatch.setattr(kernels, "REPLACED", {**kernels.REPLACED, "sqrt": {torch.float32: root}})
    with own(), replaced():
        weight = torch.nn.Parameter(torch.rand(40, 30))
        optimiser = torch.optim.AdamW([weight], foreach=foreach)
        weight.square().sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert 1200 in seen


FUNCTIONS = sorted(set(kernels.REPLACED) - {"sqrt"})
WAYS: dict[str, Callable[[str, torch.Tensor], torch.Tensor]] = {
    "function": lambda name, x: _call(name, x),
    "method": lambda name, x: getattr(x, name)(),
    "in place": lambda name, x: getattr(x.clone(), f"{name}_")(),
    "out": lambda name, x: _out(getattr(torch, name))(x),
    "foreach": lambda name, x: _call(f"_foreach_{name}", [x])[0],
    "foreach in place": lambda name, x: _foreach_in_place(getattr(torch, f"_foreach_{name}_"), x),
    "other name": lambda name, x: _call("arc" + name[1:] if name[0] == "a" else name, x),
}


def _call(name: str, x: Any) -> Any:
    return getattr(torch, name)(x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_way_leads_to_the_replacement(name: str, way: str, dtype: torch.dtype) -> None:
    """Function, method, in place, ``out=`` and foreach give the bits of the fixed sequence of operations."""
    function = kernels.REPLACED[name].get(dtype)
    if function is None:
        pytest.skip("MKL's kernel for this dtype has no such instruction")
    x = torch.linspace(0.001, 0.999, 777, dtype=dtype)
    expected = np.empty_like(x.numpy())
    function(x.numpy(), out=expected)
    with replaced():
        obtained = WAYS[way](name, x).numpy()
    np.testing.assert_array_equal(obtained, expected)
    with own():
        torch.testing.assert_close(torch.from_numpy(obtained), _call(name, x), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("eps", [None, 0.1])
def test_logit_of_float64_takes_the_replaced_logarithm(eps: float | None) -> None:
    """ATen's logit calls MKL's logarithm by itself; with the replacement it is log(x / (1 - x))."""
    x = torch.linspace(0.001, 0.999, 777, dtype=torch.float64)
    clipped = x if eps is None else x.clamp(eps, 1 - eps)
    with replaced():
        for obtained in (
            torch.logit(x, eps),
            x.clone().logit_(eps),
            torch.logit(x, eps, out=torch.empty(0).double()),
        ):
            assert torch.equal(obtained, (clipped / (1 - clipped)).log())
        assert torch.equal(torch.logit(x.float(), eps), _result(own, torch.logit, x.float(), eps))


def _positive_definite() -> torch.Tensor:
    x = torch.rand(3, 70, 70)
    return x @ x.mT + 5 * torch.eye(70)


@pytest.mark.skipif(not hasattr(torch.ops.aten, "cholesky"), reason="torch.cholesky is gone since torch 2.14")
@pytest.mark.filterwarnings("ignore:.*torch.cholesky is deprecated")
def test_the_old_cholesky_of_float32_is_done_in_float64() -> None:
    """Where torch still has its older function, that is replaced as well."""
    x = _positive_definite()
    with replaced():
        factor = torch.linalg.cholesky(x.double()).float()
        assert torch.equal(torch.cholesky(x), factor)
        assert torch.equal(torch.cholesky(x, upper=True), torch.cholesky(x.double(), upper=True).float())
        out = torch.empty(0)
        assert torch.cholesky(x, out=out) is out
        assert torch.equal(out, factor)


def test_cholesky_of_float32_is_done_in_float64() -> None:
    """Each entry gives the factor of float64 as rounded to float32, and ATen's errors."""
    x = _positive_definite()
    with replaced():
        factor = torch.linalg.cholesky(x.double()).float()
        assert torch.equal(torch.linalg.cholesky(x), factor)
        result = torch.empty(0), torch.empty(0, dtype=torch.int32)
        torch.linalg.cholesky_ex(x, upper=True, out=result)
        assert torch.equal(result[0], torch.linalg.cholesky(x.double(), upper=True).float())
        assert result[1].tolist() == [0, 0, 0]
        assert torch.linalg.cholesky_ex(-x)[1].tolist() == [1, 1, 1]
        with pytest.raises(RuntimeError, match="not positive-definite"):
            torch.linalg.cholesky(-x)
        leaf = x[0].clone().requires_grad_()
        torch.linalg.cholesky(leaf).sum().backward()
        assert leaf.grad is not None
    with own():
        torch.testing.assert_close(torch.linalg.cholesky(x), factor)
        assert torch.linalg.cholesky(x).stride() == factor.stride()


def _sparse_solve() -> Any:
    return torch.triangular_solve(torch.ones(3, 1), torch.eye(3).to_sparse_csr())


@pytest.mark.skipif(not MKL.is_available(), reason="torch solves sparse matrices with MKL only")
@pytest.mark.filterwarnings("ignore:.*triangular_solve is deprecated")
@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_what_has_no_replacement_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strict portable pin names the operation and what to do; ``warn`` warns; elsewhere it runs."""
    monkeypatch.setattr(profiles._Active, "profile", "portable")
    with own():
        with (
            seedpin.pin(1),
            pytest.raises(VendorDefinedOpError, match=r"torch\.triangular_solve .*float32") as caught,
        ):
            _sparse_solve()
        assert "float64" in caught.value.hint
        with (
            seedpin.pin(1, level="warn"),
            pytest.warns(VendorDefinedOpWarning, match="triangular_solve") as told,
        ):
            _sparse_solve()
        assert {warning.filename for warning in told if warning.category is VendorDefinedOpWarning} == {
            __file__
        }
        with seedpin.pin(1, level="seeds"):
            assert torch.equal(_sparse_solve()[0], torch.ones(3, 1))
        with seedpin.pin(1):
            eye = torch.eye(3, dtype=torch.float64)
            assert torch.equal(torch.triangular_solve(eye, eye.to_sparse_csr())[0], eye)
            assert torch.equal(torch.triangular_solve(eye.float(), eye.float())[0], eye.float())


def test_modes_see_what_the_model_does() -> None:
    """Recorders and modes see the operations of the model and none of the kernel's own."""

    def seen(state: Callable[[], Any]) -> list[str]:
        names: list[str] = []

        class Functions(TorchFunctionMode):
            def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                names.append(func.__name__)
                return func(*args, **(kwargs or {}))

        class Dispatched(TorchDispatchMode):  # type: ignore[no-untyped-call]
            def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                names.append(str(func))
                return func(*args, **(kwargs or {}))

        x = torch.rand(3)
        with state(), Functions(), Dispatched():  # type: ignore[no-untyped-call]
            torch.sqrt(x)
            torch.sqrt(x, out=torch.empty(0))
            x.sqrt_()
            x.pow(0.5)
        return names

    assert seen(replaced) == seen(own)


def test_a_pin_of_the_profile_brings_them_and_takes_them_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are in force from level ``warn`` on, not in a hole, and gone after the pin, an error included."""
    monkeypatch.setattr(profiles._Active, "profile", "portable")
    x = torch.rand(4096)
    with own():
        before = torch.sqrt(x)
        for level in ("strict", "warn"):
            with seedpin.pin(1, level=level):
                assert kernels.installed() == level
                with seedpin.unpinned():
                    assert not kernels.installed()
                with seedpin.pin(2, level="seeds"):
                    assert kernels.installed() == level
                with seedpin.pin(2, level="warn"):
                    assert kernels.installed() == "warn"
                assert kernels.installed() == level
            assert not kernels.installed()
        with seedpin.pin(1, level="seeds"):
            assert not kernels.installed()
        with pytest.raises(KeyError), seedpin.pin(1):
            raise KeyError
        assert not kernels.installed()
        assert torch.equal(torch.sqrt(x), before)


def test_another_profile_leaves_torch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under ``native`` a pin replaces nothing, and inside of a portable pin takes the kernels out."""
    monkeypatch.setattr(profiles._Active, "profile", "native")
    with own():
        with seedpin.pin(1):
            assert not kernels.installed()
        monkeypatch.setattr(profiles._Active, "profile", "portable")
        with seedpin.pin(1), seedpin.pin(1, profile="native"):
            assert not kernels.installed()


def test_a_kernel_of_the_users_own_goes_before_them() -> None:
    """What the user registered for the CPU computes under the pin too, until it is taken away again."""
    x = torch.rand(16)
    with replaced(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library: Any = LIBRARY("aten", "IMPL")
        library.impl("sqrt", lambda x: torch.full_like(x, 7.0), "CPU")
        try:
            assert torch.equal(torch.sqrt(x), torch.full((16,), 7.0))
            np.testing.assert_array_equal(x.clone().sqrt_().numpy(), np.sqrt(x.numpy()))
        finally:
            library._destroy()
        np.testing.assert_array_equal(torch.sqrt(x).numpy(), np.sqrt(x.numpy()))


def test_all_threads_see_them() -> None:
    """The dispatcher belongs to the process: a worker's root is the exact one, too."""
    x, found = torch.rand(4096), []
    with replaced():
        thread = threading.Thread(target=lambda: found.append(torch.sqrt(x)))
        thread.start()
        thread.join()
    np.testing.assert_array_equal(found[0].numpy(), np.sqrt(x.numpy()))


def test_a_broken_registration_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one entry cannot be registered, none stays."""
    entries = kernels._entries()
    monkeypatch.setattr(kernels, "_entries", lambda: {**entries, "exp": "no kernel"})
    with own():
        with pytest.raises(TypeError):
            kernels.install("strict")
        assert not kernels.installed()
        monkeypatch.undo()
        kernels.install("strict")
        kernels.install("")


def test_traced_code_takes_them() -> None:
    """What torch.compile traces and hands to ATen gives the exact root as well."""

    def roots(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.sqrt(), torch.pow(x, 0.5)

    x = torch.rand(4096)
    with replaced():
        compiled: Any = torch.compile(roots, backend="aot_eager")
        for root in compiled(x):
            np.testing.assert_array_equal(root.numpy(), np.sqrt(x.numpy()))
