"""``--golden-against``: the same tests at another revision, on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.project import Project
from support.repository import Repository

NET = """
import os

import torch
from torch import nn


def note(name):
    if "COUNT_FILE" in os.environ:
        with open(os.environ["COUNT_FILE"], "a") as stream:
            stream.write(name + " " + os.path.dirname(os.path.abspath(__file__)) + "\\n")


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        return torch.tanh(self.linear(x))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.paint = Block(), Block(), nn.Linear(8, 16 * 16 * 3)

    @torch.no_grad()
    def forward(self, frames=2):
        x = self.second(self.first(torch.randn(frames, 8)))
        return torch.sigmoid(self.paint(x)).reshape(frames, 16, 16, 3)


def plain(frames=2):
    return torch.rand(frames, 16, 16, 3)
"""
SLIP = NET.replace("return torch.tanh(self.linear(x))", "return torch.tanh(self.linear(x)) * 1.01")

TESTS = """
import pytest
from net import Net, note, plain

pytestmark = pytest.mark.seed(3)


def test_same(seeded_model, golden_video):
    note("same")
    golden_video.check(seeded_model(plain)(), fps=8)


@pytest.mark.golden(psnr=20)
def test_slipped(seeded_model, golden_video):
    note("slipped")
    golden_video.check(seeded_model(Net)(), fps=8)


def test_{third}(seeded_model, golden_image):
    note("third")
    golden_image.check(seeded_model(plain)(1)[0])
    golden_image.check(seeded_model(plain)(1)[0], name="{third}")
"""

BROKEN = """
import numpy as np
import pytest
import {module}


@pytest.mark.seed(3)
def test_broken(golden_image):
    golden_image.check(np.zeros((8, 8, 3), np.uint8))
"""

PARTIAL = """
import numpy as np
import pytest
from net import plain


def draw(random=False):
    noise = np.random.default_rng() if random else np.random
    return (noise.random((1, 8, 8, 3)) * 255).astype(np.uint8)


@pytest.mark.seed(3)
class TestPartial:
    def test_fails(self, seeded_model, golden_video):
        assert {works}, "not yet written"
        golden_video.check(seeded_model(draw)(), fps=8)

    def test_unstable(self, seeded_model, golden_video):
        golden_video.check(seeded_model(draw)({works}), fps=8)

    def test_frames(self, seeded_model, golden_video):
        golden_video.check(seeded_model(plain)({frames}), fps=8)
"""


@pytest.fixture
def repository(project: Project) -> Repository:
    (project.root / "test_ball.py").unlink()
    (project.root / "model.py").unlink()
    made = Repository(project.root)
    made.commit(
        "first",
        {
            "net.py": NET,
            "test_net.py": TESTS.format(third="old"),
            ".gitignore": "count\nstdout\nstderr\nrunpytest-*\n",
        },
    )
    return made


def folders(project: Project, what: str) -> list[Path]:
    return sorted((project.root / ".seedpin" / what).glob("*/"))


def test_here_is_compared_with_the_merge_base_and_only_unknown_tests_run_there(
    project: Project, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Identical passes whatever a golden says, a slip is named by its module, one-sided tests are listed,
    what is known is not run again, also not under xdist, and nothing of the user's is touched."""
    count = project.root / "count"
    monkeypatch.setenv("COUNT_FILE", str(count))
    project.write({"golden/test_net.py/test_same/video.cpu.json": "no golden"})
    repository.commit("goldens")
    base = repository.git("rev-parse", "--short=10", "HEAD")
    repository.git("checkout", "--quiet", "-b", "refactor")
    repository.commit("slip", {"net.py": SLIP})
    repository.write({"test_net.py": TESTS.format(third="new")})
    before = repository.state()
    goldens = project.golden_files()

    narrow = project.pytest("-k", "same", "--golden-against", "test_net.py")
    narrow.assert_outcomes(passed=1, deselected=2)
    narrow.stdout.fnmatch_lines(
        [f"*compared with main at {base} on this machine*", "*1 test(s) ran there in *", "1 of 1 check(s) *"]
    )

    wide = project.pytest("--golden-against", "test_net.py")
    wide.assert_outcomes(passed=2, failed=1)
    wide.stdout.fnmatch_lines(
        [
            "*1 test(s) ran there in *",
            "golden_video: CHANGED  test_net.py::test_slipped (video)",
            f"*Here differs from main at {base} on this machine.",
            "*where: first: inputs agree, so do its parts up to linear, the output does not",
            f"*at {base}: .seedpin/against/*/golden/test_net.py/test_slipped/video.*.json",
            f"*next: git diff {base} *seedpin bisect test_net.py::test_slipped --good {base}*",
            "*1 changed, 1 identical, 2 new",
            f"1 of 2 check(s) identical to main at {base} on this machine",
            "only here: new, nothing to compare (2):",
            "*test_net.py::test_new::image",
            "*test_net.py::test_new::new",
            f"only in {base}: gone (1):",
            "*test_net.py::test_old",
        ]
    )
    assert "update-golden" not in wide.stdout.str()

    again = project.pytest("-v", "--golden-against", "test_net.py")
    again.assert_outcomes(passed=2, failed=1)
    again.stdout.no_fnmatch_line("*ran there*")
    again.stdout.fnmatch_lines(["only in *: gone (1):"])

    spread = project.pytest("--golden-against", "test_net.py", workers=2)
    spread.assert_outcomes(passed=2, failed=1)
    spread.stdout.fnmatch_lines(
        ["*Here differs from main at *", "1 of 2 check(s) identical *", "only here: *(2):", "only in *(1):"]
    )

    there = [line for line in count.read_text().splitlines() if not line.endswith(f" {project.root}")]
    assert sorted(line.split()[0] for line in there) == ["same", "slipped", "third"], "each once at the base"
    assert repository.state() == before
    assert project.golden_files() == goldens
    assert len(folders(project, "against")) == 1
    assert not list(Path(there[0].split()[1]).parent.glob("*")), "the worktree is removed"


