"""What is known of weights: by name, as read, and when they changed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from seedpin.trace.diff.locate import first_divergence
from seedpin.trace.model import Level, Record, Trace, weights_agree
from seedpin.trace.record.recorder import Recorder, record
from seedpin.trace.storage import from_bytes, to_bytes

LEVELS: tuple[Level, ...] = ("stages", "modules")


def calls(
    net: nn.Module, between: Callable[[], object], level: Level = "stages"
) -> tuple[Trace, list[Record]]:
    """Two calls of a linear layer with an edit between them, stored and read back."""
    with record(net, level=level) as recorder, torch.no_grad():
        net(torch.ones(1, 4))
        between()
        net(torch.ones(1, 4))
    trace = from_bytes(to_bytes(recorder.trace()))
    return trace, [item for item in trace.records if item.name == "Linear"]


@pytest.mark.parametrize("level", LEVELS)
def test_a_data_swap_is_seen_by_its_pointer(level: Level) -> None:
    """``weight.data = other`` moves no version; the address tells, and the first call that saw it."""
    net = nn.Linear(4, 4)
    version = net.weight._version

    def swap() -> None:
        net.weight.data = torch.zeros(4, 4)

    _, (first, second) = calls(net, swap, level)
    assert net.weight._version == version
    assert weights_agree(first, second) is False
    assert (first.rewritten, [name for name, _ in second.rewritten]) == ((), ["Linear.weight"])


@pytest.mark.parametrize("level", LEVELS)
def test_a_replaced_parameter_is_seen(level: Level) -> None:
    """Another parameter under the same name is read, at stages too."""
    net = nn.Linear(4, 4)

    def replace() -> None:
        net.bias = nn.Parameter(torch.ones(4))

    _, (first, second) = calls(net, replace, level)
    assert weights_agree(first, second) is False
    assert [name for name, _ in second.rewritten] == ["Linear.bias"]


@pytest.mark.parametrize("level", LEVELS)
def test_a_write_past_the_version_counter_is_not_called_agreement(level: Level) -> None:
    """A buffer written through a NumPy view is found at the end: later calls are not known to agree."""
    net = nn.Linear(4, 4)
    net.register_buffer("table", torch.zeros(4))
    view = net.table.numpy()  # type: ignore[operator]

    def write() -> None:
        view[:] = 1

    trace, (first, second) = calls(net, write, level)
    assert (first.unread, second.unread) == ((), ("Linear.table",))
    assert weights_agree(first, second) is None
    assert "version counter" in trace.unread["Linear.table"]
    assert any("Linear.table" in note for note in trace.notes)
    clean, (one, other) = calls(net, lambda: None, level)
    assert weights_agree(one, other) is True
    assert not clean.unread


@pytest.mark.parametrize("level", LEVELS)
def test_weights_on_meta_never_agree(level: Level) -> None:
    """Weights that were offloaded to meta were not read: nothing is said of them, and nothing differs."""
    net = nn.Linear(4, 4, device="meta")
    with record(net, level=level) as recorder:
        net(torch.ones(1, 4, device="meta"))
    trace = recorder.trace()
    assert trace.unread == dict.fromkeys(("Linear.weight", "Linear.bias"), "on meta: it has no content")
    assert set(trace.records[0].unread) == {"Linear.weight", "Linear.bias"}
    assert weights_agree(trace.records[0], trace.records[0]) is None
    assert first_divergence(trace, trace) is None


class Parts(nn.Module):
    """Two layers, registered in either order, of which one has a second name."""

    a: nn.Linear
    b: nn.Linear

    def __init__(self, names: tuple[str, str]) -> None:
        super().__init__()
        layers = OrderedDict((name, nn.Linear(4, 4)) for name in names)
        for name in ("a", "b"):
            torch.manual_seed(ord(name))
            nn.init.normal_(layers[name].weight)
            nn.init.normal_(layers[name].bias)
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.tied = nn.Linear(4, 4, bias=False)
        self.tied.weight = layers["a"].weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.tied(self.b(self.a(x)))
        return out


def test_weights_do_not_depend_on_the_order_of_registration() -> None:
    """Where all weights agree by name, the component's do, tied ones and all."""
    traces = []
    for names in (("a", "b"), ("b", "a")):
        net = Parts(names)
        with record(net, level="stages") as recorder, torch.no_grad():
            net(torch.ones(1, 4))
        traces.append(recorder.trace())
    one, other = traces
    assert one.weights == other.weights
    assert {"Parts.a.weight", "Parts.tied.weight"} <= one.weights.keys()
    assert weights_agree(one.records[0], other.records[0]) is True


