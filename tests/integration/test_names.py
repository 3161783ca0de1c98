"""Names of tests and checks: each has a golden of its own, and none leaves golden/."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.project import Project

NAMES = [
    "plain",
    "a/b",
    "../" * 5 + "escape",
    "..",
    "/etc/passwd",
    "C:\\windows\\x",
    "Case",
    "case",
    "CASE",
    "\u7ea2\u7403",
    "caf\u00e9",
    "cafe\u0301",
    "x" * 300,
    "x" * 299 + "y",
    "con",
    "NUL.txt",
    'a:b*c?d"<>|',
    "trailing.",
    " ",
    "new\nline",
    "a::b",
    "[x]",
]

PARAMETERS = """
import pytest
from model import generate

NAMES = {names!r}


@pytest.mark.parametrize("name", NAMES, ids=NAMES)
def test_ball(name, seeded_model, golden_video):
    golden_video.check(seeded_model(generate, seed=NAMES.index(name))(frames=1), {check}, fps=8)


class TestBall:
    def test_it(self, seeded_model, golden_video):
        golden_video.check(seeded_model(generate, seed=50)(frames=1))


class Testball:
    def test_it(self, seeded_model, golden_video):
        golden_video.check(seeded_model(generate, seed=51)(frames=1))
"""

ESCAPING_OFF = "disable_test_id_escaping_and_forfeit_all_rights_to_community_support=true"


def tree(root: Path) -> set[str]:
    """All files below ``root`` but those in folders of seedpin's."""
    found = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if {"golden", ".seedpin"}.isdisjoint(path.parts)}


@pytest.mark.parametrize("check", ["None", "name"])
def test_every_name_gets_a_golden_of_its_own_below_the_golden_folder(project: Project, check: str) -> None:
    """Slashes, dots, unicode, 300 characters, case and reserved names neither collide nor escape."""
    project.write({"test_ball.py": PARAMETERS.format(names=NAMES, check=check)})
    around = tree(project.root.parent)
    count = len(NAMES) + 2
    files = None
    for arguments in (["--update-golden"], []):
        result = project.pytest("-o", ESCAPING_OFF, *arguments)
        result.assert_outcomes(passed=count)
        assert files in (None, project.golden_files())
        files = project.golden_files()
    assert files is not None
    assert tree(project.root.parent) == around
    manifests = [name for name in files if name.endswith(".json")]
    assert len({name.casefold() for name in manifests}) == count
    digests = {json.loads(files[name])["digest"] for name in manifests}
    assert len(digests) == count
    assert {name.count("/") for name in manifests} == {2, 3}  # 3 below a class
    for name in files:
        assert all(len(part) <= 210 and part.isascii() and part.strip(". ") for part in name.split("/"))


def test_a_test_outside_of_the_root_has_no_golden(project: Project) -> None:
    """pytest gives files outside of its root ids that are not unique, so their goldens are refused."""
    project.write({"sub/pytest.ini": f"[pytest]\npythonpath = ..\nseedpin_cpu_profile = {project.profile}\n"})
    result = project.pytest("--rootdir", "sub", "-c", "sub/pytest.ini", "test_ball.py", "--update-golden")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*test_ball.py lies outside of pytest's root *sub*", f"*next: add --rootdir={project.root}"]
    )
    assert not list(project.root.rglob("golden"))


TWICE = """
import pytest
from model import generate


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video, golden_image):
    model = seeded_model(generate)
    golden_video.check(model(frames=4), {first}, fps=8)
    {second}
"""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("None", "golden_video.check(model(frames=2), fps=8)"),
        ('"a"', 'golden_video.check(model(frames=2), "a", fps=8)'),
        ('"image"', "golden_image.check(model(frames=1)[0])"),
    ],
)
@pytest.mark.parametrize("update", [[], ["--update-golden=all"]], ids=["compare", "update"])
def test_one_check_name_twice_in_a_test_is_an_error(
    project: Project, first: str, second: str, update: list[str]
) -> None:
    """The second check of a name fails the test before anything is written, whichever fixture it is of."""
    project.write({"test_ball.py": TWICE.format(first=first, second="")})
    before = project.mint()
    project.write({"test_ball.py": TWICE.format(first=first, second=second)})
    result = project.pytest(*update, env={"TEST_SHIFT": "3"})
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E * test_ball.py::test_ball checks * twice: both would share one golden",
            'E * next: give each check of a test its own name, for example check(clip, name="second")',
            "E * more: seedpin explain duplicate-golden",
        ]
    )
    assert project.golden_files() == before


@pytest.mark.parametrize("name", ["3", "b'a'", "'\\ud800'"])
def test_a_check_name_that_is_no_text_is_an_error(project: Project, name: str) -> None:
    """A number, bytes or half a character as a name is told, not written."""
    project.write({"test_ball.py": TWICE.format(first=name, second="")})
    result = project.pytest("--update-golden")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E * the name of a check is a text, not *", "E * next: *name=*"])
    assert not project.golden_files()


@pytest.mark.parametrize("workers", [None, 2])
def test_two_tests_with_one_golden_are_refused(project: Project, workers: int | None) -> None:
    """A node id that is collected twice would run one golden twice: an error, with workers too."""
    before = project.mint()
    twice = ["--keep-duplicates", "test_ball.py", "test_ball.py"]
    result = project.pytest("--update-golden=all", *twice, workers=workers)
    result.assert_outcomes(errors=2)
    text = result.stdout.str()
    assert "two tests would share the goldens in golden/test_ball.py/test_ball" in text
    assert "test_ball.py::test_ball (at test_ball.py:6)" in text
    assert project.golden_files() == before