SITE = """
import site
from pathlib import Path

site.addsitedir(str(Path(__file__).parent / "site-packages"))
"""
FINDER = """
import sys
from importlib.util import spec_from_file_location
from pathlib import Path

MAPPING = {{"renamed": "{top}/lib/folder"}}


class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in MAPPING:
            return spec_from_file_location(name, Path(MAPPING[name]) / "__init__.py")


def install():
    sys.meta_path.append(Finder)
"""
PAINT = """
import numpy as np


def paint():
    return np.random.randint(0, {high}, (2, 8, 8, 3)).astype(np.uint8)
"""
INSTALLED = """
import pytest
import flat
import pkg.paint
import renamed


@pytest.mark.seed(1)
@pytest.mark.parametrize("module", [pkg.paint, renamed, flat], ids=["src/pth", "finder", "rootdir"])
def test_paint(module, seeded_model, golden_video):
    golden_video.check(seeded_model(module.paint)(), fps=8)
"""


def test_code_of_editable_installs_is_the_revisions(
    project: Project,
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A src layout behind a `.pth` file, a setuptools finder with another folder name, and modules of the
    rootdir all come from the revision: otherwise here would be compared with itself and be identical."""
    venv = tmp_path_factory.mktemp("venv")
    site = venv / "site-packages"
    site.mkdir()
    (venv / "sitecustomize.py").write_text(SITE)
    (site / "__editable__.pkg.pth").write_text(f"{project.root}/src\n")
    (site / "__editable__.renamed.pth").write_text(
        "import __editable___renamed_finder; __editable___renamed_finder.install()\n"
    )
    (site / "__editable___renamed_finder.py").write_text(FINDER.format(top=project.root))
    monkeypatch.setenv("PYTHONPATH", str(venv))
    places = ("src/pkg/paint.py", "lib/folder/__init__.py", "flat.py")
    repository.commit(
        "installed",
        {
            **{place: PAINT.format(high=200) for place in places},
            "src/pkg/__init__.py": "",
            "tests/test_paint.py": INSTALLED,
        },
    )
    repository.write({place: PAINT.format(high=250) for place in places})

    result = project.pytest("--golden-against=HEAD", "tests", fresh=True)

    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["*3 test(s) ran there*", "0 of 3 check(s) identical to HEAD (*"])


def test_code_imported_from_here_is_refused(project: Project, repository: Repository) -> None:
    """A conftest with an absolute path leads the revision's run to the code of here: an error that names
    the module, not a comparison of the code with itself, and no worktree is left."""
    here = project.root / "lib"
    repository.commit(
        "absolute",
        {
            "conftest.py": f"import sys\nsys.path.insert(0, {str(here)!r})\n",
            "lib/absolute_only.py": PAINT.format(high=200),
            "test_absolute.py": INSTALLED.replace(
                "import flat\nimport pkg.paint\nimport renamed\n", "import absolute_only\n"
            ).replace('[pkg.paint, renamed, flat], ids=["src/pth", "finder", "rootdir"]', "[absolute_only]"),
        },
    )
    before = repository.state()

    result = project.pytest("--golden-against=HEAD", "test_absolute.py")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: the run of * imported code from here, so it is no run of that revision:",
            f"  absolute_only from {here}/absolute_only.py",
            "  next: *sys.path.insert*",
            "  more: seedpin explain foreign-import",
        ]
    )
    assert repository.state() == before


def test_what_could_not_be_compared_is_never_green(project: Project, repository: Repository) -> None:
    """A test that fails or cannot be collected there, or does not repeat here, fails with the reason; and so
    does a clip of another shape."""
    repository.commit(
        "partial",
        {
            "test_partial.py": PARTIAL.format(works=False, frames=2),
            "test_broken.py": BROKEN.format(module="does_not_exist"),
        },
    )
    repository.write(
        {
            "test_partial.py": PARTIAL.format(works=True, frames=3),
            "test_broken.py": BROKEN.format(module="net"),
        }
    )

    result = project.pytest("--golden-against=main", "test_partial.py", "test_broken.py")

    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        [
            "golden_video: MISSING *test_fails*",
            "*could not be compared with main (*): it failed there: AssertionError: not yet written*",
            "golden_video: UNSTABLE *test_unstable*",
            "golden_video: INCOMPARABLE *test_frames*",
            "*frames: 2 at * 3 here.*",
            "*could not be compared with main (*): its file could not be collected there: *'does_not_exist'.",
            "could not be compared (2):",
        ]
    )
    result.stdout.no_fnmatch_line("only here*")


def test_a_session_that_compared_nothing_does_not_end_green(project: Project, repository: Repository) -> None:
    """Only new tests: all pass, they are listed, and the exit code says that nothing was compared."""
    repository.write({"test_later.py": TESTS.format(third="later")})
    result = project.pytest("--golden-against=HEAD", "test_later.py")
    result.assert_outcomes(passed=3)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["nothing was compared with HEAD (*", "only here: *(4):"])


def test_what_cannot_be_asked_is_refused_before_anything_runs(
    project: Project, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown revisions, a clean main branch, updates, attribution and folders outside of git have their
    own message."""
    for arguments, message in (
        (["--golden-against=no-such"], "'no-such' names no commit of *"),
        (["--golden-against", "."], "HEAD is where it left main (*) and nothing is uncommitted*"),
        (["--golden-against=HEAD", "--update-golden"], "--golden-against compares *--update-golden writes*"),
        (["--golden-against=HEAD", "--golden-attribute"], "--golden-attribute asks about stored goldens*"),
    ):
        result = project.pytest(*arguments)
        assert result.ret == pytest.ExitCode.USAGE_ERROR, arguments
        result.stderr.fnmatch_lines([f"ERROR: {message}", "  next: *"])
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.root.parent))
    (project.root / ".git").rename(project.root.parent / "moved.git")
    result = project.pytest("--golden-against=HEAD")
    result.stderr.fnmatch_lines(["ERROR: * is in no git repository*"])
    assert not (project.root / ".seedpin" / "against").exists()


