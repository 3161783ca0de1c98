"""``seedpin.check``: the same check where there is no pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import numpy.typing as npt
import pytest

import seedpin
from seedpin.errors import NonFiniteClipError, UnpinnedClipWarning, UpdateRefusedError, UsageError
from seedpin.goldens.manifest import Born
from seedpin.goldens.store import read_golden
from seedpin.run.ledger import decidable, runs

SCRIPT = """\
import sys
import seedpin, torch

def dream():
    return (255 * torch.rand(3, 8, 8, 3)).to(torch.uint8)

clip = seedpin.seeded_model(dream, seed=7)()
if "--other" in sys.argv:
    clip[1, 2, 3, 0] ^= 64
result = seedpin.check(clip, golden="dreams/red ball", fps=8, update="--update" in sys.argv)
print(result.verdict, result.written)
assert "pytest" not in sys.modules, [name for name in sys.modules if "pytest" in name]
"""

TEST = """\
import seedpin, torch

def test_a(golden_tensors):
    with seedpin.pin(1):
        golden_tensors.check(torch.rand(4))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, as the working folder of somebody who is no CI job."""
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'dreams'\nversion = '1'\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


def pinned(seed: int = 7) -> npt.NDArray[np.uint8]:
    def dream() -> npt.NDArray[np.uint8]:
        return np.random.randint(0, 255, (3, 8, 8, 3), np.uint8)

    clip: npt.NDArray[np.uint8] = seedpin.seeded_model(dream, seed=seed)()
    return clip


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seedpin", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def goldens(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "golden").rglob("*.*")}


def test_a_script_checks_without_pytest(folder: Path) -> None:
    """A script that never imports pytest gets missing, writes on request alone, then passes, and is told how
    its clip changed and what to type in a script."""
    (folder / "dream.py").write_text(SCRIPT, encoding="utf-8")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "dream.py", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    missing = run()
    assert missing.returncode == 1
    assert "golden_video: MISSING  dreams/red ball (video)" in missing.stderr
    assert "next: look at the obtained clip, then: seedpin.check(..., update=True)" in missing.stderr
    assert goldens(folder) == {}
    assert run("--update").stdout == "missing created\n"
    assert run().stdout == "identical None\n"
    changed = run("--other")
    assert changed.returncode == 1
    for line in (
        "golden_video: CHANGED  dreams/red ball (video)",
        "seed 7, strict, at dream.py:10",
        "1 of 3 frames differ, the first is frame 1.",
        'next: if this is meant: seedpin.check(..., update=True, reason="why")',
    ):
        assert line in changed.stderr
    assert "Traceback" in changed.stderr


def test_a_golden_of_a_script_tells_how_it_came_about(folder: Path) -> None:
    """The manifest holds seed, level and environment of the last pin, the reason, and that no fresh process
    ran the script again; its files lie under the name that was given."""
    seedpin.check(pinned(11), golden="dreams/night", fps=8, update=True, reason="first")
    path = next((folder / "golden" / "dreams" / "night").glob("video.*.json"))
    golden = read_golden(path)
    assert golden is not None
    manifest = golden.manifest
    assert (manifest.test, manifest.check, manifest.seed, manifest.level) == (
        "dreams/night",
        "video",
        11,
        "strict",
    )
    assert manifest.born == Born("off", "written by a script, which no fresh process ran again")
    assert manifest.updated.reason == "first"
    assert manifest.environment.moves_bits["deterministic"] == "error"
    assert any(key.startswith("canary.") for key in manifest.environment.moves_bits)


def test_without_update_nothing_is_written_below_golden(folder: Path) -> None:
    """A check that is missing or changed leaves the golden folder as it is; what it obtained waits in a run,
    and can be accepted there."""
    seedpin.check(pinned(), golden="one", fps=8, update=True)
    before = goldens(folder)
    with pytest.raises(seedpin.GoldenMismatch, match="MISSING  two"):
        seedpin.check(pinned(), golden="two", fps=8)
    with pytest.raises(seedpin.GoldenMismatch, match="CHANGED  one"):
        seedpin.check(pinned() ^ 1, golden="one", fps=8)
    assert goldens(folder) == before
    run = runs(folder / ".seedpin")[-1]
    assert {result.id for result in decidable(run)} == {"one::video", "two::video"}
    assert cli("accept", "one::video", "--reason", "meant").returncode == 0
    assert seedpin.check(pinned() ^ 1, golden="one", fps=8).verdict == "identical"


def test_a_check_that_passes_leaves_no_trace_on_disk(folder: Path) -> None:
    """Only what failed or was written makes a run; its own golden is unchanged by an update, too."""
    seedpin.check(pinned(), golden="one", fps=8, update=True)
    before = goldens(folder), {path for path in folder.rglob("*") if path.is_file()}
    assert seedpin.check(pinned(), golden="one", fps=8).passed
    assert seedpin.check(pinned(), golden="one", fps=8, update=True).written is None
    assert (goldens(folder), {path for path in folder.rglob("*") if path.is_file()}) == before


def test_a_manifest_s_path_names_its_golden(folder: Path) -> None:
    """A script may check against a test's golden; the path says which test and check, and which kind."""
    seedpin.check({"latents": np.ones(4)}, golden="latents", fixture="tensors", update=True, allow=("zero",))
    path = next((folder / "golden").rglob("tensors.*.json"))
    assert seedpin.check({"latents": np.ones(4)}, golden=path).verdict == "identical"
    with pytest.raises(seedpin.GoldenMismatch, match="CHANGED  latents"):
        seedpin.check({"latents": np.zeros(4)}, golden=path.relative_to(folder))
    moved = path.rename(path.with_name(f"other{path.name}"))
    with pytest.raises(UsageError, match="does not lie where that would"):
        seedpin.check({"latents": np.ones(4)}, golden=moved)