class Scales(nn.Module):
    """Has one parameter, under a name of the caller's."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.register_parameter(name, nn.Parameter(torch.ones(4)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * next(self.parameters())


@pytest.mark.parametrize("level", LEVELS)
def test_a_renamed_weight_is_no_agreement(level: Level) -> None:
    """The names are part of what is hashed: the same tensors under other names are other weights."""
    seen = {}
    for key, name in (("one", "weight"), ("same", "weight"), ("other", "scale")):
        net = Scales(name)
        with record(net, level=level) as recorder, torch.no_grad():
            net(torch.ones(1, 4))
        seen[key] = recorder.trace().records[0]
    assert weights_agree(seen["one"], seen["same"]) is True
    assert weights_agree(seen["one"], seen["other"]) is False


def test_a_parameter_that_came_during_the_run_is_named() -> None:
    """A call that first saw a parameter more has other weights than the one before, and tells its name."""
    net = nn.Linear(4, 4)
    _, (first, second) = calls(net, lambda: net.register_parameter("scale", nn.Parameter(torch.ones(4))))
    assert weights_agree(first, second) is False
    assert [name for name, _ in second.rewritten] == ["Linear.scale"]


def test_weights_made_under_inference_mode_are_read_each_time() -> None:
    """They have no version, so nothing is assumed of them."""
    with torch.inference_mode():
        net = nn.Linear(4, 4)
    for level in LEVELS:
        with torch.inference_mode(), record(net, level=level) as recorder:
            net(torch.ones(1, 4))
            net.weight.add_(1)
            net(torch.ones(1, 4))
        first, second = recorder.trace().records
        assert weights_agree(first, second) is False


def test_hashes_of_host_and_device_are_not_compared() -> None:
    """A run on a device and one on the host have no divergence that only the kind of hash made."""
    net = nn.Sequential(nn.Linear(4, 4))
    traces = []
    for device_path in (False, True):
        recorder = Recorder((net,), level="modules", device_path=device_path)
        with recorder.running(), torch.no_grad():
            net(torch.ones(1, 4))
        traces.append(from_bytes(to_bytes(recorder.trace())))
    host, device = traces
    assert all(value.startswith("device:") for value in device.weights.values())
    assert weights_agree(host.records[1], device.records[1]) is None
    assert weights_agree(device.records[1], device.records[1]) is True
    assert first_divergence(host, device) is None


@pytest.mark.parametrize("size", [1 << 10])
def test_what_is_verified_at_the_end_is_bounded(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past a limit of bytes parameters are not hashed a second time; buffers come first."""
    monkeypatch.setattr("seedpin.trace.record.weights._VERIFIED_BYTES", size)
    net = nn.Linear(4, 4, bias=False)
    net.weight = nn.Parameter(torch.zeros(64, 4))
    net.register_buffer("table", torch.zeros(8))
    views = net.weight.detach().numpy(), net.table.numpy()  # type: ignore[operator]

    def write() -> None:
        for view in views:
            view[:] = 1

    _, (_, second) = calls(net, write)
    assert second.unread == ("Linear.table",)


class _Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(4, 4)
        self.again = self.first
        self.shift = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.again(self.first(x) + self.shift)  # type: ignore[no-any-return]


@pytest.mark.parametrize("level", LEVELS)
def test_format_1_named_shared_weights_once(level: Level) -> None:
    """A second name of a weight, which traces of format 1 do not hold, is no change of weights."""

    def traced(net: nn.Module) -> Trace:
        with record(net, level=level) as recorder, torch.no_grad():
            recorder.clip(net(torch.ones(1, 4)).reshape(1, 1, 4, 1))
        return recorder.trace()

    now = traced(_Tied())
    old = replace(
        now,
        weights={name: text for name, text in now.weights.items() if "again" not in name},
        records=tuple(replace(one, weights=one.weights and f"v1:{one.weights}") for one in now.records),
    )
    shifted, other = _Tied(), _Tied()
    shifted.shift = 1.0
    with torch.no_grad():
        other.first.bias.add_(1)
    parted = first_divergence(old, traced(shifted))
    assert parted is not None
    assert parted.kind != "weights", parted.sentence
    parted = first_divergence(old, traced(other))
    assert parted is not None
    assert "first differ (bias)" in parted.sentence
