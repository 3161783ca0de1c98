"""Kills updates of goldens at random instants, and looks whether the next read is all old or all new.

    python benchmarks/kill_updates.py --updates 1000 --sessions 20

An update replaces two goldens of each of two tests at once, as one `seedpin accept` does. A child process
writes it; after a random time it gets KILL, TERM or INT, in turns, until so many were killed before their
end. After each, all four goldens are read as any process reads them, down to their pixels. *Torn*: one cannot
be read. *Mixed*: they are of different updates. *Lost*: an update whose end was told is gone. Sessions are
whole runs of `pytest --update-golden`, killed likewise.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np

from seedpin.clip.adapt import as_clip
from seedpin.errors import GoldenError
from seedpin.goldens.content import load as load_clip
from seedpin.goldens.inventory import verify_entry, walk_goldens
from seedpin.goldens.store import GoldenKey, GoldenStore, StagedGolden
from support.goldens import stage_clip

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
KEYS = [GoldenKey(f"test_a.py::test_{test}", check, "cpu-one") for test in "ab" for check in ("one", "two")]
VERSIONS = 8

MODEL = """
import os
import numpy as np
import pytest

SHIFT = int(os.environ["SHIFT"])


@pytest.mark.seed(7)
@pytest.mark.parametrize("test", ["a", "b"])
def test_clip(test, seeded_model, golden_video):
    def generate(frames):
        noise = np.random.randint(0, 100, (frames, 32, 32, 3))
        return (noise + 10 * SHIFT).astype(np.uint8)

    model = seeded_model(generate)
    golden_video.check(model(4), "one", fps=8)
    golden_video.check(model(3), "two", fps=8)
"""


def stage_version(folder: Path, version: int) -> list[StagedGolden]:
    """Four staged goldens whose pixels tell their version."""
    changes = []
    for index, key in enumerate(KEYS):
        random_ = np.random.default_rng(index)
        pixels = random_.integers(0, 100, (3 + index, 48, 48, 3)).astype(np.uint8)
        pixels[..., 0] = version
        path = stage_clip(folder, key, as_clip(pixels, fps=8))
        changes.append(StagedGolden(path, key, None, force=True))
    return changes


def read_versions(store: GoldenStore) -> list[int | None]:
    """The version that each golden is of. Raises GoldenError where one is torn."""
    found: list[int | None] = []
    for key in KEYS:
        golden = store.read(key)
        found.append(None if golden is None else int(load_clip(golden).frames[0, 0, 0, 0]))
    return found


def write_in_child(write: Callable[[], None]) -> tuple[int, int]:
    """Starts ``write`` in a child; gives its process id, and a pipe that tells its begin and its end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    code = 1
    try:
        os.close(reading)
        os.write(writing, b"b")
        write()
        os.write(writing, b"d")
        code = 0
    except KeyboardInterrupt:
        code = 130
    finally:
        os._exit(code)


def kill_updates(folder: Path, count: int, seed: int) -> Counter[str]:
    store = GoldenStore(folder / "golden", folder / ".seedpin")
    versions = [stage_version(folder / f"staged-{version}", version) for version in range(VERSIONS)]
    store.write_goldens(versions[0])
    began = time.perf_counter()
    for version in (1, 2, 3, 0):
        store.write_goldens(versions[version])
    usual = (time.perf_counter() - began) / 4
    choose, tally = random.Random(seed), Counter[str]()
    current = 0
    number = 0
    while tally["killed in the middle"] < count:
        number += 1
        new = (current + 1) % VERSIONS
        child, told = write_in_child(lambda new=new: store.write_goldens(versions[new]))  # type: ignore[misc]
        os.read(told, 1)
        time.sleep(choose.uniform(0, usual))
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, SIGNALS[number % len(SIGNALS)])
        os.waitpid(child, 0)
        done = os.read(told, 1) == b"d"
        os.close(told)
        tally["had ended already" if done else "killed in the middle"] += 1
        try:
            found = read_versions(GoldenStore(store.root, store.state))
        except GoldenError as error:
            tally["torn"] += 1
            print(f"torn at {number}: {error.what}")
            store.write_goldens(versions[current])
            continue
        if len(set(found)) > 1 or found[0] not in (current, new):
            tally["mixed"] += 1
            print(f"mixed at {number}: {found}, was {current}, was to be {new}")
            store.write_goldens(versions[current])
            continue
        tally["lost"] += done and found[0] != new
        tally["all new" if found[0] == new else "all old"] += 1
        current = found[0] if found[0] is not None else current
    return tally


def kill_sessions(folder: Path, count: int, seed: int) -> Counter[str]:
    """As ``kill_updates``, of whole pytest sessions; a test's goldens have to be of one session."""
    (folder / "test_clips.py").write_text(MODEL, encoding="utf-8")
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--update-golden",
        "--golden-probe=off",
        "-p",
        "no:xdist",
    ]
    command += ["-p", "no:randomly", "-p", "no:cacheprovider", "--golden-allow-ci"]

    def start(shift: int) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "SHIFT": str(shift)}
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)

    def digests() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for entry in walk_goldens(folder / "golden").entries:
            store = GoldenStore(folder / "golden", folder / ".seedpin")
            assert entry.manifest is not None
            golden = store.read(GoldenKey(entry.manifest.test, entry.manifest.check, entry.device_class))
            assert golden is not None
            problem = verify_entry(entry)
            if problem:
                raise GoldenError(problem)
            found.setdefault(entry.manifest.test, []).append(golden.manifest.digest)
        return found

    known: dict[str, list[dict[str, list[str]]]] = {}
    usual = 0.0
    for shift in (1, 2):
        began = time.perf_counter()
        assert start(shift).wait() == 0
        usual = time.perf_counter() - began
        known.setdefault("versions", []).append(digests())
    tally, choose = Counter[str](), random.Random(seed)
    for number in range(count):
        shift = number % 2 + 1
        session = start(shift)
        time.sleep(choose.uniform(0.5, 1.1) * usual)
        session.send_signal(SIGNALS[number // 2 % len(SIGNALS)])
        tally["had ended already" if session.wait() == 0 else "killed in the middle"] += 1
        try:
            found = digests()
        except (GoldenError, AssertionError) as error:
            tally["torn"] += 1
            print(f"torn in session {number}: {error}")
            continue
        for test, values in found.items():
            whole = any(values == version[test] for version in known["versions"])
            tally["tests whole" if whole else "mixed"] += 1
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    bad = 0
    for what, count, kill in (
        ("updates", arguments.updates, kill_updates),
        ("pytest sessions", arguments.sessions, kill_sessions),
    ):
        if not count:
            continue
        with tempfile.TemporaryDirectory(prefix="seedpin-kill-") as folder:
            began = time.perf_counter()
            tally = kill(Path(folder), count, arguments.seed)
            seconds = time.perf_counter() - began
        bad += tally["torn"] + tally["mixed"] + tally["lost"]
        rest = ", ".join(
            f"{tally[word]} {word}" for word in sorted(tally) if word not in ("torn", "mixed", "lost")
        )
        print(f"{count} {what} in {seconds:.0f} s: {rest}")
        print(f"  {tally['torn']} torn, {tally['mixed']} mixed, {tally['lost']} lost")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