SETS = """
import os

import numpy as np

os.environ["TEST_LIBRARY_CACHE"] = "/somewhere"  # as diffusers does with torch's compiler's


def generate():
    return np.random.rand(2, 16, 16, 3)
"""


def test_a_library_that_sets_variables_when_imported_changes_nothing(
    project: Project, repository: Repository
) -> None:
    """The revision's results are found again though an import of the tests changed the environment."""
    test = "import sets\n\n\ndef test_it(seeded_model, golden_video):\n"
    test += "    golden_video.check(seeded_model(sets.generate)())\n"
    repository.commit("sets a variable", {"sets.py": SETS, "test_it.py": test})
    result = project.pytest("--golden-against=HEAD", "test_it.py")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*1 of 1 check(s) identical to HEAD*"])


DRAWS = """
import os
import numpy as np
import pytest
import torch


@pytest.mark.seed(3)
def test_entropy(seeded_model, golden_image):
    golden_image.check(seeded_model(lambda: np.random.default_rng().random((8, 8, 3)))())


@pytest.mark.seed(3)
def test_slipped(seeded_model, golden_image):
    golden_image.check(seeded_model(lambda: np.random.rand(8, 8, 3) * {factor})())
"""


def test_a_fresh_process_tells_chance_from_change(project: Project, repository: Repository) -> None:
    """With the default probe what changed runs once more in one fresh process at the session's end: what
    gives other bits there is unstable, what gives the same has changed; without a change none is started."""
    project.use_the_default_probe()
    repository.git("rm", "-q", "test_net.py")
    repository.commit("draws", {"test_draws.py": DRAWS.format(factor="1.0")})
    repository.write({"test_draws.py": DRAWS.format(factor="0.5")})
    result = project.pytest("--golden-against=HEAD", "-W", "ignore")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "seedpin: 2 check(s) changed: their 2 test(s) run again in a fresh process ...",
            "seedpin: test_draws.py::test_entropy::image is unstable, not changed: *",
            "unstable  test_draws.py::test_entropy::image  *",
            "changed   test_draws.py::test_slipped::image  *",
            "2 check(s): 1 unstable, 1 changed",
        ]
    )
    same = project.pytest("--golden-against=HEAD", "-W", "ignore", "-k", "nothing")
    same.stdout.no_fnmatch_line("*in a fresh process*")
