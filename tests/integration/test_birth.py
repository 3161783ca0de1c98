"""What is born holds: before an update writes goldens, a fresh process has obtained the same (rule 12)."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from support.project import Project

DEPENDENT = """
import pytest
from model import generate

MADE = {{}}


{first}
def test_first(seeded_model, golden_video):
    MADE["clip"] = seeded_model(generate)(frames=2)
    golden_video.check(MADE["clip"], fps=8)


{second}
def test_second(golden_video):
    golden_video.check(MADE["clip"][:1], fps=8)
"""
BUILDS: list[tuple[str, str, str, str, str]] = [
    ("a global", "", "", "", "it failed: KeyError: 'clip'"),
    (
        "pytest-dependency",
        "pytest_dependency",
        "@pytest.mark.dependency()",
        '@pytest.mark.dependency(depends=["test_first"])',
        "it was skipped: Skipped: test_second depends on test_first",
    ),
]


@pytest.mark.parametrize(
    ("plugin", "first", "second", "why"), [case[1:] for case in BUILDS], ids=[case[0] for case in BUILDS]
)
def test_a_test_that_builds_on_another_is_refused_with_what_to_do(
    project: Project, plugin: str, first: str, second: str, why: str
) -> None:
    """It cannot run alone, and the fresh process runs in reverse: the offered probe writes its golden."""
    if plugin:
        pytest.importorskip(plugin)
    project.use_the_default_probe()
    project.write({"test_ball.py": DEPENDENT.format(first=first, second=second)})
    result = project.pytest("--update-golden", fresh=True)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = result.stdout.str()
    assert f"A fresh process did not obtain it: {why}" in text
    assert "ran in reverse order: if it needs one before it, make what both need in a fixture" in text
    assert len([name for name in project.golden_files() if name.endswith(".json")]) == 1
    again = project.pytest("--update-golden", "--golden-probe=twice", fresh=True)
    assert again.ret == 0, again.stdout.str()
    assert project.pytest(fresh=True).ret == 0


def test_a_declared_order_holds_in_the_fresh_process(project: Project) -> None:
    """pytest-order sorts there as well, so that what was declared to come first does."""
    pytest.importorskip("pytest_order")
    project.use_the_default_probe()
    ordered = DEPENDENT.format(first="@pytest.mark.order(1)", second="@pytest.mark.order(2)")
    project.write({"test_ball.py": ordered})
    result = project.pytest("--update-golden", fresh=True)
    assert result.ret == 0, result.stdout.str()
    assert len([name for name in project.golden_files() if name.endswith(".json")]) == 2


WORLD = """
import numpy as np
import pytest
import torch
import seedpin
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.paint = nn.Conv2d(3, 3, 3, padding=1)

    @torch.no_grad()
    def forward(self, frames=2):
        return torch.sigmoid(self.paint(torch.randn(frames, 3, 8, 8))).permute(0, 2, 3, 1)


class Result:
    def __init__(self, frames):
        self.frames = frames


class Slotted:
    __slots__ = ("frames",)

    def __init__(self, frames):
        self.frames = frames


def random_frames(count=2):
    return np.random.default_rng().integers(0, 255, (count, 8, 8, 3), np.uint8)


def opaque():
    return Result(random_frames())


def slotted():
    return Slotted(random_frames())


def long():
    frames = np.random.randint(0, 255, (600, 4, 4, 3)).astype(np.uint8)
    frames[599] = random_frames(1)[0, :4, :4]
    return list(frames)


@pytest.fixture(scope="module")
def shared():
    return Net()


@pytest.fixture(autouse=True)
def quiet(recwarn):
    yield
"""
BLIND = (
    WORLD
    + """

def test_object(seeded_model, golden_video):
    golden_video.check(seeded_model(opaque)().frames, fps=8)


def test_slots(seeded_model, golden_video):
    golden_video.check(seeded_model(slotted)().frames, fps=8)


def test_long(seeded_model, golden_video):
    golden_video.check(seeded_model(long)(), fps=8, layout="THWC")


