"""A real pipeline that copies its parts in the middle of a call."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from seedpin.trace.record.recorder import record
from support import pipelines

diffusers = pytest.importorskip("diffusers")


def test_a_pipeline_that_copies_its_scheduler_and_model_gives_its_own_frames() -> None:
    """Wan, its scheduler and transformer replaced by copies after the first step: as without a trace."""
    wan = pipelines.wan()
    parts = wan.scheduler, wan.transformer

    def swap(pipeline: Any, step: int, timestep: Any, given: dict[str, Any]) -> dict[str, Any]:
        if step == 0:
            pipeline.scheduler = copy.deepcopy(pipeline.scheduler)
            pipeline.transformer = copy.deepcopy(pipeline.transformer)
        return {}

    def run() -> Any:
        torch.manual_seed(1)
        out = wan(
            "a red ball",
            num_frames=5,
            height=16,
            width=16,
            num_inference_steps=3,
            max_sequence_length=16,
            output_type="np",
            callback_on_step_end=swap,
        )
        wan.scheduler, wan.transformer = parts
        return np.asarray(out.frames[0])

    plain = run()
    with record(wan) as recorder:
        seen = run()
    assert np.array_equal(plain, seen)
    steps = [item.name for item in recorder.trace().records if item.name.endswith(".step")]
    assert steps == ["scheduler.step", "scheduler (copy).step", "scheduler (copy).step"]
