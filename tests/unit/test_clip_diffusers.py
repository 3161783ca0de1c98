"""as_clip on what diffusers' own classes and processors give."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from seedpin.clip.adapt import as_clip
from seedpin.errors import AmbiguousLayoutError, UnsupportedClipError

pytest.importorskip("diffusers")

from diffusers import ImagePipelineOutput
from diffusers.image_processor import VaeImageProcessor
from diffusers.pipelines.ltx.pipeline_output import LTXPipelineOutput
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import (
    StableVideoDiffusionPipelineOutput,
)
from diffusers.pipelines.wan.pipeline_output import WanPipelineOutput
from diffusers.video_processor import VideoProcessor

image_output: Any = ImagePipelineOutput
CLASSES = [WanPipelineOutput, StableVideoDiffusionPipelineOutput, LTXPipelineOutput]


def decoded(batch: int = 1, frames: int = 5) -> torch.Tensor:
    """What a VAE gives: (B, C, T, H, W) in about [-1, 1]."""
    return torch.rand(batch, 3, frames, 16, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1


def expected() -> npt.NDArray[np.float32]:
    values: npt.NDArray[np.float32] = (decoded()[0] / 2 + 0.5).permute(1, 2, 3, 0).numpy()
    return values


@pytest.mark.parametrize("output_class", CLASSES)
@pytest.mark.parametrize("output_type", ["np", "pt", "pil"])
def test_video_outputs(output_class: Any, output_type: str) -> None:
    """Every output type of a video pipeline gives the same frames, as floats or as pixels."""
    video = VideoProcessor(vae_scale_factor=8).postprocess_video(decoded(), output_type)
    clip = as_clip(output_class(frames=video), fps=8)
    if output_type == "pil":
        np.testing.assert_array_equal(clip.frames, (expected() * 255).round().astype(np.uint8))
    else:
        np.testing.assert_array_equal(clip.frames, expected())
    assert clip.source.startswith(f"{output_class.__name__}.frames: ")
    np.testing.assert_array_equal(as_clip((video,)).frames, clip.frames)


@pytest.mark.parametrize("output_type", ["np", "pt", "pil"])
def test_a_batch_of_videos_is_refused(output_type: str) -> None:
    """Two prompts give two clips, which are checked apart."""
    video = VideoProcessor(vae_scale_factor=8).postprocess_video(decoded(2), output_type)
    with pytest.raises(UnsupportedClipError, match=r"WanPipelineOutput.frames: .*batch of 2 clips"):
        as_clip(WanPipelineOutput(frames=video))


@pytest.mark.parametrize("single_image", [False, True])
@pytest.mark.parametrize("output_type", ["np", "pt", "pil"])
def test_image_outputs(output_type: str, single_image: bool) -> None:
    """An image pipeline's output is one image: (1, 3, H, W) is not three grey frames."""
    processor = VaeImageProcessor(vae_scale_factor=8)
    images = processor.postprocess(decoded()[:, :, 0], output_type)
    clip = as_clip(image_output(images=images), single_image=single_image)
    assert clip.num_frames == 1
    assert clip.channels == 3
    if output_type != "pil":
        np.testing.assert_array_equal(clip.frames[0], expected()[0])


@pytest.mark.parametrize("output_type", ["np", "pt", "pil"])
def test_a_batch_of_images_is_refused(output_type: str) -> None:
    """Images of several prompts are no frames of one clip."""
    images = VaeImageProcessor(vae_scale_factor=8).postprocess(decoded(2)[:, :, 0], output_type)
    with pytest.raises(UnsupportedClipError, match=r"ImagePipelineOutput.images: ") as caught:
        as_clip(image_output(images=images))
    assert "each image with its own name=" in caught.value.hint


def test_an_ambiguous_output_says_which_class() -> None:
    """Four frames could be four channels: the message names the output and the keyword."""
    video = VideoProcessor(vae_scale_factor=8).postprocess_video(decoded(1, 4), "pt")
    with pytest.raises(AmbiguousLayoutError, match=r"WanPipelineOutput.frames"):
        as_clip(WanPipelineOutput(frames=video))
    assert as_clip(WanPipelineOutput(frames=video), layout="BTCHW").num_frames == 4


def test_an_output_without_frames_is_named() -> None:
    """frames=None is told apart from a model that returned None."""
    absent: Any = None
    with pytest.raises(UnsupportedClipError, match=r"WanPipelineOutput.frames is None"):
        as_clip(WanPipelineOutput(frames=absent))


def test_latents_are_refused() -> None:
    """output_type="latent" is for golden_tensors."""
    with pytest.raises(UnsupportedClipError) as caught:
        as_clip(WanPipelineOutput(frames=torch.randn(1, 16, 5, 8, 8)))
    assert "golden_tensors" in caught.value.hint