def test_module_scope(shared, golden_video):
    with seedpin.pin(3):
        clip = shared()
    golden_video.check(clip, fps=8)


def test_bare_pin(golden_video):
    with seedpin.pin(3):
        clip = random_frames()
    golden_video.check(clip, fps=8)


def test_weights_before(seeded_model, golden_video):
    golden_video.check(seeded_model(Net())(), fps=8)


def test_own_generator(seeded_model, golden_video):
    clip = seeded_model(Net)()
    golden_video.check(clip * float(np.random.default_rng().random()), fps=8)


def test_unpinned(golden_video):
    golden_video.check(torch.rand(2, 8, 8, 3), fps=8)


def test_good(seeded_model, golden_video, golden_tensors):
    model = seeded_model(Net)
    golden_video.check(model(), fps=8)
    golden_tensors.check(model(3))


def test_half(seeded_model, golden_video, golden_tensors):
    golden_video.check(seeded_model(Net)(), fps=8)
    golden_tensors.check(torch.rand(4))
"""
)
REFUSED = {
    "test_object::video": "Usual suspects: an unseeded NumPy generator at ",
    "test_slots::video": "Usual suspects: an unseeded NumPy generator at ",
    "test_long::video": "1 of 600 frame(s) differ, the first is frame 599.",
    "test_module_scope::video": "Usual suspects: weights were initialised outside the pin",
    "test_bare_pin::video": "a generator made in the test without a seed",
    "test_weights_before::video": "Usual suspects: weights were initialised outside the pin",
    "test_own_generator::video": "Usual suspects: a generator made in the test without a seed",
    "test_unpinned::video": "Usual suspects: nothing was pinned where this came about",
    "test_half::tensors": "1 of 1 tensor(s) differ.",
}


@pytest.fixture
def birth(project: Project) -> Project:
    (project.root / "test_ball.py").unlink()
    project.use_the_default_probe()
    return project


def records(project: Project) -> dict[str, dict[str, Any]]:
    """The last record of each check of the last run, by ``test function::check``."""
    path = max(project.root.glob(".seedpin/runs/*/results.jsonl"), key=lambda found: found.stat().st_mtime_ns)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {f"{line['test'].partition('::')[2]}::{line['check']}": line for line in lines}


def born(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(project.manifest().read_text())["born"]
    return found


@pytest.mark.parametrize("workers", [None, 2])
def test_nothing_is_born_that_a_fresh_process_does_not_obtain(birth: Project, workers: int | None) -> None:
    """Whatever hides from a repeat in one process is refused, with its likeliest cause; what holds is
    written, and of a test that holds in part nothing; the same under xdist."""
    birth.write({"test_blind.py": BLIND})
    result = birth.pytest("--update-golden", "--junitxml=out.xml", workers=workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=10, errors=9)
    found = records(birth)
    unstable = {name for name, record in found.items() if record["verdict"] == "unstable"}
    assert unstable == set(REFUSED)
    for name, words in REFUSED.items():
        assert words in found[name]["message"], found[name]["message"]
        assert f"next: seedpin probe test_blind.py::{name.partition('::')[0]}" in found[name]["message"]
    assert {name for name, record in found.items() if record["written"] == "created"} == {
        "test_good::video",
        "test_good::tensors",
    }
    assert found["test_half::video"]["written"] == "refused"
    assert {name.split("/")[1] for name in birth.golden_files()} == {"test_good"}
    result.stdout.fnmatch_lines(
        [
            "seedpin: 12 golden(s) wait to be born: their 10 test(s) run again in a fresh process ...",
            "*ERROR at teardown of test_object*",
            "golden_video: UNSTABLE  test_blind.py::test_object (video)",
            "2 golden(s) written: proved in a fresh process",
        ]
    )
    errors = [
        case for case in ET.parse(birth.root / "out.xml").iter("testcase") if case.find("error") is not None
    ]
    assert len(errors) == 9


PLAIN = """
import os
import pathlib
import sys
import numpy as np
import pytest


