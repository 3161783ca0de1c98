"""Files from elsewhere, mutated in every place: an error with a slug, or what they say; never a traceback."""

from __future__ import annotations

import copy
import json
import os
import random
import re
import shutil
import signal
import unicodedata
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from click.testing import CliRunner

from seedpin.cli import cli
from seedpin.cli._shared import print_json, print_table
from seedpin.clip import codec
from seedpin.clip.codec import decode
from seedpin.clip.webp import encode_webp
from seedpin.environment.fingerprint import Environment, EnvironmentChange
from seedpin.errors import DamagedGoldenError, NewerFormatError, RunError, SeedpinError, TraceError
from seedpin.goldens.content import load as load_clip
from seedpin.goldens.content import verify_content
from seedpin.goldens.inventory import verify_entry, walk_goldens
from seedpin.goldens.manifest import from_json, to_json
from seedpin.goldens.store import GoldenKey, read_golden
from seedpin.kinds.clip import CLIP
from seedpin.plugin.publish import _properties
from seedpin.printing import printable, printable_json
from seedpin.records import as_plain
from seedpin.report.data import view_check, view_row, view_run
from seedpin.report.github import summary, workflow_commands
from seedpin.report.html import write_report
from seedpin.report.terminal import format_summary, format_tally
from seedpin.run.ledger import Run, decidable
from seedpin.run.message import format_failure
from seedpin.run.opening import checked_results
from seedpin.run.unused_goldens import whole_run
from seedpin.trace.model import Fingerprint, ModuleInfo, Record, Trace, Value
from seedpin.trace.storage import from_bytes, to_bytes
from support.goldens import stage
from support.report_runs import CPU, DIVERGENCE, RunFolder, moving_shapes, speckled

KEY = GoldenKey("test_a.py::test_a", "video", "cpu-one")
JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    1 << 62,
    1e308,
    "",
    "x",
    "\x1b[31m\n::error::",
    [],
    [1],
    {},
    {"a": 1},
)
RAW = ("NaN", "-Infinity", "1e999", '"\\ud800"', "1" + "0" * 30, "[" * 5000 + "]" * 5000)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value within ``value``."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in inner:
        yield from places(entry, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of ``value`` with another value in one place; ``...`` leaves it out."""
    if not path:
        return new
    result = copy.deepcopy(value)
    inner = result
    for key in path[:-1]:
        inner = inner[key]
    if new is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return result


def mutations(value: Any) -> Iterator[str]:
    """JSON texts of ``value`` with one place changed each."""
    for path in places(value):
        for junk in (*JUNK, *((...,) if path else ())):
            yield json.dumps(replaced(value, path, junk))
        for raw in RAW[len(str(path)) % 2 :: 2]:
            yield json.dumps(replaced(value, path, "@@")).replace('"@@"', raw)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with one check that has all that a record can hold."""
    folder = RunFolder(tmp_path / ".seedpin")
    clip = moving_shapes(3, 16, 24)
    folder.add(
        "t.py::test_a",
        clip,
        speckled(clip, 1, (2, 2, 6, 6)),
        "changed",
        device=CPU,
        tolerance={"psnr": 80},
        divergence=DIVERGENCE,
        environment_changes=(EnvironmentChange("torch", "2.6", "2.7", True),),
        hints=("shifted",),
    )
    return folder.run


def use(run: Run) -> None:
    """All that is made of a run's records."""
    results = checked_results(run)
    decidable(run)
    view_run(run.id, run.read_meta(), results)
    for result in results:
        view_check(view_row(0, result), result, run=run.id, run_path="x").as_dict()
    format_summary(results)
    format_tally(results)
    summary(results, run_folder="x")
    workflow_commands(results)
    json.dumps([result.as_dict() for result in results], allow_nan=False).encode()


def test_a_record_with_anything_anywhere_is_refused_or_shown(run: Run) -> None:
    """Each field of a record in turn holds junk; what is not refused can be shown in every form."""
    record = json.loads(run.results_path.read_text().splitlines()[0])
    refused = 0
    for text in islice(mutations(record), 0, None, 4):
        run.results_path.write_text(f"{text}\n")
        try:
            use(run)
        except RunError:
            refused += 1
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} of {text[:3000]}") from error
    assert refused > 100


