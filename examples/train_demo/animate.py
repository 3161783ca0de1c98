"""Make the animated picture of the README, and a still contact sheet, with the packaged pipeline.

python examples/train_demo/animate.py docs/images/demo.webp --seed 6
python examples/train_demo/animate.py sheet.png --seed 3
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image

from seedpin.demo import FPS, LABELS, DemoPipeline

GAP = 4


def sample_grid(pipeline: DemoPipeline, labels: list[int], seed: int) -> list[torch.Tensor]:
    """One clip (T, 64, 64, 3) uint8 per label; clip i is drawn under seed + i."""
    clips = []
    for offset, label in enumerate(labels):
        torch.manual_seed(seed + offset)
        clips.append(pipeline(label))
    return clips


def tile(images: list[torch.Tensor], columns: int, scale: int) -> Image.Image:
    """Lay images (64, 64, 3) uint8 out in rows on white, each magnified `scale` times."""
    side = 64 * scale
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * (side + GAP) + GAP, rows * (side + GAP) + GAP), "white")
    for index, image in enumerate(images):
        picture = Image.fromarray(image.numpy()).resize((side, side), Image.Resampling.BICUBIC)
        row, column = divmod(index, columns)
        sheet.paste(picture, (GAP + column * (side + GAP), GAP + row * (side + GAP)))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path, help=".webp: animated grid; .png: frames side by side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=int, default=2)
    args = parser.parse_args()

    torch.set_num_threads(1)
    # Colours change along a row, shapes down a column.
    shapes = len(LABELS) // 4
    labels = [colour * shapes + shape for shape in range(shapes) for colour in range(4)]
    clips = sample_grid(DemoPipeline.from_package(), labels, args.seed)
    if args.target.suffix == ".png":
        stills = [frame for clip in clips for frame in clip[::2]]
        tile(stills, len(clips[0]) // 2, args.scale).save(args.target)
        return
    frames = [tile([clip[t] for clip in clips], 4, args.scale) for t in range(len(clips[0]))]
    # There and back again, so that the loop has no seam.
    frames += frames[-2:0:-1]
    frames[0].save(
        args.target,
        save_all=True,
        append_images=frames[1:],
        duration=1000 // FPS,
        loop=0,
        quality=82,
        method=6,
    )


if __name__ == "__main__":
    main()
