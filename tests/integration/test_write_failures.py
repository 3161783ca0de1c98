"""Writes that fail, are interrupted or collide: golden/ is all old or all new, nothing is left over."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from seedpin.errors import GoldenWriteError, StaleGoldenError
from seedpin.goldens import atomic, commit
from seedpin.goldens.store import GoldenKey, GoldenStore, StagedGolden
from support.commands import files_below
from support.goldens import stage
from support.project import Project

KEYS = [GoldenKey("test_a.py::test_a", name, "cpu-one") for name in ("first", "second")]


class Shelf:
    """Two goldens of one test, to be replaced together by others."""

    def __init__(self, root: Path, *, existing: bool) -> None:
        self.store = GoldenStore(root / "golden", root / ".seedpin")
        self.existing = existing
        old, new = root / "old", root / "new"
        for key in KEYS:
            stage(old, key, 50)
        # One frame instead of two: another extension, too.
        self.changes = [StagedGolden(stage(new, key, 90, frames=1), key, None, force=True) for key in KEYS]
        self.reset()
        self.old = self.files()
        self.new = files_below(new)

    def reset(self) -> None:
        """Puts back what the shelf began with."""
        shutil.rmtree(self.store.root, ignore_errors=True)
        if self.existing:
            shutil.copytree(self.store.root.parent / "old", self.store.root)

    def files(self) -> dict[str, bytes]:
        return files_below(self.store.root)

    def write(self) -> None:
        self.store.write_goldens(self.changes)


class Faults:
    """Makes the ``at``-th operation below ``root`` fail (from then on all, with ``persistent``)."""

    CHANGING = ("mkdir", "open", "replace", "unlink", "rmdir")
    FILLING = ("mkdir", "open")

    def __init__(self, root: Path, at: int, code: int, *, persistent: bool = False) -> None:
        self.root, self.at, self.code, self.persistent = root, at, code, persistent
        self.count = 0

    def step(self, path: Path) -> None:
        if self.root != path and self.root not in path.parents:
            return
        self.count += 1
        if self.count == self.at or (self.persistent and self.count > self.at):
            raise OSError(self.code, os.strerror(self.code), str(path))

    @contextmanager
    def active(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in self.FILLING if self.persistent else self.CHANGING:
                patch.setattr(Path, name, self._wrapped(getattr(Path, name)))
            yield

    def _wrapped(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Path, *args: Any, **kwargs: Any) -> Any:
            mode = args[0] if args and isinstance(args[0], str) else kwargs.get("mode", "r")
            if method.__name__ != "open" or set(str(mode)) & set("wxa+"):
                self.step(path)
            return method(path, *args, **kwargs)

        return call


@pytest.mark.parametrize("persistent", [False, True], ids=["once", "from-then-on"])
@pytest.mark.parametrize("existing", [True, False], ids=["update", "mint"])
def test_a_full_disk_at_any_step_changes_nothing(tmp_path: Path, existing: bool, persistent: bool) -> None:
    """Whichever operation of a write fails, both goldens stay as they were and no temporary file is left."""
    told = []
    shelf = Shelf(tmp_path, existing=existing)
    for at in range(1, 200):
        shelf.reset()
        faults = Faults(shelf.store.root, at, errno.ENOSPC, persistent=persistent)
        try:
            with faults.active():
                shelf.write()
        except GoldenWriteError as error:
            told.append(error)
            assert shelf.files() == shelf.old, at
            assert shelf.store.root.exists() == existing
        else:
            # Where a link or the removal of a temporary name fails, there is another way.
            assert shelf.files().items() >= shelf.new.items(), at
        if faults.count < at:
            break
    else:
        pytest.fail("the write never ended")
    assert len(told) >= 5
    for found in told:
        assert "No space left on device" in found.what
        assert found.what.endswith("nothing was changed")
        assert "make room" in found.hint


def test_what_can_neither_be_finished_nor_undone_is_left_to_the_next_reader(tmp_path: Path) -> None:
    """Where even undoing fails, the message names the journal, and the next read makes all goldens new."""
    shelf = Shelf(tmp_path, existing=True)
    journal = shelf.store.root / ".seedpin-journal"
    original = Path.replace
    calls = 0

    def replace(path: Path, target: Path) -> Path:
        nonlocal calls
        calls += journal.exists()
        if calls > 1:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(target))
        return original(path, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(GoldenWriteError, match="could not be undone either") as caught:
            shelf.write()
    assert f"{journal} keeps what is left to do" in caught.value.what
    assert shelf.store.read(KEYS[1]) is not None
    assert shelf.files() == shelf.new


@pytest.mark.parametrize("existing", [True, False], ids=["update", "mint"])
def test_ctrl_c_at_any_line_leaves_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: bool
) -> None:
    """Wherever Ctrl-C comes while goldens are written, they are all old or all new."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    seen = set()
    shelf = Shelf(tmp_path, existing=existing)
    for at in range(1, 2000):
        shelf.reset()
        count = 0

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal count
            if frame.f_code.co_filename not in (atomic.__file__, commit.__file__):
                return None
            if event == "line":
                count += 1
                if count == at:  # noqa: B023
                    signal.raise_signal(signal.SIGINT)
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            shelf.write()
        except KeyboardInterrupt:
            interrupted = True
        else:
            interrupted = False
        finally:
            sys.settrace(before)
        files = shelf.files()
        assert files in (shelf.old, shelf.new), at
        seen.add("old" if files == shelf.old else "new")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if count < at:
            break
        assert interrupted, at
    assert seen == {"old", "new"}


