"""Goldens that are missing, of another kind, damaged or of a newer format: told, and left as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.project import Project, edit_manifest, frames_of

Damage = Callable[[Path], None]

TEST = """
import numpy as np
import pytest
from model import generate


@pytest.mark.seed({seed})
def test_ball(seeded_model, golden_video):
    clip = seeded_model(generate{level})(frames={frames}, size={size})
    golden_video.check({clip}, fps={fps}{more})
"""
DEFAULTS: dict[str, object] = {
    "seed": 7, "level": "", "frames": 4, "size": 24, "clip": "clip", "fps": 8, "more": ""
}  # fmt: skip


def source(**changes: object) -> str:
    """The test's source with some of its parts replaced."""
    return TEST.format(**{**DEFAULTS, **changes})


INCOMPARABLE = [
    ({"frames": 5}, ["frames: 4 in the golden, 5 here."]),
    ({"size": 26}, ["height: 24 in the golden, 26 here.", "width: 24 in the golden, 26 here."]),
    (
        {"clip": "clip / np.float32(255)", "more": ", value_range=(0, 1)"},
        ["dtype: uint8 in the golden, float32 here."],
    ),
    ({"fps": 24}, ["fps: 8.0 in the golden, 24.0 here."]),
    ({"clip": "clip[..., :1]"}, ["channels: 3 in the golden, 1 here."]),
    ({"seed": 8}, ["seed: 7 in the golden, 8 here."]),
    ({"level": ", level='warn'"}, ["level: strict in the golden, warn here."]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "words"), INCOMPARABLE, ids=lambda value: next(iter(value), ""))
def test_other_facts_are_incomparable_and_named(
    project: Project, changes: dict[str, object], words: list[str]
) -> None:
    """Frame count, size, dtype, fps, channels, seed and level that differ fail the check by name."""
    project.write({"test_ball.py": source()})
    before = project.mint()
    project.write({"test_ball.py": source(**changes)})
    result = project.pytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "golden_video: INCOMPARABLE  test_ball.py::test_ball (video)",
            *(f"  {word}" for word in words),
            '  next: if this is meant: pytest test_ball.py::test_ball --update-golden --golden-reason "why"',
        ]
    )
    assert project.golden_files() == before


def test_another_value_range_is_incomparable(project: Project) -> None:
    """Float frames in [-1, 1] are never held against frames in [0, 1]."""
    half = "clip.astype(np.float32) / 255 * 0.5"
    project.write({"test_ball.py": source(clip=half, more=", value_range=(0, 1)")})
    before = project.mint()
    project.write({"test_ball.py": source(clip=half, more=", value_range=(-1, 1)")})
    result = project.pytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*INCOMPARABLE*", "  value_range: [[]0.0, 1.0] in the golden, [[]-1.0, 1.0] here."]
    )
    assert project.golden_files() == before


def test_a_missing_golden_names_the_classes_that_have_one(project: Project) -> None:
    """On a device class without a golden the message lists the classes that have one."""
    before = project.mint("--golden-device-class", "cpu-one")
    project.pytest("--update-golden", "--golden-device-class", "cpu-two").assert_outcomes(passed=1)
    before = project.golden_files()
    result = project.pytest("--golden-device-class", "cpu-three")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "golden_video: MISSING  test_ball.py::test_ball (video)",
            "  There is no golden for cpu-three.",
            "  There is one for cpu-one, cpu-two.",
            "  golden:   golden/test_ball.py/test_ball/video.cpu-three.json (none)",
            "  next: look at the obtained clip, then: pytest test_ball.py::test_ball --update-golden",
        ]
    )
    assert project.golden_files() == before


def _truncate(manifest: Path) -> None:
    frames = frames_of(manifest)
    frames.write_bytes(frames.read_bytes()[:-100])


def _empty_frames(manifest: Path) -> None:
    frames_of(manifest).write_bytes(b"")


