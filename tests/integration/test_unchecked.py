"""Goldens that nobody checks: told by the test that has them, deleted only on evidence."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from seedpin.goldens.inventory import GoldenEntry, walk_goldens, write_pruned
from seedpin.goldens.store import GoldenStore
from seedpin.run.ledger import runs
from seedpin.run.unused_goldens import find_unused, last_of_test, used_since, whole_run
from support.commands import Done, seedpin
from support.project import Project

Command = Callable[..., Done]

TEST = """
import pytest
from model import generate


@pytest.mark.seed(7)
def test_cube(seeded_model, golden_video):
    clip = seeded_model(generate)(frames=3)
    golden_video.check(clip, fps=8)
    golden_video.check(clip, "second", fps=8)
"""
LINE = '    golden_video.check(clip, "second", fps=8)'


@pytest.fixture
def command(project: Project, monkeypatch: pytest.MonkeyPatch) -> Command:
    return lambda *arguments: seedpin(*arguments, cwd=project.root, monkeypatch=monkeypatch)


@pytest.fixture
def cube(project: Project) -> Project:
    """Two tests, three goldens."""
    project.write({"test_cube.py": TEST})
    project.mint()
    return project


def stems(project: Project) -> set[str]:
    return {name.split(".cpu")[0] for name in project.golden_files()}


EARLY = TEST.replace("    clip =", "    return\n    clip =")
ALL = {"test_ball.py/test_ball/video", "test_cube.py/test_cube/video", "test_cube.py/test_cube/second"}
LEFT_OUT = [
    ("dropped", TEST.replace(LINE, ""), ["second"]),
    ("early return", EARLY, ["second", "video"]),
    ("no fixture", "def test_cube():\n    pass\n", ["second", "video"]),
    (
        "not as expected",
        EARLY.replace("def test_cube", "@pytest.mark.xfail\ndef test_cube"),
        ["second", "video"],
    ),
    ("loop over nothing", TEST.replace(LINE, "    for one in ():\n    " + LINE), ["second"]),
]


@pytest.mark.parametrize(
    ("source", "names"), [case[1:] for case in LEFT_OUT], ids=[case[0] for case in LEFT_OUT]
)
@pytest.mark.parametrize("workers", [None, 1])
def test_a_golden_that_its_passing_test_did_not_check_fails(
    cube: Project, command: Command, source: str, names: list[str], workers: int | None
) -> None:
    """Each is told with a next step that works: it lists them, with --delete deletes, and all is green."""
    cube.write({"test_cube.py": source})
    result = cube.pytest(workers=workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    for name in names:
        result.stdout.fnmatch_lines(
            [
                f"golden_video: UNCHECKED  test_cube.py::test_cube ({name})",
                "  test_cube.py::test_cube passed without checking this golden, which it has.",
                "  next: *seedpin prune --test test_cube.py::test_cube",
                "  more: seedpin explain unchecked",
            ]
        )
    assert stems(cube) == ALL
    dry = command("prune", "--test", "test_cube.py::test_cube")
    assert (dry.code, f"{len(names)} golden(s) unused" in dry.out) == (0, True), dry.out
    assert command("prune").code == 2
    assert f"{len(names)} golden(s) unused" in command("prune", "--unchecked").out
    assert stems(cube) == ALL
    assert (
        f"{len(names)} golden(s) deleted"
        in command("prune", "--test", "test_cube.py::test_cube", "--delete").out
    )
    assert stems(cube) == ALL - {f"test_cube.py/test_cube/{name}" for name in names}
    assert cube.pytest().ret == 0


NOT_TOLD = [
    ("skipped", TEST.replace("    clip =", "    pytest.skip('no')\n    clip =")),
    ("expected to fail", TEST.replace("    clip =", "    pytest.xfail('no')\n    clip =")),
    ("failed", TEST.replace("    clip =", "    assert 0\n    clip =")),
    ("in teardown", TEST.replace("def test_cube(seeded_model, golden_video):", """@pytest.fixture
def checked(seeded_model, golden_video):
    yield
    check(seeded_model, golden_video)


def test_cube(checked):
    pass


