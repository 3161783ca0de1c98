"""Modules that are imported while functions of torch are replaced."""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from seedpin.pinning.model import seeded_model
from seedpin.trace.record.recorder import record

MODULE = """
from os import urandom

from torch import Tensor, randn

fill = Tensor.normal_
noise = randn(2)
"""


def test_what_is_imported_during_a_call_keeps_no_replacement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that a model imports takes torch's own functions by name, not those that watch."""
    (tmp_path / "imported_late.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)  # as if no test had compiled anything
    originals = (os.urandom, torch.randn, torch.Tensor.normal_)
    watched: list[Any] = []

    def generate(generator: torch.Generator) -> torch.Tensor:
        importlib.import_module("imported_late")
        watched.append(torch.randn)
        return torch.randn(3, generator=generator)

    model = seeded_model(generate, seed=3)
    model.around_call.append(lambda seeded, call: record(seeded.__wrapped__))
    model(torch.Generator().manual_seed(4))
    late: Any = sys.modules.pop("imported_late")
    assert (late.urandom, late.randn, late.fill) == originals
    assert pickle.loads(pickle.dumps(late.randn)) is torch.randn
    assert watched != [torch.randn]  # while it was imported others were in place
    assert model.entropy_findings == ()