def _tamper(manifest: Path) -> None:
    data = bytearray(frames_of(manifest).read_bytes())
    data[len(data) // 2] ^= 1
    frames_of(manifest).write_bytes(bytes(data))


def _remove_frames(manifest: Path) -> None:
    frames_of(manifest).unlink()


def _point_frames(manifest: Path) -> None:
    frames_of(manifest).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")


def _folder_for_frames(manifest: Path) -> None:
    path = frames_of(manifest)
    path.unlink()
    path.mkdir()


def _point_manifest(manifest: Path) -> None:
    manifest.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")


def _one_digest(manifest: Path) -> None:
    digests = json.loads(manifest.read_text())["frame_digests"]
    edit_manifest(manifest, frame_digests=["sha256:" + "0" * 64, *digests[1:]])


def _one_fact(manifest: Path) -> None:
    edit_manifest(manifest, facts={**json.loads(manifest.read_text())["facts"], "frames": 5})


def _unknown_field(manifest: Path) -> None:
    edit_manifest(manifest, colour="red")


def _wrong_type(manifest: Path) -> None:
    edit_manifest(manifest, environment=[1, 2])


def _no_json(manifest: Path) -> None:
    manifest.write_text(manifest.read_text()[:-40])


def _empty_manifest(manifest: Path) -> None:
    manifest.write_bytes(b"")


def _climbing_name(manifest: Path) -> None:
    files = json.loads(manifest.read_text())["files"]
    files["frames"]["name"] = "../../../test_ball.py"
    edit_manifest(manifest, files=files)


def _of_another_test(manifest: Path) -> None:
    edit_manifest(manifest, test="test_ball.py::test_other")


def _of_another_check(manifest: Path) -> None:
    edit_manifest(manifest, check="second")


def _of_another_class(manifest: Path) -> None:
    edit_manifest(manifest, device_class="cpu-other")


DAMAGES: list[tuple[Damage, str, str]] = [
    (_truncate, "* has * bytes, its manifest says *: truncated or replaced", "git checkout"),
    (_empty_frames, "* has 0 bytes, its manifest says *: truncated or replaced", "git checkout"),
    (_tamper, "* does not match its digest in the manifest: it was changed", "git checkout"),
    (_remove_frames, "* is missing though its manifest names it", "git checkout"),
    (_point_frames, "* is a Git LFS pointer, not the frames", "git lfs pull"),
    (_folder_for_frames, "* cannot be read: *", "permissions"),
    (_point_manifest, "* is a Git LFS pointer, not the manifest", "git lfs pull"),
    (_one_digest, "* contradicts itself: *it was changed", "git checkout"),
    (_one_fact, "* contradicts itself: *it was changed", "git checkout"),
    (_unknown_field, "* is not a readable manifest: *unknown fields*colour*", "git checkout"),
    (_wrong_type, "* is not a readable manifest: *environment is no object*", "git checkout"),
    (_no_json, "* is not a readable manifest: no JSON*", "git checkout"),
    (_empty_manifest, "* is not a readable manifest: no JSON*", "git checkout"),
    (_climbing_name, "* is not a readable manifest: *file name*", "git checkout"),
    (_of_another_test, "* is the golden of *::test_other *not of *::test_ball *: it was moved", "seedpin mv"),
    (_of_another_check, "* is the golden of *(second, *not of *(video, *: it was moved", "git checkout"),
    (_of_another_class, "* is the golden of *, cpu-other)*not of *copied or moved", "git checkout"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "words", "way_out"), DAMAGES, ids=[case[0].__name__ for case in DAMAGES])
def test_a_damaged_golden_is_told_and_only_all_replaces_it(
    project: Project, damage: Damage, words: str, way_out: str
) -> None:
    """A damaged golden fails, also in a bare update, with its cause and way out; `=all` writes it anew."""
    project.mint()
    manifest = project.manifest()
    damage(manifest)
    before = project.golden_files()
    for arguments in ([], ["--update-golden"]):
        result = project.pytest(*arguments)
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            [
                "golden_video: DAMAGED  test_ball.py::test_ball (video)",
                f"  {words}",
                f"  next: *{way_out}*",
                "  more: seedpin explain damaged",
            ]
        )
        if way_out != "git lfs pull":
            anew = '--update-golden=all --golden-reason "why"'
            result.stdout.fnmatch_lines([f"  next: *pytest test_ball.py::test_ball {anew}"])
        assert project.golden_files() == before
    again = project.pytest("--update-golden=all")
    if damage is _folder_for_frames:
        again.stdout.fnmatch_lines(["goldens could not be written in *; nothing was changed"])
        assert project.golden_files() == before
        return
    again.assert_outcomes(passed=1)
    project.pytest().assert_outcomes(passed=1)
    folder = manifest.parent
    assert len(list(folder.iterdir())) == len(json.loads(manifest.read_text())["files"]) + 1


def test_a_manifest_of_a_newer_format_is_never_overwritten(project: Project) -> None:
    """What a newer seedpin wrote fails with the way out, and not even `=all` touches it."""
    project.mint()
    edit_manifest(project.manifest(), format=3)
    before = project.golden_files()
    for arguments in ([], ["--update-golden"], ["--update-golden=missing"], ["--update-golden=all"]):
        result = project.pytest(*arguments, env={"TEST_SHIFT": "3"})
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            [
                "*DAMAGED*",
                "  * has format 3; this seedpin reads up to 2",
                "  next: pip install --upgrade seedpin",
            ]
        )
        assert project.golden_files() == before


def test_a_manifest_that_may_not_be_read_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A golden without read permission is damaged, with the reason of the system."""
    before = project.mint()
    manifest = project.manifest()
    original = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path == manifest:
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        result = project.pytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*DAMAGED*", "  * cannot be read: *Permission denied*", "  next: check its permissions*"]
    )
    assert project.golden_files() == before


def test_a_frames_file_with_another_content_and_a_digest_to_match_is_found(project: Project) -> None:
    """Frames and their file's digest exchanged together still do not match the digests of the pixels."""
    project.mint()
    manifest = project.manifest()
    other = project.pytest("--update-golden", "--golden-dir", "other", env={"TEST_SHIFT": "3"})
    other.assert_outcomes(passed=1)
    twin = project.root / "other" / manifest.relative_to(project.root / "golden")
    files = json.loads(twin.read_text())["files"]
    for file in files.values():
        (manifest.parent / file["name"]).write_bytes((twin.parent / file["name"]).read_bytes())
    edit_manifest(manifest, files=files)
    before = project.golden_files()
    result = project.pytest(env={"TEST_SHIFT": "5"})
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*DAMAGED*", "  * decodes to other frames than its manifest's digests tell"])
    assert project.golden_files() == before