@pytest.mark.parametrize("name", ["", "a//b", "../out", "test_a.py::test_b", "gone.json"])
def test_a_name_that_is_none_is_refused(folder: Path, name: str) -> None:
    """What would lead out of the golden folder, or be taken for a test's golden, is refused with advice."""
    with pytest.raises(UsageError, match="golden="):
        seedpin.check(pinned(), golden=name, fps=8, update=True)
    assert goldens(folder) == {}


def test_ci_does_not_update(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where CI is set a script's update is refused before anything is compared, as a session's is."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(UpdateRefusedError, match="because the environment variable CI is set"):
        seedpin.check(pinned(), golden="one", fps=8, update=True)
    assert goldens(folder) == {}


def test_what_is_no_clip_raises_as_in_a_test(folder: Path) -> None:
    """NaN is an error of its own, a wrong update mode too; an unpinned clip is warned of."""
    with pytest.raises(NonFiniteClipError):
        seedpin.check(np.full((2, 8, 8, 3), np.nan, np.float32), golden="one", fps=8)
    with pytest.raises(UsageError, match="update='yes' is none of its values"):
        seedpin.check(pinned(), golden="one", fps=8, update="yes")
    code = """\
        import numpy as np, seedpin, warnings
        warnings.simplefilter("error", seedpin.SeedpinWarning)
        seedpin.check(np.zeros((2, 8, 8, 3), np.uint8), golden="one", fps=8)
        """
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=False)
    assert UnpinnedClipWarning.__name__ in done.stderr


def test_prune_keeps_a_script_s_golden(folder: Path) -> None:
    """A whole run of pytest does not show that a script's golden is unused."""
    seedpin.check(pinned(), golden="dreams/one", fps=8, update=True)
    (folder / "test_a.py").write_text(TEST, encoding="utf-8")
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as stream:
        stream.write('[tool.seedpin]\ncpu_profile = "portable"\n')  # as in this process
    for arguments in (["--update-golden", "--golden-probe=off"], []):
        subprocess.run([sys.executable, "-m", "pytest", "-q", *arguments], check=True, capture_output=True)
    said = cli("prune").stdout
    assert "dreams/one" in said
    assert "a script asks for it (seedpin.check)" in said
    assert "0 golden(s) unused" in said
