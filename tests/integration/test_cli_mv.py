"""`seedpin mv`, and what leads to it: tests that were renamed, goldens that git moved or left in conflict."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable

import pytest

from support.commands import Done, seedpin
from support.project import TEST, Project
from support.repository import Repository

Command = Callable[..., Done]
OTHER = "cuda-sm90-nvidia_h100_80gb_hbm3-132sm"

TWO = """
import pytest
from model import generate


class TestShapes:
    @pytest.mark.seed(7)
    @pytest.mark.parametrize("size", [24, 26])
    def test_size(self, seeded_model, golden_video, golden_image, size):
        clip = seeded_model(generate)(frames=3, size=size)
        golden_video.check(clip, fps=8)
        golden_image.check(clip[0], "first")
"""


@pytest.fixture
def command(project: Project, monkeypatch: pytest.MonkeyPatch) -> Command:
    return lambda *arguments: seedpin(*map(str, arguments), cwd=project.root, monkeypatch=monkeypatch)


def offered(text: str) -> list[str]:
    """Arguments of the `seedpin` command in a message's next step."""
    found = re.search(r"next: .*?seedpin (mv [^;\n]+)", text)
    assert found, text
    return shlex.split(found[1])


def test_a_renamed_test_is_told_where_its_golden_is_and_the_offered_step_works(
    project: Project, command: Command
) -> None:
    """MISSING names the test with the same bits; the command that it offers makes the test pass."""
    project.mint("--golden-reason", "first")
    project.pytest("--golden-device-class", OTHER).assert_outcomes(failed=1)
    assert command("accept", "--all", "--reason", "from the GPU").code == 0
    before = set(project.golden_files().values())
    project.write({"test_ball.py": TEST.replace("def test_ball", "def test_red_ball")})
    result = project.pytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "golden_video: MISSING  test_ball.py::test_red_ball (video)",
            "  The golden of test_ball.py::test_ball (video) has these very bits.",
            "  next: if that was renamed: seedpin mv test_ball.py::test_ball test_ball.py::test_red_ball",
        ]
    )
    done = command(*offered(result.stdout.str()))
    assert done.code == 0, done.out
    assert "2 golden(s) moved" in done.out
    project.pytest().assert_outcomes(passed=1)
    project.pytest("--golden-device-class", OTHER).assert_outcomes(passed=1)
    files = project.golden_files()
    assert all(name.startswith("test_ball.py/test_red_ball/") for name in files)
    payloads = {data for name, data in files.items() if not name.endswith(".json")}
    assert payloads <= before
    for name in files:
        if name.endswith(".json"):
            updated = json.loads(files[name])["updated"]
            assert updated["moved_from"] == "test_ball.py::test_ball"
    assert command("verify").code == 0


def test_a_moved_file_takes_all_of_its_goldens_along(project: Project, command: Command) -> None:
    """Where a whole file moved, the offered step moves the goldens of all its tests and checks."""
    (project.root / "test_ball.py").unlink()
    project.write({"test_shapes.py": TWO})
    project.mint()
    (project.root / "sub").mkdir()
    (project.root / "test_shapes.py").rename(project.root / "sub" / "test_shapes.py")
    result = project.pytest()
    assert "next: if test_shapes.py was moved here: seedpin mv test_shapes.py sub/test_shapes.py" in (
        result.stdout.str()
    )
    assert command(*offered(result.stdout.str())).code == 0
    project.pytest().assert_outcomes(passed=2)
    assert not (project.root / "golden" / "test_shapes.py").exists()


@pytest.mark.parametrize("alone", [False, True])
def test_a_test_that_is_still_there_is_not_taken_for_renamed(project: Project, alone: bool) -> None:
    """A new test with the bits of another one is plainly missing its golden, also where it runs alone."""
    project.mint()
    project.write({"test_twin.py": TEST.replace("test_ball", "test_twin")})
    result = project.pytest(*(["test_twin.py"] if alone else []))
    result.assert_outcomes(passed=0 if alone else 1, failed=1)
    assert "these very bits" not in result.stdout.str()
    assert "look at the obtained clip, then" in result.stdout.str()


