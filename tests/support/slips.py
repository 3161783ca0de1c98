"""Slips of the kinds that really happened, planted by editing the code that the real ones touched.

An edit replaces text in the source of an installed function and compiles it again; the tracer is not told.
"""

from __future__ import annotations
import __future__ as futures

import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from seedpin.trace.diff.divergence import Divergence
from seedpin.trace.model import Level, Trace
from seedpin.trace.record.recorder import record
from support.pipelines import Frames, build, generate

__all__ = [
    "DEMO",
    "SLIPS",
    "STABLE_DIFFUSION",
    "WAN",
    "Edit",
    "Slip",
    "modules",
    "named_rightly",
    "observe",
    "planted",
    "setting",
]


@dataclass(frozen=True)
class Edit:
    """``old`` becomes ``new`` in ``module.qualified.name``."""

    target: str
    old: str
    new: str


@dataclass(frozen=True)
class Slip:
    """One slip in one pipeline."""

    name: str
    pipeline: str
    edits: tuple[Edit, ...] = ()
    touch: Callable[[Any], Callable[[], None]] | None = None
    """Changes an attribute of the pipeline and returns what undoes it."""
    place: str = ""
    """Pattern that the named place must match."""
    says: str = ""
    """Pattern that the sentence must contain."""
    earlier_call: bool = False
    """Whether the clip that is compared is the second one."""


def _resolve(target: str) -> tuple[Any, str]:
    parts = target.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            owner: Any = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:-1]:
            owner = getattr(owner, part)
        return owner, parts[-1]
    raise LookupError(target)


@contextmanager
def _edited(target: str, edits: list[Edit]) -> Iterator[None]:
    owner, name = _resolve(target)
    before = inspect.getattr_static(owner, name)
    function = inspect.unwrap(before.__func__ if isinstance(before, staticmethod) else before)
    lines, first = inspect.getsourcelines(function)
    source = textwrap.dedent("".join(lines))
    for edit in edits:
        assert edit.old in source, f"{target} no longer has {edit.old!r}"
        source = source.replace(edit.old, edit.new)
    # Blank lines in front keep the line numbers.
    code = compile(
        "\n" * (first - 1) + source,
        function.__code__.co_filename,
        "exec",
        flags=futures.annotations.compiler_flag,
        dont_inherit=True,
    )
    scope: dict[str, Any] = {}
    exec(code, sys.modules[function.__module__].__dict__, scope)
    setattr(owner, name, scope[name])
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def planted(slip: Slip, pipeline: Any) -> Iterator[None]:
    """The slip is in the code for the length of the block."""
    with ExitStack() as stack:
        for target in dict.fromkeys(edit.target for edit in slip.edits):
            stack.enter_context(_edited(target, [edit for edit in slip.edits if edit.target == target]))
        if slip.touch is not None:
            stack.callback(slip.touch(pipeline))
        yield


def setting(find: Callable[[Any], list[Any]], name: str, value: Any) -> Callable[[Any], Callable[[], None]]:
    """Set an attribute of some objects of the pipeline."""

    def touch(pipeline: Any) -> Callable[[], None]:
        objects = find(pipeline)
        assert objects
        before = [getattr(obj, name) for obj in objects]
        for obj in objects:
            setattr(obj, name, value)

        def undo() -> None:
            for obj, old in zip(objects, before, strict=True):
                setattr(obj, name, old)

        return undo

    return touch


def modules(attribute: str, pattern: str) -> Callable[[Any], list[Any]]:
    return lambda pipeline: [
        module for name, module in getattr(pipeline, attribute).named_modules() if re.fullmatch(pattern, name)
    ]


def _shift(pipeline: Any) -> Callable[[], None]:
    before = pipeline.scheduler
    if hasattr(before, "config"):
        pipeline.scheduler = type(before).from_config(before.config, shift=3.0)
    else:
        pipeline.scheduler = type(before)(shift=3.0)

    def undo() -> None:
        pipeline.scheduler = before

    return undo