def check(seeded_model, golden_video):""")),
]  # fmt: skip


@pytest.mark.parametrize("source", [case[1] for case in NOT_TOLD], ids=[case[0] for case in NOT_TOLD])
def test_only_a_test_that_ran_to_its_end_is_asked(cube: Project, source: str) -> None:
    """Skipped, failed and expected failures say nothing of goldens; checks in a teardown count."""
    cube.write({"test_cube.py": source})
    cube.pytest().stdout.no_fnmatch_line("*UNCHECKED*")


def test_goldens_of_other_devices_are_not_asked_for(cube: Project) -> None:
    """A golden of a class that this test's checks did not have is no matter of this run."""
    other = "cuda-sm90-nvidia_h100_80gb_hbm3-132sm"
    folder = cube.root / "golden" / "test_cube.py" / "test_cube"
    for path in folder.glob("*.json"):
        data = json.loads(path.read_text()) | {"device_class": other}
        (folder / f"{path.name.partition('.')[0]}.{other}.json").write_text(json.dumps(data))
    assert cube.pytest().ret == 0
    cube.write({"test_cube.py": EARLY})
    told = cube.pytest().stdout.str()
    assert "2 unchecked" in told
    assert other not in told


def test_an_update_says_so_and_deletes_nothing(cube: Project, command: Command) -> None:
    """An update ends green, keeps the golden, and names the command that lists it."""
    cube.write({"test_cube.py": TEST.replace(LINE, "")})
    result = cube.pytest("--update-golden=all")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "unchecked  test_cube.py::test_cube::second *",
            "1 golden(s) kept though no check asked *--unchecked",
        ]
    )
    assert stems(cube) == ALL
    assert "1 golden(s) unused" in command("prune", "--unchecked").out


CONFTEST_DROPS = """
def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if "cube" not in item.nodeid]
"""
EMPTY = TEST.replace(
    "@pytest.mark.seed(7)\ndef test_cube(",
    '@pytest.mark.parametrize("x", [])\n@pytest.mark.seed(7)\ndef test_cube(x, ',
)
OTHER = "[pytest]\npython_files = test_b*.py\npythonpath = .\n"
NARROWED: list[tuple[str, dict[str, str], list[str]]] = [
    ("python_files", {}, ["-o", "python_files=test_b*.py"]),
    ("python_functions", {}, ["-o", "python_functions=test_ball"]),
    ("testpaths", {}, ["-o", "testpaths=test_ball.py"]),
    ("norecursedirs", {"sub/test_cube.py": TEST}, ["-o", "norecursedirs=sub"]),
    ("PYTEST_ADDOPTS", {}, ["ADDOPTS", "-o python_files=test_b*.py"]),
    ("another file", {"other.ini": OTHER}, ["-c", "other.ini"]),
    ("collect_ignore", {"conftest.py": "collect_ignore = ['test_cube.py']\n"}, []),
    ("collect_ignore_glob", {"conftest.py": "collect_ignore_glob = ['*cube*']\n"}, []),
    ("a plugin", {"conftest.py": CONFTEST_DROPS}, []),
    ("an empty parameter set", {"test_cube.py": EMPTY}, []),
    ("an early return", {"test_cube.py": EARLY}, []),
]  # fmt: skip


IN_WORKERS = ("python_functions", "collect_ignore", "a plugin")  # what each worker sees for itself


@pytest.mark.parametrize(
    ("files", "arguments", "workers"),
    [
        pytest.param(files, arguments, workers, id=f"{name}{f' with {workers} worker' if workers else ''}")
        for name, files, arguments in NARROWED
        for workers in ((None, 1) if name in IN_WORKERS else (None,))
    ],
)
def test_rule_3_a_run_that_was_narrowed_lets_nothing_be_deleted(
    project: Project, command: Command, files: dict[str, str], arguments: list[str], workers: int | None
) -> None:
    """However a run came to leave tests out, `prune --delete` keeps their goldens."""
    if "sub/test_cube.py" in files:
        project.write(files)
    else:
        project.write({"test_cube.py": TEST})
    before = project.mint()
    project.write(files)
    env = {}
    if arguments[:1] == ["ADDOPTS"]:
        env, arguments = {"PYTEST_ADDOPTS": arguments[1]}, []
    project.pytest(*arguments, workers=workers, env=env)
    done = command("prune", "--delete")
    assert "deleted  " not in done.out
    assert project.golden_files() == before


