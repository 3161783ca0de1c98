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
from seedpin.compare.metrics import CLIP_METRICS, HIGHER_IS_BETTER, compare_clips
from seedpin.compare.tensors import TENSOR_METRICS, compare_tensors

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
    found: dict[str, dict[str, list[float]]] = {}
    for name, golden in goldens.items():
        others = {f"{other}": pixels for other, pixels in goldens.items() if other != name} | fixed
        for other, pixels in others.items():
            kind = other if other in fixed else "another photograph"
            row = found.setdefault(kind, {})
            metrics = compare_clips(Clip(golden[None]), Clip(pixels[None]))
            for metric in CLIP_METRICS:
                row.setdefault(metric, []).append(metrics.worst(metric)[1])
            tensors = compare_tensors({"x": golden.astype(np.float32)}, {"x": pixels.astype(np.float32)})
            for metric in TENSOR_METRICS[:2]:
                row.setdefault(metric, []).append(tensors.worst(metric)[1])
    columns = ("psnr", "ssim", "max_abs", "mean_abs", "changed", "relative_l2", "cosine")
    print(f"{'':<20}" + "".join(f"{column:>13}" for column in columns))
    for kind, row in found.items():
        best = [max(row[one]) if one in HIGHER_IS_BETTER else min(row[one]) for one in columns]
        print(f"{kind:<20}" + "".join(f"{value:>13.4g}" for value in best))


if __name__ == "__main__":
    main()
