"""The seeded model: what it takes, what each call gets, what passes through."""

from __future__ import annotations

import asyncio
import copy
import functools
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

from seedpin.errors import AutotuneError, ConfigError, ModelError, NondeterministicOpError, SeedError
from seedpin.options import DEFAULT_SEED
from seedpin.pinning.model import PinInfo, PinnedCall, SeededModel, seeded_model
from seedpin.pinning.pin import current_pin, pin

if TYPE_CHECKING:
    from collections.abc import Iterator


class Denoiser(nn.Module):
    """Draws at every forward, from torch and NumPy."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, steps: int = 1) -> torch.Tensor:
        x = torch.zeros(4)
        for _ in range(steps):
            x = self.layer(x + torch.randn(4)) + float(np.random.rand()) + random.random()
        return x.detach()


class Pipeline:
    """A plain class with its modules in attributes, dicts and lists, as pipelines are."""

    def __init__(self) -> None:
        self.denoiser = Denoiser()
        self.stages = {"decoder": nn.Linear(2, 2), "more": [nn.Conv1d(1, 1, 1)]}
        self.itself = self
        self.scale = 1.0
        self.pins: list[Any] = []

    def generate(self, generator: Any = None, **_: Any) -> Any:
        self.pins.append(current_pin())
        return self.sample(generator) + self.denoiser(2)

    def sample(self, generator: torch.Generator | None = None) -> Any:
        self.pins.append(current_pin())
        return torch.randn(4, generator=generator) * self.scale

    def render(self, count: int = 2) -> torch.Tensor:
        return torch.randn(count)

    def plain(self) -> torch.Tensor:
        return torch.randn(4)

    def to(self, device: str) -> Pipeline:
        return self

    @property
    def device(self) -> str:
        return "cpu"


def numpy_clip(frames: int = 2) -> Any:
    return np.random.standard_normal((frames, 4, 4, 3))


def one_frame() -> Any:
    return np.random.rand(1, 4, 4, 3)


def equal(a: Any, b: Any) -> bool:
    return bool(np.array_equal(np.asarray(a), np.asarray(b)))


@pytest.mark.parametrize("x", [Pipeline, Pipeline(), lambda: Pipeline(), functools.partial(Pipeline)])
def test_order_of_calls_does_not_matter(x: Any) -> None:
    """Each call starts at the seed, whatever was called or drawn before it."""
    model = seeded_model(x, seed=5)
    first = model.generate()
    model.sample()
    torch.rand(7)
    assert equal(model.generate(), first)
    assert equal(model.sample(), seeded_model(model, seed=5).sample())
    assert not equal(seeded_model(model, seed=6).generate(), first)


def test_initial_weights_are_made_under_the_pin() -> None:
    """A factory's weights belong to the seed, and making them leaves the global generators alone."""
    state = torch.get_rng_state()
    one, two = (seeded_model(Denoiser, seed=5) for _ in range(2))
    assert equal(one.layer.weight.detach(), two.layer.weight.detach())
    assert torch.equal(state, torch.get_rng_state())
    with pin(5):
        assert equal(Denoiser().layer.weight.detach(), one.layer.weight.detach())


def test_a_module_is_called_pinned() -> None:
    """An ``nn.Module`` is pinned when called and by ``forward``, and gives the same by both."""
    model = seeded_model(Denoiser(), seed=5)
    assert equal(model(3), model.forward(3))
    assert equal(model(steps=3), model(3))


@pytest.mark.parametrize("function", [numpy_clip, one_frame, lambda: [np.random.rand(4, 4, 3)]])
def test_a_function_that_generates(function: Any) -> None:
    """A function that gives frames, with or without arguments, is itself the model."""
    model = seeded_model(function, seed=5)
    first = model()
    np.random.rand()
    assert equal(model(), first)
    with pin(5):
        assert equal(function(), first)


def test_a_bound_method_generates() -> None:
    """A bound method of a pipeline is a function that generates."""
    model = seeded_model(Pipeline().generate, seed=5)
    assert equal(model(), model())
    assert "self.denoiser.layer" in model.modules_found()


def test_calls_within_the_model_are_not_pinned_again() -> None:
    """The model's own calls run on under the one pin of the outer call, without a new start."""
    pipeline = Pipeline()
    model = seeded_model(pipeline, seed=5)
    model.generate()
    outer, inner = pipeline.pins
    assert outer is inner is not None
    assert (outer.seed, outer.level) == (5, "strict")
    assert current_pin() is None


