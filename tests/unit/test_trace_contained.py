"""Whatever a model hands around, no error of the recorder's reaches it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from seedpin.trace.model import Fingerprint, Level, Trace, agree, weights_agree
from seedpin.trace.record.draws import StateWatch
from seedpin.trace.record.fingerprint import Fingerprints
from seedpin.trace.record.recorder import Recorder, mark, record

LEVELS: tuple[Level, ...] = ("stages", "modules")


class Plain(torch.Tensor):
    """A subclass without anything of its own."""


class Hostile(torch.Tensor):
    """A wrapper that refuses every operation."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Hostile:
        made: Hostile = torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        raise RuntimeError("no operation is allowed here")


def fake() -> torch.Tensor:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        return torch.zeros(2)


class Flattens(torch.Tensor):
    """A wrapper that says it has parts and fails to give them."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Flattens:
        made: Flattens = torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)
        return made

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        raise ZeroDivisionError("no parts")

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        raise RuntimeError("no operation is allowed here")


ODD: dict[str, Callable[[float], torch.Tensor]] = {
    "subclass": lambda one: torch.full((2, 2), one).as_subclass(Plain),
    "hostile": lambda one: Hostile(torch.full((2,), one)),
    "broken": lambda one: Flattens(torch.full((2,), one)),
    "fake": lambda _: fake(),
    "meta": lambda _: torch.ones(2, device="meta"),
    "lazy": lambda _: nn.LazyLinear(2).weight,
    "nested": lambda one: torch.nested.nested_tensor([torch.full((2, 2), one), torch.ones(1, 2)]),
    "jagged": lambda one: torch.nested.nested_tensor(
        [torch.full((2, 2), one), torch.ones(1, 2)], layout=torch.jagged
    ),
    "coo": lambda one: (torch.eye(3) * one).to_sparse(),
    "csr": lambda one: (torch.eye(3) * one).to_sparse_csr(),
    # Of the same integers, that only mean other numbers.
    "quantised": lambda one: torch._make_per_tensor_quantized_tensor(
        torch.ones(2, dtype=torch.int8), 0.1, int(one)
    ),
    "mkldnn": lambda one: torch.full((2, 2), one).to_mkldnn(),
    "float8": lambda one: torch.full((2,), one).to(torch.float8_e5m2),
    "conj": lambda one: torch.full((2,), one + 1j).conj(),
    "neg": lambda one: torch.full((2,), 1 + one * 1j).conj().imag,
}
UNREAD = {
    "subclass": "a Plain: its memory was read, not what else it holds",
    "hostile": "a Hostile, a class of tensors that seedpin does not know",
    "broken": "ZeroDivisionError: no parts",
    "fake": "a FakeTensor has no content",
    "meta": "on meta: it has no content",
    "lazy": "uninitialised, as in a lazy module before its first call",
}


class Passes(nn.Module):
    """Gives back the very object that it got."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return args[0] if args else kwargs


def traced(run: Callable[[], Any], *objects: object, level: Level = "modules") -> Trace:
    with record(*objects, level=level) as recorder:
        run()
    return recorder.trace()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("device_path", [False, True], ids=["host", "device"])
@pytest.mark.parametrize("kind", ODD)
def test_tensors_of_every_kind_pass_untouched(kind: str, device_path: bool) -> None:
    """A model gets and gives the very tensor; what cannot be read is unread with a reason, never equal."""
    net, tensor = nn.Sequential(Passes()), ODD[kind](1.0)
    recorder = Recorder((net,), level="modules", device_path=device_path)
    with recorder.running():
        assert net(tensor) is tensor
        recorder.mark("odd", tensor)
    trace = recorder.trace()
    seen = [item for entry in trace.records for _, item in (*entry.inputs, *entry.outputs)]
    assert len(seen) == 5
    for item in seen:
        assert isinstance(item, Fingerprint)
        assert item.unread == UNREAD.get(kind, "")
        assert agree(item, item) is (None if kind in UNREAD else True)
    assert any("was not read" in note for note in trace.notes) == (kind in UNREAD)


