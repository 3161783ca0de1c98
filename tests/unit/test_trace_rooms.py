"""What comparing two traces needs. That ``record`` and ``diff`` are apart is a floor of test_layers.py."""

from __future__ import annotations

import subprocess
import sys


def test_two_traces_are_read_and_compared_without_torch() -> None:
    """A place where two runs part is found, and told, by a process that never imports torch."""
    code = (
        "import sys; from seedpin.trace import storage, summary; "
        "from seedpin.trace.diff import draw_lines, locate, nonfinite, text; "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