def test_meta_with_anything_anywhere_is_read_or_left_out(run: Run) -> None:
    """Each field of run.json in turn holds junk."""
    meta = {
        **as_plain(run.read_meta()),
        "complete": True,
        "claimed": ["x"],
        "skipped": ["y"],
        "partial_because": ["z"],
    }
    for text in islice(mutations(meta), 0, None, 2):
        (run.path / "run.json").write_text(text)
        try:
            use(run)
            whole_run(run, "golden")
        except SeedpinError:
            pass
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} of {text[:3000]}") from error


def test_a_manifest_with_anything_anywhere_is_damaged_or_means_what_it_says(tmp_path: Path) -> None:
    """Each field of a manifest in turn holds junk: no traceback, and no frames but those of its digests."""
    path = stage(tmp_path, KEY, 50)
    data = json.loads(path.read_text())
    data |= {
        "environment": {"moves_bits": {"torch": "2"}},
        "accepted": [{"digest": "sha256:aa", "reason": "x"}],
    }
    data |= {"seed": 7, "level": "strict", "profile": "native", "tolerance": {"psnr": 60}}
    damaged = 0
    for text in islice(mutations(data), 0, None, 3):
        path.write_text(text)
        try:
            golden = read_golden(path)
            assert golden is not None
            verify_content(golden)
            Environment.of(golden.manifest.environment)
            golden.manifest.known_bad_digests()
            from_json(to_json(golden.manifest).encode(), path)
        except (DamagedGoldenError, NewerFormatError):
            damaged += 1
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} of {text[:3000]}") from error
        for entry in walk_goldens(tmp_path).entries:
            verify_entry(entry)
    assert damaged > 60


@pytest.mark.parametrize("frames", [1, 2])
def test_frames_with_any_byte_changed_are_damaged_or_the_same(tmp_path: Path, frames: int) -> None:
    """Flipped, cut and inserted bytes of a payload, its digests made right: damaged, or the very frames."""
    path = stage(tmp_path, KEY, 50, frames=frames)
    manifest = from_json(path.read_bytes(), path)
    payload = path.parent / manifest.files["frames"].name
    good = payload.read_bytes()
    golden = read_golden(path)
    assert golden is not None
    choose = random.Random(0)
    for _ in range(600):
        data = bytearray(good)
        for _ in range(choose.randint(1, 3)):
            at = choose.randrange(len(data))
            how = choose.randrange(4)
            if how == 0:
                data[at] ^= 1 << choose.randrange(8)
            elif how == 1:
                del data[at : at + choose.randint(1, 8)]
            elif how == 2:
                data[at:at] = choose.randbytes(4)
            else:
                data[at : at + 4] = b"\xff\xff\xff\x7f"
            data = data or bytearray(b"x")
        payload.write_bytes(bytes(data))
        try:
            load_clip(golden)
        except DamagedGoldenError:
            continue
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} of {bytes(data)!r}") from error


