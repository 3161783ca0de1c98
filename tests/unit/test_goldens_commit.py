"""Commits of goldens: killed at any step, finished by the next reader, in the names of the present format."""

from __future__ import annotations

import dataclasses
import json
import os
import select
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seedpin.clip.digest import file_digest
from seedpin.errors import DamagedGoldenError, GoldenWriteError, NewerFormatError
from seedpin.goldens import store as store_module
from seedpin.goldens.commit import GoldenWrite, write_changes
from seedpin.goldens.content import load as load_clip
from seedpin.goldens.inventory import verify_entry, walk_goldens, write_pruned
from seedpin.goldens.journal import JOURNAL, journal_bytes
from seedpin.goldens.manifest import from_json, to_json
from seedpin.goldens.store import Golden, GoldenKey, GoldenStore, StagedGolden
from support.commands import files_below
from support.goldens import stage

KEYS = [GoldenKey("test_a.py::test_a", name, "cpu-one") for name in ("first", "second")]
OTHER = GoldenKey("test_b.py::test_b", "first", "cpu-one")


class Shelf:
    """Goldens of one value that may become those of another."""

    def __init__(self, root: Path, keys: list[GoldenKey]) -> None:
        self.root = root
        self.keys = keys
        self.store = GoldenStore(root / "golden", root / ".seedpin")

    def changes(self, value: int, frames: int = 2) -> list[StagedGolden]:
        folder = self.root / f"staged-{value}"
        return [StagedGolden(stage(folder, key, value, frames), key, None, force=True) for key in self.keys]

    def files(self) -> dict[str, bytes]:
        return files_below(self.store.root)

    def read(self) -> list[Golden | None]:
        """What a process that knows nothing of the one before it reads, down to the pixels."""
        found = [GoldenStore(self.store.root, self.store.state).read(key) for key in self.keys]
        for golden in found:
            if golden is not None:
                load_clip(golden)
        return found


