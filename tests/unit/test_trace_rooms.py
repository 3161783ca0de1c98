"""The rooms of a trace: what takes one and what compares two know the trace, and nothing of each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import seedpin

TRACE = Path(seedpin.__file__).parent / "trace"


def imported_rooms(folder: Path, pattern: str) -> set[str]:
    """Rooms of ``trace`` that the files import; what stands under TYPE_CHECKING or in a function counts."""
    names: set[str] = set()
    for path in folder.glob(pattern):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: a relative import"
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
    below = {name.removeprefix("seedpin.trace.") for name in names if name.startswith("seedpin.trace.")}
    return {name.partition(".")[0] for name in below} & {"record", "diff"}


@pytest.mark.parametrize(("room", "may"), [("record", {"record"}), ("diff", {"diff"}), ("", set())])
def test_recording_and_comparing_do_not_know_each_other(room: str, may: set[str]) -> None:
    """``record`` and ``diff`` import only themselves and what stands beside them, which imports neither."""
    assert list((TRACE / room).glob("*.py"))
    assert imported_rooms(TRACE / room, "*.py") <= may


def test_two_traces_are_read_and_compared_without_torch() -> None:
    """A place where two runs part is found, and told, by a process that never imports torch."""
    code = (
        "import sys; from seedpin.trace import storage, summary; "
        "from seedpin.trace.diff import draw_lines, locate, nonfinite, text; "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
