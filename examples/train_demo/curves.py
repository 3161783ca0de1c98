"""Draw loss.csv as an SVG, with no plotting library.

python examples/train_demo/curves.py examples/train_demo/loss.csv examples/train_demo/loss.svg
"""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path

WIDTH, HEIGHT = 420, 260
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 34, 40


def write_loss_svg(source: Path, target: Path) -> None:
    """One panel per training stage, loss on a logarithmic axis against the step."""
    stages: dict[str, list[tuple[int, float]]] = {}
    with source.open(newline="") as file:
        for row in csv.DictReader(file):
            stages.setdefault(row["stage"], []).append((int(row["step"]), float(row["loss"])))
    panels = [
        f'<g transform="translate({index * WIDTH} 0)">{_panel(name, points)}</g>'
        for index, (name, points) in enumerate(stages.items())
    ]
    total = WIDTH * len(panels)
    target.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {HEIGHT}" width="{total}" '
        f'height="{HEIGHT}" font-family="system-ui, sans-serif" font-size="11" fill="#444">\n'
        f'<rect width="{total}" height="{HEIGHT}" fill="#fff"/>\n' + "\n".join(panels) + "\n</svg>\n"
    )


def _panel(name: str, points: list[tuple[int, float]]) -> str:
    last = points[-1][0]
    low = math.log10(min(loss for _, loss in points)) - 0.05
    high = math.log10(max(loss for _, loss in points)) + 0.05

    def x(step: float) -> float:
        return LEFT + step / last * (WIDTH - LEFT - RIGHT)

    def y(loss: float) -> float:
        return TOP + (high - math.log10(loss)) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="{LEFT}" y="20" font-size="13" font-weight="600">{name}: loss</text>']
    for decade in range(math.floor(low), math.ceil(high) + 1):
        for factor in (1, 2, 5):
            loss = factor * 10.0**decade
            if low <= math.log10(loss) <= high:
                parts.append(
                    f'<path d="M{LEFT} {y(loss):.1f}H{WIDTH - RIGHT}" stroke="#e4e4e4"/>'
                    f'<text x="{LEFT - 6}" y="{y(loss) + 4:.1f}" text-anchor="end">{loss:g}</text>'
                )
    for quarter in range(5):
        step = last * quarter // 4
        parts.append(f'<text x="{x(step):.1f}" y="{HEIGHT - 22}" text-anchor="middle">{step}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">step</text>')
    line = " ".join(f"{x(step):.1f},{y(loss):.1f}" for step, loss in points)
    parts.append(f'<polyline points="{line}" fill="none" stroke="#2456b8" stroke-width="1.5"/>')
    return "".join(parts)


if __name__ == "__main__":
    write_loss_svg(Path(sys.argv[1]), Path(sys.argv[2]))