def draw(frames=2):
    return np.random.randint(0, 255, (frames, 8, 8, 3)).astype(np.uint8)


def is_fresh():
    return "--seedpin-collect" in sys.argv


def test_one(seeded_model, golden_video):
    golden_video.check(seeded_model(draw)(), fps=8)
    {after}
"""


def test_the_manifest_says_how_it_was_found_to_repeat(birth: Project) -> None:
    """`born` names the probe; where it was turned off in words, that."""
    birth.write({"test_plain.py": PLAIN.format(after="")})
    for probe, why in (
        ("fresh", None),
        ("twice", "1 call(s) were repeated in the process that made them"),
        ("off", "the probe was turned off"),
    ):
        result = birth.pytest("--update-golden=all", "--golden-probe", probe)
        result.assert_outcomes(passed=1)
        ending = " proved in a fresh process" if probe == "fresh" else ""
        result.stdout.fnmatch_lines([f"1 golden(s) written:{ending}"])
        assert born(birth) == {"probe": probe, **({"why": why} if why else {})}


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ("assert not is_fresh(), 'not twice'", "*did not pass there: it failed: AssertionError: not twice*"),
        ("pytest.skip('no') if is_fresh() else None", "*did not pass there: it was skipped: Skipped: no*"),
        (
            "golden_video.check(draw(), 'b', fps=8) if not is_fresh() else None",
            "*it was not collected there, or *",
        ),
        ("os._exit(3) if is_fresh() else None", "*pytest ended with exit code 3 and 0 check(s)*"),
    ],
    ids=["fails", "skips", "checks less", "dies"],
)
def test_a_test_that_a_fresh_process_cannot_run_gets_no_golden(
    birth: Project, after: str, words: str
) -> None:
    """Where the second run fails, skips or dies, nothing is written and the reason is told."""
    birth.write({"test_plain.py": PLAIN.format(after=after)})
    result = birth.pytest("--update-golden")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([words, "*next: *"])
    assert not (birth.root / "golden").exists()


@pytest.mark.parametrize(
    ("after", "program"),
    [("os._exit(3) if is_fresh() else None", "python -m pytest"), ("assert not is_fresh()", "pytest")],
    ids=["dies", "fails"],
)
def test_the_step_after_a_fresh_process_failed_has_the_sessions_options(
    birth: Project, after: str, program: str
) -> None:
    """What is offered runs the test as the session ran it: its options, without those of the update."""
    birth.write({"test_plain.py": PLAIN.format(after=after)})
    result = birth.pytest("--update-golden=all", "-o", "junit_family=xunit1", "--seedpin-trace=modules")
    (line,) = [line for line in result.stdout.str().splitlines() if "next: " in line]
    options = "-o junit_family=xunit1 --seedpin-trace=modules"
    assert re.search(f"next: {program} .*{options} test_plain.py::", line)
    assert "--update-golden" not in line


TWO = (
    PLAIN
    + """

def test_two(seeded_model, golden_video):
    golden_video.check(seeded_model(draw)(3), fps=8)
    {second}


def test_three(seeded_model, golden_video):
    golden_video.check(seeded_model(draw)(4), fps=8)
