"""Contact sheets: golden, obtained and difference of the worst frame of a check, side by side, as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from seedpin.clip.clip import Clip
from seedpin.errors import SeedpinError
from seedpin.goldens.store import load_clip, read_golden
from seedpin.run.ledger import Run
from seedpin.run.result import CheckResult

_WIDTH = 320
_GAP = 8
_LINE = 16
_INK, _PAPER = (60, 60, 60), (255, 255, 255)


def contact_sheet(run: Run, results: Sequence[CheckResult]) -> Image.Image | None:
    """One row per check with frames on both sides; None where there is none.

    The difference is stretched so that the largest one of the frame is white.
    """
    rows = [row for result in results if (row := _row(run, result)) is not None]
    if not rows:
        return None
    width = max(row.width for row in rows)
    sheet = Image.new("RGB", (width, sum(row.height for row in rows)), _PAPER)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _row(run: Run, result: CheckResult) -> Image.Image | None:
    if result.kind == "tensors" or result.obtained is None:
        return None
    obtained = _clip(run.path / result.obtained)
    golden = _clip(run.path / result.golden_copy) if result.golden_copy else None
    if obtained is None:
        return None
    index = worst_frame(result)
    pictures = [("obtained", _picture(obtained, index))]
    if golden is not None:
        pictures.insert(0, ("golden", _picture(golden, index)))
        if golden.frames.shape == obtained.frames.shape:
            pictures.append(("difference, stretched", _difference(golden, obtained, index)))
    height = max(picture.height for _, picture in pictures)
    row = Image.new("RGB", (3 * (_WIDTH + _GAP) + _GAP, height + 2 * _LINE + 3 * _GAP), _PAPER)
    draw = ImageDraw.Draw(row)
    draw.text((_GAP, _GAP), f"{result.verdict.replace('-', ' ')}: {result.id}, frame {index}", fill=_INK)
    for column, (label, picture) in enumerate(pictures):
        left = _GAP + column * (_WIDTH + _GAP)
        draw.text((left, _GAP + _LINE), label, fill=_INK)
        row.paste(picture, (left, _GAP + 2 * _LINE))
    return row


def worst_frame(result: CheckResult) -> int:
    """Index of the frame with the least PSNR; 0 where nothing was measured."""
    worst = (result.metrics or {}).get("worst", {}).get("psnr", {})
    return int(worst.get("frame", 0) or 0)


def _clip(path: Path) -> Clip | None:
    try:
        golden = read_golden(path)
        return None if golden is None else load_clip(golden)
    except SeedpinError:
        return None


def _picture(clip: Clip, index: int) -> Image.Image:
    frame = clip.frame(min(index, clip.num_frames - 1)).astype(np.float64)
    low, high = clip.value_range
    return _scaled((frame - low) / (high - low))


def _difference(golden: Clip, obtained: Clip, index: int) -> Image.Image:
    gap = np.abs(obtained.frame(index).astype(np.float64) - golden.frame(index).astype(np.float64))
    most = gap.max()
    return _scaled(gap.max(axis=2, keepdims=True) / most if most else gap[..., :1])


def _scaled(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Image.Image:
    """Values in [0, 1] of shape (H, W, C) as an RGB picture of a fixed width."""
    pixels = (np.clip(values, 0, 1) * 255).round().astype(np.uint8)
    rgb = pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2)
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    height = max(1, round(picture.height * _WIDTH / picture.width))
    how = Image.Resampling.NEAREST if picture.width < _WIDTH else Image.Resampling.BOX
    return picture.resize((_WIDTH, height), how)