def test_golden_files_that_git_moved_follow_with_the_offered_step(project: Project, command: Command) -> None:
    """Manifests that name the former test are told as moved; the offered command makes them follow."""
    project.mint()
    project.write({"test_ball.py": TEST.replace("def test_ball", "def test_red_ball")})
    folder = project.root / "golden" / "test_ball.py"
    (folder / "test_ball").rename(folder / "test_red_ball")
    result = project.pytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*DAMAGED*", "  * is the golden of *: it was moved"])
    verified = command("verify")
    assert verified.code == 1
    assert "it was moved; if its test moved along: seedpin mv test_ball.py::test_ball" in verified.out
    told = re.search(r"along: seedpin (mv \S+ \S+)", verified.out)
    assert told
    assert shlex.split(told[1]) == offered(result.stdout.str())
    done = command(*offered(result.stdout.str()))
    assert done.code == 0, done.out
    assert "in its place" in done.out
    project.pytest().assert_outcomes(passed=1)
    assert command("verify").code == 0


def test_a_copied_golden_is_not_offered_to_move(project: Project) -> None:
    """Where the original is in its place, a copy is a copy."""
    project.mint()
    project.write({"test_ball.py": TEST + TEST.replace("def test_ball", "def test_red_ball")})
    folder = project.root / "golden" / "test_ball.py"
    (folder / "test_red_ball").mkdir()
    for path in (folder / "test_ball").iterdir():
        (folder / "test_red_ball" / path.name).write_bytes(path.read_bytes())
    result = project.pytest()
    result.assert_outcomes(passed=1, failed=1)
    assert "it was copied or moved" in result.stdout.str()
    assert "seedpin mv" not in result.stdout.str()


@pytest.mark.parametrize(
    ("old", "new", "tests"),
    [
        ("test_shapes.py", "sub/test_forms.py", {"sub/test_forms.py"}),
        ("test_shapes.py::TestShapes", "test_shapes.py::TestForms", {"test_shapes.py"}),
        (
            "test_shapes.py::TestShapes::test_size",
            "test_shapes.py::TestShapes::test_large",
            {"test_shapes.py"},
        ),
    ],
)
def test_mv_takes_files_classes_and_functions(
    project: Project, command: Command, old: str, new: str, tests: set[str]
) -> None:
    """What lies in a file, class or function moves with it, every parameter and check."""
    project.write({"test_shapes.py": TWO})
    project.mint()
    before = project.golden_files()
    dry = command("mv", "--dry-run", old, new)
    assert dry.code == 0
    assert dry.out.count("would move") == 4
    assert project.golden_files() == before
    assert command("mv", old, new).code == 0
    manifests = [json.loads(data) for name, data in project.golden_files().items() if name.endswith(".json")]
    moved = [one for one in manifests if one["test"].startswith(new)]
    assert len(moved) == 4
    assert {one["test"].partition("::")[0] for one in moved} == tests
    assert command("verify").code == 0
    assert command("mv", new, old).code == 0
    after = project.golden_files()
    assert after.keys() == before.keys()


