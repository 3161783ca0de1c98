"""What a real Intel CPU computed, against this machine: Stable Diffusion, as first minted, with MKL's roots.

``tests/data/bits/intel-stable-diffusion.json`` holds digests of six results that a Sapphire Rapids gave under
the profile ``portable`` when its square roots still came from MKL. Two of the roots that DDIM takes were one
unit in the last place above the rightly rounded ones there.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seedpin
from seedpin.pinning import kernels
from support.tiny_models import stable_diffusion

SETTINGS: dict[str, Any] = {"height": 64, "width": 64, "num_inference_steps": 3, "eta": 0.5}
INTEL = json.loads(
    (Path(__file__).parents[1] / "data" / "bits" / "intel-stable-diffusion.json").read_text(encoding="utf-8")
)
ROOTS = {float.fromhex(x): float.fromhex(root) for x, root in INTEL["roots"]}


def _intels_root(x: Any, out: Any) -> None:
    """The rightly rounded root, but for the arguments whose root is known from an Intel CPU."""
    arguments = x.copy()
    np.sqrt(arguments, out=out)
    for argument, root in ROOTS.items():
        np.copyto(out, np.float32(root), where=arguments == np.float32(argument))


@pytest.fixture(scope="module")
def pipeline() -> Any:
    """As the tests on goldens have it: built under the seed of the test."""
    with seedpin.pin(5):
        return stable_diffusion()


@pytest.mark.parametrize("case", INTEL["sha256"])
def test_an_intel_cpu_is_met_but_for_its_roots(
    pipeline: Any, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the two roots as Intel's MKL gave them, all else here is equal to the bits from Intel."""
    roots = {torch.float32: _intels_root, torch.float64: np.sqrt}
    monkeypatch.setattr(kernels, "REPLACED", {**kernels.REPLACED, "sqrt": roots})
    prompt, seed, kind = case.split(", ")
    with seedpin.pin(int(seed.removeprefix("seed ")), profile="portable"):
        if kind == "latents":
            result = pipeline(prompt, **SETTINGS, output_type="latent").images.numpy()
        else:
            result = np.asarray(pipeline(prompt, **SETTINGS).images[0])
    assert hashlib.sha256(np.ascontiguousarray(result).tobytes()).hexdigest() == INTEL["sha256"][case]


def test_the_roots_of_intels_mkl_are_not_the_nearest() -> None:
    """Each of them is the float32 above the rightly rounded root, so no golden from there can agree."""
    for argument, root in ROOTS.items():
        nearest = np.sqrt(np.float32(argument))
        assert np.float32(root) == np.nextafter(nearest, np.float32(np.inf))