def test_named_methods_are_pinned_and_others_are_not() -> None:
    """``methods=`` adds to the default methods; what is not named draws from the caller's generators."""
    model = seeded_model(Pipeline(), seed=5, methods=["render"])
    assert equal(model.render(3), model.render(count=3))
    assert not equal(model.plain(), model.plain())
    assert equal(seeded_model(Pipeline(), seed=5, methods="render").render(3), model.render(3))


def test_unknown_method_names_those_that_exist() -> None:
    """A name in ``methods=`` that the model does not have is an error with the nearest names."""
    with pytest.raises(ModelError, match=r"(?s)a Pipeline has no method 'rendr'.*it has render"):
        seeded_model(Pipeline(), methods=["rendr"])
    with pytest.raises(
        ModelError, match=r"(?s)no method 'zzz'.*it has denoiser, generate, plain, render, sample, to"
    ):
        seeded_model(Pipeline(), methods=["zzz"])


def test_attributes_pass_through() -> None:
    """Attributes are read, set and deleted on the model itself; ``dir`` and ``repr`` show it."""
    pipeline = Pipeline()
    model = seeded_model(pipeline, seed=5)
    model.scale = 0.0
    assert pipeline.scale == 0.0
    assert not model.sample().any()
    assert model.device == "cpu"
    assert model.denoiser is pipeline.denoiser
    assert model.__wrapped__ is pipeline
    assert {"generate", "denoiser", "modules_found"} <= set(dir(model))
    assert repr(model) == f"SeededModel(seed=5, level='strict', model={pipeline!r})"
    del model.scale
    assert not hasattr(pipeline, "scale")
    assert not hasattr(model, "nothing")
    assert model.generate.__name__ == "generate"


def test_a_method_that_returns_the_model_keeps_it_pinned() -> None:
    """``to`` and the like give the seeded model, not the raw one."""
    model = seeded_model(Pipeline(), seed=5)
    assert model.to("cpu") is model
    assert isinstance(seeded_model(Denoiser(), seed=5).eval(), SeededModel)


@pytest.mark.parametrize("patcher", ["monkeypatch", "mock"])
def test_what_a_test_patches_on_the_model_is_put_back(patcher: str) -> None:
    """What monkeypatch or mock sets through a seeded model is afterwards the model's own again."""
    model = seeded_model(lambda: nn.Linear(2, 2))
    if patcher == "monkeypatch":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(model, "in_features", 7)
            patch.setattr(model, "extra_repr", lambda: "patched")
            assert (model.in_features, model.__wrapped__.in_features) == (7, 7)
            assert model.extra_repr() == "patched"
    else:
        with mock.patch.object(model, "in_features", 7), mock.patch.object(model, "extra_repr"):
            assert model.__wrapped__.in_features == 7
    assert model.in_features == model.__wrapped__.in_features == 2
    assert "extra_repr" not in vars(model.__wrapped__)
    assert vars(model) is vars(model.__wrapped__)


def test_a_copy_is_seeded_too() -> None:
    """Copies of a seeded model, also by way of pickle, work and stay pinned."""
    model = seeded_model(Pipeline(), seed=5)
    first = model.generate()
    for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert isinstance(other, SeededModel)
        assert equal(other.generate(), first)


def test_a_model_that_cannot_be_called_says_what_can() -> None:
    """Calling a pipeline that has only methods names them."""
    with pytest.raises(ModelError, match=r"(?s)a Pipeline cannot be called.*generate, sample"):
        seeded_model(Pipeline())()


@pytest.mark.parametrize("x", [3, "model", [1], np.zeros(3), torch.zeros(3)])
def test_nothing_to_call(x: Any) -> None:
    """An object without any method that generates is refused at once."""
    with pytest.raises(ModelError, match=r"(?s)has nothing to call.*methods="):
        seeded_model(x)


def test_a_factory_that_raises_is_named() -> None:
    """The error names the factory, its file and line, the cause, and where that was raised."""

    def broken() -> Any:
        raise FileNotFoundError("weights.safetensors")

    with pytest.raises(ModelError) as caught:
        seeded_model(broken)
    line = broken.__code__.co_firstlineno
    assert "broken" in caught.value.what
    assert f"({__file__}:{line})" in caught.value.what
    assert f"raised FileNotFoundError: weights.safetensors at {__file__}:{line + 1}" in caught.value.what
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert current_pin() is None


