"""How near content comes that has nothing to do with the golden: what a limit must at least refuse.

Photographs that scikit-image ships, at 256 x 256, stand for goldens. Held against each: all others, black,
noise, and one flat grey. Prints for each kind of content the best value of each metric that it reaches.

    python benchmarks/blind_limits.py
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from skimage import data, transform

from seedpin.clip.clip import Clip
from seedpin.compare.metric import OWN
from seedpin.compare.tensors import compare_tensors
from seedpin.kinds.clip import CLIP
from seedpin.kinds.measure import measure

Pixels = npt.NDArray[np.uint8]
NAMES = ("astronaut", "chelsea", "coffee", "rocket", "camera", "brick", "grass", "coins", "moon")


def photographs() -> Iterator[tuple[str, Pixels]]:
    for name in NAMES:
        picture = np.asarray(getattr(data, name)())
        picture = np.stack([picture] * 3, axis=-1) if picture.ndim == 2 else picture[..., :3]
        small = transform.resize(picture, (256, 256), preserve_range=True)  # type: ignore[no-untyped-call]
        yield name, np.clip(np.rint(small), 0, 255).astype(np.uint8)


def main() -> None:
    goldens = dict(photographs())
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8)
    fixed = {"black": np.zeros_like(noise), "noise": noise, "flat grey": np.full_like(noise, 128)}
    clips = [row for row in OWN if row.kind == "clip" and row.name != "temporal"]
    tensors = [row for row in OWN if row.kind == "tensors" and row.blind_from is not None]
    found: dict[str, dict[str, list[float]]] = {}
    for name, golden in goldens.items():
        others = {f"{other}": pixels for other, pixels in goldens.items() if other != name} | fixed
        for other, pixels in others.items():
            content = found.setdefault(other if other in fixed else "another photograph", {})
            metrics = measure(CLIP, Clip(golden[None]), Clip(pixels[None]), [row.name for row in clips])
            for row in clips:
                content.setdefault(row.name, []).append(metrics.worst(row.name)[1])
            distances = compare_tensors({"x": golden.astype(np.float32)}, {"x": pixels.astype(np.float32)})
            for row in tensors:
                content.setdefault(row.name, []).append(distances.worst(row.name)[1])
    print(f"{'':<20}" + "".join(f"{row.name:>14}" for row in (*clips, *tensors)))
    for shown, values in found.items():
        best = [(max if row.higher else min)(values[row.name]) for row in (*clips, *tensors)]
        print(f"{shown:<20}" + "".join(f"{value:>14.4g}" for value in best))


if __name__ == "__main__":
    main()
