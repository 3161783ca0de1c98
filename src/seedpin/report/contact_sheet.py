"""Contact sheets: golden, obtained and their difference of each check, side by side, as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from seedpin.errors import SeedpinError
from seedpin.goldens.content import load
from seedpin.goldens.store import read_golden
from seedpin.kinds.base import AnyKind
from seedpin.kinds.registry import kind_of_fixture
from seedpin.run.ledger import Run
from seedpin.run.result import CheckResult

_WIDTH = 320
_GAP = 8
_LINE = 16
_INK, _PAPER = (60, 60, 60), (255, 255, 255)


def contact_sheet(run: Run, results: Sequence[CheckResult]) -> Image.Image | None:
    """One row per check whose kind has pictures and that kept what it obtained; None where there is none."""
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
    if result.obtained is None:
        return None
    try:
        kind = kind_of_fixture(result.kind)
    except SeedpinError:
        return None
    obtained = _value(kind, run.path / result.obtained)
    golden = _value(kind, run.path / result.golden_copy) if result.golden_copy else None
    if obtained is None:
        return None
    part, shown = kind.pictures(golden, obtained, result.metrics)
    if not shown:
        return None
    pictures = [(one.label, _scaled(Image.fromarray(one.pixels))) for one in shown]
    height = max(picture.height for _, picture in pictures)
    row = Image.new("RGB", (3 * (_WIDTH + _GAP) + _GAP, height + 2 * _LINE + 3 * _GAP), _PAPER)
    draw = ImageDraw.Draw(row)
    title = f"{result.verdict.replace('-', ' ')}: {result.id}{f', {part}' if part else ''}"
    draw.text((_GAP, _GAP), title, fill=_INK)
    for column, (label, picture) in enumerate(pictures):
        left = _GAP + column * (_WIDTH + _GAP)
        draw.text((left, _GAP + _LINE), label, fill=_INK)
        row.paste(picture, (left, _GAP + 2 * _LINE))
    return row


def _value(kind: AnyKind, path: Path) -> Any:
    try:
        golden = read_golden(path)
        return None if golden is None or golden.manifest.kind != kind.name else load(golden)
    except SeedpinError:
        return None


def _scaled(picture: Image.Image) -> Image.Image:
    """At a fixed width."""
    height = max(1, round(picture.height * _WIDTH / picture.width))
    how = Image.Resampling.NEAREST if picture.width < _WIDTH else Image.Resampling.BOX
    return picture.resize((_WIDTH, height), how)
