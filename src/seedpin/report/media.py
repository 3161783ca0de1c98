"""Frames as files that a browser shows.

Lossless WebP members leave their archive as they are: the browser shows the golden's very bytes. All other
clips (16-bit, floats, pictures wider than WebP allows) become 8-bit previews, and their difference is
computed here, from the exact values, since previews could not show it.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seedpin.clip.archive import unpack
from seedpin.clip.clip import Clip
from seedpin.clip.values import eight_bit
from seedpin.clip.webp import LARGEST_SIDE, check_header, encode_webp
from seedpin.errors import DamagedGoldenError, SeedpinError
from seedpin.goldens.content import load
from seedpin.goldens.store import Golden, read_golden
from seedpin.kinds.registry import kind_of_fixture
from seedpin.records import Facts, whole
from seedpin.run.result import CheckResult

_LARGEST_MEMBER = 1 << 28


@dataclass(frozen=True, slots=True)
class Media:
    """Frame files relative to the report's folder, one per frame.

    ``step`` is what one level of the shown difference stands for, in the clip's own units; ``top`` is the
    largest difference possible. ``difference`` is empty where the browser computes it. ``notes`` say what
    is not shown as it is, and why.
    """

    golden: tuple[str, ...]
    obtained: tuple[str, ...]
    difference: tuple[str, ...]
    width: int
    height: int
    golden_size: tuple[int, int]
    obtained_size: tuple[int, int]
    alpha: bool
    fps: float | None
    step: float
    top: float
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def write_media(
    report: Path, run: Path, number: int, result: CheckResult, golden_root: Path | None = None
) -> Media | None:
    """Writes the frames of a check below ``report`` and says where; None where none were kept.

    A golden that is not in the run is taken from ``golden_root``, if it is still the one of the run.
    """
    if result.verdict == "identical" or not _is_of_frames(result):
        return None
    notes: list[str] = []
    golden, obtained = find_kept(run, result, golden_root, "frames", notes)
    if golden is None and obtained is None and not notes:
        return None
    folder = Path("media") / f"{number:04d}"
    (report / folder).mkdir(parents=True, exist_ok=True)
    plain = all(side is None or _is_plain(side) for side in (golden, obtained))
    writer = _write_plain if plain else _write_previews
    sides, difference, step = writer(report, folder, golden, obtained, notes)
    facts: list[Facts] = [{} if side is None else side.manifest.facts for side in (golden, obtained)]
    sizes = [(whole(fact, "width"), whole(fact, "height")) for fact in facts]
    ranges = [side.manifest.value_range for side in (obtained, golden) if side is not None]
    rates = [fact.get("fps") for fact in reversed(facts)]
    low, high = next((one for one in ranges if one is not None), (0.0, 255.0))
    return Media(
        golden=sides[0],
        obtained=sides[1],
        difference=difference,
        width=max(size[0] for size in sizes),
        height=max(size[1] for size in sizes),
        golden_size=sizes[0],
        obtained_size=sizes[1],
        alpha=any(fact.get("channels") == 4 for fact in facts),
        fps=next((float(rate) for rate in rates if isinstance(rate, (int, float)) and rate), None),
        step=step,
        top=high - low,
        notes=tuple(notes),
    )


def _is_of_frames(result: CheckResult) -> bool:
    try:
        return kind_of_fixture(result.kind).role == "frames"
    except SeedpinError:  # of a package that is not installed here
        return False


def find_kept(
    run: Path, result: CheckResult, golden_root: Path | None, role: str, notes: list[str]
) -> tuple[Golden | None, Golden | None]:
    """The golden and what was obtained, as far as they were kept and hold a file of ``role``.

    A golden that is not in the run is taken from ``golden_root``, if it is still the one of the run.
    """
    golden = _read(run, result.golden_copy, role, "golden", notes)
    if result.golden_copy is None and golden_root is not None and result.obtained is not None:
        there = _read(golden_root, result.golden, role, "golden", [])
        if there is not None and there.manifest.digest == result.golden_digest:
            golden = there
    return golden, _read(run, result.obtained, role, "obtained clip", notes)


def _read(run: Path, manifest: str | None, role: str, what: str, notes: list[str]) -> Golden | None:
    """The golden or obtained clip that ``manifest`` names, its files verified; a note where it cannot be."""
    if manifest is None:
        return None
    path = run / manifest
    if not path.resolve().is_relative_to(run.resolve()):
        notes.append(f"The {what} is not shown: its path leads out of the run.")
        return None
    try:
        found = read_golden(path)
        if found is None:
            notes.append(f"The {what} is not shown: it is not in the run any more.")
        elif role not in found.manifest.files:
            found = None
    except SeedpinError as error:
        notes.append(f"The {what} is not shown: {error.what}")
        return None
    return found


def _is_plain(golden: Golden) -> bool:
    facts = golden.manifest.facts
    sides = [whole(facts, key) for key in ("width", "height")]
    return facts.get("dtype") == "uint8" and max(sides) <= LARGEST_SIDE


Sides = tuple[tuple[str, ...], tuple[str, ...]]


def _write_plain(
    report: Path, folder: Path, golden: Golden | None, obtained: Golden | None, notes: list[str]
) -> tuple[Sides, tuple[str, ...], float]:
    """The members as they are. Equal bytes within a check are written once."""
    written: dict[bytes, str] = {}  # by digest
    sides: list[tuple[str, ...]] = []
    for side, clip in (("golden", golden), ("obtained", obtained)):
        names: list[str] = []
        try:
            for index, data in enumerate(() if clip is None else _members(clip)):
                name = f"{folder.as_posix()}/{side}-{index:04d}.webp"
                digest = hashlib.sha256(data).digest()
                if written.setdefault(digest, name) == name:
                    (report / name).write_bytes(data)
                names.append(written[digest])
        except (SeedpinError, zipfile.BadZipFile, OSError, ValueError, LookupError, TypeError) as error:
            notes.append(f"The {side} clip is not shown: {getattr(error, 'what', error)}")
            names = []
        sides.append(tuple(names))
    return (sides[0], sides[1]), (), 1.0


def _members(golden: Golden) -> Iterator[bytes]:
    path = golden.file("frames")
    data = path.read_bytes()
    facts = golden.manifest.facts
    shape = (whole(facts, "height"), whole(facts, "width"), whole(facts, "channels"))
    if path.suffix == ".webp":
        members: Iterator[bytes] = iter([data])
    else:
        count = whole(golden.manifest.facts, "frames")
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) != count:
                raise DamagedGoldenError(f"{path} does not hold the {count} frames that its manifest tells")
        names = [f"{index:04d}.webp" for index in range(count)]
        members = unpack(data, names, _LARGEST_MEMBER, deflate=False, what=str(path))
    for member in members:
        check_header(member, shape, str(path))
        yield member


def _write_previews(
    report: Path, folder: Path, golden: Golden | None, obtained: Golden | None, notes: list[str]
) -> tuple[Sides, tuple[str, ...], float]:
    """8-bit previews of both sides, and the exact difference where their shapes are equal."""
    clips: list[Clip | None] = []
    for side in (golden, obtained):
        try:
            clips.append(None if side is None else load(side))
        except SeedpinError as error:
            notes.append(f"Not shown: {error.what}")
            clips.append(None)
    names = []
    for word, clip in zip(("golden", "obtained"), clips, strict=True):
        frames = [] if clip is None else [eight_bit(frame, clip.value_range) for frame in clip.frames]
        names.append(_write_frames(report, folder, word, frames))
    dtype = next((clip.dtype for clip in clips if clip is not None), "")
    if dtype:
        notes.append(f"Frames are {dtype}; what is shown are 8-bit previews.")
    first, second = clips
    difference: tuple[str, ...] = ()
    step = 1.0
    if first is not None and second is not None and first.frames.shape == second.frames.shape:
        gaps = [_gap(one, other) for one, other in zip(first.frames, second.frames, strict=True)]
        largest = max(float(gap.max()) for gap in gaps) or 1.0
        shown = [np.ceil(gap * (255 / largest)).astype(np.uint8) for gap in gaps]
        difference = _write_frames(report, folder, "difference", shown)
        step = largest / 255
        notes.append("The difference is computed from the exact values.")
    return (names[0], names[1]), difference, step


def _write_frames(
    report: Path, folder: Path, side: str, frames: Sequence[npt.NDArray[np.uint8]]
) -> tuple[str, ...]:
    names = []
    for index, frame in enumerate(frames):
        name = f"{folder.as_posix()}/{side}-{index:04d}.webp"
        (report / name).write_bytes(encode_webp(_within(frame)))
        names.append(name)
    return tuple(names)


def _gap(golden: npt.NDArray[Any], obtained: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Largest absolute difference over the channels, (H, W, 1)."""
    gap: npt.NDArray[np.float64] = np.abs(obtained.astype(np.float64) - golden.astype(np.float64))
    largest: npt.NDArray[np.float64] = gap.max(axis=2, keepdims=True)
    return largest


def _within(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Every n-th pixel of what is larger than WebP allows."""
    stride = -(-max(frame.shape[:2]) // LARGEST_SIDE)
    return np.ascontiguousarray(frame[::stride, ::stride])
