"""What pins hold and restore: the state of this process's random sources and switches."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from seedpin.pinning import sources, switches


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


class State(dict[str, Any]):
    """Sources and switches; equal if what both know is equal (the compiler may have come since)."""

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, State)
        return all(self[name] == other[name] for name in self.keys() & other.keys())

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None


def everything() -> State:
    drawn = {k: v.tolist() if torch.is_tensor(v) else str(v) for k, v in sources.snapshot().items()}
    return State({**drawn, **switches.snapshot()})


def spoil() -> None:
    """Draw from every generator and turn every switch that a model could turn."""
    draw()
    torch.manual_seed(99)
    random.seed(99)
    np.random.seed(99)
    torch.set_num_threads(3)
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("medium")
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True
    torch.backends.cuda.enable_flash_sdp(False)
    deterministic: Any = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False