def test_an_error_of_another_kind_is_undone_too(tmp_path: Path) -> None:
    """What is no failure of the file system, such as a lack of memory, is undone and not disguised."""
    shelf = Shelf(tmp_path, existing=True)
    original = Path.replace
    raised: list[Path] = []

    def replace(path: Path, target: Path) -> Path:
        if target.name.startswith("second.") and target.suffix == ".json" and not raised:
            raised.append(target)
            raise MemoryError
        return original(path, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(MemoryError):
            shelf.write()
    assert shelf.files() == shelf.old


def test_what_a_killed_process_left_is_cleared_by_the_next_write(tmp_path: Path) -> None:
    """Temporary files of a process that was killed go with the next write of their folder."""
    shelf = Shelf(tmp_path, existing=True)
    folder = shelf.store.manifest_path(KEYS[0]).parent
    (folder / ".seedpin-0123456789abcdef.tmp").write_bytes(b"left")
    shelf.write()
    assert shelf.files() == shelf.new


def test_the_mode_of_a_golden_is_kept(tmp_path: Path) -> None:
    """A group-writable golden stays group-writable."""
    shelf = Shelf(tmp_path, existing=True)
    manifest = shelf.store.manifest_path(KEYS[0])
    manifest.chmod(0o664)
    shelf.write()
    assert manifest.stat().st_mode & 0o777 == 0o664


WRITER = """
import sys
from pathlib import Path
from seedpin.errors import StaleGoldenError
from seedpin.goldens.manifest import from_json
from seedpin.goldens.store import GoldenKey, GoldenStore, StagedGolden

root, mode, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = GoldenStore(root / "golden", root / ".seedpin")
stale = 0
for number in range(rounds):
    for path in map(Path, sys.argv[4:]):
        manifest = from_json(path.read_bytes(), path)
        key = GoldenKey(manifest.test, manifest.check, manifest.device_class)
        if mode == "read":
            store.read(key)
        else:
            store.write_goldens([StagedGolden(path, key, None, force=True)])
"""


def test_writers_and_readers_at_once_never_see_a_half_golden(tmp_path: Path) -> None:
    """While two processes replace a golden again and again, a third reads one or the other, no mixture."""
    shelf = Shelf(tmp_path, existing=True)
    old, new = (str(tmp_path / name / f"{KEYS[0].stem}.json") for name in ("old", "new"))

    def start(mode: str, rounds: int, *manifests: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WRITER, str(tmp_path), mode, str(rounds), *manifests]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    running = [start("write", 40, old, new), start("write", 40, new, old), start("read", 200, old)]
    for process in running:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    wanted = {name for name in shelf.files() if name.startswith(f"{KEYS[0].stem}.")}
    assert len(wanted) == 2
    assert shelf.store.read(KEYS[0]) is not None
    assert not list(shelf.store.root.rglob("*.tmp"))


TWO_GOLDENS = """
import pytest
from model import generate


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video):
    model = seeded_model(generate)
    golden_video.check(model(frames=4), "first", fps=8)
    golden_video.check(model(frames=2), "second", fps=8)
    {after}
"""


@pytest.mark.parametrize("existing", [True, False], ids=["update", "mint"])
@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.EROFS, "Read-only file system"), (errno.ENOSPC, "No space left on device")],
    ids=["read-only", "full"],
)
def test_a_golden_folder_that_refuses_fails_the_test_and_stays(
    project: Project, existing: bool, code: int, words: str
) -> None:
    """A read-only or full golden/ makes an update fail by name, with nothing changed."""
    project.write({"test_ball.py": TWO_GOLDENS.format(after="")})
    before = project.mint() if existing else {}
    with Faults(project.root / "golden", 1, code, persistent=True).active():
        result = project.pytest("--update-golden", env={"TEST_SHIFT": "3"})
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            f"goldens could not be written in *{words}*; nothing was changed",
            "  next: make room or make the folder writable, then run the update again",
            "  more: seedpin explain golden-write",
            "2 golden(s) not written, because of the errors above:",
        ]
    )
    assert project.golden_files() == before
    assert (project.root / "golden").exists() == existing


def test_a_full_disk_while_staging_fails_the_test_and_leaves_goldens_alone(project: Project) -> None:
    """Where not even .seedpin/ can be written the update fails by name, and golden/ is as it was."""
    project.write({"test_ball.py": TWO_GOLDENS.format(after="")})
    before = project.mint()
    for at in (1, 4, 9):
        with Faults(project.root / ".seedpin", at, errno.ENOSPC, persistent=True).active():
            result = project.pytest("--update-golden", env={"TEST_SHIFT": "3"})
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["*No space left on device*", "*make room*"])
        assert project.golden_files() == before


