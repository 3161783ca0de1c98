"""Run folders for the tests of the report, written through the real store, codec and ledger."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seedpin.clip.clip import Clip
from seedpin.clip.digest import clip_digest, file_digest, frame_digests
from seedpin.compare.clips import compare_clips
from seedpin.compare.recorded import RecordedMetrics, RecordedTensor, WorstValue
from seedpin.compare.tolerance import check_limits, parse_tolerance
from seedpin.environment.fingerprint import EnvironmentChange, StoredEnvironment
from seedpin.goldens.store import GoldenKey
from seedpin.records import as_record
from seedpin.run.ledger import GOLDEN, OBTAINED, Run, RunMeta
from seedpin.run.result import CheckResult
from seedpin.trace.diff.divergence import Divergence
from support.goldens import stage_clip

DEVICE = "cuda-sm90-nvidia_h100_80gb_hbm3-132sm"
CPU = "cpu-x86_64-portable"
MOVED = (EnvironmentChange("torch", "2.9.1", "2.13.0", True),)
ENVIRONMENT = StoredEnvironment(
    informative={"os": "Linux 6.8.0", "python": "3.11.9", "cpu_model": "AMD EPYC 9654"},
    moves_bits={
        "torch": "2.13.0",
        "cuda": "13.0",
        "cudnn": "91300",
        "diffusers": "0.42.0",
        "sdpa": "flash",
        "tf32": "off",
        "level": "strict",
    },
)


def moving_shapes(
    frames: int = 24,
    height: int = 96,
    width: int = 144,
    *,
    seed: int = 0,
    slip: float = 0.0,
    since: int = 0,
) -> Clip:
    """A ball that bounces over a plain under a slow sky.

    With ``slip`` it leaves its path from frame ``since`` on, by up to that share of the height, and the sky
    changes a little: a drift as a model's, smooth in space and growing in time.
    """
    rng = np.random.default_rng(seed)
    hue = rng.uniform(0, 40, 3)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    scale = height / 96
    result = np.empty((frames, height, width, 3), np.uint8)
    grain = rng.normal(0, 1.2, (height, width, 1))
    for index in range(frames):
        t = index / max(1, frames - 1)
        drift = slip * max(0, index - since + 1) / max(1, frames - since)
        sky = np.stack(
            [70 + hue[0] + 0.9 * y / scale, 110 + hue[1] + 0.8 * y / scale, 165 + hue[2] + 0 * y], -1
        )
        sky += (
            9
            * np.sin(x / (17 * scale) + 3 * t + 2.5 * drift)[..., None]
            * np.cos(y / (11 * scale))[..., None]
        )
        ground = np.stack([92 + 0 * y, 104 + 0.3 * x / scale, 70 + 0 * y], -1)
        frame = np.where((y > 0.7 * height)[..., None], ground, sky)
        cx = (0.15 + 0.7 * t) * width + drift * height
        cy = (0.62 - 0.42 * abs(np.sin(2.5 * np.pi * t))) * height - 0.5 * drift * height
        shadow = np.exp(-(((x - cx) / (13 * scale)) ** 2 + ((y - 0.76 * height) / (4 * scale)) ** 2))
        frame = frame * (1 - 0.45 * shadow[..., None])
        distance = np.hypot(x - cx, y - cy)
        light = np.clip(1.15 - np.hypot(x - cx + 4 * scale, y - cy + 5 * scale) / (19 * scale), 0.35, 1.2)
        ball = np.array([214.0, 74.0, 58.0]) * light[..., None]
        edge = np.clip(12 * scale - distance + 0.5, 0, 1)[..., None]
        result[index] = np.clip(frame * (1 - edge) + ball * edge + grain, 0, 255)
    return Clip(result, 8.0)


def speckled(clip: Clip, frame: int, box: tuple[int, int, int, int], levels: int = 1) -> Clip:
    """``clip`` with ``levels`` added to the first channel of a frame in ``box``: top, left, bottom, right."""
    frames: npt.NDArray[Any] = clip.frames.copy()
    top, left, bottom, right = box
    frames[frame, top:bottom, left:right, 0] += levels
    return Clip(frames, clip.fps, clip.value_range)


def keep(run: Run, folder: str, key: GoldenKey, clip: Clip) -> str:
    """Writes ``clip`` as the plugin does and returns its manifest's path relative to the run."""
    path = stage_clip(run.path / folder, key, clip, environment=ENVIRONMENT, seed=1234, level="strict")
    return path.relative_to(run.path).as_posix()