def fingerprint(tensor: torch.Tensor) -> Fingerprint:
    table = Fingerprints()
    slot = table.tensor(tensor)
    return table.resolve()[slot]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", sorted(ODD.keys() - UNREAD))
def test_another_content_of_any_kind_is_another_hash(kind: str) -> None:
    """What is read of a sparse, nested, quantised or lazily conjugated tensor is its content."""
    one, same, other = (fingerprint(ODD[kind](value)) for value in (1.0, 1.0, 2.0))
    assert agree(one, same) is True
    assert agree(one, other) is False


@pytest.mark.parametrize("kind", ["conj", "neg"])
def test_a_lazy_conjugate_is_its_content(kind: str) -> None:
    """Whether a tensor is conjugated or negated already, or will be when it is read, is no difference."""
    lazy = ODD[kind](2.0)
    assert lazy.is_conj() or lazy.is_neg()
    assert agree(fingerprint(lazy), fingerprint(lazy.resolve_conj().resolve_neg())) is True


class Rude:
    """Raises wherever it is asked."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no ==")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __len__(self) -> int:
        raise RuntimeError("no len")

    def __bool__(self) -> bool:
        raise RuntimeError("no bool")

    def __iter__(self) -> Iterator[int]:
        raise RuntimeError("no iter")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    @property
    def __class__(self) -> Any:
        raise RuntimeError("no class")

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


class Loads(Mapping[str, Any]):
    """A mapping that computes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getitem__(self, key: str) -> Any:
        self.asked.append(key)
        return torch.ones(2)

    def __iter__(self) -> Iterator[str]:
        return iter(["a", "b"])

    def __len__(self) -> int:
        return 2


@pytest.mark.parametrize("level", LEVELS)
def test_rude_objects_are_a_note(level: Level) -> None:
    """An argument that raises wherever it is looked at goes through, beside others that are seen."""
    net, rude = Passes(), Rude()
    with record(net, level=level) as recorder:
        assert net(rude, x=torch.ones(2)) is rude
    call = recorder.trace().records[0]
    assert [name for name, _ in call.inputs] == ["args[0]", "x"]
    assert str(call.inputs[0][1]) == "<Rude>"
    assert isinstance(call.inputs[1][1], Fingerprint)
    assert sum("RuntimeError: no class" in note for note in recorder.trace().notes) == 2


def test_generators_and_lazy_mappings_are_left_as_they_are() -> None:
    """A generator that is handed to a model is not consumed, and a mapping that loads is not asked."""
    net, loads = Passes(), Loads()
    generator = (index for index in range(3))
    with record(net):
        assert list(net(generator)) == [0, 1, 2]
        net(loads)
    assert not loads.asked


def test_containers_that_hold_themselves_end() -> None:
    """A list and a dictionary that hold themselves are recorded as far as a limit."""
    loop: list[Any] = [torch.ones(1)]
    loop += [loop] * 500
    table: dict[str, Any] = {"x": torch.ones(1)}
    table["again"] = table
    net = Passes()
    trace = traced(lambda: (net(loop), net(table)), net)
    assert all(len(item.inputs) < 5000 for item in trace.records)
    assert trace.records[0].inputs[-1][0] == "…"


@pytest.mark.parametrize(
    "value", [np.array([object()], dtype=object), np.ma.masked_array([1, 2], [False, True])]
)
def test_arrays_that_hide_their_content_are_unread(value: Any) -> None:
    """Arrays of objects and masked arrays are never called equal."""
    net = Passes()
    seen = traced(lambda: net(value), net).records[0].inputs[0][1]
    assert isinstance(seen, Fingerprint)
    assert agree(seen, seen) is None