def test_a_full_disk_hides_no_verdict(project: Project) -> None:
    """Where the obtained clip and the results cannot be kept, the check still tells what it found."""
    before = project.mint()
    with Faults(project.root / ".seedpin", 1, errno.ENOSPC, persistent=True).active():
        result = project.pytest(env={"TEST_SHIFT": "3"})
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "golden_video: CHANGED *",
            "  *could not be kept*No space left on device*",
            "changed  test_ball.py::test_ball::video *",
            "1 check(s): 1 changed",
            "results could not be kept: *No space left on device*",
        ]
    )
    assert project.golden_files() == before


def test_ctrl_c_during_an_update_stops_pytest_after_the_write(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle of a write ends the session with goldens that are wholly new."""
    project.write({"test_ball.py": TWO_GOLDENS.format(after="")})
    before = project.mint()
    original = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if "golden" in path.parts:
            signal.raise_signal(signal.SIGINT)
        return original(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            project.pytest("--update-golden", env={"TEST_SHIFT": "3"})
    after = project.golden_files()
    manifests = {name for name in before if name.endswith(".json")}
    assert {name for name in after if name.endswith(".json")} == manifests
    assert all(after[name] != before[name] for name in manifests)
    assert not (after.keys() & before.keys()) - manifests
    project.pytest(env={"TEST_SHIFT": "3"}).assert_outcomes(passed=1)


CHANGED_BEHIND = "import shutil; shutil.rmtree('golden'); shutil.copytree('other', 'golden')"


def test_a_golden_that_changed_since_it_was_read_is_not_overwritten(project: Project) -> None:
    """What somebody else wrote in between stays; the test fails and says to run it again."""
    project.write({"test_ball.py": TWO_GOLDENS.format(after="")})
    project.pytest("--update-golden", "--golden-dir", "other", env={"TEST_SHIFT": "5"})
    project.mint()
    project.write({"test_ball.py": TWO_GOLDENS.format(after=CHANGED_BEHIND)})
    result = project.pytest("--update-golden", env={"TEST_SHIFT": "3"})
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*first.*.json changed since this run read it (was sha256:*, is sha256:*)",
            "  next: run the test again, then update",
            "  more: seedpin explain stale-golden",
        ]
    )
    other = project.root / "other"
    wanted = {path.relative_to(other).as_posix() for path in other.rglob("*") if path.is_file()}
    assert project.golden_files() == {name: (other / name).read_bytes() for name in wanted}


MEETING = textwrap.dedent("""
    import time
    from pathlib import Path
    import pytest


    @pytest.fixture(autouse=True)
    def meet(request):
        yield
        Path(f"here-{request.config.getoption('golden_reason')}").touch()
        deadline = time.monotonic() + 60
        while len(list(Path().glob("here-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
""")


def test_the_same_content_written_by_two_is_no_conflict(tmp_path: Path) -> None:
    """A golden that appeared since it was found absent may be written where its digest is the same."""
    shelf = Shelf(tmp_path, existing=True)
    same = [StagedGolden(stage(tmp_path / "same", key, 50), key, None) for key in KEYS]
    shelf.store.write_goldens(same)
    assert shelf.files() == shelf.old
    other = [StagedGolden(stage(tmp_path / "other", key, 60), key, None) for key in KEYS]
    with pytest.raises(StaleGoldenError, match="was absent, is sha256:"):
        shelf.store.write_goldens(other)
    assert shelf.files() == shelf.old


def test_of_two_processes_that_mint_at_once_one_wins_whole(project: Project) -> None:
    """Two runs mint other content for one golden at once: the first is kept whole, the second fails."""
    shifts = ("3", "5")
    project.write({"conftest.py": MEETING})
    running = []
    for index, shift in enumerate(shifts):
        environ = {**os.environ, "TEST_SHIFT": shift}
        command = [sys.executable, "-m", "pytest", "--update-golden", "--golden-reason", f"run{index}"]
        command += ["-p", "no:xdist", "-p", "no:randomly", "-p", "no:cacheprovider"]
        running.append(
            subprocess.Popen(command, cwd=project.root, stdout=subprocess.PIPE, text=True, env=environ)
        )
    told = [process.communicate(timeout=180)[0] for process in running]
    codes = sorted(process.returncode for process in running)
    assert codes == [0, 1], told
    assert "changed since this run read it (was absent, is sha256:" in "".join(told)
    winner = json.loads(project.manifest().read_text())["updated"]["reason"]
    files = json.loads(project.manifest().read_text())["files"]
    assert len(project.golden_files()) == len(files) + 1
    (project.root / "conftest.py").unlink()
    project.pytest(env={"TEST_SHIFT": shifts[int(winner[-1])]}).assert_outcomes(passed=1)