def test_a_trace_with_anything_in_its_head_is_refused_or_read() -> None:
    """Junk in every place of a trace's head, and any byte changed with its digest made right."""
    import struct
    import zlib

    from xxhash import xxh3_64_intdigest

    seen = Fingerprint("00" * 16, "float32", (2, 3))
    record = Record("module", "dit", 0, 0, "", 1, (("x", seen),), (("out", Value("1")),), "w", "a.py:1", {})
    trace = Trace(
        "stages", (record,), (ModuleInfo("dit", "DiT", {"a": "1"}),), {"dit": "w"}, ("note",), {"m": "1"}
    )
    data = to_bytes(trace)
    header = struct.Struct("<8sHQ")
    raw = zlib.decompress(data[header.size :])
    (length,) = struct.unpack_from("<I", raw)
    head, rest = json.loads(raw[4 : 4 + length]), raw[4 + length :]

    def packed(body: bytes) -> bytes:
        body = zlib.compress(body, 1)
        magic, version, _ = header.unpack_from(data)
        return header.pack(magic, version, xxh3_64_intdigest(body)) + body

    def read(body: bytes) -> None:
        try:
            to_bytes(from_bytes(packed(body)))
        except TraceError:
            pass
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} of {body[:2000]!r}") from error

    assert from_bytes(packed(raw)) == trace
    for text in islice(mutations(head), 0, None, 2):
        blob = text.encode()
        read(struct.pack("<I", len(blob)) + blob + rest)
    choose = random.Random(0)
    for _ in range(600):
        changed = bytearray(raw)
        for _ in range(choose.randint(1, 3)):
            changed[choose.randrange(len(changed))] = choose.choice((0, 1, 255, choose.randrange(256)))
        read(bytes(changed))


def test_a_trace_that_unpacks_to_much_more_than_it_holds_is_refused() -> None:
    """A small file cannot fill the memory."""
    import struct
    import zlib

    from xxhash import xxh3_64_intdigest

    body = zlib.compress(bytes(300 << 20), 9)
    with pytest.raises(TraceError, match="unpacks to more"):
        from_bytes(struct.pack("<8sHQ", b"SPTRACE\x00", 1, xxh3_64_intdigest(body)) + body)


@pytest.fixture
def alarm() -> Iterator[None]:
    """An open of a pipe that nobody writes to would wait for ever."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise AssertionError("it waits for a pipe")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("what", ["manifest", "payload"])
def test_a_pipe_in_the_place_of_a_golden_is_damaged(tmp_path: Path, what: str) -> None:
    """Pipes are never opened."""
    path = stage(tmp_path, KEY, 50)
    manifest = from_json(path.read_bytes(), path)
    victim = path if what == "manifest" else path.parent / manifest.files["frames"].name
    victim.unlink()
    os.mkfifo(victim)
    with pytest.raises(DamagedGoldenError, match="a pipe"):
        read_golden(path)
    assert [entry for entry in walk_goldens(tmp_path).entries if "a pipe" in verify_entry(entry)]


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("name", ["results.jsonl", "run.json", "decisions.jsonl"])
@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_a_pipe_or_folder_in_the_place_of_a_record_is_told(run: Run, name: str, kind: str) -> None:
    """Records that are no files are an error, or as if they were not there."""
    path = run.path / name
    path.unlink(missing_ok=True)
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    try:
        use(run)
        run.decisions()
    except RunError:
        assert name == "results.jsonl"


def test_frames_larger_than_their_facts_take_no_memory(tmp_path: Path) -> None:
    """Pictures of another size than the manifest tells are refused by their headers alone."""
    import tracemalloc

    import numpy as np

    large = encode_webp(np.zeros((4096, 4096, 3), np.uint8))
    assert len(large) < 5000
    path = stage(tmp_path, KEY, 50, frames=1)
    golden = read_golden(path)
    assert golden is not None
    golden.file("frames").write_bytes(large)
    tracemalloc.start()
    with pytest.raises(DamagedGoldenError, match="4096x4096"):
        load_clip(golden)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_facts_that_ask_for_much_are_refused_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a thousand million frames that are not there nor more than the machine holds take any."""
    import tracemalloc

    small = stage(tmp_path, KEY, 50)
    manifest = from_json(small.read_bytes(), small)
    payload = small.parent / manifest.files["frames"].name
    tracemalloc.start()
    facts = {**manifest.facts, "frames": 10**9, "height": 1, "width": 1}
    with pytest.raises(DamagedGoldenError, match=r"holds 2 members|the limit on this machine"):
        decode(payload, "zip", facts)
    monkeypatch.setattr(codec, "_memory", lambda: 8 << 30)
    with pytest.raises(DamagedGoldenError, match=r"the limit on this machine is 4\.0"):
        decode(payload, "zip", {**manifest.facts, "frames": 1000, "height": 4000, "width": 4000})
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(("gigabytes", "refused"), [(4, True), (64, False)])
def test_what_a_picture_takes_to_be_decoded_is_bounded_too(
    monkeypatch: pytest.MonkeyPatch, gigabytes: int, refused: bool
) -> None:
    """Libwebp and Pillow take up to 24 bytes for each pixel of a picture that is a few bytes in its file."""
    import numpy as np

    side = 16383
    facts = {"frames": 1, "height": side, "width": side, "channels": 3, "dtype": "uint8", "fps": None}
    # 0.8 GB of pixels, 6 to decode them; the header alone is right, so that nothing is decoded here
    small = bytearray(encode_webp(np.zeros((8, 8, 3), np.uint8)))
    small[21:25] = ((side - 1) | (side - 1) << 14).to_bytes(4, "little")
    monkeypatch.setattr(codec, "_memory", lambda: gigabytes << 30)
    monkeypatch.setattr(codec, "decode_webp", _decoded)
    with pytest.raises(DamagedGoldenError) as caught:
        decode(bytes(small), "webp", facts)
    assert ("6.7 GiB of memory to decode" in caught.value.what) == refused
    assert ("on a machine with more memory" in caught.value.hint) == refused


