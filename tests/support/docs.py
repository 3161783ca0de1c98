"""Runs the code blocks of a Markdown page, in order, in one folder.

- A block ```` ```python title="test_a.py" ```` (or ``toml``) is written to that file.
- One ```` ```toml title="pyproject.toml" ```` with entry points is installed, as ``pip install -e .``
  would: from then on they, and the folder's modules, are there for every command.
- A block ```` ```python ```` without a title is run as a script.
- A block ```` ```console ```` holds commands after ``$ `` and below each what it prints: every such line must
  occur in the real output, in that order; ``...`` stands for any text. A command whose line ends in
  ``# fails`` must fail, any other must succeed.
- Other blocks, and those whose info line says ``norun``, are not run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedpin.pinning.profiles import environment_for
from seedpin.process import inherited

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
FAILS = "# fails"


@dataclass(frozen=True, slots=True)
class Block:
    language: str
    title: str | None
    body: str
    line: int


@dataclass(frozen=True, slots=True)
class Command:
    """One shell command with the lines that it should print."""

    text: str
    fails: bool
    expected: tuple[str, ...]


def blocks(page: str) -> list[Block]:
    """The blocks of a page that are to be run, in order."""
    found = []
    for match in _FENCE.finditer(page):
        info = match["info"].strip()
        if "norun" in info or not info:
            continue
        title = _TITLE.search(info)
        line = page.count("\n", 0, match.start()) + 1
        found.append(Block(info.split()[0], title[1] if title else None, match["body"], line))
    return found


def commands(body: str) -> list[Command]:
    """The commands of a console block."""
    found: list[Command] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            text = line[2:]
            fails = text.endswith(FAILS)
            found.append(Command(text.removesuffix(FAILS).strip(), fails, ()))
        elif found and line.strip():
            last = found[-1]
            found[-1] = Command(last.text, last.fails, (*last.expected, line))
    return found


def run_block(block: Block, folder: Path) -> None:
    """Runs one block; raises AssertionError that says what was expected and what came."""
    if block.title is not None:
        path = folder / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.body, encoding="utf-8")
        if block.title == "pyproject.toml":
            _install(tomllib.loads(block.body).get("project", {}), folder)
    elif block.language == "python":
        _check(
            Command(f"python - (line {block.line})", False, ()),
            *_run([sys.executable, "-c", block.body], folder),
        )
    elif block.language == "console":
        for command in commands(block.body):
            _check(command, *_run(["bash", "-c", command.text], folder))


def _install(project: dict[str, Any], folder: Path) -> None:
    """Writes what tells Python of a distribution's entry points."""
    groups = project.get("entry-points", {})
    if not groups:
        return
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    told = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(told, encoding="utf-8")
    lines = [
        line
        for group, points in groups.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


def _run(arguments: list[str], folder: Path) -> tuple[int, str]:
    environment = inherited(os.environ, by_itself=True)
    for name in environment_for("portable"):
        environment.pop(name, None)
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_ADDOPTS": "-p no:cacheprovider -p no:randomly",
        "COLUMNS": "120",
    }
    if any(folder.glob("*.dist-info")):
        environment["PYTHONPATH"] = str(folder)
    done = subprocess.run(
        arguments,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout


def _check(command: Command, code: int, output: str) -> None:
    told = f"$ {command.text}\nexit code {code}\n{output}"
    assert (code != 0) == command.fails, f"{'should fail' if command.fails else 'should succeed'}:\n{told}"
    rest = output
    for line in command.expected:
        pattern = ".*".join(re.escape(part.strip()) for part in line.split("..."))
        match = re.search(pattern, rest)
        assert match is not None, f"not printed (in this order): {line!r}\n{told}"
        rest = rest[match.end() :]