class RunFolder:
    """A run that is being written."""

    def __init__(self, state: Path, name: str = "20260301-021507-4f2a") -> None:
        self.run = Run(state / "runs" / name)
        self.run.write_meta(
            RunMeta(run=name, seedpin="0.1.0", arguments=("tests/", "-n", "2"), golden_dir="golden")
        )

    def add(
        self,
        test: str,
        golden: Clip | None,
        obtained: Clip | None,
        verdict: str,
        *,
        check: str = "video",
        device: str = DEVICE,
        tolerance: Mapping[str, float] | None = None,
        **fields: Any,
    ) -> CheckResult:
        """One check as the plugin records it: clips kept unless it passed, metrics where they can be."""
        key = GoldenKey(test, check, device)
        values: dict[str, Any] = {"facts_golden": {}, "facts_obtained": {}}
        comparable = False
        if golden is not None and obtained is not None:
            comparable = golden.frames.shape == obtained.frames.shape and golden.dtype == obtained.dtype
        if golden is not None and obtained is not None and comparable and verdict != "identical":
            metrics = compare_clips(golden, obtained)
            values["metrics"] = as_record(RecordedMetrics, metrics.as_dict())
            if tolerance:
                margins = check_limits(parse_tolerance(tolerance, "test", same_environment=True), metrics)
                values["margins"] = margins
            count, total = len(metrics.differing), len(metrics.ssim)
            said = f"{count} of {total} frames differ, the first is frame {metrics.first_differing}."
            values["reasons"] = (said,)
        for side, clip in (("golden", golden), ("obtained", obtained)):
            if clip is not None:
                values[f"facts_{side}"] = clip.facts()
                values[f"{side}_digest"] = clip_digest(frame_digests(clip))
        if verdict not in {"identical", "within-tolerance"}:
            if obtained is not None:
                values["obtained"] = keep(self.run, OBTAINED, key, obtained)
            if golden is not None:
                values["golden_copy"] = keep(self.run, GOLDEN, key, golden)
                values["manifest_digest"] = file_digest(self.run.path / values["golden_copy"])
        result = CheckResult(
            test=test,
            check=check,
            kind="image" if check == "image" else "video",
            verdict=verdict,
            device_class=device,
            golden=f"{key.stem}.json",
            message=f"golden_video: {verdict.upper()}  {test} ({check})",
            location="tests/test_video.py:31",
            tier="other environment" if verdict == "environment-changed" else "same environment",
            seed=1234,
            level="strict",
            environment=ENVIRONMENT,
            seconds=2.81,
        )
        result = dataclasses.replace(result, **{**values, **fields})
        self.run.write_result(result)
        return result


DIVERGENCE = Divergence(
    kind="module",
    place="transformer.blocks.3.attn1",
    step=0,
    sentence="transformer.blocks.3.attn1, step 0: inputs and weights agree, the output does not",
    golden_record="transformer.blocks.3.attn1: bfloat16 (2, 1560, 1536)",
    here_record="transformer.blocks.3.attn1: bfloat16 (2, 1560, 1536)",
    level="modules",
    growth=(
        ("transformer.blocks.3.attn1, step 0", 3.2e-7),
        ("transformer, step 0", 4.1e-6),
        ("scheduler.step 0", 4.4e-6),
        ("transformer call 1, step 1", 8.9e-5),
        ("scheduler.step 1", 2.1e-4),
        ("transformer call 2, step 2", 3.7e-3),
        ("scheduler.step 2", 4.0e-3),
        ("vae.decode", 0.021),
        ("frames", 0.027),
    ),
    hints=("attention kernel: flash, was efficient",),
)


def demo_run(state: Path) -> Run:
    """A run with every verdict: what people see, and what the browser tests open."""
    folder = RunFolder(state)
    ball = moving_shapes()
    folder.add(
        "tests/test_text_to_video.py::test_red_ball[wan-480p]",
        ball,
        moving_shapes(slip=0.05, since=7),
        "changed",
        tolerance={"psnr": 34.0, "ssim": 0.98, "changed": 0.8},
        divergence=DIVERGENCE,
    )
    rainy = moving_shapes(seed=5)
    folder.add(
        "tests/test_text_to_video.py::test_rainy_street",
        rainy,
        moving_shapes(seed=5, slip=0.006, since=1),
        "environment-changed",
        environment_changes=(
            *MOVED,
            EnvironmentChange("cudnn", "90100", "91300", True),
            EnvironmentChange("os", "Linux 6.5.0", "Linux 6.8.0", False),
        ),
    )
    folder.add(
        "tests/test_image_to_video.py::TestI2V::test_last_frame",
        moving_shapes(17),
        Clip(moving_shapes(17).frames[:16], 8.0),
        "incomparable",
        device=CPU,
        reasons=("frames: 17 in the golden, 16 here.",),
        hints=("the golden holds all of the obtained clip exactly, and 1 more frame at the end",),
    )
    folder.add("tests/test_text_to_video.py::test_new_prompt", None, moving_shapes(12, seed=9), "missing")
    still = moving_shapes(1)
    folder.add(
        "tests/test_image.py::test_still",
        still,
        speckled(still, 0, (20, 30, 32, 48), 9),
        "changed",
        check="image",
        device=CPU,
    )
    soft = moving_shapes(8, 48, 64)
    floats = Clip((soft.frames / 255).astype(np.float32), 8.0, (0.0, 1.0))
    bumped = floats.frames.copy()
    bumped[3:, 10:20, 10:30] += np.float32(2e-5)
    folder.add(
        "tests/test_latents.py::test_decoded_floats",
        floats,
        Clip(bumped, 8.0, (0.0, 1.0)),
        "changed",
        device=CPU,
    )
    latents = {"relative_l2": 1.2e-4, "cosine": 7.1e-9, "max_abs": 0.003, "mean_abs": 0.0001}
    folder.add(
        "tests/test_latents.py::test_latents",
        None,
        None,
        "changed",
        check="tensors",
        device=CPU,
        kind="tensors",
        facts_golden={"latents": {"shape": [1, 16, 5, 8, 8], "dtype": "float32"}},
        facts_obtained={"latents": {"shape": [1, 16, 5, 8, 8], "dtype": "float32"}},
        metrics=RecordedMetrics(
            kind="tensors",
            worst={key: WorstValue(value, place="latents") for key, value in latents.items()},
            tensors=(RecordedTensor("latents", 1.2e-4, 7.1e-9, 0.003, 0.0001, peak=4.2),),
        ),
    )
    calm = moving_shapes(seed=3)
    folder.add(
        "tests/test_text_to_video.py::test_calm_lake",
        calm,
        speckled(calm, 11, (40, 60, 44, 66)),
        "within-tolerance",
        tolerance={"psnr": 60.0},
    )
    for name in ("test_city", "test_forest", "test_harbour", "test_snow"):
        folder.add(f"tests/test_text_to_video.py::{name}", ball, ball, "identical")
    return folder.run