PLAIN = """
import logging

import pytest
import torch

logger = logging.getLogger(__name__)


@pytest.mark.parametrize("x", [torch.stack([torch.zeros(1)])])
def test_other(monkeypatch, x):
    monkeypatch.setattr(torch.nn.Linear, "extra_repr", None)
    assert list(torch.nn.Linear(1, 1).eval().modules())
"""
GONE: list[tuple[str, dict[str, str], str]] = [
    ("file", {}, "there is no test_cube.py"),
    ("function of many", {"test_cube.py": PLAIN}, "its test is not in test_cube.py any more"),
    (
        "function",
        {"test_cube.py": "def test_other():\n    pass\n"},
        "its test is not in test_cube.py any more",
    ),
]


@pytest.mark.parametrize(("files", "why"), [case[1:] for case in GONE], ids=[case[0] for case in GONE])
def test_goldens_whose_test_is_gone_are_unused(
    cube: Project, command: Command, files: dict[str, str], why: str
) -> None:
    """A test that is not in its collected file any more, or whose file is gone, needs no goldens."""
    (cube.root / "test_cube.py").unlink()
    cube.write(files)
    assert cube.pytest().ret == 0
    assert command("prune").out.count(why) == 2
    assert "2 golden(s) deleted" in command("prune", "--delete").out
    assert stems(cube) == {"test_ball.py/test_ball/video"}


def test_goldens_of_parameters_that_a_run_did_not_have_are_told_apart(
    project: Project, command: Command
) -> None:
    """Nothing tells whether another run has them: they are kept, and deleted only if that is said."""
    source = TEST.replace(
        "@pytest.mark.seed(7)\ndef test_cube(", '@pytest.mark.parametrize("x", {})\ndef test_cube(x, '
    )
    project.write({"test_cube.py": source.format("[0, 1, 2]")})
    project.mint()
    project.write({"test_cube.py": source.format("[2, 3]")})
    project.pytest("--update-golden")
    assert project.pytest().ret == 0
    before = project.golden_files()
    done = command("prune", "--delete")
    assert done.out.count("its test ran with other parameters") == 4, done.out
    assert "4 golden(s) unseen and kept" in done.out
    assert project.golden_files() == before
    only = ("--unseen", "--test", "test_cube.py::test_cube[1]")
    dry = command("prune", *only)
    assert "2 golden(s) unused" in dry.out, dry.out
    assert "seedpin prune --unseen --test 'test_cube.py::test_cube[1]' --delete" in dry.out
    assert "2 golden(s) deleted" in command("prune", *only, "--delete").out
    assert {name.split("/")[1] for name in project.golden_files()} - {"test_ball"} == {
        name for name in {name.split("/")[1] for name in before} - {"test_ball"} if "[1]" not in name
    }
    assert "2 golden(s) deleted" in command("prune", "--unseen", "--delete").out
    assert not [name for name in project.golden_files() if "[0]" in name]
    assert command("prune", "--unseen", "--unchecked").code == 2


