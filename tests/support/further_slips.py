"""Slips that other projects made and that were told wrongly, or not at all, when first tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.slips import DEMO, STABLE_DIFFUSION, WAN, Edit, Slip, modules, setting

__all__ = ["FURTHER"]


def _both(*touches: Callable[[Any], Callable[[], None]]) -> Callable[[Any], Callable[[], None]]:
    def touch(pipeline: Any) -> Callable[[], None]:
        undo = [one(pipeline) for one in touches]

        def back() -> None:
            for one in undo:
                one()

        return back

    return touch


def _moved_folder(pipeline: Any) -> Callable[[], None]:
    """The same weights from another folder, as on another machine."""
    before = pipeline.unet.config
    pipeline.unet.register_to_config(name_or_path="/mnt/elsewhere/unet", cache_dir="/tmp/cache")

    def undo() -> None:
        pipeline.unet._internal_dict = before

    return undo


def _registered_otherwise(pipeline: Any) -> Callable[[], None]:
    """The same modules with the same weights, registered in another order."""
    before = dict(pipeline.unet._modules)
    pipeline.unet._modules = dict(reversed(before.items()))

    def undo() -> None:
        pipeline.unet._modules = before

    return undo


_EPS = setting(modules("unet", r".*conv_norm_out"), "eps", 1e-3)
_BEFORE_DECODE = r"scheduler\.step.* -> vae\.decode"

FURTHER: tuple[Slip, ...] = (
    Slip(
        "generator dropped",
        "demo, generator",
        (Edit(f"{DEMO}.prepare_latents", "torch.randn(shape, generator=generator,", "torch.randn(shape,"),),
        place="draw in prepare_latents",
        says="random draw 0 comes from another generator, own cpu -> global cpu",
    ),
    Slip(
        "generator dropped",
        "Stable Diffusion, generator",
        (
            Edit(
                f"{STABLE_DIFFUSION}.prepare_latents",
                "randn_tensor(shape, generator=generator,",
                "randn_tensor(shape,",
            ),
        ),
        place="draw in prepare_latents",
        says="random draw 0 comes from another generator, own cpu -> global cpu",
    ),
    Slip(
        "noise of another shape",
        "Wan",
        (
            Edit(
                f"{WAN}.prepare_latents",
                "randn_tensor(shape, generator=generator, device=device, dtype=dtype)",
                "randn_tensor((*shape[:-1], 2 * shape[-1]), generator=generator)[..., : shape[-1]]",
            ),
        ),
        place="draw in prepare_latents",
        says="random draw 0 changed: shape (1, 16, 3, 2, 2) -> (1, 16, 3, 2, 4)",
    ),
    Slip(
        "noise of another dtype",
        "demo",
        (Edit(f"{DEMO}.prepare_latents", "dtype=torch.float32)", "dtype=torch.bfloat16).float()"),),
        place="draw in prepare_latents",
        says="random draw 0 changed: dtype float32 -> bfloat16",
    ),
    Slip(
        "timestep cut to an integer",
        "demo",
        (Edit(f"{DEMO}.guided_velocity", "timestep.expand(count)", "(timestep - 0.5).long().expand(count)"),),
        place=r".* -> denoiser",
        says="the input `timestep` is a tensor int64 (2,) here, was a tensor float32 (2,)",
    ),
    Slip(
        "latents of another shape",
        "Wan",
        (
            Edit(
                f"{WAN}.__call__",
                "latents = latents / latents_std + latents_mean",
                "latents = (latents / latents_std + latents_mean)[:, :, :-1]",
            ),
        ),
        place=_BEFORE_DECODE,
        says="the input `z` is a tensor float32 (1, 16, 2, 2, 2) here, was a tensor float32 (1, 16, 3, 2, 2)",
    ),
    Slip(
        "epsilon of a norm, weights in another folder",
        "Stable Diffusion",
        touch=_both(_EPS, _moved_folder),
        place=r"unet(\.conv_norm_out)?",
        says="[unet.conv_norm_out GroupNorm: eps 1e-05 -> 0.001]",
    ),
    Slip(
        "epsilon of a norm, modules registered in another order",
        "Stable Diffusion",
        touch=_both(_EPS, _registered_otherwise),
        place=r"unet(\.conv_norm_out)?",
        says="[unet.conv_norm_out GroupNorm: eps 1e-05 -> 0.001]",
    ),
    Slip(
        "guidance of the second loop",
        "demo, two loops",
        (
            Edit(
                f"{DEMO}.guided_velocity",
                "return null + guidance * (asked - null)",
                "return null + (guidance + label) * (asked - null)",
            ),
        ),
        place=r"denoiser.* of loop 1 -> scheduler\.step",
        says="scheduler.step 0 of loop 1",
    ),
)
