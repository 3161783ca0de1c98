"""What decoding one lossless WebP takes at its height: the bytes per pixel behind clip.webp.DECODING.

    python benchmarks/webp_memory.py [SIDE]

Each picture is made in one process and decoded in another, whose peak of resident memory is asked before and
after; this process stays small, since a process begins with the peak of the one that started it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

_MAKE = """
import sys
from pathlib import Path
import numpy as np
from seedpin.clip.webp import encode_webp
shape = (int(sys.argv[2]), int(sys.argv[2]), int(sys.argv[3]))
flat = sys.argv[4] == "flat"
random = np.random.default_rng(0)
frame = np.full(shape, 127, np.uint8) if flat else random.integers(0, 256, shape, np.uint8)
print(Path(sys.argv[1]).write_bytes(encode_webp(frame)))
"""
_DECODE = """
import resource, sys
from pathlib import Path
from seedpin.clip.webp import decode_webp
path, side, channels = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
data = path.read_bytes()
unit = 1 if sys.platform == "darwin" else 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
decode_webp(data, (side, side, channels), "the picture")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit / side**2)
"""


def main() -> None:
    side = sys.argv[1] if len(sys.argv) > 1 else "6000"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.webp"
        for channels in "134":
            for content in ("flat", "noise"):
                size = _run(_MAKE, str(path), side, channels, content)
                peak = float(_run(_DECODE, str(path), side, channels))
                print(f"{side}x{side}x{channels}, {content:5}: {size:>9} bytes, {peak:.1f} bytes a pixel")


def _run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
