"""What the README and the docs say is run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.docs import Command, blocks, commands, run_block

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", PAGES)
def test_the_code_blocks_of_a_page_do_what_the_page_says(name: str, tmp_path: Path) -> None:
    """Every block of a page runs in an empty folder, in order, and prints what stands below it."""
    for block in blocks((ROOT / name).read_text(encoding="utf-8")):
        if block.body.startswith("$ make "):
            continue
        run_block(block, tmp_path)


def test_the_readme_starts_with_the_two_commands_that_work_on_a_fresh_machine() -> None:
    """`make demo` and `make test` stand first in the README, and the Makefile has them."""
    first = next(block for block in blocks((ROOT / "README.md").read_text()) if block.language == "console")
    assert [command.text for command in commands(first.body)] == ["make demo", "make test"]
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    done = subprocess.run(
        ["make", "-n", "demo", "test"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "seedpin demo" in done.stdout
    assert "-m pytest" in done.stdout


@pytest.mark.parametrize("name", PAGES)
def test_links_and_pictures_of_a_page_exist(name: str) -> None:
    """No page links to a file or picture that is not there."""
    page = ROOT / name
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{name} links to {target}"


def test_console_blocks_are_read_command_by_command() -> None:
    """Each command has its own expected lines, and says whether it fails."""
    assert commands("$ a b  # fails\nx\ny\n$ c\n") == [
        Command("a b", True, ("x", "y")),
        Command("c", False, ()),
    ]