def test_a_factory_that_needs_the_undeterministic_is_named_so() -> None:
    """Under strict, an operation without a deterministic implementation keeps its own error."""

    def factory() -> torch.Tensor:
        return torch.zeros(4).put_(torch.tensor([0]), torch.tensor([1.0]))

    with pytest.raises(NondeterministicOpError, match="put_"):
        seeded_model(factory)


def test_a_factory_that_returns_none() -> None:
    """A factory without a return is an error that says so."""
    with pytest.raises(ModelError, match=r"(?s)factory .*returned None.*is a return missing"):
        seeded_model(lambda: None)


def test_a_class_that_needs_arguments() -> None:
    """A class that cannot be made without arguments says how to pass it."""
    with pytest.raises(
        ModelError, match=r"(?s)class Linear needs arguments \(in_features, out_features\).*lambda"
    ):
        seeded_model(nn.Linear)


def test_a_model_that_returns_none() -> None:
    """A call that gives nothing is an error that names the method."""

    class Silent:
        def generate(self) -> None: ...

        def __call__(self) -> None: ...

    model = seeded_model(Silent)
    with pytest.raises(ModelError, match="the model's generate returned None"):
        model.generate()
    with pytest.raises(ModelError, match="the model returned None"):
        model()


def test_an_async_model_is_refused_with_a_way_out() -> None:
    """A coroutine would run after the pin, so it is an error; run to its end within a function it works."""

    async def frames(count: int) -> Any:
        await asyncio.sleep(0)
        return np.random.rand(count)

    with pytest.raises(ModelError, match="is async"):
        seeded_model(frames)(2)

    def run(count: int) -> Any:
        # In a thread of its own: another test may have left an event loop running in this one.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(frames(count))).result()

    model = seeded_model(run)
    assert equal(model(2), model(2))


def one_draw(_: int) -> float:
    return float(torch.rand(()))


def test_lazily_made_frames_are_made_under_the_pin() -> None:
    """Frames from a Python generator or ``map`` are drawn to their end under the pin, as a list."""

    def lazily() -> Iterator[float]:
        for _ in range(3):
            yield float(torch.rand(()))

    for function in (lazily, lambda: map(one_draw, range(3))):
        model = seeded_model(function, seed=5)
        frames = model()
        assert isinstance(frames, list)
        torch.rand(3)
        assert model() == frames


def test_an_error_of_the_model_passes_unchanged() -> None:
    """What the model raises reaches the user as it is, with everything restored."""
    error = ValueError("height must be divisible by 8")

    def generate(height: int) -> Any:
        raise error

    state = torch.get_rng_state()
    with pytest.raises(ValueError, match="divisible") as caught:
        seeded_model(generate)(3)
    assert caught.value is error
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("shape", [lambda g: g, lambda g: [g], lambda g: (g,)])
def test_passed_generators_are_rewound(shape: Any) -> None:
    """A generator passed to a call has its state back afterwards, so that a second call draws the same."""
    generator = torch.Generator().manual_seed(3)
    state = generator.get_state()
    model = seeded_model(lambda generator: torch.randn(4, generator=_first(generator)), seed=5)
    first = model(generator=shape(generator))
    assert torch.equal(generator.get_state(), state)
    assert equal(model(generator=shape(generator)), first)
    assert equal(model(shape(generator)), first)
    assert not equal(model(shape(generator.manual_seed(4))), first)


def _first(generator: Any) -> Any:
    return generator[0] if isinstance(generator, (list, tuple)) else generator


def test_passed_generators_are_rewound_after_an_exception() -> None:
    """A call that fails does not advance the caller's generator either."""

    def fails(generator: torch.Generator) -> Any:
        torch.rand(3, generator=generator)
        raise ValueError("no")

    generator = torch.Generator().manual_seed(3)
    state = generator.get_state()
    with pytest.raises(ValueError, match="no"):
        seeded_model(fails)(generator)
    assert torch.equal(generator.get_state(), state)


@pytest.mark.parametrize(
    ("make", "draw"),
    [
        (lambda: torch.Generator().manual_seed(3), lambda g: float(torch.rand((), generator=g))),
        (lambda: np.random.default_rng(3), lambda g: g.random()),
        (lambda: np.random.RandomState(3), lambda g: g.rand()),
        (lambda: random.Random(3), lambda g: g.random()),
    ],
)
def test_generators_that_the_model_holds_are_rewound(make: Any, draw: Any) -> None:
    """A generator in the model's attributes, of any library, is the same at the start of each call."""

    class Holding:
        def __init__(self) -> None:
            self.inner = {"rng": make()}

        def generate(self) -> float:
            return float(draw(self.inner["rng"]))

    model = seeded_model(Holding, seed=5)
    assert model.generate() == model.generate()