def killed_at(step: int, action: Callable[[], object]) -> int:
    """Runs ``action`` in a child that dies without a word before its ``step``-th change of the disk.

    Returns the exit code: 9 if it died, 0 if it came to its end.
    """
    child = os.fork()
    if child == 0:
        count = 0

        def counted(method: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal count
                count += 1
                if count == step:
                    os._exit(9)
                return method(*args, **kwargs)

            return call

        code = 3
        try:
            for name in ("mkdir", "open", "replace", "unlink", "rmdir"):
                setattr(Path, name, counted(getattr(Path, name)))
            os.fsync = counted(os.fsync)
            action()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("existing", [True, False], ids=["update", "mint"])
@pytest.mark.parametrize("keys", [KEYS[:1], KEYS, [*KEYS, OTHER]], ids=["one", "two", "of two tests"])
def test_a_kill_at_any_step_leaves_all_old_or_all_new(
    tmp_path: Path, keys: list[GoldenKey], existing: bool
) -> None:
    """After a kill before any single change of the disk, the next read gives all old or all new goldens."""
    shelf = Shelf(tmp_path, keys)
    old, new = shelf.changes(50), shelf.changes(90, frames=1)
    if existing:
        shelf.store.write_goldens(old)
    begin, before = tmp_path / "begin", shelf.files()
    shutil.copytree(shelf.store.root, begin) if existing else begin.mkdir()
    old_digests, new_digests = ([digest_of(change.staged) for change in side] for side in (old, new))
    seen = set()
    for step in range(1, 400):
        shutil.rmtree(shelf.store.root, ignore_errors=True)
        if existing:
            shutil.copytree(begin, shelf.store.root)
        code = killed_at(step, lambda: shelf.store.write_goldens(new))
        found = [None if golden is None else golden.manifest.digest for golden in shelf.read()]
        wanted = [old_digests if existing else [None] * len(keys), new_digests]
        assert found in wanted, step
        assert not (shelf.store.root / JOURNAL).exists(), step
        seen.add(found == new_digests)
        shelf.store.write_goldens(new)
        assert set(shelf.files()) == {f"{key.stem}.json" for key in keys} | payloads(shelf), step
        if code == 0:
            break
        assert code == 9, step
    else:
        pytest.fail("the write never ended")
    assert seen == {True, False}
    assert step > 15
    assert before == files_below(begin)


def payloads(shelf: Shelf) -> set[str]:
    """Payloads that the manifests in place name."""
    found = set()
    for path in shelf.store.root.rglob("*.json"):
        files = json.loads(path.read_text())["files"].values()
        found |= {(path.parent / file["name"]).relative_to(shelf.store.root).as_posix() for file in files}
    return found


def digest_of(manifest: Path) -> str:
    return from_json(manifest.read_bytes(), manifest).digest


def interrupted(shelf: Shelf, value: int) -> dict[str, bytes]:
    """Leaves what a writer leaves that was killed right after its journal; gives what it wanted to write."""
    shelf.store.write_goldens(shelf.changes(value))
    wanted = shelf.files()
    contents = {f"{key.stem}.json": wanted[f"{key.stem}.json"] for key in shelf.keys}
    shelf.store.write_goldens(shelf.changes(50))
    for name in wanted.keys() - contents.keys():
        (shelf.store.root / name).write_bytes(wanted[name])
    (shelf.store.root / JOURNAL).write_bytes(journal_bytes(contents))
    return wanted


@pytest.mark.parametrize("key", KEYS)
def test_a_read_of_any_golden_finishes_all(tmp_path: Path, key: GoldenKey) -> None:
    """Whichever golden is read first, afterwards all lie there whole, and nothing is left over."""
    shelf = Shelf(tmp_path, KEYS)
    wanted = interrupted(shelf, 90)
    golden = shelf.store.read(key)
    assert golden is not None
    assert golden.manifest_digest == file_digest(shelf.store.manifest_path(key))
    assert shelf.files() == wanted


def test_where_nothing_can_be_written_the_new_goldens_are_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader without the right to write reads past the journal, and leaves all as it is."""
    shelf = Shelf(tmp_path, KEYS)
    wanted = interrupted(shelf, 90)
    before = shelf.files()

    def refuse(root: Path) -> bool:
        raise GoldenWriteError("read-only")

    monkeypatch.setattr(store_module, "write_completed", refuse)
    for golden, key in zip(shelf.read(), KEYS, strict=True):
        assert golden is not None
        assert to_json(golden.manifest).encode() == wanted[f"{key.stem}.json"]
    assert shelf.files() == before


def test_a_writer_finishes_what_was_left_before_it_begins(tmp_path: Path) -> None:
    """The next writer, of another test, finishes an update that was interrupted, too."""
    shelf = Shelf(tmp_path, KEYS)
    wanted = interrupted(shelf, 90)
    other = Shelf(tmp_path, [OTHER])
    other.store.write_goldens(other.changes(60))
    assert shelf.files().items() >= wanted.items()


@pytest.mark.parametrize(
    "path",
    [
        "../../x/test/video.cpu.json",
        "/etc/video.cpu.json",
        "a/../b/v.c.json",
        "conftest.py",
        "a//v.c.json",
        "",
    ],
)
def test_a_journal_that_leads_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    """Whatever a journal from elsewhere names, nothing outside of the golden folder is written or deleted."""
    shelf = Shelf(tmp_path, KEYS)
    shelf.store.write_goldens(shelf.changes(50))
    (shelf.store.root / JOURNAL).write_bytes(journal_bytes({path: None}))
    before = files_below(tmp_path)
    with pytest.raises(DamagedGoldenError, match="cannot be read") as caught:
        shelf.store.read(KEYS[0])
    assert f"rm '{shelf.store.root / JOURNAL}'" in caught.value.hint
    assert files_below(tmp_path) == before


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"1", b"\xff", b'{"format": 1}', b'{"format": NaN}', b"[" * 100_000, b"null"],
    ids=range(9),
)
def test_a_journal_that_is_none_is_told(tmp_path: Path, content: bytes) -> None:
    """A journal that cannot be read is named, with what to do; no golden is read past it."""
    shelf = Shelf(tmp_path, KEYS)
    shelf.store.write_goldens(shelf.changes(50))
    (shelf.store.root / JOURNAL).write_bytes(content)
    with pytest.raises(DamagedGoldenError, match=JOURNAL):
        shelf.store.read(KEYS[0])
    with pytest.raises(DamagedGoldenError, match=JOURNAL):
        shelf.store.write_goldens(shelf.changes(60))


def test_a_journal_that_was_changed_is_not_followed(tmp_path: Path) -> None:
    """A journal whose content is not what was written, torn or edited, writes nothing."""
    shelf = Shelf(tmp_path, KEYS)
    interrupted(shelf, 90)
    path = shelf.store.root / JOURNAL
    data = json.loads(path.read_text())
    data["goldens"] = data["goldens"][:1]
    path.write_text(json.dumps(data))
    before = shelf.files()
    with pytest.raises(DamagedGoldenError, match="its digest does not match"):
        shelf.store.read(KEYS[0])
    assert shelf.files() == before


def test_a_journal_of_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    """What a newer seedpin was about to do is not guessed."""
    shelf = Shelf(tmp_path, KEYS)
    interrupted(shelf, 90)
    path = shelf.store.root / JOURNAL
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    with pytest.raises(NewerFormatError):
        shelf.store.read(KEYS[0])


def as_format_1(shelf: Shelf) -> dict[str, bytes]:
    """Turns the goldens of a shelf to format 1, as the first version wrote them; gives the files."""
    for key in shelf.keys:
        path = shelf.store.manifest_path(key)
        manifest = from_json(path.read_bytes(), path)
        files = {}
        for role, file in manifest.files.items():
            name = f"{path.name.removesuffix('.json')}.{file.name.rpartition('.')[2]}"
            (path.parent / file.name).rename(path.parent / name)
            files[role] = dataclasses.replace(file, name=name)
        path.write_text(to_json(dataclasses.replace(manifest, files=files, format=1)))
    return shelf.files()


def test_goldens_of_format_1_are_read_and_move_to_the_new_names_at_their_next_update(tmp_path: Path) -> None:
    """A golden of the first format passes as it is; an update gives it the new names; no old file stays."""
    shelf = Shelf(tmp_path, KEYS)
    shelf.store.write_goldens(shelf.changes(50))
    wanted = shelf.files()
    before = as_format_1(shelf)
    assert f"{KEYS[0].stem}.zip" in before
    assert [golden and golden.manifest.format for golden in shelf.read()] == [1, 1]
    assert [verify_entry(entry) for entry in walk_goldens(shelf.store.root).entries] == ["", ""]
    assert shelf.files() == before
    shelf.store.write_goldens(shelf.changes(50))
    assert shelf.files() == wanted


def test_a_payload_never_takes_the_place_of_one_that_is_in_use(tmp_path: Path) -> None:
    """A name that the golden in place needs for other content is refused before anything is changed."""
    shelf = Shelf(tmp_path, KEYS[:1])
    shelf.store.write_goldens(shelf.changes(50))
    before = as_format_1(shelf)
    stem = KEYS[0].stem
    source = tmp_path / "other.zip"
    source.write_bytes(b"other")
    name = f"{stem.rpartition('/')[2]}.zip"
    with pytest.raises(GoldenWriteError, match="belongs to the golden that is to be replaced"):
        write_changes(shelf.store.root, [GoldenWrite(f"{stem}.json", b"{}", {name: source})])
    assert shelf.files() == before


def test_a_damaged_payload_is_put_right_by_the_same_content(tmp_path: Path) -> None:
    """Writing anew what a golden should have been repairs the file that bears its name."""
    shelf = Shelf(tmp_path, KEYS[:1])
    shelf.store.write_goldens(shelf.changes(50))
    wanted = shelf.files()
    payload = shelf.store.root / min(payloads(shelf))
    payload.write_bytes(b"PK")
    with pytest.raises(DamagedGoldenError):
        shelf.read()
    shelf.store.write_goldens(shelf.changes(50))
    assert shelf.files() == wanted


def test_pruning_takes_the_manifest_first(tmp_path: Path) -> None:
    """A kill while a golden is deleted leaves it whole or gone, never without its frames."""
    shelf = Shelf(tmp_path, KEYS[:1])
    shelf.store.write_goldens(shelf.changes(50))
    begin = tmp_path / "begin"
    shutil.copytree(shelf.store.root, begin)
    for step in range(1, 50):
        shutil.rmtree(shelf.store.root, ignore_errors=True)
        shutil.copytree(begin, shelf.store.root)
        entries = walk_goldens(shelf.store.root).entries
        code = killed_at(step, lambda: list(write_pruned(shelf.store, entries, lambda entry: "")))  # noqa: B023
        shelf.read()
        if code == 0:
            break
    assert not shelf.store.root.exists()
    assert step > 3


def test_what_a_killed_writer_left_is_told_as_left_over(tmp_path: Path) -> None:
    """Payloads without a manifest and temporary files are leftovers, other files unknown."""
    shelf = Shelf(tmp_path, KEYS[:1])
    shelf.store.write_goldens(shelf.changes(50))
    folder = shelf.store.manifest_path(KEYS[0]).parent
    (folder / "first.cpu-one.0123456789ab.zip").write_bytes(b"x")
    (folder / "notes.txt").write_bytes(b"x")
    found = walk_goldens(shelf.store.root)
    assert [path.name for path in found.leftovers] == ["first.cpu-one.0123456789ab.zip"]
    assert [path.name for path in found.unknown] == ["notes.txt"]


def test_a_reader_beside_a_writer_never_sees_one_golden_older_than_another_it_has_read(
    tmp_path: Path,
) -> None:
    """While goldens are replaced together, what is read second is of the same update or of a later one."""
    shelf = Shelf(tmp_path, KEYS)
    generations = [shelf.changes(value) for value in range(10, 16)]
    order = {digest_of(change.staged): at for at, row in enumerate(generations) for change in row}
    shelf.store.write_goldens(generations[0])
    to_reader, to_writer = os.pipe(), os.pipe()

    def write_all() -> None:
        """Lets the reader look after each manifest that is put in its place, and after each update."""
        asked = answered = 0
        replace = Path.replace

        def ask(patience: float | None) -> None:
            nonlocal asked, answered
            os.write(to_reader[1], b"?")
            asked += 1
            # In the middle of an update a reader waits for the writer's lock, so the writer goes on alone.
            while answered < asked and select.select([to_writer[0]], [], [], patience)[0]:
                answered += len(os.read(to_writer[0], 64))

        def replaced(source: Path, target: Path) -> Path:
            done = replace(source, target)
            if Path(target).suffix == ".json":
                ask(0.1)
            return done

        setattr(Path, "replace", replaced)  # noqa: B010  # a method is not assigned to in typed code
        for changes in generations[1:]:
            shelf.store.write_goldens(changes)
            ask(None)

    child = os.fork()
    if child == 0:
        code = 3
        try:
            write_all()
            code = 0
        finally:
            os._exit(code)
    os.close(to_reader[1])
    seen = set()
    try:
        while os.read(to_reader[0], 1):
            for keys in (KEYS, KEYS[::-1]):
                goldens = [shelf.store.read(key) for key in keys]
                first, second = (order[golden.manifest.digest] for golden in goldens if golden is not None)
                assert first <= second
                seen.add(second)
            os.write(to_writer[1], b"!")
        code = os.waitpid(child, 0)[1]
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    assert code == 0
    assert seen >= set(range(1, len(generations)))


def test_folders_that_went_while_a_journal_waited_are_made_again(tmp_path: Path) -> None:
    """The next reader finishes a journal although the folder of a golden has gone in the meantime."""
    shelf = Shelf(tmp_path, KEYS)
    shelf.store.write_goldens(shelf.changes(50))
    contents = {f"{key.stem}.json": shelf.store.manifest_path(key).read_bytes() for key in KEYS}
    (shelf.store.root / JOURNAL).write_bytes(journal_bytes(contents))
    folder = shelf.store.manifest_path(KEYS[0]).parent
    shutil.rmtree(folder)
    shelf.store.write_settled()
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        shelf.store.manifest_path(key).name for key in KEYS
    )
    assert not (shelf.store.root / JOURNAL).exists()
