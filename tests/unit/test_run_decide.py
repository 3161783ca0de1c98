"""Accept writes what the run holds, only if every digest holds; undo puts back every byte."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seedpin.clip.codec import encode
from seedpin.clip.digest import clip_digest, file_digest, frame_digests
from seedpin.errors import DecisionRefusedError, RunError, StaleGoldenError, UsageError
from seedpin.goldens.manifest import from_json, to_json
from seedpin.run.choose import matches
from seedpin.run.decide import ProjectFolders, key_of, write_accepted, write_rejected
from seedpin.run.ledger import Run
from seedpin.run.result import CheckResult
from seedpin.run.undo import write_saved, write_undone
from support.commands import files_below
from support.project import frames_of
from support.report_runs import CPU, RunFolder, moving_shapes

TEST = "tests/test_a.py::test_b"
OLD, NEW = moving_shapes(3, 16, 24), moving_shapes(3, 16, 24, seed=1)


@dataclasses.dataclass(frozen=True)
class Scene:
    """A project with one golden, and a run that obtained another clip."""

    run: Run
    result: CheckResult
    folders: ProjectFolders

    @property
    def obtained(self) -> Path:
        assert self.result.obtained is not None
        return self.run.path / self.result.obtained

    def goldens(self) -> dict[str, bytes]:
        return files_below(self.folders.golden_root)

    def rewrite(self, **fields: Any) -> None:
        """Changes the obtained clip's manifest, as somebody would who tampers with it."""
        manifest = from_json(self.obtained.read_bytes(), self.obtained)
        self.obtained.write_text(to_json(dataclasses.replace(manifest, **fields)))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    folder = RunFolder(tmp_path / ".seedpin")
    result = folder.add(TEST, OLD, NEW, "changed", device=CPU)
    shutil.copytree(folder.run.path / "golden", tmp_path / "golden")
    return Scene(folder.run, result, ProjectFolders(tmp_path, tmp_path / "golden", tmp_path / ".seedpin"))


def test_accept_writes_the_obtained_clip(scene: Scene) -> None:
    """Frames are copied byte for byte; the manifest tells the reason and the run; the decision is kept."""
    applied = write_accepted(scene.run, [scene.result], scene.folders, "why")[0]
    manifest = json.loads(scene.folders.store.manifest_path(key_of(scene.result)).read_text())
    assert manifest["digest"] == clip_digest(frame_digests(NEW))
    assert manifest["updated"]["reason"] == "why"
    assert manifest["updated"]["run"] == scene.run.id
    assert encode(NEW)[1] in scene.goldens().values()
    assert applied.effect == "updated"
    assert scene.run.decisions()[scene.result.id].reason == "why"
    assert [path.name for path in scene.folders.state.iterdir() if path.name.startswith("staging")] == []


def test_accept_keeps_other_accepted_and_known_bad_digests(scene: Scene) -> None:
    """What was noted by hand survives; the accepted digest itself leaves both lists."""
    path = scene.folders.store.manifest_path(key_of(scene.result))
    new = clip_digest(frame_digests(NEW))
    lists = {
        "accepted": ({"digest": "sha256:aa", "reason": "a"},),
        "known_bad": ({"digest": "sha256:bb", "reason": "b"}, {"digest": new, "reason": "was bad"}),
    }
    path.write_text(to_json(dataclasses.replace(from_json(path.read_bytes(), path), **lists)))  # type: ignore[arg-type]
    result = dataclasses.replace(scene.result, manifest_digest=file_digest(path))
    write_accepted(scene.run, [result], scene.folders, "why")
    manifest = json.loads(path.read_text())
    assert manifest["accepted"] == [{"digest": "sha256:aa", "reason": "a"}]
    assert manifest["known_bad"] == [{"digest": "sha256:bb", "reason": "b"}]


def test_accepting_again_changes_nothing(scene: Scene) -> None:
    """A second accept finds its own golden and leaves it."""
    write_accepted(scene.run, [scene.result], scene.folders, "why")
    before = scene.goldens()
    assert write_accepted(scene.run, [scene.result], scene.folders, "again")[0].effect == "already"
    assert scene.goldens() == before


@pytest.mark.parametrize("change", ["other", "gone", "born"])
def test_a_stale_golden_is_named_with_both_digests(scene: Scene, change: str) -> None:
    """A golden that changed, vanished or appeared since the run is not replaced."""
    path = scene.folders.store.manifest_path(key_of(scene.result))
    result, seen, there = scene.result, scene.result.manifest_digest or "", "absent"
    if change == "other":
        path.write_text(path.read_text() + "\n")
        there = file_digest(path)
    elif change == "gone":
        shutil.rmtree(scene.folders.golden_root)
    else:
        result, seen, there = dataclasses.replace(result, manifest_digest=None), "absent", seen
    before = scene.goldens()
    with pytest.raises(StaleGoldenError) as caught:
        write_accepted(scene.run, [result], scene.folders, "why")
    assert f"it was {seen}, it is {there}" in caught.value.what
    assert scene.goldens() == before


