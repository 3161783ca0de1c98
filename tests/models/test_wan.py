"""Wan text-to-video, tiny and with random weights."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seedpin.checking.gate import ClipGate, TensorGate
from support.tiny_models import wan

SEED = 1234
SETTINGS: dict[str, Any] = {
    "prompt": "a red ball rolls over the hill",
    "num_frames": 9,
    "height": 48,
    "width": 48,
    "num_inference_steps": 3,
    "max_sequence_length": 16,
}

# Neither pytest nor its plugin: the pin alone, as in a user's script.
FRESH = """
import sys
sys.path[:0] = {paths!r}
from seedpin.pinning.profiles import apply_profile
apply_profile("portable")
import hashlib
import seedpin
from support.tiny_models import wan
with seedpin.pin({seed}):
    pipeline = wan()
with seedpin.pin({seed}):
    frames = pipeline(**{settings!r}, output_type="np").frames
print(hashlib.sha256(frames.tobytes()).hexdigest())
"""


@pytest.mark.seed(SEED)
def test_text_to_video(
    seeded_model: Callable[..., Any], golden_video: ClipGate, golden_tensors: TensorGate
) -> None:
    """The frames of a Wan pipeline and the latents that they were decoded from are those of the golden."""
    pipeline = seeded_model(wan)
    golden_video.check(pipeline(**SETTINGS, output_type="pil"), fps=16)
    golden_tensors.check(pipeline(**SETTINGS, output_type="latent").frames, name="latents")


@pytest.mark.seed(SEED)
def test_every_knob_of_a_call_is_gated(seeded_model: Callable[..., Any], golden_tensors: TensorGate) -> None:
    """Several checks in one test, one pipeline for all of them; none depends on the calls before it."""
    pipeline = seeded_model(wan)
    small = {**SETTINGS, "num_frames": 5, "num_inference_steps": 2, "output_type": "latent"}
    first = pipeline(**small).frames
    golden_tensors.check(first, name="plain")
    golden_tensors.check(pipeline(**small, guidance_scale=1.0).frames, name="unguided")
    golden_tensors.check(pipeline(**small, negative_prompt="the hill").frames, name="negative-prompt")
    assert pipeline(**small).frames.equal(first)


@pytest.mark.seed(SEED)
def test_fresh_processes_agree_with_this_one(seeded_model: Callable[..., Any]) -> None:
    """Two new processes, with other hash seeds and only the pin, obtain this process's float frames."""
    script = FRESH.format(paths=[str(Path(__file__).parents[1])], seed=SEED, settings=SETTINGS)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "2")
    ]
    frames = seeded_model(wan)(**SETTINGS, output_type="np").frames
    expected = hashlib.sha256(frames.tobytes()).hexdigest()
    obtained = [process.communicate()[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert obtained == [expected, expected]
