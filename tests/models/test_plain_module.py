"""A plain ``nn.Module`` that samples noise and keeps dropout active, and a training run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from seedpin.checking.gate import ClipGate, TensorGate
from support.tiny_models import Sketcher, train_and_sample


@pytest.mark.seed(11)
def test_module_with_noise_and_dropout(seeded_model: Callable[..., Any], golden_video: ClipGate) -> None:
    """A float clip of a module in training mode is identical, and stays float."""
    model = seeded_model(Sketcher)
    assert model.training
    with torch.no_grad():
        clip = model(4)
        result = golden_video.check(clip, fps=4, layout="TCHW", value_range=(0, 1))
        assert result.facts_obtained["dtype"] == "float32"
        assert not model.eval()(4).equal(clip)


@pytest.mark.seed(12)
def test_weights_data_order_dropout_and_noise(
    seeded_model: Callable[..., Any], golden_tensors: TensorGate, golden_video: ClipGate
) -> None:
    """A training run and its samples are identical: all four places where randomness enters are pinned."""
    trained = seeded_model(train_and_sample)()
    golden_tensors.check({name: trained[name] for name in ("loss", "order", "weights")}, name="training")
    golden_video.check(trained["samples"], name="samples", layout="TCHW", value_range=(0, 1))
