"""What the report shows of kinds that are no frames: pictures, sounds and texts, as their kind gives them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seedpin.clip.webp import encode_webp
from seedpin.errors import SeedpinError
from seedpin.goldens.content import load
from seedpin.goldens.store import Golden
from seedpin.kinds.base import AnyKind, Panel
from seedpin.kinds.registry import kind_of_fixture
from seedpin.report.media import find_kept
from seedpin.run.result import CheckResult


@dataclass(frozen=True, slots=True)
class ShownPanel:
    """One panel: ``source`` is its file relative to the report's folder, "" for a text; that has ``rows``."""

    label: str
    form: str
    source: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Panels:
    """All panels of a check; ``notes`` say what is not shown, and why."""

    panels: tuple[ShownPanel, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def write_panels(
    report: Path, run: Path, number: int, result: CheckResult, golden_root: Path | None = None
) -> Panels | None:
    """Writes what a check's kind shows below ``report``; None where it shows nothing, or nothing was kept.

    Frames are not shown so: the player of `seedpin.report.media` has more to say of them.
    """
    if result.verdict == "identical":
        return None
    try:
        kind = kind_of_fixture(result.kind)
    except SeedpinError as error:
        return Panels((), (f"Nothing is shown: {error.what}.",))
    if kind.role == "frames":
        return None
    notes: list[str] = []
    kept = find_kept(run, result, golden_root, kind.role, notes)
    golden, obtained = (_value(kind, one, notes) for one in kept)
    shown = [] if golden is None and obtained is None else _panels(kind, golden, obtained, result)
    if not shown:
        return Panels((), tuple(notes)) if notes else None
    folder = Path("media") / f"{number:04d}"
    (report / folder).mkdir(parents=True, exist_ok=True)
    written = tuple(_write(report, folder, index, panel) for index, panel in enumerate(shown))
    return Panels(written, tuple(notes))


def _value(kind: AnyKind, golden: Golden | None, notes: list[str]) -> Any:
    if golden is None or golden.manifest.kind != kind.name:
        return None
    try:
        return load(golden)
    except SeedpinError as error:
        notes.append(f"Not shown: {error.what}")
        return None


def _panels(kind: AnyKind, golden: Any, obtained: Any, result: CheckResult) -> list[Panel]:
    shown = list(kind.panels(golden, obtained, result.metrics))
    if obtained is not None:
        part, pictures = kind.pictures(golden, obtained, result.metrics)
        for one in pictures:
            label = f"{one.label}, {part}" if part else one.label
            shown.append(Panel(label, "picture", "webp", encode_webp(one.pixels)))
    return shown


def _write(report: Path, folder: Path, index: int, panel: Panel) -> ShownPanel:
    source = ""
    if panel.data:
        source = (folder / f"panel-{index:02d}.{panel.extension}").as_posix()
        (report / source).write_bytes(panel.data)
    return ShownPanel(panel.label, panel.form, source, tuple(panel.rows))
