"""The battery: under ``portable`` this machine computes the bits that others computed.

The digests of ``tests/data/bits/portable-*.json`` come from real machines, so far of one vendor: AMD Zen 4
and Zen 5. No Intel CPU has run the battery yet; what is known of one is in ``tests/models/test_intel.py``.
Those of replaced operations (square roots, ...) are what IEEE 754 defines, as computed on the Zen 5.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from support import bits

TESTS = Path(__file__).parents[1]
MEASURED = sorted((TESTS / "data" / "bits").glob("portable-*.json"))
REPORT = (
    "The profile 'portable' is not exact on this CPU. Please report it, with the output of "
    "`PYTHONPATH=tests python -m support.bits portable`. The operation needs an entry in "
    "seedpin.pinning.kernels: a replacement, or a refusal."
)


@pytest.fixture(scope="module")
def here() -> dict[str, Any]:
    """The battery as run on this machine, in a fresh process."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("the profile 'portable' exists on x86-64 only")
    if torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "NO AVX"):
        pytest.skip("the profile 'portable' needs AVX2, which this CPU lacks")
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "support.bits", "portable"],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _promised(digests: Mapping[str, str]) -> dict[str, str]:
    """Without what ``portable`` does not cover: of NumPy it promises square roots alone."""
    return {
        family: digest for family, digest in digests.items() if family.startswith(("torch ", "numpy sqrt "))
    }


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.stem.removeprefix("portable-"))
def test_this_machine_computes_the_bits_of_another(path: Path, here: dict[str, Any]) -> None:
    """Every case that the profile covers has the digest that was measured there."""
    there = json.loads(path.read_text(encoding="utf-8"))
    versions = there["machine"]["torch"], here["machine"]["torch"]
    if len(set(versions)) > 1:
        pytest.skip(f"the digests are of torch {versions[0]}, this is {versions[1]}: they say nothing of it")
    differing = bits.differing(_promised(there["digests"]), _promised(here["digests"]))
    where = f"{here['machine']['cpu']} against {there['machine']['cpu']}"
    assert not differing, f"{where}: {len(differing)} cases differ: {', '.join(differing[:20])}. {REPORT}"


def test_the_battery_is_whole() -> None:
    """The measured files hold 6,464 cases; those of before the replacements leave out exactly these."""
    counts = {
        path.stem: [
            digest
            for line in json.loads(path.read_text(encoding="utf-8"))["digests"].values()
            for digest in line.split()
        ]
        for path in MEASURED
    }
    assert len(counts["portable-amd-zen5"]) == 6464
    assert len([digest for digest in counts["portable-amd-zen4"] if digest != "-"]) == 5802


def test_a_difference_names_its_case() -> None:
    """A digest that differs is told as operation, dtype and number; cases left out are none."""
    assert bits.differing({"torch sqrt float32": "a b - d"}, {"torch sqrt float32": "a c c e"}) == [
        "torch sqrt float32 [1]",
        "torch sqrt float32 [3]",
    ]