WAN = "diffusers.pipelines.wan.pipeline_wan.WanPipeline"
_WAN_MODEL = "diffusers.models.transformers.transformer_wan"
_WAN_VAE = "diffusers.models.autoencoders.autoencoder_kl_wan.AutoencoderKLWan"
_EULER = "diffusers.schedulers.scheduling_flow_match_euler_discrete.FlowMatchEulerDiscreteScheduler"
STABLE_DIFFUSION = "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion.StableDiffusionPipeline"
_I2I = "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img.StableDiffusionImg2ImgPipeline"
_DDIM = "diffusers.schedulers.scheduling_ddim.DDIMScheduler"
DEMO = "seedpin.demo.pipeline.DemoPipeline"
_DEMO_MODEL = "seedpin.demo.model"

_BEFORE_STEP = r".*(transformer|unet|denoiser).* -> scheduler\.step"
_AFTER = "post-processing"

SLIPS: tuple[Slip, ...] = (
    Slip(
        "scheduler one step off",
        "Wan",
        (Edit(f"{_EULER}.step", "sigma_idx = self.step_index", "sigma_idx = max(self.step_index - 1, 0)"),),
        place=r"scheduler\.step",
        says="scheduler.step 1",
    ),
    Slip(
        "scheduler one step off",
        "Stable Diffusion",
        (Edit(f"{_DDIM}.step", "// self.num_inference_steps", "// (self.num_inference_steps + 1)"),),
        place=r"scheduler\.step",
        says="scheduler.step 0",
    ),
    Slip(
        "scheduler one step off",
        "demo",
        (
            Edit(
                "seedpin.demo.scheduler.FlowEulerScheduler.step",
                "self.sigmas[index], self.sigmas[index + 1]",
                "self.sigmas[max(index - 1, 0)], self.sigmas[index]",
            ),
        ),
        place=r"scheduler\.step",
        says="scheduler.step 0",
    ),
    Slip(
        "wrong sigma shift", "Wan", touch=_shift, place=r"scheduler\.set_timesteps", says="shift 7.0 -> 3.0"
    ),
    Slip(
        "wrong sigma shift", "demo", touch=_shift, place=r"scheduler\.set_timesteps", says="shift 2.0 -> 3.0"
    ),
    Slip(
        "guidance halves swapped",
        "Wan",
        (
            Edit(
                f"{WAN}.__call__",
                "noise_uncond + current_guidance_scale * (noise_pred - noise_uncond)",
                "noise_pred + current_guidance_scale * (noise_uncond - noise_pred)",
            ),
        ),
        place=_BEFORE_STEP,
        says="model_output",
    ),
    Slip(
        "guidance halves swapped",
        "Stable Diffusion",
        (
            Edit(
                f"{STABLE_DIFFUSION}.__call__",
                "noise_pred_uncond, noise_pred_text = noise_pred.chunk(2)",
                "noise_pred_text, noise_pred_uncond = noise_pred.chunk(2)",
            ),
        ),
        place=_BEFORE_STEP,
        says="model_output",
    ),
    Slip(
        "guidance halves swapped",
        "demo",
        (Edit(f"{DEMO}.guided_velocity", "asked, null =", "null, asked ="),),
        place=_BEFORE_STEP,
        says="model_output",
    ),
    Slip(
        "guidance not applied",
        "Wan",
        (
            Edit(
                f"{WAN}.__call__",
                "noise_pred = noise_uncond + current_guidance_scale * (noise_pred - noise_uncond)",
                "pass",
            ),
        ),
        place=_BEFORE_STEP,
        says="guidance",
    ),
    Slip(
        "guidance not applied",
        "demo",
        (Edit(f"{DEMO}.guided_velocity", "return null + guidance * (asked - null)", "return asked"),),
        place=_BEFORE_STEP,
        says="guidance",
    ),
    Slip(
        "fp32 upcast lost",
        "Wan bf16",
        (
            Edit(
                f"{_WAN_MODEL}.WanTransformerBlock.forward",
                "self.norm1(hidden_states.float())",
                "self.norm1(hidden_states)",
            ),
        ),
        place=r"transformer\.blocks\.0(\.norm1)?",
        says="bfloat16",
    ),
    Slip(
        "fp32 upcast lost",
        "demo bf16",
        (
            Edit(
                f"{_DEMO_MODEL}.TimestepEmbedding.forward",
                "timestep.float()[:, None] * torch.tensor(self.rates, device=timestep.device)",
                "timestep.bfloat16()[:, None] * torch.tensor(self.rates).bfloat16()",
            ),
        ),
        place=r"denoiser\.time_embed",
    ),
    Slip(
        "epsilon of a norm",
        "Wan",
        touch=setting(modules("transformer", r".*norm_q"), "eps", 1e-3),
        place=r"transformer\.blocks\.0\.attn1\.norm_q",
        says="eps 1e-06 -> 0.001",
    ),
    Slip(
        "epsilon of a norm",
        "Stable Diffusion",
        touch=setting(modules("unet", r".*conv_norm_out"), "eps", 1e-3),
        place=r"unet\.conv_norm_out",
        says="eps 1e-05 -> 0.001",
    ),
    Slip(
        "attention mask dropped",
        "Wan",
        (
            Edit(
                f"{WAN}._get_t5_prompt_embeds",
                ", mask.to(model_device)",
                "",
            ),
        ),
        place="text_encoder",
        says="attention_mask",
    ),
    Slip(
        "one extra draw",
        "Wan",
        (
            Edit(
                f"{WAN}.prepare_latents", "latents = randn_tensor(", "torch.rand(1); latents = randn_tensor("
            ),
        ),
        place="draw in prepare_latents",
        says="random draw 0 is new",
    ),
    Slip(
        "one extra draw",
        "Stable Diffusion",
        (
            Edit(
                f"{STABLE_DIFFUSION}.prepare_latents",
                "latents = randn_tensor(",
                "randn_tensor(shape, generator=generator, device=device, dtype=dtype)\n"
                "        latents = randn_tensor(",
            ),
        ),
        place="draw in prepare_latents",
        says="is new",
    ),
    Slip(
        "one extra draw",
        "demo",
        (Edit(f"{DEMO}.prepare_latents", "    noise = ", "    torch.randn(()); noise = "),),
        place="draw in prepare_latents",
        says="random draw 0 is new",
    ),
    Slip(
        "draws reordered",
        "Stable Diffusion img2img",
        (
            Edit(
                f"{_I2I}.prepare_latents",
                "image = image.to(device=device, dtype=dtype)",
                "image = image.to(device=device, dtype=dtype)\n"
                "    early = randn_tensor((1, 4, 16, 16), generator=generator, device=device, dtype=dtype)",
            ),
            Edit(
                f"{_I2I}.prepare_latents",
                "noise = randn_tensor(shape, generator=generator, device=device, dtype=dtype)",
                "noise = early",
            ),
        ),
        place="draw in prepare_latents",
        says="changed places",
    ),
    Slip(
        "VAE scaling factor",
        "Wan",
        (
            Edit(
                f"{WAN}.__call__",
                "latents = latents / latents_std + latents_mean",
                "latents = latents / latents_std",
            ),
        ),
        place=r"scheduler\.step.* -> vae\.decode",
        says="`z`",
    ),
    Slip(
        "VAE scaling factor",
        "Stable Diffusion",
        (
            Edit(
                f"{STABLE_DIFFUSION}.__call__",
                "latents / self.vae.config.scaling_factor",
                "latents / 0.13025",
            ),
        ),
        place=r"scheduler\.step.* -> vae\.decode",
        says="`z`",
    ),
    Slip(
        "latents not clamped",
        "Stable Diffusion",
        (Edit(f"{_DDIM}.step", "elif self.config.clip_sample:", "elif False:"),),
        place=r"scheduler\.step",
        says="scheduler.step 0",
    ),
    Slip(
        "rounding against truncation",
        "Stable Diffusion",
        (
            Edit(
                "diffusers.image_processor.VaeImageProcessor.numpy_to_pil",
                "(images * 255).round()",
                "(images * 255)",
            ),
        ),
        place=r"image_processor\.postprocess",
    ),
    Slip(
        "rounding against truncation",
        "demo",
        (Edit(f"{DEMO}.decode", "(pixels * 255.0).round()", "(pixels * 255.0)"),),
        place=_AFTER,
        says="decoder",
    ),
    Slip(
        "GELU tanh against erf",
        "Wan",
        touch=setting(modules("transformer", r".*ffn\.net\.0"), "approximate", "none"),
        place=r"transformer\.blocks\.0\.ffn\.net\.0",
        says="approximate 'tanh' -> 'none'",
    ),
    Slip(
        "GELU tanh against erf",
        "demo",
        (Edit(f"{_DEMO_MODEL}.FeedForward.forward", 'approximate="tanh"', 'approximate="none"'),),
        place=r"denoiser\.blocks\.0\.feed_forward",
    ),
    Slip(
        "RoPE off by one",
        "Wan",
        (
            Edit(
                f"{_WAN_MODEL}.WanRotaryPosEmbed.forward", "freqs_cos[0][:ppf]", "freqs_cos[0][1 : ppf + 1]"
            ),
            Edit(
                f"{_WAN_MODEL}.WanRotaryPosEmbed.forward", "freqs_sin[0][:ppf]", "freqs_sin[0][1 : ppf + 1]"
            ),
        ),
        place=r"transformer\.rope",
    ),
    Slip(
        "state kept between calls",
        "Wan",
        (Edit(f"{_WAN_VAE}._decode", "self.clear_cache()", "self._conv_idx = [0]"),),
        place=r"vae\.(decode$|decoder|post_quant_conv).*",
        earlier_call=True,
    ),
    Slip(
        "state kept between calls",
        "demo",
        (
            Edit(
                f"{_DEMO_MODEL}.TimestepEmbedding.forward",
                "angle = timestep.float()",
                "self._kept = timestep = 0.9 * timestep + 0.1 * getattr(self, '_kept', timestep)\n"
                "    angle = timestep.float()",
            ),
        ),
        place=r"denoiser\.time_embed",
        earlier_call=True,
    ),
    Slip(
        "frames reversed",
        "Wan",
        (
            Edit(
                f"{WAN}.__call__",
                "self.video_processor.postprocess_video(video, output_type=output_type)",
                "self.video_processor.postprocess_video(video, output_type=output_type)[:, ::-1]",
            ),
        ),
        place=_AFTER,
        says="reversed",
    ),
    Slip(
        "frames reversed",
        "demo",
        (Edit(f"{DEMO}.decode", ".contiguous()", ".contiguous().flip(0)"),),
        place=_AFTER,
        says="decoder",
    ),
    Slip(
        "last frame lost",
        "Wan",
        (
            Edit(
                f"{WAN}.__call__",
                "self.video_processor.postprocess_video(video, output_type=output_type)",
                "self.video_processor.postprocess_video(video, output_type=output_type)[:, :-1]",
            ),
        ),
        place=_AFTER,
        says="the last frame is missing",
    ),
    Slip(
        "last frame lost",
        "demo",
        (
            Edit(
                f"{DEMO}.decode",
                "frames = latents[0].transpose(0, 1)",
                "frames = latents[0].transpose(0, 1)[:-1]",
            ),
        ),
        place=r".* -> decoder|decoder",
    ),
)


def observe(slip: Slip, level: Level, *, plant: bool) -> tuple[Frames, Trace]:
    """Frames and trace of one run of the slip's pipeline, with or without the slip."""
    pipeline = build(slip.pipeline)
    with planted(slip, pipeline) if plant else nullcontext():
        if slip.earlier_call:
            generate(slip.pipeline, pipeline, seed=2)
        torch.manual_seed(1)  # as generate does: else that is recorded, or not, by what ran before
        with record(pipeline, level=level) as recorder:
            frames = generate(slip.pipeline, pipeline)
    recorder.clip(frames)
    for module in vars(pipeline).get("_modules", {}).values():  # What the planted state left behind.
        for part in module.modules():
            part.__dict__.pop("_kept", None)
    return frames, recorder.trace()


def named_rightly(slip: Slip, divergence: Divergence | None) -> bool:
    """Whether the place and the words are those of the slip."""
    if divergence is None:
        return False
    return bool(re.fullmatch(slip.place, divergence.place)) and slip.says in divergence.sentence