def test_modules_found_everywhere() -> None:
    """Modules are found in attributes, dicts and lists, once each, by path, through cycles."""
    found = seeded_model(Pipeline(), seed=5).modules_found()
    assert set(found) == {"denoiser", "denoiser.layer", "stages.decoder", "stages.more.0"}
    module = Denoiser()
    assert list(seeded_model(module).modules_found()) == ["", "layer"]


def test_modules_found_in_a_function() -> None:
    """Modules that a function closes over or names among its globals are found."""
    net = Denoiser()
    found = seeded_model(lambda count: [net(count), GLOBAL_NET]).modules_found()
    assert set(found.values()) == {net, net.layer, GLOBAL_NET}


def test_modules_found_in_a_function_that_names_what_comes_later() -> None:
    """A variable of the enclosing function that is not bound yet hides none of the others."""
    net = Denoiser()

    def generate(count: int) -> Any:
        return later(net(count))

    assert set(seeded_model(generate).modules_found().values()) == {net, net.layer}

    def later(value: Any) -> Any:
        return value


GLOBAL_NET = nn.Linear(1, 1)


def test_looking_for_modules_runs_no_code_of_the_user() -> None:
    """Properties are not evaluated, and a large vocabulary is passed over."""

    class Touchy:
        def __init__(self) -> None:
            self.vocabulary = {str(i): i for i in range(300_000)}
            self.net = nn.Linear(1, 1)

        @property
        def lazy(self) -> Any:
            raise AssertionError("evaluated")

        def generate(self) -> int:
            return 1

    assert list(seeded_model(Touchy()).modules_found()) == ["net"]


def test_devices_used() -> None:
    """The devices of parameters and buffers are known without a call."""
    assert seeded_model(Pipeline()).devices_used == {torch.device("cpu")}
    assert seeded_model(nn.Linear(1, 1, device="meta")).devices_used == {torch.device("meta")}
    assert seeded_model(numpy_clip).devices_used == set()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_devices_used_without_parameters() -> None:
    """A function that allocates on a CUDA device is known to use it."""
    model = seeded_model(lambda count: torch.rand(count, device="cuda").cpu())
    model(3)
    assert model.devices_used == {torch.device("cuda", 0)}


def test_around_call() -> None:
    """Every pinned call is entered through the hooks, in order, under the pin, with its method's name."""
    seen: list[Any] = []

    def hook(tag: str) -> Any:
        @contextmanager
        def around(model: SeededModel, call: PinnedCall) -> Iterator[None]:
            seen.append((tag, call.name, model is seeded, current_pin() is not None))
            yield
            seen.append(tag)

        return around

    seeded = seeded_model(Pipeline(), seed=5)
    plain = seeded.generate()
    seeded.around_call += [hook("a"), hook("b")]
    assert equal(seeded.generate(), plain)
    assert seen == [("a", "generate", True, True), ("b", "generate", True, True), "b", "a"]


def test_pin_info_and_defaults() -> None:
    """Seed and level come from the argument, else the active pin, else the default seed and strict."""
    assert seeded_model(numpy_clip).pin_info == PinInfo(
        DEFAULT_SEED, "strict", seeded_model(numpy_clip).pin_info.profile
    )
    with pin(8, level="warn"):
        info = seeded_model(numpy_clip).pin_info
        assert (info.seed, info.level) == (8, "warn")
        info = seeded_model(numpy_clip, seed=3, level="seeds").pin_info
        assert (info.seed, info.level) == (3, "seeds")


def test_bad_seed_and_level() -> None:
    """A seed or level that does not exist is refused when the model is wrapped."""
    with pytest.raises(SeedError):
        seeded_model(numpy_clip, seed=-1)
    with pytest.raises(ConfigError):
        seeded_model(numpy_clip, level="loose")


def test_max_autotune_below_the_model_is_refused() -> None:
    """A part that was compiled with max-autotune is refused under strict and allowed under warn."""
    pipeline = Pipeline()
    pipeline.stages["tuned"] = torch.compile(nn.Linear(1, 1), mode="max-autotune")
    with pytest.raises(AutotuneError, match="Linear is compiled with max-autotune"):
        seeded_model(pipeline).sample()
    seeded_model(pipeline, level="warn").sample()