def test_mv_renames_one_check(project: Project, command: Command) -> None:
    """A check of a test may get another name, and leaves the other checks where they are."""
    project.write({"test_shapes.py": TWO})
    project.mint()
    test = "test_shapes.py::TestShapes::test_size[24]"
    assert command("mv", f"{test}::first", f"{test}::poster").code == 0
    project.write({"test_shapes.py": TWO.replace('"first"', '"poster"')})
    result = project.pytest("test_shapes.py")
    result.assert_outcomes(passed=1, failed=1)
    assert command("mv", f"{test}::nothing", f"{test}::x").code == 2


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("test_ball.py::test_bal", "test_ball.py::test_x", "did you mean 'test_ball.py::test_ball'"),
        ("test_ball.py::test_ball", "test_cube.py", "both are of one kind"),
        ("test_ball.py", "test_cube.py", "would take the place of the golden"),
        ("", "x", "no golden in"),
        ("test_ball.py", "../test_ball.py", "leads out of the project"),
        ("test_ball.py", "/srv/test_ball.py", "leads out of the project"),
    ],
)
def test_mv_refuses_what_it_cannot_do(
    project: Project, command: Command, old: str, new: str, words: str
) -> None:
    """An unknown name, a file for a test, and a place that is taken are told; nothing is moved."""
    project.write({"test_cube.py": TEST})
    project.mint()
    before = project.golden_files()
    done = command("mv", old, new)
    assert done.code == 2
    assert words in done.out
    assert "seedpin explain move-refused" in done.out
    assert project.golden_files() == before


def test_mv_takes_paths_as_a_shell_completes_them(project: Project, command: Command) -> None:
    """A leading ./ means nothing."""
    project.mint()
    assert command("mv", "./test_ball.py", "./sub/../test_cube.py").code == 2
    assert command("mv", "./test_ball.py", "./test_cube.py").code == 0
    assert all(name.startswith("test_cube.py/") for name in project.golden_files())


@pytest.mark.parametrize("old", ["test_shapes.py", "test_shapes.py::TestShapes::test_size"])
def test_mv_leaves_no_golden_behind_that_it_cannot_read(project: Project, command: Command, old: str) -> None:
    """All are moved or none: one in conflict keeps the others where they are, and is named."""
    project.write({"test_shapes.py": TWO})
    project.mint()
    broken = next((project.root / "golden").rglob("first.*.json"))
    broken.write_text("<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> other\n", encoding="utf-8")
    before = project.golden_files()
    done = command("mv", old, old.replace("shapes", "forms").replace("size", "large"))
    assert done.code == 2
    assert "merge conflict markers" in done.out
    assert "nothing was moved" in done.out
    assert project.golden_files() == before


def test_prune_keeps_goldens_that_were_moved_since_the_run(project: Project, command: Command) -> None:
    """The last run could not ask for a golden under a name that it got later."""
    project.mint()
    project.pytest().assert_outcomes(passed=1)
    assert command("mv", "test_ball.py", "test_cube.py").code == 0
    done = command("prune", "--delete")
    assert done.code == 0, done.out
    assert "0 golden(s) deleted" in done.out
    assert project.golden_files()


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_conflict_markers_are_called_so_and_the_offered_step_works(
    project: Project, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    """After a merge of two updates the manifest's markers are named; the next step makes one side whole."""
    project.write({".gitignore": ".seedpin\n"})
    project.mint()
    repository = Repository(project.root)
    for branch, shift in (("", ""), ("theirs", "3"), ("main", "5")):
        if branch:
            repository.git("checkout", "-q", *(["-b"] if branch == "theirs" else []), branch)
            project.pytest("--update-golden", env={"TEST_SHIFT": shift}).assert_outcomes(passed=1)
        repository.commit(branch or "first")
    with pytest.raises(subprocess.CalledProcessError) as conflict:
        repository.git("merge", "theirs")
    assert conflict.value.returncode == 1
    result = project.pytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*DAMAGED*", "  *.json holds merge conflict markers: both sides of a merge changed this golden"]
    )
    found = re.search(r"(git checkout --ours -- \S+).*then (git add -A -- [^;]+);", result.stdout.str())
    assert found
    for step in (found[1].replace("--ours", f"--{side}"), found[2]):
        repository.git(*shlex.split(step)[1:])
    repository.git("commit", "-q", "-m", "merged")
    project.pytest(env={"TEST_SHIFT": "5" if side == "ours" else "3"}).assert_outcomes(passed=1)