CHECK = """
import os
import sys

import pytest
from model import generate


def check(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=3), fps=8)


MODELS = os.environ.get("MODELS", "a b").split()
"""
USE = "(seeded_model, golden_video):\n    check(seeded_model, golden_video)\n"
USE_MODEL = "def test_it(model, seeded_model, golden_video):\n    check(seeded_model, golden_video)\n"
HOOK = "def pytest_generate_tests(metafunc):\n    metafunc.parametrize('model', MODELS)\n\n\n"
LOOP = f"for model in MODELS:\n    def made{USE.replace('    ', '        ')}\n"
CHOSEN: list[tuple[str, str, str]] = [
    ("parametrize", f'@pytest.mark.parametrize("model", MODELS)\n{USE_MODEL}', "a"),
    ("pytest_generate_tests", f"{HOOK}{USE_MODEL}", "a"),
    ("globals", f"{LOOP}    globals()[f'test_{{model}}'] = made\n", "a"),
    ("setattr", f"{LOOP}    setattr(sys.modules[__name__], 'test_' + model, made)\n", "a"),
    ("none of them", f"{LOOP}    vars()[f'test_{{model}}'] = made\n", " "),
    ("another module", "from make import install\n\ninstall(__name__, check, MODELS)\n", " "),
    ("a decorator", f"from make import each\n\n\n@each(MODELS)\ndef test_it{USE}", " "),
]
MAKE = """
import sys


def make(check):
    def test(seeded_model, golden_video):
        check(seeded_model, golden_video)
    return test


def install(name, check, models):
    for model in models:
        setattr(sys.modules[name], "test_" + model, make(check))


def each(models):
    def decorate(test):
        for model in models:
            sys._getframe(1).f_globals[f"{test.__name__}_{model}"] = make(test)
        test.__test__ = False
        return test
    return decorate
"""


@pytest.mark.parametrize(
    ("source", "chosen"), [case[1:] for case in CHOSEN], ids=[case[0] for case in CHOSEN]
)
def test_rule_3_tests_that_a_variable_chose_keep_their_goldens(
    project: Project, command: Command, source: str, chosen: str
) -> None:
    """Parameters and tests that are made as a file runs may be back in the next run: no golden is deleted."""
    project.write({"make.py": MAKE, "test_cube.py": CHECK + "\n\n" + source})
    before = project.mint()
    assert len([name for name in before if name.endswith(".json")]) == 3
    assert project.pytest(env={"MODELS": chosen}).ret == 0
    done = command("prune", "--delete")
    assert f"{2 if chosen.isspace() else 1} golden(s) unseen and kept" in done.out, done.out
    assert project.golden_files() == before


OPTIONS = """
def pytest_addoption(parser):
    parser.addoption("--sizes", default="1,2")


def pytest_generate_tests(metafunc):
    if "x" in metafunc.fixturenames:
        metafunc.parametrize("x", metafunc.config.getoption("--sizes").split(","))
"""


def test_parameters_that_an_option_chose_are_no_evidence(project: Project, command: Command) -> None:
    """Where an option of the project's own may have chosen the parameters, goldens of others are kept."""
    plain = TEST.replace("def test_cube(", "def test_cube(x, ")
    project.write({"conftest.py": OPTIONS, "test_cube.py": plain})
    before = project.mint()
    assert project.pytest("--sizes=2").ret == 0
    done = command("prune", "--delete")
    assert "which --sizes may have chosen" in done.out
    assert project.golden_files() == before


INHERITED = """
from base import Base


class TestCube(Base):
    pass
"""


def test_what_a_file_may_inherit_or_import_is_kept(project: Project, command: Command) -> None:
    """A test that a class inherits, or that is imported, is not gone because its file does not spell it."""
    body = TEST.replace("def test_cube(", "def test_cube(self, ").replace("\n", "\n    ")
    base = "class Base:\n    " + body.partition("from model import generate")[2]
    imports = "import pytest\nfrom model import generate\n\n\n"
    project.write(
        {"base.py": imports + base, "test_cube.py": INHERITED, "test_more.py": "from base import *\n"}
    )
    before = project.mint()
    assert [name for name in before if "TestCube" in name]
    hook = "def pytest_pycollect_makeitem(name):\n    return [] if name == 'test_cube' else None\n"
    project.write({"conftest.py": hook})
    assert project.pytest().ret == 0
    done = command("prune", "--delete")
    assert done.out.count("still defines its test") == 2, done.out
    assert project.golden_files() == before


