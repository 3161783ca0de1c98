"""A small trained video diffusion model, for examples and for seedpin's tests of itself.

Names are resolved on first use, so that importing this package alone imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seedpin.demo.model import Decoder, Denoiser
    from seedpin.demo.pipeline import COLOURS, FPS, LABELS, SHAPES, DemoPipeline, load_demo
    from seedpin.demo.scheduler import FlowEulerScheduler

__all__ = [
    "COLOURS",
    "FPS",
    "LABELS",
    "SHAPES",
    "Decoder",
    "DemoPipeline",
    "Denoiser",
    "FlowEulerScheduler",
    "load_demo",
]

_HOMES = {"Decoder": "model", "Denoiser": "model", "FlowEulerScheduler": "scheduler"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'pipeline')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
