"""`seeded_model_factory`: a model that is built once, and pinned as each test says that calls it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.net import NET
from support.project import Project

SHARED = """
import os
import pathlib
import numpy as np
import pytest
import torch
from net import Net


def build():
    with open("built", "a") as stream:
        stream.write("x")
    return Net()


@pytest.fixture(scope="module")
def model(seeded_model_factory):
    model = seeded_model_factory(build)
    model()  # warming up, before the first test: no call of any test
    return model


@pytest.mark.seed(3)
def test_three(model, golden_video):
    golden_video.check(model(), fps=8)


@pytest.mark.seed(4, level="warn")
def test_four(model, golden_video):
    golden_video.check(model(), fps=8)


def test_plain(model, golden_video):
    first = model()
    golden_video.check(first, fps=8)
    assert (model() == first).all()


@pytest.mark.seed(3)
class TestClass:
    @pytest.fixture(scope="class")
    def other(self, seeded_model_factory):
        return seeded_model_factory(Net, seed=9)

    def test_nine(self, other, golden_video):
        golden_video.check(other(), fps=8)

    def test_both(self, model, other, golden_video):
        golden_video.check(model(), "shared", fps=8)
        golden_video.check(other(), "other", fps=8)
"""


@pytest.fixture
def shared(project: Project) -> Project:
    (project.root / "test_ball.py").unlink()
    project.write({"net.py": NET, "test_net.py": SHARED})
    return project


def manifests(project: Project) -> dict[str, dict[str, Any]]:
    return {
        f"{data['test'].rpartition('::')[2]}::{data['check']}": data
        for name, text in project.golden_files().items()
        if name.endswith(".json")
        for data in [json.loads(text)]
    }


def test_each_test_pins_the_shared_model_as_it_says(shared: Project) -> None:
    """One build serves all; seed and level are those of the test that calls, of the fixture where it gave
    some, else of the configuration; traces go beside the goldens, and a change is placed."""
    shared.mint("--seedpin-seed=5")
    assert (shared.root / "built").read_text() == "x"
    found = manifests(shared)
    pins = {name: (data["seed"], data["level"]) for name, data in found.items()}
    assert pins == {
        "test_three::video": (3, "strict"),
        "test_four::video": (4, "warn"),
        "test_plain::video": (5, "strict"),
        "test_nine::video": (9, "strict"),
        "test_both::shared": (3, "strict"),
        "test_both::other": (9, "strict"),
    }
    assert found["test_three::video"]["digest"] == found["test_both::shared"]["digest"]
    assert found["test_three::video"]["digest"] != found["test_four::video"]["digest"]
    assert all("trace" in data["files"] for data in found.values())
    changed = shared.pytest("--seedpin-seed=5", env={"EPS": "1e-3"})
    changed.assert_outcomes(failed=5)
    changed.stdout.fnmatch_lines(["*CHANGED*test_three*", "*where: norm: inputs and weights agree*"])


def test_any_order_selection_and_worker_gives_the_same(shared: Project) -> None:
    """Goldens of a shared model hold for one test alone, in random order, under reruns, and with workers that
    each build their own; and a fresh process obtains them."""
    shared.use_the_default_probe()
    result = shared.pytest("--update-golden", workers=2)
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["6 golden(s) written: proved in a fresh process"])
    shared.pytest("-k", "test_four").assert_outcomes(passed=1, deselected=4)
    shared.pytest("-p", "randomly", "--reruns", "1").assert_outcomes(passed=5)
    order = ["test_net.py::TestClass", "test_net.py::test_plain", "test_net.py::test_three"]
    shared.pytest(*order).assert_outcomes(passed=4)


def test_calls_of_a_shared_model_are_repeated_where_that_is_asked(shared: Project) -> None:
    """`--golden-probe=twice` and the entropy audit see calls of a shared model as they see any."""
    result = shared.pytest("--update-golden", "-W", "ignore", env={"SLIP": "entropy"}, fresh=True)
    result.assert_outcomes(failed=5)
    result.stdout.fnmatch_lines(["*UNSTABLE*test_three*", "*Usual suspects: an unseeded NumPy generator*"])
    assert not shared.golden_files()


LEAK = """
import pytest
import torch
from net import Net


@pytest.fixture(scope="module")
def model(seeded_model_factory):
    return seeded_model_factory(Net)


def test_changes_it(model, golden_tensors):
    CHECKS
    with torch.no_grad():
        model.paint.weight.add_(1)


def test_uses_it(model, golden_tensors):
    golden_tensors.check(model())
"""


@pytest.mark.parametrize("waits_too", [False, True])
def test_a_golden_that_needs_another_test_before_it_is_not_born(shared: Project, waits_too: bool) -> None:
    """A test that changes the shared model's weights for those after it is found, also where both wait for
    their goldens: the fresh process runs without it, or after what it would have changed."""
    shared.use_the_default_probe()
    shared.write(
        {"test_net.py": LEAK.replace("CHECKS", "golden_tensors.check(model())" if waits_too else "")}
    )
    result = shared.pytest("--update-golden")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*UNSTABLE*test_uses_it*",
            "*First difference: the weights of *paint differ*",
            "*suspects*a test that changed a model shared with this one*",
        ]
    )
    assert not any("test_uses_it" in str(path) for path in shared.golden_files())
    assert bool(shared.golden_files()) is waits_too


MADE = """
import pytest
import seedpin
import torch
from net import Net


@pytest.fixture(scope="module")
def model(seeded_model_factory):
    return seeded_model_factory(Net)


@pytest.fixture(scope="module")
def clip(model):
    return model()


@pytest.fixture(scope="module")
def bare():
    with seedpin.pin(8):
        return torch.rand(4)


def test_one(clip, golden_tensors):
    golden_tensors.check(clip)


def test_two(clip, golden_tensors):
    golden_tensors.check(clip[0], "first")
    golden_tensors.check(clip[1], "second")


def test_bare_one(bare, golden_tensors):
    golden_tensors.check(bare)


def test_bare_two(bare, golden_tensors):
    golden_tensors.check(bare + 1)


def test_unpinned(model, golden_tensors):
    golden_tensors.check(torch.ones(3))
"""


def test_what_a_fixture_made_for_several_tests_has_one_pin_in_all_of_them(shared: Project) -> None:
    """A clip that a module's fixture generated, by a shared model or under a bare pin, is recorded with that
    pin by each test that checks it, whichever ran first; a test that only shares the model pins nothing."""
    shared.write({"test_net.py": MADE})
    shared.mint("--seedpin-seed=5", "-W", "ignore")
    seeds = {name: data["seed"] for name, data in manifests(shared).items()}
    assert seeds == {
        "test_one::tensors": 5,
        "test_two::first": 5,
        "test_two::second": 5,
        "test_bare_one::tensors": 8,
        "test_bare_two::tensors": 8,
        "test_unpinned::tensors": None,
    }
    for name in ("test_one", "test_two", "bare_two", "bare_one", "unpinned"):
        found = shared.pytest("--seedpin-seed=5", "-W", "ignore", "-k", name)
        found.assert_outcomes(passed=1, deselected=4)
