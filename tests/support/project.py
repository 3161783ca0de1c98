"""A small immutable project on which pytest runs: write files, run, look at what is left."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from seedpin.pinning.profiles import active_profile
from seedpin.process import inherited

MODEL = '''
import os

import numpy as np


def shift():
    return int(os.environ.get("TEST_SHIFT", "0"))


def generate(frames=4, size=24):
    """A ball of a random colour that moves over a gradient."""
    colour = np.random.randint(64, 256, size=3)
    y, x = np.mgrid[0:size, 0:size]
    clip = np.empty((frames, size, size, 3), np.uint8)
    for t in range(frames):
        clip[t] = (4 * x + 2 * y + t)[..., None] % 128
        clip[t][(x - 6 - 2 * t) ** 2 + (y - 12) ** 2 < 20] = colour
    return np.clip(clip.astype(int) + shift(), 0, 255).astype(np.uint8)
'''

TEST = """
import pytest
from model import generate


@pytest.mark.seed(7)
def test_ball(seeded_model, golden_video):
    golden_video.check(seeded_model(generate)(frames=4), fps=8)
"""

# The default, a fresh process at the end of each update, takes seconds: for the tests that are about it.
PYPROJECT = """
[tool.pytest.ini_options]
pythonpath = ["."]
addopts = ""

[tool.seedpin]
cpu_profile = "{profile}"
probe = "{probe}"
"""


def frames_of(manifest: Path) -> Path:
    """The file with the frames of the golden, or obtained clip, whose manifest is given."""
    name: str = json.loads(manifest.read_text(encoding="utf-8"))["files"]["frames"]["name"]
    return manifest.parent / name


def edit_manifest(manifest: Path, **fields: Any) -> None:
    """Gives a golden's manifest other fields, as a bad hand would."""
    data = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({**data, **fields}), encoding="utf-8")


def edit_environment(manifest: Path, **values: str) -> None:
    """Makes a golden one of another environment."""
    environment = json.loads(manifest.read_text(encoding="utf-8"))["environment"]
    environment["moves_bits"].update(values)
    edit_manifest(manifest, environment=environment)


class Project:
    """A folder with a model and a test, and pytest runs on it."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self._pytester = pytester
        self._monkeypatch = monkeypatch
        self.root: Path = pytester.path
        self.profile = active_profile()
        for name in os.environ.keys() - inherited(os.environ, by_itself=True).keys():
            if not name.startswith("COV_CORE_"):  # a measurement of coverage goes on in the project's pytest
                monkeypatch.delenv(name)
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        self.write(
            {
                "model.py": MODEL,
                "test_ball.py": TEST,
                "pyproject.toml": PYPROJECT.format(profile=self.profile, probe="twice"),
            }
        )

    def use_the_default_probe(self) -> None:
        """Lets updates prove their goldens as they do where nothing is set."""
        text = (self.root / "pyproject.toml").read_text(encoding="utf-8")
        self.write({"pyproject.toml": "".join(x for x in text.splitlines(True) if "probe =" not in x)})

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def pytest(
        self,
        *arguments: str,
        workers: int | None = None,
        env: Mapping[str, str] | None = None,
        fresh: bool = False,
    ) -> pytest.RunResult:
        """Runs pytest, in this process unless ``fresh`` or with workers; None: no xdist, 0: ``-n 0``."""
        fixed = ["-p", "no:randomly", "-p", "no:cacheprovider"]
        fixed += ["-W", "default::seedpin.errors.SeedpinWarning"]  # not the error that it is in this project
        fixed += ["-p", "no:xdist"] if workers is None else ["-n", str(workers)]
        with self._monkeypatch.context() as patch:
            for key, value in (env or {}).items():
                patch.setenv(key, value)
            if not workers and not fresh:
                return self._pytester.runpytest_inprocess(*fixed, *arguments)
            return self._pytester.runpytest_subprocess(*fixed, *arguments)

    def bring(self, name: str, group: str, entry: str, version: str = "1.2") -> None:
        """A distribution with one entry point, for fresh processes; its modules lie in ``site``."""
        folder = f"site/{name}-{version}.dist-info"
        self.write(
            {
                f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
                f"{folder}/entry_points.txt": f"[{group}]\n{entry}\n",
            }
        )
        self._monkeypatch.setenv("PYTHONPATH", str(self.root / "site"))

    def golden_files(self) -> dict[str, bytes]:
        """Every file below golden/ with its content."""
        folder = self.root / "golden"
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def manifest(self) -> Path:
        """The only golden's manifest."""
        found = [path for path in (self.root / "golden").rglob("*.json") if path.name.count(".") == 2]
        assert len(found) == 1, found
        return found[0]

    def frames(self) -> Path:
        """The file with the only golden's frames."""
        return frames_of(self.manifest())

    def mint(self, *arguments: str) -> dict[str, bytes]:
        """Writes the goldens and returns the files."""
        result = self.pytest("--update-golden", *arguments)
        assert result.ret == 0, result.stdout.str()
        return self.golden_files()