"""
)


@pytest.mark.parametrize("workers", [None, 2])
def test_an_interrupted_update_writes_nothing_and_says_so(birth: Project, workers: int | None) -> None:
    """Ctrl-C before the session's end leaves golden/ as it was, also for tests that had passed."""
    interrupt = "(_ for _ in ()).throw(KeyboardInterrupt) if not is_fresh() else None"
    birth.write({"test_plain.py": TWO.format(after="", second=interrupt)})
    result = birth.pytest("--update-golden", workers=workers, fresh=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert not (birth.root / "golden").exists()
    if workers is None:
        said = "1 golden(s) not written: the session was interrupted"
        result.stdout.fnmatch_lines(
            [
                f"seedpin: {said} before they were known to repeat",
                "1 golden(s) not written, because it is not known that they repeat:",
            ]
        )
        assert records(birth)["test_one::video"]["written"] == "refused"


def test_a_session_that_ends_at_its_first_failure_writes_what_had_passed(birth: Project) -> None:
    """`-x` refuses nothing of tests that passed before, and writes nothing of the one that failed."""
    birth.write({"test_plain.py": TWO.format(after="", second="assert False")})
    result = birth.pytest("--update-golden", "-x")
    result.assert_outcomes(passed=1, failed=1)
    assert {name.split("/")[1] for name in birth.golden_files()} == {"test_one"}
    result.stdout.fnmatch_lines(
        ["1 golden(s) written: proved in a fresh process", "1 golden(s) not written*"]
    )


def test_the_fresh_process_is_started_like_the_session(birth: Project) -> None:
    """Options of the project's own, ini overrides and plugins hold there too, and odd test ids are found."""
    birth.write(
        {
            "conftest.py": "import pytest\n\n\ndef pytest_addoption(parser):\n"
            "    parser.addoption('--size', type=int, default=8)\n    parser.addini('grey', 'level')\n",
            "extra.py": "import pytest\n\n\n@pytest.fixture\ndef addition():\n    return 5\n",
            "sub/check_odd.py": """
import numpy as np
import pytest


@pytest.mark.parametrize("label", ["a b", "x::y", "[z]", "-k", "é"])
def test_odd(label, request, addition, seeded_model, golden_video):
    def draw():
        size = request.config.getoption("--size")
        return (np.random.rand(2, size, size, 3) * int(request.config.getini("grey"))).astype(np.uint8)

    golden_video.check(seeded_model(draw)(), fps=8)
""",
        }
    )
    result = birth.pytest(
        "--update-golden", "--size", "12", "-o", "grey=200", "-p", "extra", "-k", "odd", "sub/check_odd.py"
    )
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["5 golden(s) written: proved in a fresh process"])


def test_a_path_that_is_also_an_option_s_value_is_told_apart(birth: Project) -> None:
    """`pytest --rootdir DIR DIR` starts a fresh process that can be started."""
    birth.write({"test_plain.py": PLAIN.format(after="")})
    root = str(birth.root)
    birth.pytest("--update-golden", "--rootdir", root, "--confcutdir", root, root).assert_outcomes(passed=1)
    assert born(birth) == {"probe": "fresh"}


LENIENT = """
import numpy as np


def test_one(seeded_model, golden_video):
    ramp = np.arange(192).reshape(1, 8, 8, 3).repeat(2, 0)
    clip = (ramp + np.random.default_rng().integers(0, {spread}, ramp.shape)).astype(np.uint8)
    golden_video.check(seeded_model(lambda: clip)(), fps=8, tolerance={{"max_abs": 2}})
"""


def test_what_has_a_tolerance_must_repeat_within_it(birth: Project) -> None:
    """A golden whose check declares a tolerance is born where a fresh process stays within it, not beyond."""
    birth.write({"test_plain.py": LENIENT.format(spread=60)})
    birth.pytest("--update-golden", "-W", "ignore").assert_outcomes(passed=1, errors=1)
    assert not (birth.root / "golden").exists()
    birth.write({"test_plain.py": LENIENT.format(spread=3)})
    birth.pytest("--update-golden", "-W", "ignore").assert_outcomes(passed=1)
    assert born(birth) == {"probe": "fresh", "why": "other bits, within the declared tolerance"}


def test_no_process_is_started_where_nothing_waits(birth: Project) -> None:
    """A run that compares, and an update in which no test passed, start no fresh process."""
    birth.write({"test_plain.py": PLAIN.format(after="pathlib.Path('ran').write_text(str(is_fresh()))")})
    birth.pytest("--update-golden").assert_outcomes(passed=1)
    assert (birth.root / "ran").read_text() == "True"
    birth.pytest("--update-golden").assert_outcomes(passed=1)
    assert (birth.root / "ran").read_text() == "False"
