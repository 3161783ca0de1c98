"""Size on disk, time to open and browser memory of a report of 200 checks, 49 frames of 480x720 each.

    python benchmarks/report_size.py [--checks 200] [--frames 49] [--keep FOLDER]

Every check is changed, the worst case. The frames of one clip are encoded once and all checks share them in
the run (hard links); the report holds every check's frames as files of their own, as a real one does. Memory
is the proportional set size (PSS) of all of the browser's processes, first with an empty page.

Needs Linux, chromium (or $SEEDPIN_CHROMIUM) and playwright.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from seedpin.clip.clip import Clip
from seedpin.report.html import write_report
from seedpin.run.ledger import Run
from support.report_runs import CPU, DIVERGENCE, RunFolder

if TYPE_CHECKING:
    from playwright.sync_api import Page

ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
MIB = 2**20


def clip(frames: int, drift: float) -> Clip:
    """Smooth moving waves with a little grain: about 0.4 of their raw size as lossless WebP."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:480, 0:720].astype(np.float32)
    grain = rng.normal(0, 3, (480, 720, 1)).astype(np.float32)
    result = np.empty((frames, 480, 720, 3), np.uint8)
    for index in range(frames):
        wave = 60 * np.sin(x / 90 + index / 7) * np.cos(y / 70 - index / 9 + drift * index / frames)
        colours = np.stack([120 + wave, 110 - 0.5 * wave + y / 12, 90 + x / 10], axis=-1)
        result[index] = np.clip(colours + np.roll(grain, index, axis=1), 0, 255)
    return Clip(result, 16.0)


def build(folder: Path, checks: int, frames: int) -> Run:
    """A run whose first check is written in full; the others link to its files."""
    made = RunFolder(folder / ".seedpin")
    first = made.add(
        "tests/test_0.py::test_000",
        clip(frames, 0.0),
        clip(frames, 0.05),
        "changed",
        device=CPU,
        tolerance={"psnr": 45.0},
        divergence=DIVERGENCE,
    )
    for number in range(1, checks):
        test = f"tests/test_{number // 20}.py::test_{number:03d}"
        names: dict[str, Any] = {}
        for side in ("obtained", "golden_copy"):
            source = made.run.path / str(getattr(first, side))
            target = made.run.path / str(getattr(first, side)).replace(
                "test_0.py/test_000", test.replace("::", "/")
            )
            target.parent.mkdir(parents=True)
            for path in source.parent.iterdir():
                os.link(path, target.parent / path.name)
            names[side] = target.relative_to(made.run.path).as_posix()
        made.run.write_result(dataclasses.replace(first, test=test, **names))
    return made.run


def processes(root: int) -> Iterator[int]:
    """All descendants of a process."""
    for task in Path(f"/proc/{root}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from processes(int(child))


def memory() -> tuple[float, float]:
    """PSS of all browser processes below this one, and of those that show pages, in MiB."""
    total = pages = 0
    for process in processes(os.getpid()):
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes()
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        if b"chrom" in command.split(b" ")[0]:
            size = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
            total += size
            pages += size if b"--type=renderer" in command else 0
    return total / 1024, pages / 1024


def until(page: Page, condition: str) -> None:
    end = time.monotonic() + 60
    while not page.evaluate(condition):
        if time.monotonic() > end:
            sys.exit(f"never came true: {condition}")
        page.wait_for_timeout(10)


def measure(index: Path, checks: int) -> None:
    from playwright.sync_api import sync_playwright

    found = os.environ.get("SEEDPIN_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        sys.exit("there is no chromium: apt-get install chromium, or set SEEDPIN_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        page = browser.new_context(offline=True, viewport={"width": 1280, "height": 860}).new_page()
        page.goto("about:blank")
        page.wait_for_timeout(1000)
        empty = memory()
        opened = []
        for _ in range(5):
            start = time.perf_counter()
            page.goto(index.as_uri(), wait_until="commit")
            until(page, "typeof seedpin === 'object' && seedpin.player !== null && seedpin.player.index >= 0")
            opened.append(time.perf_counter() - start)
            page.goto("about:blank")
        page.goto(index.as_uri())
        until(page, "seedpin.player !== null && seedpin.player.index >= 0")
        page.wait_for_timeout(1000)
        after = memory()
        highest = after
        for number in range(1, min(25, checks)):
            page.keyboard.press("j")
            until(page, f"seedpin.check?.row.number === {number} && seedpin.player.index >= 0")
            highest = max(highest, memory())
        page.keyboard.press("Space")
        for _ in range(12):
            page.wait_for_timeout(500)
            highest = max(highest, memory())
        print(f"open, list and first frames on the screen: median {sorted(opened)[2]:.2f} s of 5")
        print("browser memory (PSS)        all processes   the page's process")
        rows = (("empty page", empty), ("report open", after), ("24 checks, 6 s played", highest))
        for label, (total, pages) in rows:
            print(f"  {label:<24}  {total:>7.0f} MiB  {pages:>12.0f} MiB")
        print(
            f"{browser.version} on {platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"
        )
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--checks", type=int, default=200)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--keep", type=Path, help="build here, and leave it")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="seedpin-report-"))
    try:
        run = build(folder, options.checks, options.frames)
        start = time.perf_counter()
        index = write_report(run)
        seconds = time.perf_counter() - start
        sizes = [path.stat().st_size for path in index.parent.rglob("*") if path.is_file()]
        frames = [path.stat().st_size for path in (index.parent / "media").rglob("*.webp")]
        raw = len(frames) * 480 * 720 * 3
        all_, media = sum(sizes) / MIB, sum(frames) / MIB
        print(f"{options.checks} checks, {options.frames} frames of 480x720: written in {seconds:.1f} s")
        print(f"on disk: {all_:.0f} MiB in {len(sizes)} files: frames {media:.0f} MiB, ", end="")
        print(f"{media * MIB / raw:.2f} of their raw size, all else {all_ - media:.1f} MiB")
        measure(index, options.checks)
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