def test_one_that_cannot_be_accepted_stops_all(tmp_path: Path) -> None:
    """Several are accepted together or not at all."""
    folder = RunFolder(tmp_path / ".seedpin")
    results = [folder.add(f"{TEST}{index}", None, NEW, "missing", device=CPU) for index in range(3)]
    obtained = folder.run.path / str(results[2].obtained)
    obtained.unlink()
    folders = ProjectFolders(tmp_path, tmp_path / "golden", tmp_path / ".seedpin")
    with pytest.raises(RunError):
        write_accepted(folder.run, results, folders, "why")
    assert not folders.golden_root.exists()
    assert folder.run.decisions() == {}


@pytest.mark.parametrize("verdict", ["unstable", "damaged"])
def test_unstable_and_damaged_are_refused(scene: Scene, verdict: str) -> None:
    """No golden can hold for an unstable model; a damaged one is restored, not accepted over."""
    before = scene.goldens()
    with pytest.raises(DecisionRefusedError, match=verdict):
        write_accepted(scene.run, [dataclasses.replace(scene.result, verdict=verdict)], scene.folders, "why")
    assert scene.goldens() == before


@pytest.mark.parametrize("reason", ["", "  "])
def test_accepting_needs_a_reason(scene: Scene, reason: str) -> None:
    """An empty reason is none."""
    with pytest.raises(DecisionRefusedError, match="reason"):
        write_accepted(scene.run, [scene.result], scene.folders, reason)


def _flip(scene: Scene) -> None:
    path = frames_of(scene.obtained)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _other_frames(scene: Scene) -> None:
    """Other frames with a file digest that is right, as one who tampers with care would leave."""
    path = frames_of(scene.obtained)
    path.write_bytes(encode(OLD)[1])
    manifest = from_json(scene.obtained.read_bytes(), scene.obtained)
    frames = manifest.files["frames"]
    scene.rewrite(
        files={"frames": dataclasses.replace(frames, digest=file_digest(path), bytes=path.stat().st_size)}
    )


def _other_file_name(scene: Scene) -> None:
    """A golden's file that pytest would run."""
    manifest = from_json(scene.obtained.read_bytes(), scene.obtained)
    frames_of(scene.obtained).rename(scene.obtained.parent / "conftest.py")
    scene.rewrite(files={"frames": dataclasses.replace(manifest.files["frames"], name="conftest.py")})


def _second_role(scene: Scene) -> None:
    """A file more than a golden has."""
    manifest = from_json(scene.obtained.read_bytes(), scene.obtained)
    extra = scene.obtained.parent / "test_evil.py"
    extra.write_text("x")
    record = dataclasses.replace(
        manifest.files["frames"], name=extra.name, digest=file_digest(extra), bytes=1
    )
    scene.rewrite(files={**manifest.files, "evil": record})


def _link(scene: Scene) -> None:
    """The frames as a link to a file outside of the run."""
    path = frames_of(scene.obtained)
    outside = scene.folders.root / "outside.zip"
    path.rename(outside)
    path.symlink_to(outside)


def _linked_manifest(scene: Scene) -> None:
    outside = scene.folders.root / "outside.json"
    scene.obtained.rename(outside)
    scene.obtained.symlink_to(outside)


TAMPERING: dict[str, Callable[[Scene], object]] = {
    "a flipped bit": _flip,
    "other frames": _other_frames,
    "a file pytest would run": _other_file_name,
    "a file too many": _second_role,
    "frames are a link": _link,
    "manifest is a link": _linked_manifest,
    "frames missing": lambda scene: frames_of(scene.obtained).unlink(),
    "manifest missing": lambda scene: scene.obtained.unlink(),
    "truncated": lambda scene: frames_of(scene.obtained).write_bytes(b"PK"),
    "another test": lambda scene: scene.rewrite(test="tests/test_other.py::test_x"),
    "another class": lambda scene: scene.rewrite(device_class="cuda-x"),
    "another digest": lambda scene: scene.rewrite(digest="sha256:00"),
    "no frames": lambda scene: scene.rewrite(files={}),
    "another kind": lambda scene: scene.rewrite(kind="tensors"),
    "a huge clip": lambda scene: scene.rewrite(facts={**NEW.facts(), "width": 1 << 30}),
    "no manifest": lambda scene: scene.obtained.write_text("[]"),
}


