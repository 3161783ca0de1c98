"""What a recording sees, and that it changes nothing."""

from __future__ import annotations

import gc
import random
import threading
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from seedpin.errors import TraceError
from seedpin.trace.diff.locate import first_divergence
from seedpin.trace.model import Fingerprint, Level, Record, Trace
from seedpin.trace.record.recorder import Recorder, mark, record
from seedpin.trace.summary import summarise
from support.stepping import Scheduler

LEVELS: tuple[Level, ...] = ("stages", "modules", "ops")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.again = self.first

    def forward(
        self, x: torch.Tensor, *, scale: float = 1.0, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        out: torch.Tensor = self.again(self.norm(self.first(x))) * scale
        return out if mask is None else out * mask


class Pipeline:
    """A plain object, as many pipelines are."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.parts = {"nets": [Net().eval()]}
        self.scheduler = Scheduler()

    def __call__(self, steps: int = 2, generator: torch.Generator | None = None) -> torch.Tensor:
        latents = torch.randn(1, 4, generator=generator)
        self.scheduler.set_timesteps(steps)
        with torch.no_grad():
            for timestep in self.scheduler.timesteps:
                latents = self.scheduler.step(self.parts["nets"][0](latents, scale=2.0), timestep, latents)
        return latents


def traced(run: Any, *objects: object, level: Level = "modules", **options: Any) -> Trace:
    with record(*objects, level=level, **options) as recorder:
        run()
    return recorder.trace()


def names(trace: Trace, kind: str) -> list[str]:
    return [item.name for item in trace.records if item.kind == kind]


def only(trace: Trace, name: str) -> Record:
    return next(item for item in trace.records if item.name == name)


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_changes_and_all_is_put_back(level: Level) -> None:
    """Outputs, generators, attributes and torch's functions are the same with and without a recording."""
    pipeline = Pipeline()
    before = {name: getattr(torch, name) for name in ("randn", "normal")}, dict(vars(torch.Tensor))
    attributes = set(vars(pipeline.parts["nets"][0])), set(vars(pipeline.scheduler))
    torch.manual_seed(1)
    random.seed(1)
    plain, state, numbers = pipeline(), torch.get_rng_state(), random.getstate()
    torch.manual_seed(1)
    random.seed(1)
    with record(pipeline, level=level):
        out = pipeline()
    assert torch.equal(plain, out)
    assert torch.equal(state, torch.get_rng_state())
    assert numbers == random.getstate()
    assert ({name: getattr(torch, name) for name in ("randn", "normal")}, dict(vars(torch.Tensor))) == before
    assert set(vars(pipeline.parts["nets"][0])) == attributes[0]
    assert set(vars(pipeline.scheduler)) - {"timesteps"} == attributes[1]


def test_modules_are_found_wherever_they_sit() -> None:
    """Modules in a dict in a list of a plain object are recorded, with their scheduler and steps."""
    pipeline = Pipeline()
    trace = traced(pipeline, pipeline)
    assert names(trace, "stage") == ["parts.nets.0", "parts.nets.0"]
    first, norm = "parts.nets.0.first", "parts.nets.0.norm"
    assert names(trace, "module") == [first, norm, first] * 2  # `again` is `first`.
    assert [item.step for item in trace.records if item.kind == "stage"] == [0, 1]
    assert names(trace, "scheduler") == ["scheduler.set_timesteps", "scheduler.step", "scheduler.step"]
    assert [item.call for item in trace.records if item.name == first] == [0, 1, 2, 3]
    assert dict(only(trace, "scheduler.step").inputs).keys() == {"model_output", "timestep", "sample"}
    assert "timesteps" in dict(only(trace, "scheduler.set_timesteps").outputs)
    assert "2 steps" in summarise(trace)


def test_a_function_leads_to_what_it_uses() -> None:
    """A callable's closure, its instance and a module it names are searched."""
    pipeline = Pipeline()

    def run() -> torch.Tensor:
        return pipeline()

    assert names(traced(run, run), "stage")
    assert names(traced(pipeline, pipeline.__call__), "stage")


def test_nothing_to_watch_is_said() -> None:
    """An object without modules is recorded with a note that only draws and marks are seen."""
    trace = traced(lambda: torch.randn(2), object())
    assert names(trace, "draw") == ["torch.randn"]
    assert "only draws and marks" in trace.notes[0]


def test_draws_name_generator_shape_and_place() -> None:
    """A draw has its operation, its kind of generator, the stream's state, its result and its line."""
    own = torch.Generator().manual_seed(5)

    def run() -> None:
        torch.randn(2, 3, generator=own)
        torch.empty(4).uniform_()
        nn.init.normal_(torch.empty(2))

    trace = traced(run, object())
    assert names(trace, "draw") == ["torch.randn", "Tensor.uniform_", "Tensor.normal_"]
    first, second, _ = trace.records
    assert first.extra["generator"] == "own cpu"
    assert second.extra["generator"] == "global cpu"
    assert first.outputs[0][1].shape == (2, 3)  # type: ignore[union-attr]
    assert "test_trace_recorder.py:" in first.site
    assert first.extra["in"].startswith("run")
    own.manual_seed(5)
    assert traced(lambda: torch.randn(2, 3, generator=own), object()).records[0].inputs == first.inputs


def test_draws_that_no_function_shows_are_noticed() -> None:
    """Python's, NumPy's and torch's own hidden draws show as a state that moved."""
    hidden = torch._C._VariableFunctions.randn

    def run() -> None:
        random.random()
        np.random.rand()
        hidden(3)

    trace = traced(run, object())
    assert set(names(trace, "draw")) == {"global cpu", "python random", "numpy random"}


def test_half_of_a_gaussian_pair_is_a_draw() -> None:
    """NumPy's second Gaussian comes from what the first left, and its draw is noticed all the same."""
    np.random.seed(0)
    np.random.randn()
    trace = traced(lambda: np.random.randn(), object())
    assert names(trace, "draw") == ["numpy random"]


@pytest.mark.parametrize("level", ["stages", "modules"])
def test_changed_weights_are_hashed_again(level: Level) -> None:
    """An edit in place, a replaced and an added weight show in the next record, and nothing else does."""
    net = nn.Linear(4, 4)

    def weights(change: Any) -> list[str]:
        def run() -> None:
            with torch.no_grad():
                net(torch.ones(1, 4))
                change()
                net(torch.ones(1, 4))

        return [item.weights for item in traced(run, net, level=level).records if item.kind == "stage"]

    def replace() -> None:
        net.bias = nn.Parameter(torch.ones(4))

    for change in (
        lambda: net.weight.add_(1),
        *((replace, lambda: net.register_buffer("more", torch.ones(1))) if level == "modules" else ()),
    ):
        before, after = weights(change)
        assert before != after
    before, after = weights(lambda: None)
    assert before == after


def test_weights_are_read_anew_in_each_recording() -> None:
    """An edit that torch's version counter does not see is noticed by the next recording."""
    net = nn.Linear(4, 4)
    first = traced(lambda: net(torch.ones(1, 4)), net, level="stages")
    net.weight.data += 1
    assert traced(lambda: net(torch.ones(1, 4)), net, level="stages").weights != first.weights


def test_settings_are_those_of_the_recording() -> None:
    """Modules added, and settings changed, between recordings show in the next one, not in the one before."""
    net = Net()
    with record(net, level="modules") as recorder:
        net(torch.ones(1, 4))
    net.norm.eps = 0.5
    net.more = nn.Linear(4, 4)
    settings = {info.name: info.config for info in recorder.trace().modules}
    assert settings["norm"]["eps"] == "1e-05"
    assert "more" not in settings
    later = {info.name: info.config for info in traced(lambda: None, net).modules}
    assert later["norm"]["eps"] == "0.5"
    assert "more" in later


def test_dropout_draws_only_in_training() -> None:
    """A dropout is a draw when it moves the generator, and none in eval mode."""
    dropout = nn.Dropout(0.5)
    assert names(traced(lambda: dropout(torch.ones(8)), dropout), "draw") == ["F.dropout"]
    assert not names(traced(lambda: dropout.eval()(torch.ones(8)), dropout), "draw")


@dataclass
class Output:
    sample: torch.Tensor
    extra: Any = None


class Odd(nn.Module):
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        x = kwargs["x"]
        return Output(x, {"parts": (x + 1, [x + 2])})


def test_inputs_and_outputs_of_any_shape_are_named() -> None:
    """Keyword arguments, dataclasses, dicts, tuples and plain values are fingerprinted under their names."""
    net = Odd()
    item = only(traced(lambda: net(1.5, None, "text", x=torch.ones(2)), net), "Odd")
    assert [name for name, _ in item.inputs] == ["args[0]", "args[1]", "args[2]", "x"]
    assert [str(seen) for _, seen in item.inputs][:3] == ["1.5", "None", "'text'"]
    assert [name for name, _ in item.outputs] == ["sample", "extra.parts[0]", "extra.parts[1][0]"]


def test_inputs_have_their_own_names_whatever_self_is_called() -> None:
    """The first parameter of a bound method is no input, also where it has another name than ``self``."""

    class Brief(nn.Module):
        def forward(this, x: torch.Tensor) -> torch.Tensor:  # noqa: N805
            return x * 2

    with record(model := Brief()) as recorder:
        model(torch.ones(2))
    (call,) = (item for item in recorder.trace().records if item.kind == "stage")
    assert [name for name, _ in call.inputs] == ["x"]


def test_an_exception_passes_and_is_noted() -> None:
    """An error within a module reaches the caller as it is, and the trace says where it rose."""

    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise KeyError("mine")

    net = nn.Sequential(nn.Identity(), Broken(), nn.Identity())
    with record(net, level="modules") as recorder:
        with pytest.raises(KeyError, match="mine"):
            net(torch.ones(1))
        net[0](torch.ones(1))
    trace = recorder.trace()
    assert only(trace, "1").extra["raised"] == "KeyError"
    assert trace.records[-1].depth == 0


def test_an_edit_in_place_between_two_modules_is_seen() -> None:
    """The input of the second module has another hash than the output that was edited in between."""
    first, second = nn.Identity(), nn.Identity()

    class Edits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = first, second

        def forward(self, x: torch.Tensor) -> Any:
            return self.second(self.first(x.clone()).add_(1))

    net = Edits()
    trace = traced(lambda: net(torch.zeros(2)), net)
    assert only(trace, "second").inputs[0][1] != only(trace, "first").outputs[0][1]


@pytest.mark.parametrize("context", ["inference", "autocast", "grad"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_modes_of_torch(context: str, dtype: torch.dtype) -> None:
    """Recording works under inference_mode, autocast and with gradients, and repeats itself."""
    net = Net().to(dtype)
    modes: dict[str, Any] = {
        "inference": torch.inference_mode,
        "autocast": lambda: torch.autocast("cpu"),
        "grad": torch.enable_grad,
    }

    def run() -> Any:
        with modes[context]():
            return net(torch.ones(1, 4, dtype=dtype), mask=torch.ones(1, 4))

    plain = run()
    for level in LEVELS:
        first, second = traced(run, net, level=level), traced(run, net, level=level)
        assert first_divergence(first, second) is None
        assert not first.notes
    with record(net, level="modules"):
        assert torch.equal(run(), plain)


def test_compiled_modules_are_seen_from_outside() -> None:
    """A compiled module keeps its graph and bits; a note says what cannot be seen, and what ops would do."""
    torch.manual_seed(0)
    net = Net().eval()
    graphs = []

    def backend(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(net, backend=backend)
    x = torch.ones(1, 4)
    plain = compiled(x)
    trace = traced(lambda: compiled(x), compiled)
    assert len(graphs) == 1
    assert [item.kind for item in trace.records] == ["stage"]
    assert "is compiled" in trace.notes[0]
    assert torch.equal(plain, compiled(x))
    in_place = Net().eval()
    in_place.compile(backend=backend)
    trace = traced(lambda: in_place(x), in_place)
    assert [item.kind for item in trace.records] == ["stage"]
    assert "eagerly" in traced(lambda: None, compiled, level="ops").notes[0]


def test_marks_and_clip() -> None:
    """A mark passes its value through, does nothing outside of a recording, and a clip has its frames."""
    tensor = torch.ones(3)
    assert mark("outside", tensor) is tensor
    with record(object()) as recorder:
        assert mark("inside", tensor) is tensor
    recorder.clip(np.zeros((3, 4, 4, 3), np.uint8))
    trace = recorder.trace()
    assert [item.kind for item in trace.records] == ["mark", "clip"]
    assert [name for name, _ in trace.records[1].outputs] == ["frame 0", "frame 1", "frame 2"]


def test_declared_stages() -> None:
    """A module or bound method is recorded under the name it was declared with; a function is refused."""
    pipeline = Pipeline()
    trace = traced(pipeline, pipeline, level="stages", stages={"denoiser": pipeline.parts["nets"][0]})
    assert names(trace, "stage") == ["denoiser", "denoiser"]
    with pytest.raises(TraceError, match=r"seedpin\.mark"), record(pipeline, stages={"x": len}):
        pass
    with pytest.raises(TraceError, match="no trace level"), record(pipeline, level="all"):  # type: ignore[arg-type]
        pass


def test_memory_is_bounded() -> None:
    """Past the limit records are counted, not kept, and no tensor outlives its use."""
    net = nn.Identity()
    alive = []

    def run() -> None:
        for _ in range(10):
            tensor = torch.ones(5)
            alive.append(weakref.ref(tensor))
            net(tensor)

    with record(net, level="modules", max_records=4) as recorder:
        run()
        gc.collect()
        assert not any(ref() is not None for ref in alive)
    assert len(recorder.trace().records) == 4
    assert "6 are missing" in recorder.trace().notes[0]


def test_other_threads_are_left_alone() -> None:
    """Calls of another thread are counted in a note."""
    net = nn.Identity()
    with record(net, level="modules") as recorder:
        thread = threading.Thread(target=lambda: net(torch.ones(1)))
        thread.start()
        thread.join()
    assert not recorder.trace().records
    assert "other threads" in recorder.trace().notes[0]


def test_the_device_path_records_without_reading() -> None:
    """Fingerprints made on the device name the same divergence; checked on CPU tensors."""
    net = Net().eval()

    def run(eps: float) -> Trace:
        net.norm.eps = eps
        recorder = Recorder((net,), level="modules", device_path=True)
        with recorder.running(), torch.no_grad():
            net(torch.tensor([[1.0, 2.0, 3.0, 5.0]]))
        return recorder.trace()

    golden = run(1e-5)
    assert isinstance(seen := golden.records[0].outputs[0][1], Fingerprint)
    assert len(seen.hash) == 16
    assert first_divergence(golden, run(1e-5)) is None
    assert (found := first_divergence(golden, run(1e-1))) is not None
    assert found.place == "norm"


def test_ops_name_the_module_and_leave_uninitialised_memory_out() -> None:
    """At level ops each operation has its module, and what empty() gives is not fingerprinted."""
    net = Net()
    trace = traced(lambda: (net(torch.ones(1, 4)), torch.empty(3)), net, level="ops")
    norm = next(item for item in trace.records if "layer_norm" in item.name)
    assert norm.extra["module"] == "norm"
    empty = next(item for item in trace.records if item.name.startswith("aten.empty"))
    assert empty.outputs == ()
