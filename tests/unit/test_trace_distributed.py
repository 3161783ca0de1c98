"""Weights and activations that are DTensors: nothing changes, and what was not read is not claimed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from seedpin.trace.diff.locate import first_divergence
from seedpin.trace.model import Level, Trace
from seedpin.trace.record.recorder import record

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch was built without torch.distributed")


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from torch.distributed.device_mesh import init_device_mesh

    store = Path(tmp_path_factory.mktemp("gloo")) / "store"
    dist.init_process_group("gloo", init_method=store.as_uri(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


class Net(nn.Module):
    def __init__(self, mesh: Any, shift: float = 0.0) -> None:
        super().__init__()
        from torch.distributed.tensor import distribute_module

        torch.manual_seed(0)
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)
        self.mesh, self.shift = mesh, shift
        distribute_module(self, mesh)

    def forward(self, x: torch.Tensor) -> Any:
        from torch.distributed.tensor import Replicate, distribute_tensor

        whole: Any = self.a(distribute_tensor(x, self.mesh, [Replicate()]))
        return self.b(whole + self.shift).to_local()


def traced(net: Net, level: Level) -> tuple[torch.Tensor, Trace]:
    with torch.no_grad(), record(net, level=level) as recorder:
        out = net(torch.arange(16.0).reshape(2, 8))
    recorder.clip(out.reshape(1, 2, 8, 1))
    return out, recorder.trace()


@pytest.mark.parametrize("level", ["stages", "modules"])
def test_no_claim_is_made_of_what_was_not_read(mesh: Any, level: Level) -> None:
    """Output and weights are as without a trace; what stands between the input and a changed output is not
    said to agree."""
    from torch.distributed.tensor import DTensor

    net = Net(mesh)
    before = {name: (id(weight), weight._version) for name, weight in net.named_parameters()}
    assert all(isinstance(weight, DTensor) for weight in net.parameters())
    with torch.no_grad():
        plain = net(torch.arange(16.0).reshape(2, 8))
    out, golden = traced(net, level)
    assert torch.equal(out, plain)
    assert before == {name: (id(weight), weight._version) for name, weight in net.named_parameters()}
    assert first_divergence(golden, traced(Net(mesh), level)[1]) is None
    parted = first_divergence(golden, traced(Net(mesh, shift=1.0), level)[1])
    assert parted is not None
    assert parted.place == "Net"
    assert "up to" not in parted.sentence
    assert "what came out of a and b inside of it could not be read" in parted.sentence