@pytest.mark.parametrize("how", TAMPERING)
def test_what_was_tampered_with_is_refused(scene: Scene, how: str) -> None:
    """Whatever part of the obtained clip does not hold, nothing is written."""
    TAMPERING[how](scene)
    before = scene.goldens()
    with pytest.raises(RunError):
        write_accepted(scene.run, [scene.result], scene.folders, "why")
    assert scene.goldens() == before


def test_a_record_cannot_choose_where_to_write(scene: Scene) -> None:
    """Names in a record become file names below the golden folder only, whatever they are."""
    result = dataclasses.replace(scene.result, test="../../../etc/test.py::x")
    with pytest.raises(RunError, match="not the clip"):
        write_accepted(scene.run, [dataclasses.replace(result, manifest_digest=None)], scene.folders, "why")
    path = scene.folders.store.manifest_path(key_of(result)).resolve()
    assert path.is_relative_to(scene.folders.golden_root.resolve())


def test_undo_restores_every_byte(scene: Scene, tmp_path: Path) -> None:
    """After accept and undo the golden folder is as it was."""
    before = scene.goldens()
    saved = write_saved(scene.folders, key_of(scene.result), tmp_path / "undo")
    applied = write_accepted(scene.run, [scene.result], scene.folders, "why")[0]
    assert scene.goldens() != before
    write_undone(scene.run, scene.folders, scene.result.id, saved, applied.written)
    assert scene.goldens() == before
    assert scene.run.decisions() == {}


def test_undo_removes_a_golden_that_was_not_there(scene: Scene, tmp_path: Path) -> None:
    """Undoing a first golden leaves no file and no empty folder."""
    shutil.rmtree(scene.folders.golden_root)
    result = dataclasses.replace(scene.result, manifest_digest=None)
    saved = write_saved(scene.folders, key_of(result), tmp_path / "undo")
    applied = write_accepted(scene.run, [result], scene.folders, "why")[0]
    assert applied.effect == "created"
    write_undone(scene.run, scene.folders, result.id, saved, applied.written)
    assert not scene.folders.golden_root.exists()


def test_undo_leaves_what_others_wrote_since(scene: Scene, tmp_path: Path) -> None:
    """A golden that changed after the decision is not put back."""
    saved = write_saved(scene.folders, key_of(scene.result), tmp_path / "undo")
    applied = write_accepted(scene.run, [scene.result], scene.folders, "why")[0]
    path = scene.folders.store.manifest_path(key_of(scene.result))
    path.write_text(path.read_text() + "\n")
    before = scene.goldens()
    with pytest.raises(StaleGoldenError):
        write_undone(scene.run, scene.folders, scene.result.id, saved, applied.written)
    assert scene.goldens() == before


def test_known_bad_needs_a_golden_and_a_reason(scene: Scene) -> None:
    """There must be a manifest to note it in, and something to note."""
    with pytest.raises(DecisionRefusedError, match="reason"):
        write_rejected(scene.run, [scene.result], scene.folders, known_bad=True)
    shutil.rmtree(scene.folders.golden_root)
    with pytest.raises(DecisionRefusedError, match="no golden"):
        write_rejected(scene.run, [scene.result], scene.folders, "bad", known_bad=True)
    assert scene.run.decisions() == {}


def test_also_needs_a_golden_of_the_same_facts(scene: Scene) -> None:
    """A clip of another length would never be compared with its digest."""
    path = scene.folders.store.manifest_path(key_of(scene.result))
    manifest = from_json(path.read_bytes(), path)
    path.write_text(to_json(dataclasses.replace(manifest, facts={**manifest.facts, "fps": 24.0})))
    result = dataclasses.replace(scene.result, manifest_digest=file_digest(path))
    with pytest.raises(DecisionRefusedError, match="differ"):
        write_accepted(scene.run, [result], scene.folders, "why", also=True)


@pytest.mark.parametrize(
    ("expression", "text", "fits"),
    [
        ("wan and not i2v", "tests/test_wan.py::test_t2v::video", True),
        ("wan and not i2v", "tests/test_wan.py::test_I2V::video", False),
        ("(a or b) and c", "b c", True),
        ("x::y", "x::y::video", True),
    ],
)
def test_expressions_are_pytests(expression: str, text: str, fits: bool) -> None:
    """Substrings without regard to case, and, or, not, brackets."""
    assert matches(expression, text) is fits


def test_an_unreadable_expression_is_told() -> None:
    """A stray bracket is a usage error with an example."""
    with pytest.raises(UsageError, match="cannot be read"):
        matches("a and (", "a")