def test_verdicts_without_a_clip_are_told_everywhere(cube: Project, command: Command) -> None:
    """The report, GitHub's summary and annotations tell invalid and unchecked; neither can be accepted."""
    cube.write({"test_cube.py": TEST.replace(LINE, ""), "test_ball.py": INVALID})
    summary = cube.root / "summary.md"
    result = cube.pytest(
        "--golden-report", env={"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    )
    result.stdout.fnmatch_lines(
        ["3 check(s): 1 invalid, 1 unchecked, 1 identical", "::error *title=seedpin%3A unchecked*"]
    )
    page = next(cube.root.glob(".seedpin/runs/*/report/index.html")).read_text()
    for text in (page, summary.read_text(encoding="utf-8")):
        assert "invalid" in text
        assert "unchecked" in text
    assert "is no clip" in command("accept", "test_ball", "--reason", "x").out
    assert "nothing for it" in command("accept", "test_cube.py::test_cube::second", "--reason", "x").out
    assert command("accept", "--all", "--reason", "x").out.endswith("nothing awaits a decision\n")


INVALID = """
import contextlib


def test_ball(golden_video):
    with contextlib.suppress(Exception):
        golden_video.check(None, fps=8)
"""


def test_what_came_into_use_since_is_spared(cube: Project) -> None:
    """Under the lock the runs since are asked again, and the golden's manifest is read again."""
    cube.write({"test_cube.py": EARLY})
    assert cube.pytest().ret == 1
    state, root = cube.root / ".seedpin", cube.root / "golden"
    inventory, told = walk_goldens(root), last_of_test(state, "test_cube.py::test_cube")
    found = find_unused(inventory, told, cube.root, inventory.classes(), only_unchecked=True)
    entries = [judged.entry for judged in found.unused]
    assert len(entries) == 2
    cube.write({"test_cube.py": TEST.replace(LINE, "")})
    assert cube.pytest().ret == 1
    second = next(entry for entry in entries if "second" in entry.stem)
    second.path.write_text(second.path.read_text() + " ")
    store = GoldenStore(root, state)

    def why_not(entry: GoldenEntry) -> str:
        return used_since(entry, told, cube.root, state, only_unchecked=True)

    pruned = list(write_pruned(store, entries, why_not))
    reasons = {entry.stem.rpartition("/")[2].partition(".")[0]: reason for entry, reason in pruned}
    assert reasons["second"] == "it was written again just now"
    assert reasons["video"].endswith("asked for it since")
    assert stems(cube) == ALL


def test_a_class_can_be_named(cube: Project, command: Command) -> None:
    """Goldens of another device class go only where the class is named, and their test is gone."""
    other = "cuda-sm90-nvidia_h100_80gb_hbm3-132sm"
    cube.pytest("--golden-device-class", other)
    assert command("accept", "--all", "--reason", "from the GPU").code == 0
    (cube.root / "test_cube.py").unlink()
    assert cube.pytest().ret == 0
    assert command("prune", "--class", "cuda-x").code == 2
    dry = command("prune", "--class", other)
    assert (dry.code, "2 golden(s) unused" in dry.out, "test_ball" in dry.out) == (0, True, True), dry.out
    assert f"--class {other} --delete" in dry.out
    assert "2 golden(s) deleted" in command("prune", "--class", other, "--delete").out
    left = [name for name in cube.golden_files() if name.startswith("test_cube.py")]
    assert left
    assert not [name for name in left if other in name]


def test_what_is_back_is_spared_on_every_device(cube: Project) -> None:
    """A golden of another class stays where its file is back by now, or its check is made again."""
    other = "cpu-x86_64-intel-avx512"
    assert cube.pytest("--update-golden", "--golden-device-class", other).ret == 0
    (cube.root / "test_cube.py").rename(cube.root / "cube.txt")
    assert cube.pytest().ret == 0
    state, root = cube.root / ".seedpin", cube.root / "golden"
    inventory, told = walk_goldens(root), whole_run(runs(state)[-1], "golden")
    entries = [judged.entry for judged in find_unused(inventory, told, cube.root, [other]).unused]
    assert {entry.manifest.test for entry in entries if entry.manifest} == {"test_cube.py::test_cube"}

    def reasons() -> set[str]:
        return {used_since(entry, told, cube.root, state) for entry in entries}

    assert reasons() == {""}
    (cube.root / "cube.txt").rename(cube.root / "test_cube.py")
    assert reasons() == {"test_cube.py was not collected"}
    assert cube.pytest("test_cube.py").ret == 0
    assert all("made its check since, on cpu-" in reason for reason in reasons())
