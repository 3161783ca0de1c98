"""Revisions, arguments, import paths, caches and conclusions, without a run of pytest."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from seedpin.config import Config
from seedpin.environment import settings as environment_settings
from seedpin.errors import RevisionError
from seedpin.git import git, is_dirty, merge_base, toplevel
from seedpin.goldens.manifest import Provenance
from seedpin.inner import InnerTree, Selection
from seedpin.invocation import selection_of, settings_of
from seedpin.revisions.arguments import rewritten
from seedpin.revisions.attribute import MintingCommit, conclude, minting_commit
from seedpin.revisions.cache import (
    Index,
    cache_folder,
    environment_key,
    read_index,
    write_index,
    write_retention,
)
from seedpin.revisions.collect import TestOutcome
from seedpin.revisions.import_paths import imported_from, is_project_file, reference_path
from seedpin.revisions.inner_pytest import write_import_paths
from seedpin.revisions.worktree import Checkout, checked_out
from support.repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    (tmp_path / "project").mkdir()
    made = Repository(tmp_path / "project")
    made.commit("first", {"a.py": "1", "tests/test_a.py": "", "tests/test_b.py": ""})
    return made


def checkout_of(top: Path) -> Checkout:
    return Checkout(top, top, "0" * 40, top)


def test_a_checkout_is_removed_when_it_is_interrupted(repository: Repository) -> None:
    """After Ctrl-C inside of it, no folder, worktree entry or change of the user's tree is left."""
    top = toplevel(repository.root)
    before = repository.state()
    with contextlib.suppress(KeyboardInterrupt), checked_out(top, "HEAD") as checkout:
        assert (checkout.tree / "a.py").read_text() == "1"
        assert not checkout.tree.is_relative_to(top)
        (checkout.tree / "rubbish").write_text("")
        raise KeyboardInterrupt
    assert not checkout.scratch.exists()
    assert repository.state() == before


def test_a_checkout_of_a_killed_process_is_removed_by_the_next(repository: Repository) -> None:
    """A worktree whose process is gone is swept; that of a living one stays."""
    top = toplevel(repository.root)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = {name: top.parent / f"seedpin-revision-{name}-x" / "project" for name in (gone.pid, os.getpid())}
    for tree in left.values():
        git(top, "worktree", "add", "--quiet", "--detach", str(tree), "HEAD")
    with checked_out(top, "HEAD"):
        pass
    assert not left[gone.pid].parent.exists()
    assert left[os.getpid()].exists()


def test_no_hook_runs_and_untracked_files_can_be_linked(repository: Repository) -> None:
    """A checkout runs no post-checkout hook, and gets links to the untracked paths that the user names."""
    top = toplevel(repository.root)
    hook = top / "hooks" / "post-checkout"
    repository.write({"hooks/post-checkout": "#!/bin/sh\ntouch hooked\n", "weights/model.bin": "w"})
    hook.chmod(0o755)
    repository.git("config", "core.hooksPath", str(hook.parent))
    with checked_out(top, "HEAD", ["weights"]) as checkout:
        assert (checkout.tree / "weights" / "model.bin").read_text() == "w"
        assert not list(checkout.scratch.rglob("hooked"))
    assert (top / "weights" / "model.bin").exists()
    with (
        pytest.raises(RevisionError, match="worktree_links names 'nothing'"),
        checked_out(top, "HEAD", ["nothing"]),
    ):
        pass


def test_the_merge_base_is_found_as_in_a_detached_checkout_of_ci(repository: Repository) -> None:
    """The pull request's target wins over main; no common commit is an error that names a way out."""
    top = repository.root
    base = repository.git("rev-parse", "HEAD")
    release = repository.commit("release")
    repository.git("update-ref", "refs/remotes/origin/release", release)
    repository.git("checkout", "--quiet", "--detach")
    repository.commit("work")
    repository.git("branch", "--force", "main", base)
    assert merge_base(top, {}) == (base, "main")
    assert merge_base(top, {"GITHUB_BASE_REF": "release"}) == (release, "origin/release")
    repository.git("checkout", "--quiet", "--orphan", "island")
    repository.commit("island")
    with pytest.raises(RevisionError, match=r"no common commit.*\n.*fetch-depth: 0"):
        merge_base(top, {})
    repository.git("branch", "--delete", "--force", "main")
    with pytest.raises(RevisionError, match="no main branch"):
        merge_base(top, {})


