"""`--golden-probe=twice`: a call is made again right after it, within whatever surrounds it."""

from __future__ import annotations

import pytest

from support.net import NET
from support.project import Project

SURROUNDED = """
import contextlib
import os
import numpy as np
import pytest
import torch
import net


@pytest.fixture
def model(seeded_model):
    return seeded_model(net.Net)


class Scaled:
    def __init__(self):
        self.net, self.scale = net.Net(), 1.0

    def __call__(self):
        return self.net() * self.scale


def test_autocast(model, golden_tensors):
    with torch.autocast("cpu", torch.bfloat16):
        clip = model()
    golden_tensors.check(clip)


def test_sdpa(seeded_model, golden_tensors):
    def attend():
        q = torch.randn(1, 2, 64, 32)
        flash = torch.backends.cuda.flash_sdp_enabled()
        return torch.nn.functional.scaled_dot_product_attention(q, q, q) + flash

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        clip = seeded_model(attend)()
    golden_tensors.check(clip)


def test_patched(model, golden_tensors, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("SLIP", "reversed")
        clip = model()
    golden_tensors.check(clip)


def test_scale(seeded_model, golden_tensors):
    model = seeded_model(Scaled)
    model.scale = 0.5
    clip = model()
    model.scale = 1.0
    golden_tensors.check(clip)


def test_generator(seeded_model, golden_tensors):
    generator = torch.Generator().manual_seed(1)
    model = seeded_model(lambda count, generator: torch.randn(count, generator=generator))
    golden_tensors.check(model(4, generator=generator))
"""


@pytest.fixture
def twice(project: Project) -> Project:
    (project.root / "test_ball.py").unlink()
    project.write({"net.py": NET})
    return project


def test_a_call_is_repeated_within_what_surrounds_it(twice: Project) -> None:
    """Autocast, a choice of attention kernel, a patched variable and an adapter's scale hold in the repeat
    as well, so that none of these reads as unstable; the goldens then hold in the next run."""
    twice.write({"test_net.py": SURROUNDED})
    twice.pytest("--update-golden", "-W", "ignore").assert_outcomes(passed=5)
    twice.pytest("-W", "ignore").assert_outcomes(passed=5)


STATEFUL = """
import numpy as np
import pytest
import threading
import torch
from torch import nn
import net


class Trainer:
    def __init__(self):
        self.net = nn.Linear(4, 4)

    def fit(self):
        with torch.no_grad():
            self.net.weight += 0.1
        return self.net.weight.detach().clone()


class Holder:
    def __init__(self, frames):
        self.frames, self.lock = frames, threading.Lock()


class Once:
    def __init__(self):
        self.used = False

    def __call__(self):
        if self.used:
            raise RuntimeError("only once")
        self.used = True
        return torch.rand(4)


class Counter:
    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1
        return torch.rand(4) + self.count


def test_fit(seeded_model, golden_tensors):
    model = seeded_model(Trainer, methods=["fit"])
    golden_tensors.check(model.fit())


def test_unread(seeded_model, golden_tensors):
    golden_tensors.check(seeded_model(lambda: Holder(torch.rand(4)))().frames)


def test_once(seeded_model, golden_tensors):
    golden_tensors.check(seeded_model(Once)())


def test_counter(seeded_model, golden_tensors):
    golden_tensors.check(seeded_model(Counter)())
"""


CLOSURES = """
import numpy as np
import torch


def drawing(*seed):
    numbers = np.random.default_rng(*seed)
    return lambda: torch.from_numpy(numbers.random(4))


def test_unseeded(seeded_model, golden_tensors):
    golden_tensors.check(seeded_model(drawing())())


def test_seeded(seeded_model, golden_tensors):
    golden_tensors.check(seeded_model(drawing(5))())


def test_not_used(seeded_model, golden_tensors):
    numbers = np.random.default_rng()
    golden_tensors.check(seeded_model(lambda: torch.rand(4) if numbers else None)())
"""


def test_a_generator_without_a_seed_in_a_closure_is_not_said_to_repeat(twice: Project) -> None:
    """Repetitions here give it the same state again, so only a fresh process can tell: nothing is written."""
    twice.write({"test_net.py": CLOSURES})
    result = twice.pytest("--update-golden")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "golden_tensors: MISSING  test_net.py::test_unseeded (tensors)",
            "  It is not known whether this repeats: `__call__` drew from a NumPy generator that was made *",
            "  next: let a fresh process tell: pytest test_net.py::test_unseeded --update-golden *=fresh",
        ]
    )
    assert not any("test_unseeded" in name for name in twice.golden_files())


def test_what_cannot_be_repeated_here_is_told_as_such(twice: Project) -> None:
    """A call that trains its model, that gives what cannot be read, or that works only once, is not called
    unstable: the message says why nothing is known, and that a fresh process would tell. State that is not
    the model's weights is unstable as ever. Nothing is written."""
    twice.write({"test_net.py": STATEFUL})
    result = twice.pytest("--update-golden", fresh=True)
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        [
            "golden_tensors: MISSING  test_net.py::test_fit (tensors)",
            "  It is not known whether this repeats: `fit` changed the model's own weights * (net.weight), *",
            "  next: let a fresh process tell: pytest test_net.py::test_fit --update-golden *probe=fresh",
            "golden_tensors: MISSING  test_net.py::test_unread (tensors)",
            "  It is not known whether this repeats: what `__call__` gave cannot be read: it holds a lock*",
            "golden_tensors: MISSING  test_net.py::test_once (tensors)",
            "  It is not known whether this repeats: `__call__`, made again, raised RuntimeError: only once.",
            "golden_tensors: UNSTABLE  test_net.py::test_counter (tensors)",
            "*Usual suspects: *state kept between calls*",
        ]
    )
    assert not twice.golden_files()
    fresh = twice.pytest("--update-golden", "--golden-probe=fresh")
    fresh.assert_outcomes(passed=4)
    twice.pytest().assert_outcomes(passed=4)
