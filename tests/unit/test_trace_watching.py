"""Watching changes nothing: copies, pickles, replicas, what a model sets on itself, what it lets go of."""

from __future__ import annotations

import copy
import gc
import inspect
import io
import pickle
import subprocess
import sys
import types
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from seedpin.trace.model import Level, Trace
from seedpin.trace.record.recorder import record

LEVELS: tuple[Level, ...] = ("stages", "modules", "ops")


class Counter:
    """A scheduler with state of its own: what a step gives depends on the object it is called on."""

    def __init__(self) -> None:
        self.steps = 0

    def set_timesteps(self, count: int) -> None:
        self.timesteps = torch.arange(count)

    def step(self, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        return sample + self.steps * model_output


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(x)
        return out


class Pipeline:
    """Makes of its parts what ``change`` says, in the middle of a call."""

    def __init__(self, change: Callable[[Any], Any] | None = None) -> None:
        torch.manual_seed(0)
        self.net = Net()
        self.scheduler: Any = Counter()
        self.change = change

    @torch.no_grad()
    def __call__(self) -> torch.Tensor:
        latents = torch.randn(1, 4, generator=torch.Generator().manual_seed(0))
        scheduler, net = self.scheduler, self.net
        scheduler.set_timesteps(3)
        for index, timestep in enumerate(scheduler.timesteps):
            latents = scheduler.step(net(latents), timestep, latents)
            if index == 0 and self.change is not None:
                scheduler, net = self.change(scheduler), self.change(net)
                scheduler.steps += 10
                net.inner.weight.add_(1)
        return latents


def saved(obj: Any) -> Any:
    file = io.BytesIO()
    torch.save(obj, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def replica(obj: Any) -> Any:
    """What ``nn.parallel.replicate`` makes of a module for each device."""
    if isinstance(obj, nn.Module):
        copied: Any = obj._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
        copied.inner = copy.deepcopy(obj.inner)
        return copied
    return copy.copy(obj)


def shallow(obj: Any) -> Any:
    copied = copy.copy(obj)
    if isinstance(obj, nn.Module):
        copied._modules = {"inner": copy.deepcopy(obj.inner)}
    return copied


def traced(pipeline: Callable[[], Any], *objects: object, level: Level = "modules") -> Trace:
    with record(*objects or (pipeline,), level=level) as recorder:
        pipeline()
    return recorder.trace()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "change",
    [copy.deepcopy, shallow, lambda obj: pickle.loads(pickle.dumps(obj)), saved, replica],
    ids=["deepcopy", "copy", "pickle", "torch.save", "replicate"],
)
def test_copies_made_during_a_call_are_copies(change: Callable[[Any], Any], level: Level) -> None:
    """A scheduler or module that is copied in the middle of a call goes on as itself, not as the original."""
    plain = Pipeline(change)()
    pipeline = Pipeline(change)
    with record(pipeline, level=level):
        seen = pipeline()
    assert torch.equal(plain, seen)
    assert pipeline.scheduler.steps == 1


def test_steps_of_a_copied_scheduler_are_recorded() -> None:
    """They stand under the scheduler's name, marked as a copy's, with their steps, and a note says so."""
    trace = traced(Pipeline(copy.deepcopy), level="stages")
    steps = [(item.name, item.step, item.loop) for item in trace.records if item.name.endswith(".step")]
    assert steps == [
        ("scheduler.step", 0, 0),
        ("scheduler (copy).step", 0, 0),
        ("scheduler (copy).step", 1, 0),
    ]
    assert any("scheduler (copy)" in note for note in trace.notes)


def test_a_copied_flow_match_scheduler_steps_as_without_a_recording() -> None:
    """diffusers' own scheduler, deep-copied within a call as LTX2 pipelines do, gives the same latents."""
    diffusers = pytest.importorskip("diffusers")

    class Two:
        """A loop over video and sound, each with a scheduler."""

        def __init__(self) -> None:
            self.scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
            self.net = Net()

        def __call__(self) -> torch.Tensor:
            torch.manual_seed(0)
            video, sound = torch.randn(1, 4), torch.randn(1, 4)
            other = copy.deepcopy(self.scheduler)
            self.scheduler.set_timesteps(4)
            other.set_timesteps(4)
            for timestep in self.scheduler.timesteps:
                video = self.scheduler.step(video * 0.5, timestep, video, return_dict=False)[0]
                sound = other.step(sound * 0.25, timestep, sound, return_dict=False)[0]
            return torch.cat([video, sound])

    plain = Two()()
    pipeline = Two()
    with record(pipeline) as recorder:
        seen = pipeline()
    assert torch.equal(plain, seen)
    steps = [(item.name, item.step) for item in recorder.trace().records if item.name.endswith(".step")]
    assert steps[:4] == [
        ("scheduler.step", 0),
        ("scheduler (copy).step", 0),
        ("scheduler.step", 1),
        ("scheduler (copy).step", 1),
    ]


@pytest.mark.parametrize("level", ["stages", "modules"])
def test_what_the_model_sets_on_itself_stays(level: Level) -> None:
    """A replaced ``forward``, a compiled one, a replaced method and a replaced SDPA survive the recording."""
    net = Net()
    scheduler = Counter()
    before = nn.functional.scaled_dot_product_attention

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        return x + 5

    def attention(*args: Any, **kwargs: Any) -> Any:
        return before(*args, **kwargs)

    def run() -> torch.Tensor:
        out: torch.Tensor = net(torch.ones(1, 4))
        net.forward = types.MethodType(forward, net)  # type: ignore[method-assign]
        net.inner.compile(backend="eager")
        scheduler.step = lambda *_: torch.zeros(1)  # type: ignore[method-assign]
        nn.functional.scaled_dot_product_attention = attention
        again: torch.Tensor = net(out)
        return again

    try:
        trace = traced(run, net, scheduler, level=level)
        assert nn.functional.scaled_dot_product_attention is attention
    finally:
        nn.functional.scaled_dot_product_attention = before
    assert torch.equal(net(torch.zeros(1, 4)), torch.full((1, 4), 5.0))
    assert net.inner._compiled_call_impl is not None
    assert float(scheduler.step(torch.ones(1), 0, torch.ones(1))) == 0
    assert sum(item.name == "Net" for item in trace.records) == 2


def test_hooks_of_accelerate_that_are_added_and_removed_during_a_call() -> None:
    """A module that gets a hook in the middle of a call is seen through it, and keeps or loses it."""
    hooks: Any = pytest.importorskip("accelerate.hooks")
    net = Net()

    class Doubles(hooks.ModelHook):  # type: ignore[misc]
        def post_forward(self, module: Any, output: torch.Tensor) -> torch.Tensor:
            return output * 2

    def run() -> list[torch.Tensor]:
        first = net(torch.ones(1, 4))
        hooks.add_hook_to_module(net, Doubles())
        second = net(torch.ones(1, 4))
        hooks.remove_hook_from_module(net)
        hooks.add_hook_to_module(net.inner, Doubles())
        return [first, second, net(torch.ones(1, 4))]

    with record(net, level="modules") as recorder:
        first, second, third = run()
    assert torch.equal(2 * first, second)
    assert torch.equal(2 * first, third)
    assert torch.equal(net(torch.ones(1, 4)), third)
    assert "_old_forward" in vars(net.inner)
    assert "_old_forward" not in vars(net)
    assert [item.name for item in recorder.trace().records] == ["Net", "inner"] * 3


def test_classes_are_as_they_were() -> None:
    """After a recording no class has an attribute that it had not, and none another one."""
    pipeline = Pipeline()
    classes = (Net, nn.Linear, Counter, nn.Module)
    before = [dict(vars(cls)) for cls in classes]
    traced(pipeline, level="modules")
    assert [dict(vars(cls)) for cls in classes] == before


def test_recordings_that_end_out_of_order_leave_nothing() -> None:
    """Of two recordings the outer may end first: all is as it was, and both saw the call."""
    pipeline = Pipeline()
    before = torch.randn, dict(vars(Net)), dict(vars(Counter))
    outer, inner = record(pipeline), record(pipeline)
    one, other = outer.__enter__(), inner.__enter__()
    pipeline()
    outer.__exit__(None, None, None)
    pipeline()
    inner.__exit__(None, None, None)
    assert (torch.randn, dict(vars(Net)), dict(vars(Counter))) == before
    assert sum(item.name == "net" for item in one.trace().records) == 3
    assert sum(item.name == "net" for item in other.trace().records) == 6


def test_signatures_and_names_are_those_of_the_model() -> None:
    """Code that asks for a method's parameters during the call gets the method's own."""
    pipeline = Pipeline()
    plain = inspect.signature(pipeline.scheduler.step), inspect.signature(pipeline.net.forward)
    with record(pipeline, level="modules"):
        assert (
            inspect.signature(pipeline.scheduler.step),
            inspect.signature(pipeline.net.forward),
        ) == plain
        assert pipeline.scheduler.step.__name__ == "step"
        assert pickle.loads(pickle.dumps(torch.randn)) is torch.randn


def test_a_method_that_the_user_put_on_the_object_is_seen_and_copied_as_it_is() -> None:
    """A function in the instance's dictionary is recorded, and a copy of the object gets that function."""
    pipeline = Pipeline()

    def step(model_output: torch.Tensor, timestep: Any, sample: torch.Tensor) -> torch.Tensor:
        return sample - model_output

    pipeline.scheduler.step = step
    with record(pipeline) as recorder:
        pipeline()
        copied = copy.deepcopy(pipeline.scheduler)
    assert copied.step is step
    assert pipeline.scheduler.step is step
    assert sum(item.name == "scheduler.step" for item in recorder.trace().records) == 3


def test_forward_that_is_called_directly_is_recorded_once() -> None:
    """A component's ``forward`` is a call of it, whether it was come to through ``__call__`` or not."""
    net = nn.Linear(4, 4)

    def run() -> None:
        net(torch.ones(1, 4))
        net.forward(torch.ones(1, 4))

    assert [item.call for item in traced(run, net, level="stages").records] == [0, 1]


class Slotted:
    __slots__ = ("count", "timesteps")

    def __init__(self) -> None:
        self.count = 0

    def set_timesteps(self, count: int) -> None:
        self.timesteps = torch.arange(count)

    def step(self, sample: torch.Tensor) -> torch.Tensor:
        self.count += 1
        return sample + self.count


class Trap(Net):
    """A module that lets nobody set an attribute."""

    def __setattr__(self, name: str, value: Any) -> None:
        if getattr(self, "closed", False):
            raise RuntimeError(f"{name} is not yours")
        super().__setattr__(name, value)


def test_slots_and_traps() -> None:
    """Objects without a dictionary, and those that refuse attributes, are watched all the same."""
    scheduler, trap = Slotted(), Trap()
    trap.closed = True

    def run() -> None:
        scheduler.set_timesteps(2)
        scheduler.step(trap(torch.ones(1, 4)))

    trace = traced(run, scheduler, trap, level="stages")
    assert [item.name for item in trace.records] == ["Slotted.set_timesteps", "Trap", "Slotted.step"]


@pytest.mark.parametrize("level", ["stages", "modules"])
def test_what_a_model_drops_during_its_call_is_gone(level: Level) -> None:
    """A text encoder that a pipeline deletes to make room does not live on in the recording."""
    pipeline = Pipeline()
    gone: list[weakref.ref[Any]] = []

    def run() -> None:
        pipeline()
        gone.extend([weakref.ref(pipeline.net), weakref.ref(pipeline.net.inner.weight)])
        del pipeline.net
        gc.collect()
        assert [ref() for ref in gone] == [None, None]

    with record(pipeline, level=level) as recorder:
        run()
    assert any(name.endswith("inner.weight") for name in recorder.trace().weights)


def test_a_recorder_holds_nothing_of_the_model() -> None:
    """After the block a recorder keeps no module, tensor, argument or exception alive, trace or no trace."""
    pipeline = Pipeline()

    class MineError(Exception):
        pass

    def fail(obj: Any) -> Any:
        raise MineError(obj)

    pipeline.change = fail
    with record(pipeline, level="modules") as recorder:
        try:
            pipeline()
        except MineError as error:
            refs = [weakref.ref(error)]
    held: list[Any] = [pipeline.net, pipeline.net.inner.weight, pipeline.scheduler]
    alive = [weakref.ref(item) for item in held]
    del pipeline, held
    gc.collect()
    assert [ref() for ref in (*alive, *refs)] == [None] * 4
    assert recorder.trace().records


class Deep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.drop, self.second = Net(), nn.Dropout(0.5), Net()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.second(self.drop(self.first(x)))
        return out


@pytest.mark.parametrize("compiled", ["function", "module", "in place"])
def test_a_graph_that_is_compiled_during_a_recording_is_the_models_own(compiled: str) -> None:
    """Its graph has the operations that it has without a recording, in one piece."""
    torch._dynamo.reset()
    graphs: list[list[str]] = []

    def backend(graph: Any, _: Any) -> Any:
        graphs.append([str(node.target) for node in graph.graph.nodes if node.op != "placeholder"])
        return graph.forward

    def make() -> tuple[nn.Module, Callable[..., Any]]:
        torch.manual_seed(0)
        net = Deep().eval()
        if compiled == "function":
            return net, torch.compile(lambda x: net(x), backend=backend, fullgraph=True)
        if compiled == "module":
            return net, torch.compile(net, backend=backend, fullgraph=True)
        net.compile(backend=backend, fullgraph=True)
        return net, net

    x = torch.ones(1, 4)
    plain = make()[1](x)
    torch._dynamo.reset()
    net, run = make()
    with record(net, run, level="modules"):
        seen = run(x)
    assert torch.equal(plain, seen)
    assert graphs[0] == graphs[1]
    assert torch.equal(plain, run(x))
    assert len(graphs) <= 3


@pytest.mark.parametrize("compiled", ["before", "during", "in place"])
def test_what_is_compiled_runs_eagerly_while_operations_are_recorded(compiled: str) -> None:
    """At level ops, where no graph can be made, none is asked for: no error of fullgraph, no warning."""
    torch._dynamo.reset()

    def backend(graph: Any, _: Any) -> Any:
        return graph.forward

    net = Deep().eval()
    run: Callable[[torch.Tensor], torch.Tensor] = net
    if compiled == "before":
        run = torch.compile(net, backend=backend, fullgraph=True)
    elif compiled == "in place":
        net.second.compile(backend=backend, fullgraph=True)
    else:
        run = lambda x: torch.compile(net.forward, backend=backend, fullgraph=True)(x)  # noqa: E731
    x = torch.ones(1, 4)
    plain = run(x)
    stance = torch._dynamo.eval_frame._stance
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with record(net, run, level="ops") as recorder:
            seen = run(x)
    assert torch.equal(plain, seen)
    assert any(entry.kind == "op" for entry in recorder.trace().records)
    assert torch._dynamo.eval_frame._stance == stance


_FIRST_COMPILES = """
import sys, torch
from seedpin.trace.record.recorder import record

def draws():
    return torch.dropout(torch.randn(4) + torch.empty(4).normal_(), 0.5, True)

def compiled():
    return torch.compile(lambda: draws(), backend="eager", fullgraph=True)()

assert "torch._dynamo" not in sys.modules
finders = list(sys.meta_path)
with record(draws, level="stages"), record(draws, level="modules") as recorder:
    watched = torch.randn
    compiled()
    assert torch.randn is watched
    seen = len(recorder.draws())
    draws()
assert len(recorder.draws()) == seen + 2, recorder.draws()
assert sys.meta_path == finders
torch._dynamo.reset()
compiled()
with record(draws, level="modules"):
    torch._dynamo.reset()
    compiled()
"""


def test_the_compiler_may_be_imported_during_a_recording() -> None:
    """It keeps tables of torch's functions to the process's end: they are torch's, and later graphs hold."""
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", _FIRST_COMPILES],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_symbolic_traces_and_modes_see_the_model_alone() -> None:
    """torch.fx, torch.jit.trace and a mode that counts operations give what they give without a recording."""
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    class Functions(TorchFunctionMode):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.seen.append(str(func))
            return func(*args, **(kwargs or {}))

    class Dispatches(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.seen: list[str] = []

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.seen.append(str(func))
            return func(*args, **(kwargs or {}))

    net = nn.Sequential(Net(), nn.Dropout(0.5), Net()).eval()
    sparse = torch.eye(4).to_sparse()

    def run() -> list[Any]:
        functions, dispatches = Functions(), Dispatches()
        with functions:
            net[1](sparse)
            net(torch.ones(1, 4))
        with dispatches:
            net[1](sparse)
            net(torch.ones(1, 4))
        graph = torch.fx.symbolic_trace(net).code
        script = torch.jit.trace(net, torch.ones(1, 4)).inlined_graph  # type: ignore[no-untyped-call]
        return [functions.seen, dispatches.seen, graph, [node.kind() for node in script.nodes()]]

    plain = run()
    with record(net, level="modules"):
        seen = run()
    assert seen == plain
