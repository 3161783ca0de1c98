"""Goldens made without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seedpin.clip.adapt import as_clip
from seedpin.clip.clip import Clip
from seedpin.clip.codec import encode
from seedpin.clip.digest import clip_digest, frame_digests
from seedpin.goldens.manifest import Manifest
from seedpin.goldens.store import GoldenKey, write_staged


def stage(folder: Path, key: GoldenKey, value: int, frames: int = 2) -> Path:
    """A staged golden whose content ``value`` decides; one frame and several have different extensions."""
    pixels = np.zeros((frames, 8, 8, 3), np.uint8)
    pixels[:, 2:6, 2:6] = value
    return stage_clip(folder, key, as_clip(pixels, fps=8))


def stage_clip(folder: Path, key: GoldenKey, clip: Clip, **further: Any) -> Path:
    """A staged golden that holds ``clip``; ``further`` fields go to its manifest."""
    digests = frame_digests(clip)
    manifest = Manifest(
        test=key.test,
        check=key.check,
        kind="clip",
        device_class=key.device_class,
        facts=clip.facts(),
        digest=clip_digest(digests),
        frame_digests=digests,
        files={},
        value_range=clip.value_range,
        **further,
    )
    return write_staged(folder, key.stem, manifest, {"frames": encode(clip)})
