"""A zip from elsewhere: one run comes out of it; every known trick is refused before a byte is written."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from seedpin.errors import RunError
from seedpin.run import zips
from seedpin.run.zips import extract_run
from support.commands import files_below

RUN = "runs/20260301-021507-4f2a"
HONEST = {
    f"{RUN}/results.jsonl": b"{}\n",
    f"{RUN}/run.json": b"{}",
    f"{RUN}/obtained/test_a.py/test_b[x=1]/video.cpu.json": b"{}",
    f"{RUN}/obtained/test_a.py/test_b[x=1]/video.cpu.webp": b"RIFF",
    f"{RUN}/golden/test_a.py/test_b[x=1]/video.cpu.json": b"{}",
}


def write_zip(
    path: Path,
    members: dict[str, bytes],
    change: Callable[[zipfile.ZipInfo], None] = lambda info: None,
) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.filename = name  # as it is: ZipInfo would tidy it
            change(info)
            archive.writestr(info, data)
    return path


def refused(path: Path, folder: Path, words: str) -> None:
    """Extraction is refused with ``words``, and nothing at all was written."""
    folder.mkdir()
    with pytest.raises(RunError, match=words):
        extract_run(path, folder)
    assert files_below(folder) == {}


def test_an_honest_zip_gives_its_run(tmp_path: Path) -> None:
    """Records and clips of the run are extracted under its name, byte for byte."""
    path = write_zip(tmp_path / "a.zip", HONEST)
    (tmp_path / "out").mkdir()
    run = extract_run(path, tmp_path / "out")
    assert run.path == tmp_path / "out" / "20260301-021507-4f2a"
    assert files_below(run.path) == {name.removeprefix(f"{RUN}/"): data for name, data in HONEST.items()}


def test_the_newest_run_is_taken_and_nothing_else(tmp_path: Path) -> None:
    """Older runs, a report, logs and code beside the run stay in the zip."""
    others = {
        "runs/20250101-000000-0000/results.jsonl": b"old",
        f"{RUN}/report/index.html": b"<script>",
        f"{RUN}/report/data/results.jsonl": b"",
        f"{RUN}/sitecustomize.py": b"evil",
        "conftest.py": b"evil",
        "golden.lock": b"",
    }
    (tmp_path / "out").mkdir()
    run = extract_run(write_zip(tmp_path / "a.zip", {**others, **HONEST}), tmp_path / "out")
    assert set(files_below(tmp_path / "out")) == {
        f"{run.id}/{name.removeprefix(f'{RUN}/')}" for name in HONEST
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/etc/cron.d/x", "absolute"),
        ("//server/share/x", "absolute"),
        ("../x", "leads elsewhere"),
        (f"{RUN}/obtained/../../../../x.json", "leads elsewhere"),
        (f"{RUN}/obtained/./x.json", "leads elsewhere"),
        (f"{RUN}/obtained//x.json", "leads elsewhere"),
        (f"{RUN}\\obtained\\x.json", "backslash"),
        ("..\\..\\x", "backslash"),
        ("C:/Windows/x", "drive letter"),
        ("C:x", "drive letter"),
        (f"{RUN}/obtained/a.json:stream", "drive letter or a stream"),
        (f"{RUN}/obtained/a\x00.json", "control"),
        (f"{RUN}/obtained/a\n.json", "control"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str, words: str) -> None:
    """Absolute paths, parents, backslashes, drive letters, streams and control characters."""
    path = tmp_path / "a.zip"
    stand_in = name.replace("\x00", "Z")
    write_zip(path, {**HONEST, stand_in: b"x"})
    if stand_in != name:  # zipfile itself would cut the name at the zero
        path.write_bytes(path.read_bytes().replace(stand_in.encode(), name.encode()))
    refused(path, tmp_path / "out", words)


@pytest.mark.parametrize(
    "name",
    [
        f"{RUN}/obtained/conftest.py",
        f"{RUN}/obtained/test_a.py/video.cpu.so",
        f"{RUN}/golden/x.exe",
        f"{RUN}/obtained/ünï.json",
        f"{RUN}/obtained/a;b.json",
    ],
)
def test_strange_files_among_the_clips_are_refused(tmp_path: Path, name: str) -> None:
    """Below obtained/ and golden/ there is only what seedpin writes, under names that it gives."""
    refused(write_zip(tmp_path / "a.zip", {**HONEST, name: b"x"}), tmp_path / "out", "would not write")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (stat.S_IFLNK, "a link"),
        (stat.S_IFIFO, "neither a file nor a folder"),
        (stat.S_IFCHR, "neither a file nor a folder"),
        (stat.S_IFSOCK, "neither a file nor a folder"),
        (stat.S_IFDIR, "a folder by its name or by its kind"),
    ],
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: int, words: str) -> None:
    """A member is a file or a folder; a link would lead a later member out."""

    def change(info: zipfile.ZipInfo) -> None:
        info.external_attr = ((kind if info.filename.endswith("webp") else stat.S_IFREG) | 0o644) << 16

    refused(write_zip(tmp_path / "a.zip", HONEST, change), tmp_path / "out", words)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("a.json", "a.json", "twice"),
        ("a.json", "A.json", "twice"),
        ("\u00e9.json", "e\u0301.json", "twice"),
        ("a.json", "a.json/", "twice"),
        ("a.json", "a.json/b.json", "as a file and as a folder"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_are_one_file_are_refused(tmp_path: Path, first: str, second: str, words: str) -> None:
    """The same name twice, also where only a file system that ignores case or composition sees it."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in HONEST.items():
            archive.writestr(name, data)
        for name in (first, second):
            archive.writestr(f"{RUN}/obtained/{name}", b"")
    refused(path, tmp_path / "out", words)


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    """100 MiB of zeros in 100 kB are refused before they are unpacked."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in HONEST.items():
            archive.writestr(name, data)
        with archive.open(f"{RUN}/obtained/test_a.py/big.cpu.json", "w") as member:
            for _ in range(100):
                member.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    refused(path, tmp_path / "out", "which claims 104857600 bytes")


def test_many_small_bombs_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What all members claim together counts, too."""
    monkeypatch.setattr(zips, "RATIO_MATTERS_FROM", 1 << 20)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in HONEST.items():
            archive.writestr(name, data)
        for index in range(20):
            archive.writestr(f"{RUN}/obtained/{index}.json", bytes(1 << 20))
    refused(path, tmp_path / "out", "claims to hold")


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of members is bounded, whatever their size."""
    monkeypatch.setattr(zips, "MOST_MEMBERS", 4)
    refused(write_zip(tmp_path / "a.zip", HONEST), tmp_path / "out", "holds 5 members")


@pytest.mark.parametrize("limit", ["LARGEST_MEMBER", "LARGEST_TOTAL"])
def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """One member, and all together, may claim only so much."""
    monkeypatch.setattr(zips, limit, 3)
    refused(write_zip(tmp_path / "a.zip", HONEST), tmp_path / "out", "claim")


def test_more_than_the_disk_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that does not fit is refused before the disk is full."""
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 3}))
    refused(write_zip(tmp_path / "a.zip", HONEST), tmp_path / "out", "free")