def test_git_asks_the_project_even_inside_of_a_hook(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIT_DIR of a running hook does not lead to another repository."""
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    assert toplevel(repository.root) == repository.root.resolve()
    assert not is_dirty(repository.root)


def test_arguments_of_the_other_side(repository: Repository) -> None:
    """Paths move, node ids become files and selections, absent paths are dropped, and outputs stay here."""
    top = repository.root.resolve()
    tree = top.parent / "tree"
    (tree / "tests").mkdir(parents=True)
    (tree / "tests" / "test_a.py").touch()
    found = rewritten(
        [
            *("-xv", "--junitxml", "out.xml", "--golden-against=main", "-k", "tests", f"--confcutdir={top}"),
            *("tests/test_a.py::TestA::test_x[a/b::c]", f"{top}/tests/test_a.py::test_y", "tests/test_b.py"),
        ],
        ["tests/test_a.py::TestA::test_x[a/b::c]", f"{top}/tests/test_a.py::test_y", "tests/test_b.py"],
        Checkout(top, tree, "0" * 40, top),
        top,
    )
    assert found.passed == (
        *("-v", "-k", "tests", f"--confcutdir={tree}"),
        *("tests/test_a.py", f"{tree}/tests/test_a.py"),
    )
    assert found.absent == ("tests/test_b.py",)
    assert not found.nothing
    assert found.selections is not None
    assert [selection.names for selection in found.selections] == [("TestA", "test_x[a/b::c]"), ("test_y",)]
    assert rewritten(["tests/test_b.py"], ["tests/test_b.py"], Checkout(top, tree, "", top), top).nothing


@pytest.mark.parametrize(
    ("selection", "names", "held"),
    [
        (Selection("tests"), ("test_x",), True),
        (Selection("."), ("test_x",), True),
        (Selection("test"), ("test_x",), False),
        (Selection("tests/test_a.py", ("test_x",)), ("test_x[1]",), True),
        (Selection("tests/test_a.py", ("test_x[1]",)), ("test_x[2]",), False),
        (Selection("tests/test_a.py", ("test_x",)), ("test_xy",), False),
        (Selection("tests/test_a.py", ("TestA",)), ("TestA", "test_x"), True),
        (Selection("tests/test_a.py", ("TestA", "test_x")), ("TestA",), False),
    ],
)
def test_a_selection_holds_what_pytest_would_select(
    selection: Selection, names: tuple[str, ...], held: bool
) -> None:
    """Folders, files, classes, functions and single parameters."""
    assert selection.holds("tests/test_a.py", names) is held


def test_only_arguments_that_may_move_bits_divide_the_cache() -> None:
    """Verbosity and workers change neither selection nor settings; -k the selection; other options both."""
    raw = ["-vv", "-n", "2", "-n2", "-p", "no:xdist", "-rA", "--tb=short", "-k", "x", "--steps", "4", "tests"]
    assert selection_of(raw) == ("-k", "x", "--steps", "4", "tests")
    assert settings_of(raw, ["tests"]) == ("--steps", "4")


def test_the_import_path_of_the_other_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Project folders are mapped in order, environments inside of the project are not, editable installs
    are followed, under another folder name through a link; the user's other PYTHONPATH entries stay."""
    top, tree, shims = tmp_path / "top", tmp_path / "tree", tmp_path / "shims"
    for name in ("src", "lib/plain", "lib/folder", ".venv/lib/python3/site-packages"):
        for root in (top, tree):
            (root / name).mkdir(parents=True)
    finder, hatch = ModuleType("__editable___x_finder"), ModuleType("editables.redirector")
    finder.MAPPING = {"plain": f"{top}/lib/plain", "renamed": f"{top}/lib/folder"}  # type: ignore[attr-defined]
    hatch.RedirectingFinder = type("F", (), {"_redirections": {"h": f"{top}/src/h/__init__.py"}})  # type: ignore[attr-defined]
    monkeypatch.setenv("PYTHONPATH", f"{top}/src{os.pathsep}{tmp_path}/other")
    found = reference_path(
        top,
        tree,
        shims,
        folder=top,
        entries=[f"{top}/.venv/lib/python3/site-packages", "src", "/usr/lib", f"{top}/gone"],
        modules={finder.__name__: finder, hatch.__name__: hatch},
    )
    assert found == [f"{tree}/src", f"{tree}/lib", str(shims), f"{tmp_path}/other"]
    assert (shims / "renamed").resolve() == tree / "lib" / "folder"


def test_the_guard_knows_project_code_from_installed_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module of the project's tree is named; one of an environment inside of it is not."""
    for name, place in (("mine", "src/mine.py"), ("theirs", ".venv/lib/site-packages/theirs.py")):
        module = ModuleType(name)
        module.__file__ = str(tmp_path / place)
        monkeypatch.setitem(sys.modules, name, module)
    assert imported_from(tmp_path) == {"mine": str(tmp_path / "src/mine.py")}
    assert not is_project_file(Path("/elsewhere/a.py"), tmp_path)


def test_the_cache_is_left_when_anything_may_move_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another variable, profile or argument gives another folder; a terminal's variables do not."""
    settings = Config(tmp_path)

    def folder(settings: Config = settings, *arguments: str) -> Path:
        return cache_folder(tmp_path, "c" * 40, environment_key(settings, tmp_path, arguments, os.environ))

    first = folder()
    monkeypatch.setenv("TERM_SESSION_ID", "x")
    assert folder() == first
    assert folder(settings, "--steps=4") != first
    assert folder(Config(tmp_path, cpu_profile="portable")) != first
    monkeypatch.setenv("MY_MODEL_STEPS", "4")
    assert folder() != first


RECORDED = (
    *environment_settings.variables("cpu", {}),
    *environment_settings.variables("cuda", {}),
    *environment_settings.variables("mps", {}),
)


@pytest.mark.parametrize(
    "variable",
    [
        *sorted(name.replace("*", "ALGO") for name in set(RECORDED)),
        *("TORCH_BLAS_PREFER_HIPBLASLT", "TORCH_CUDNN_V8_API_DISABLED", "TORCH_LINALG_PREFER_CUSOLVER"),
        *("TORCHINDUCTOR_DETERMINISTIC", "TORCHDYNAMO_DISABLE", "PYTORCH_CUDA_ALLOC_CONF", "OMP_NUM_THREADS"),
    ],
)
def test_variables_that_may_move_bits_are_in_the_cache_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """What torch and its libraries read is never taken for a terminal's: a clip would be stale."""
    monkeypatch.delenv(variable, raising=False)
    without = environment_key(Config(tmp_path), tmp_path, (), os.environ)
    monkeypatch.setenv(variable, "1")
    assert environment_key(Config(tmp_path), tmp_path, (), os.environ) != without


def test_the_cache_keeps_what_was_used_last(tmp_path: Path) -> None:
    """Of many folders five stay, the one in use among them; an index is read as it was written."""
    index = Index({"t": TestOutcome("passed", "", {"video": "sha256:x"})}, {"k": ("t",)}, {})
    for number in range(7):
        folder = tmp_path / "against" / str(number)
        folder.mkdir(parents=True)
        write_index(folder, index)
        os.utime(folder / "index.json", (number, number))
    write_retention(tmp_path / "against" / "0")
    assert sorted(path.name for path in (tmp_path / "against").iterdir()) == ["0", "3", "4", "5", "6"]
    assert read_index(tmp_path / "against" / "0") == index
    (tmp_path / "against" / "0" / "index.json").write_text("{")
    assert read_index(tmp_path / "against" / "0") == Index()


def test_the_minting_commit_is_the_recorded_one_or_the_one_that_holds_the_golden(
    repository: Repository,
) -> None:
    """A recorded commit of a clean tree; else the commit of the golden itself, if it is as committed."""
    top = toplevel(repository.root)
    first = repository.git("rev-parse", "HEAD")
    manifest = top / "golden" / "a.json"
    repository.write({"golden/a.json": "1"})
    assert minting_commit(top, manifest, Provenance(commit=first, dirty=False)) == MintingCommit(
        first, "recorded in the golden"
    )
    assert minting_commit(top, manifest, Provenance(commit=first, dirty=True)).commit == ""
    second = repository.commit("golden")
    repository.commit("later")
    assert minting_commit(top, manifest, Provenance(commit=first, dirty=True)).commit == second
    assert "uncommitted changes" in minting_commit(top, manifest, Provenance(commit=first, dirty=True)).how
    assert minting_commit(top, manifest, Provenance(commit="f" * 40)).commit == second
    assert minting_commit(top, manifest, Provenance()).commit == second
    repository.write({"golden/a.json": "2"})
    found = minting_commit(top, manifest, Provenance())
    assert (found.commit, "differs from the committed one" in found.how) == ("", True)


@pytest.mark.parametrize(
    ("there", "here", "conclusion"),
    [("h", "h", "environment"), ("g", "h", "code"), ("r", "h", "both"), (None, "h", "unknown")],
)
def test_three_digests_make_a_conclusion(there: str | None, here: str, conclusion: str) -> None:
    """The golden's is g: what gives it, and what gives the same as here, tells who moved the bits."""
    assert conclude(MintingCommit("c" * 40, "recorded"), "g", there, here, "why").conclusion == conclusion


def test_the_other_process_leaves_the_import_paths_of_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders of the project go, installed ones stay, and an editable install is led to the other tree."""
    here, tree = tmp_path / "here", tmp_path / "tree"
    finder = ModuleType("__editable___x_finder")
    finder.MAPPING = {"x": f"{here}/src/x", "other": "/usr/lib/other"}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, finder.__name__, finder)
    monkeypatch.setattr(sys, "path", [f"{here}/src", f"{here}/.venv/lib/site-packages", f"{tree}/src"])
    monkeypatch.chdir(tmp_path)
    write_import_paths(InnerTree(here, tree, from_folder=True))
    assert sys.path == [str(tmp_path), f"{here}/.venv/lib/site-packages", f"{tree}/src"]
    assert {"x": f"{tree}/src/x", "other": "/usr/lib/other"} == finder.MAPPING