@pytest.mark.filterwarnings("ignore")
def test_script_modules_lazy_modules_and_quantised_ones() -> None:
    """Modules of torch.jit, lazy ones at and after their first call, and quantised ones run as they do."""
    torch.manual_seed(0)

    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.script = torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
            self.lazy = nn.LazyLinear(3)
            self.quantised = torch.ao.nn.quantized.dynamic.Linear(3, 2)  # type: ignore[no-untyped-call]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.quantised(self.lazy(self.script(x)))
            return out

    net = Holder()
    x = torch.ones(1, 4)
    with record(net, level="modules") as recorder:
        torch.manual_seed(0)
        first = net(x)
        second = net(x)
    assert torch.equal(first, second)
    assert torch.equal(first, net(x))
    names = [item.name for item in recorder.trace().records if item.depth == 1]
    assert names[:3] == ["script", "lazy", "quantised"]
    assert net.script.forward is not None
    lazy = [item for item in recorder.trace().records if item.name == "lazy"]
    assert weights_agree(lazy[0], lazy[0]) is None
    assert weights_agree(lazy[1], lazy[1]) is True


def test_gradients_versions_and_formats_are_those_of_the_model() -> None:
    """No graph grows, no version moves, no memory format changes, and outputs are the very objects."""
    net = nn.Sequential(nn.Conv2d(2, 2, 1), Passes())
    x = torch.randn(1, 2, 4, 4).to(memory_format=torch.channels_last).requires_grad_()
    version = x._version
    with record(net, level="modules"):
        out = net(x)
        mark("here", out)
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert (x._version, out._version) == (version, 0)
    assert type(out.grad_fn).__name__ == type(net(x).grad_fn).__name__
    out.sum().backward()
    assert x.grad is not None
    with torch.inference_mode(), record(net, level="modules"):
        assert net(torch.ones(1, 2, 4, 4)).is_inference()


def test_vmap_grad_and_fake_mode_run_within_a_recording() -> None:
    """Models under torch.func and FakeTensorMode give what they give without a recording."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    net = nn.Sequential(nn.Linear(4, 4))
    batch = torch.randn(3, 4)

    def run() -> list[torch.Tensor]:
        with torch.no_grad():
            mapped = torch.vmap(net)(batch)
        gradient = torch.func.grad(lambda x: net(x).sum())(batch)
        return [mapped, gradient]

    plain = run()
    with record(net, level="modules") as recorder:
        seen = run()
        with FakeTensorMode(allow_non_fake_inputs=True):
            assert tuple(net(torch.ones(2, 4)).shape) == (2, 4)
    assert all(torch.equal(one, other) for one, other in zip(plain, seen, strict=True))
    assert any("torch.func" in note for note in recorder.trace().notes)


def test_objects_that_cannot_be_searched_are_a_note() -> None:
    """A pipeline with a rude part is recorded but for that part."""

    class Pipeline:
        def __init__(self) -> None:
            self.rude, self.net = Rude(), Passes()

    pipeline = Pipeline()
    trace = traced(lambda: pipeline.net(torch.ones(1)), pipeline)
    assert [item.name for item in trace.records] == ["net"]
    assert any("rude could not be looked into: RuntimeError" in note for note in trace.notes)


def test_an_error_of_the_recorder_is_told_once_and_the_call_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the recorder itself breaks, in any of its parts, the model's call does not notice."""

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("the recorder's own")

    for owner, name in (
        (Fingerprints, "tensor"),
        (Fingerprints, "weight"),
        (StateWatch, "moved"),
        (StateWatch, "settle"),
    ):
        net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
        torch.manual_seed(0)
        plain = net(torch.ones(1, 2))
        with monkeypatch.context() as patched, record(net, level="modules") as recorder:
            patched.setattr(owner, name, broken)
            torch.manual_seed(0)
            assert torch.equal(net(torch.ones(1, 2)), plain)
            mark("here", plain)
        assert any("ZeroDivisionError: the recorder's own" in note for note in recorder.trace().notes), name