def central_sizes(path: Path, name: str, size: int) -> None:
    """Changes the unpacked size of a member in the zip's list of members."""
    data = bytearray(path.read_bytes())
    at = data.rindex(name.encode()) - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    struct.pack_into("<I", data, at + 24, size)
    path.write_bytes(data)


@pytest.mark.parametrize("claimed", [1, 5000])
def test_a_size_that_is_not_what_comes_out_is_refused(tmp_path: Path, claimed: int) -> None:
    """A member longer or shorter than it claims is refused; its bytes beyond the claim are not written."""
    name = f"{RUN}/obtained/test_a.py/x.json"
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in {**HONEST, name: b"x" * 3000}.items():
            archive.writestr(member, data)
    central_sizes(path, name, claimed)
    (tmp_path / "out").mkdir()
    with pytest.raises(RunError, match=r"nothing of it was used|cannot be read"):
        extract_run(path, tmp_path / "out")
    assert all(
        len(data) <= claimed for key, data in files_below(tmp_path / "out").items() if key.endswith("/x.json")
    )


def test_members_that_overlap_are_refused(tmp_path: Path) -> None:
    """Many members that share the same bytes (the bomb without recursion) are refused."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in HONEST.items():
            archive.writestr(name, data)
        archive.writestr(f"{RUN}/obtained/a.json", b"x" * 4000)
        first = archive.getinfo(f"{RUN}/obtained/a.json")
        for index in range(5):
            copy = zipfile.ZipInfo(f"{RUN}/obtained/b{index}.json")
            copy.compress_size = copy.file_size = 4000
            copy.CRC, copy.header_offset = first.CRC, first.header_offset
            archive.filelist.append(copy)
            archive.NameToInfo[copy.filename] = copy
    refused(path, tmp_path / "out", "overlap")


def test_encryption_and_other_methods_are_refused(tmp_path: Path) -> None:
    """seedpin reads stored and deflated members, nothing else."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name, data in HONEST.items():
            archive.writestr(name, data)
    refused(path, tmp_path / "out", "packed in a way")
    write_zip(path, HONEST)
    marked = bytearray(path.read_bytes())
    marked[marked.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(marked)
    refused(path, tmp_path / "out2", "encrypted")


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    """Bytes that rotted on the way are noticed."""
    path = write_zip(tmp_path / "a.zip", HONEST)
    path.write_bytes(path.read_bytes().replace(b"RIFF", b"RIFX"))
    (tmp_path / "out").mkdir()
    with pytest.raises(RunError, match="cannot be read as a zip"):
        extract_run(path, tmp_path / "out")


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_zip_with_a_run_is_told(tmp_path: Path, data: bytes) -> None:
    """No zip, and a zip without a run, are told apart from each other and from a crash."""
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path / "a.zip", tmp_path / "out", "no run" if len(data) == 22 else "cannot be read as a zip")


def test_runs_in_several_places_need_a_choice(tmp_path: Path) -> None:
    """Artifacts of several jobs in one zip are not mixed up."""
    members = {f"{job}/{name}": data for job in ("h100", "b200") for name, data in HONEST.items()}
    refused(write_zip(tmp_path / "a.zip", members), tmp_path / "out", "2 places: b200/runs, h100/runs")
