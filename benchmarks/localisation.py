"""Plant slips in real pipelines and write what seedpin says of each to ``docs/localisation.md``.

python benchmarks/localisation.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import numpy as np
import torch

from seedpin.trace.diff.locate import first_divergence
from support.further_slips import FURTHER
from support.slips import SLIPS, named_rightly, observe

ROOT = Path(__file__).resolve().parent.parent

HEAD = """# What seedpin says of slips that really happened

Written by `python benchmarks/localisation.py`; do not edit. Each slip is planted by editing the installed
code (or the attribute) that the real one touched, in a tiny pipeline with random weights; the tracer is not
told. Both runs have the same seed. *Caught*: the frames differ, so that an exact golden fails. The first
sentence is of traces at level `modules` (two live runs), the second at level `stages` (what a golden stores).
Steps, calls, draws and frames are counted from 0.

Traces do not use `torch.utils._debug_mode`: it costs 40 to 200 % of run time, its hash cannot see a
permutation, it compares only streams of equal length, and it is private.

"""


def main() -> None:
    torch.set_num_threads(1)
    rows = [
        "| slip | pipeline | caught | said at `modules` | said at `stages` | right place |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    right: dict[str, bool] = {}
    caught_all = 0
    slips = (*SLIPS, *FURTHER)
    for slip in slips:
        said = []
        for level in ("modules", "stages"):
            frames, golden = observe(slip, level, plant=False)
            slipped, here = observe(slip, level, plant=True)
            said.append(first_divergence(golden, here))
        caught = frames.shape != slipped.shape or not np.array_equal(frames, slipped)
        good = caught and named_rightly(slip, said[0])
        right[slip.name] = right.get(slip.name, True) and good
        caught_all += caught
        sentences = [item.sentence.replace("|", "/") if item else "nothing" for item in said]
        cells = [slip.name, slip.pipeline, "yes" if caught else "no", *sentences, "yes" if good else "no"]
        rows.append(f"| {' | '.join(cells)} |")
    total = (
        f"{len(right)} kinds in {len(slips)} places: {caught_all} of {len(slips)} caught, "
        f"{sum(right.values())} of {len(right)} kinds named rightly wherever they were planted.\n\n"
    )
    target = ROOT / "docs" / "localisation.md"
    target.parent.mkdir(exist_ok=True)
    target.write_text(HEAD + total + "\n".join(rows) + "\n", encoding="utf-8")
    print(total.strip())


if __name__ == "__main__":
    main()