def _decoded(*arguments: object) -> None:
    raise DamagedGoldenError("it came to decoding")


def test_a_containers_limit_bounds_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a container has less memory than its machine, that is what counts; "max" is no limit."""
    one, two = tmp_path / "memory.max", tmp_path / "limit"
    one.write_text("1048576\n")
    two.write_text("max\n")
    monkeypatch.setattr(codec, "_CONTAINER", (str(one), str(two), str(tmp_path / "absent")))
    assert codec._memory() == 1 << 20


def test_a_golden_of_quite_another_size_is_not_decoded_for_hints() -> None:
    """A check that is incomparable by its facts takes no gigabytes to say what the golden looks like."""
    clip = CLIP.adapt(moving_shapes(2, 16, 24))
    assert CLIP.can_hint(CLIP.facts(clip), clip)
    assert not CLIP.can_hint({**CLIP.facts(clip), "frames": 1, "height": 16383, "width": 16383}, clip)


def test_linked_folders_are_walked_where_pytest_reads_them(tmp_path: Path) -> None:
    """A golden folder behind a link is verified; links in a circle end."""
    real, root = tmp_path / "real", tmp_path / "golden"
    path = stage(real, KEY, 50)
    root.mkdir()
    folder = KEY.stem.partition("/")[0]
    (root / folder).symlink_to(real / folder)
    (real / folder / "again").symlink_to(real)
    found = walk_goldens(root)
    assert f"{KEY.stem}.json" in {f"{entry.stem}.json" for entry in found.entries}
    assert len(found.entries) < 10
    shutil.rmtree(path.parent)


NAMES = (
    "\x1b[2Jx",
    "a\n::error::b",
    "a\r\nb",
    "a\x9b31mb",
    "a\u202eb",
    "a\u2028b",
    "a\u200bb",
    "x|`[y](http://z)<b>",
)


def tricks(text: str, *, lines: bool = False) -> list[str]:
    """What could move a cursor, hide or reorder text, or begin a command of CI, without ``printable``."""
    kept = "\n\t" if lines else ""
    found = [char for char in text if unicodedata.category(char)[0] in "CZ" and char not in (" ", *kept)]
    return found + re.findall(r"(?m)^[ \t]*(?:::|##\[)", text)


@pytest.mark.parametrize("name", NAMES[:-1])
def test_printable_spells_out_every_trick(name: str) -> None:
    """A name with tricks is one line without any; with ``lines`` it keeps its line feeds alone."""
    assert tricks(name)
    assert not tricks(printable(name))
    assert not tricks(printable(name, lines=True), lines=True)
    assert printable(name, lines=True).count("\n") == name.count("\n")
    assert not tricks(printable_json(json.dumps(name, ensure_ascii=False)))
    assert json.loads(printable_json(json.dumps(name, ensure_ascii=False))) == name


def test_printable_leaves_what_is_harmless() -> None:
    """Letters of any script, picture characters and spaces are printed as they are."""
    for text in ("a b", "\u00e4\u00f6\u00fc \u65e5\u672c\u8a9e \U0001f600", "a::b ##[x]"):
        assert printable(text) == printable(text, lines=True) == text


@pytest.mark.parametrize("name", NAMES)
def test_names_are_printed_without_their_tricks(run: Run, tmp_path: Path, name: str) -> None:
    """Escape codes, line feeds and marks of direction in names reach no terminal, summary, page or XML."""
    record = json.loads(run.results_path.read_text().splitlines()[0])
    record |= {"test": f"t.py::{name}", "check": name, "reasons": [name], "hints": [name], "message": name}
    record |= {"location": f"t.py{name}:3", "device_class": name}
    record["divergence"] |= {"sentence": name, "place": name, "hints": [name]}
    run.results_path.write_text(json.dumps(record) + "\n")
    results = checked_results(run)
    for result in results:
        failure = format_failure(result, golden_dir="golden", run_folder="x")
        assert not tricks(failure, lines=True)
        properties = [str(part) for pair in _properties(result) for part in pair]
        assert [found for text in properties for found in tricks(text)] == []
    for line in format_summary(results):
        assert not tricks(line)
    for line in workflow_commands(results):
        assert line.startswith("::")
        assert not tricks(line[2:])
    text = summary(results, run_folder="x")
    assert not tricks(text, lines=True)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [6, 6, 6, 4, 4, 4]  # checks, environment
    error = str(RunError(f"{name} it broke", hint=f"see {name}"))
    assert not tricks(error, lines=True)
    page = write_report(run, tmp_path / "report")
    shown = (page.parent / "data" / "0.js").read_text()
    shown = shown.replace(json.dumps(result.id)[1:-1], "").replace("\\\\", "")  # what is spelled out is text
    assert not {"\\u001b", "\\u009b", "\\u202e", "\\u2028", "\\u200b"} & set(
        re.findall(r"\\u[0-9a-f]{4}", shown)
    )


@pytest.mark.parametrize("terminal", [False, True])
def test_tables_print_names_without_their_tricks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    """A cell of a table is one line, in a terminal and in a pipe; JSON spells out and means the same."""
    monkeypatch.setattr("seedpin.cli._shared.on_terminal", lambda: terminal)
    print_table(["name", "other"], [[name, "x"] for name in NAMES])
    assert not tricks(capsys.readouterr().out, lines=True)
    print_json({"names": NAMES})
    told = capsys.readouterr().out
    assert not tricks(told, lines=True)
    assert json.loads(told) == {"names": list(NAMES)}


@pytest.mark.parametrize("name", NAMES[:-1])
def test_commands_print_names_without_their_tricks(tmp_path: Path, name: str) -> None:
    """What `seedpin` prints is one line for one thing, whatever it is called."""
    stage(tmp_path / "golden", GoldenKey(f"t.py::{name}", name, "cpu-one"), 50)
    for arguments in (["show", "t.py"], ["status"], ["verify"], ["status", "--json"], ["show", name]):
        done = CliRunner().invoke(cli, [*arguments, "--root", str(tmp_path)])
        text = f"{done.output}{done.exception or ''}"
        assert not tricks(text, lines=True), arguments
