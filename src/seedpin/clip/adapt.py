"""From what a model gives to a Clip: tensors, arrays, pictures, pipeline outputs, files.

Values are kept as they are: nothing is scaled, clamped, rounded or resized.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from seedpin.clip.clip import Clip, count
from seedpin.clip.files import Reading, read_path
from seedpin.clip.layout import choose_layout, to_thwc
from seedpin.clip.values import native_values, settle_range
from seedpin.errors import EmptyClipError, UnsupportedClipError
from seedpin.printing import type_name

if TYPE_CHECKING:
    import torch

_TAKEN = (
    "pass a torch tensor, a NumPy array, a PIL image or a list of them, the output of a diffusers pipeline, "
    "a path, or a Clip"
)
_PIL_MODES = ("L", "RGB", "RGBA")


@dataclass(frozen=True, slots=True)
class _Ask:
    """What the caller said about the object."""

    fps: float | None
    layout: str | None
    value_range: tuple[float, float] | None
    single_image: bool


def as_clip(
    obj: object,
    *,
    fps: float | None = None,
    layout: str | None = None,
    value_range: tuple[float, float] | None = None,
    single_image: bool = False,
) -> Clip:
    """Frames of ``obj`` as a Clip, copied to host memory.

    ``obj``: a torch tensor or an array (uint8, uint16, float16, bfloat16, float32, float64), a PIL image,
    a list of frames, an object with ``.frames``, ``.images`` or ``.videos`` (diffusers), the path of a video,
    of an image or of a folder of images, or a Clip. A batch of one is unpacked.
    ``layout`` names the axes of an array (such as ``TCHW``) where more than one reading is possible;
    pictures and files need none. ``value_range`` is (0, 1) or (-1, 1) and concerns floats only: by default
    they must lie in [0, 1]. bfloat16 is widened to float32, which is exact.
    ``single_image`` asks for exactly one frame. ``fps`` overrides the rate of a file or a Clip.

    Raises AmbiguousLayoutError, EmptyClipError, NonFiniteClipError, UnsupportedClipError, ValueRangeError
    or ClipError.
    """
    return _adapt(obj, _Ask(fps, layout, value_range, single_image), "")


def _adapt(obj: Any, ask: _Ask, origin: str) -> Clip:
    if obj is None:
        subject = f"{origin.rstrip(': ')} is" if origin else "the model returned"
        raise UnsupportedClipError(
            f"{subject} None: there are no frames",
            hint="return the frames from the model or the function that was called",
        )
    if isinstance(obj, Clip):
        settled = settle_range(obj.frames, ask.value_range or obj.value_range, "the clip")
        clip = replace(obj, fps=obj.fps if ask.fps is None else ask.fps, value_range=settled)
        return _only_one(clip) if ask.single_image else clip
    if isinstance(obj, (str, PathLike)):
        return _from_reading(read_path(Path(obj)), ask)
    if isinstance(obj, Image.Image):
        return _from_pictures([obj], ask, f"{origin}PIL image")
    for attribute in ("frames", "images", "videos"):
        if hasattr(obj, attribute):
            inner = replace(ask, single_image=True) if attribute == "images" else ask
            return _adapt(getattr(obj, attribute), inner, f"{type(obj).__name__}.{attribute}: ")
    if isinstance(obj, (list, tuple)):
        return _from_sequence(obj, ask, origin)
    if _is_tensor(obj) or hasattr(obj, "__array__"):
        array, name = _host_array(obj, origin)
        return _from_array(array, ask, origin, name)
    raise UnsupportedClipError(f"{origin}no frames can be read from a {type_name(obj)}", hint=_TAKEN)


def _from_sequence(items: Sequence[Any], ask: _Ask, origin: str) -> Clip:
    if not items:
        raise EmptyClipError(
            f"{origin}an empty {type(items).__name__}: there are no frames",
            hint="check what the model returned, and the number of frames that was asked for",
        )
    kinds = [_kind(item) for item in items]
    odd = next((index for index, kind in enumerate(kinds) if kind != kinds[0]), None)
    if odd is not None:
        raise UnsupportedClipError(
            f"{origin}a {type(items).__name__} of mixed things: item 0 is a {type_name(items[0])}, "
            f"item {odd} is a {type_name(items[odd])}",
            hint="pass the frames alone, all of one kind; check sound and latents with golden_tensors",
        )
    if kinds[0] == "picture":
        return _from_pictures(items, ask, f"{origin}list of {count(len(items), 'PIL image')}")
    if kinds[0] == "list" or (kinds[0] == "array" and np.ndim(items[0]) >= 4):
        # A batch, as pipelines give it: one inner clip for each prompt.
        if len(items) == 1:
            return _adapt(items[0], ask, origin)
        raise UnsupportedClipError(
            f"{origin}a batch of {len(items)} clips",
            hint='check each clip with its own name=, for example check(clips[0], name="first") '
            'and check(clips[1], name="second")',
        )
    if kinds[0] == "array":
        return _from_frame_arrays(items, ask, origin)
    raise UnsupportedClipError(
        f"{origin}no frames can be read from a {type(items).__name__} of {type_name(items[0])}", hint=_TAKEN
    )


def _from_frame_arrays(items: Sequence[Any], ask: _Ask, origin: str) -> Clip:
    pairs = [_host_array(item, origin) for item in items]
    first = pairs[0][0]
    for index, (array, _) in enumerate(pairs):
        if (array.shape, array.dtype) != (first.shape, first.dtype):
            raise UnsupportedClipError(
                f"{origin}frames differ: frame 0 has shape {first.shape} and dtype {first.dtype}, "
                f"frame {index} has shape {array.shape} and dtype {array.dtype}",
                hint="give every frame the same shape and dtype; nothing is resized",
            )
    what = f"{origin}each frame of shape {first.shape}"
    asked = ask.layout[1:] if ask.layout and ask.layout[0] in "Tt" and first.ndim < 4 else ask.layout
    layout = choose_layout(first.shape, what, layout=asked)
    stacked = to_thwc(np.stack([array for array, _ in pairs]), "T" + layout)
    return _finish(stacked, ask, f"{origin}list of {len(pairs)} {pairs[0][1]} {layout}")


def _from_array(array: npt.NDArray[Any], ask: _Ask, origin: str, name: str) -> Clip:
    what = f"{origin}{name} of shape {tuple(array.shape)}"
    layout = choose_layout(tuple(array.shape), what, layout=ask.layout, single_image=ask.single_image)
    return _finish(to_thwc(array, layout), ask, f"{origin}{name} {layout}")


def _from_pictures(images: Sequence[Image.Image], ask: _Ask, what: str) -> Clip:
    first = images[0]
    for index, image in enumerate(images):
        at = f"frame {index} of " if len(images) > 1 else ""
        if image.mode not in _PIL_MODES:
            raise UnsupportedClipError(
                f"{at}{what} has mode {image.mode!r}; taken as they are: {', '.join(_PIL_MODES)}",
                hint='convert it yourself, for example image.convert("RGB")',
            )
        if (image.size, image.mode) != (first.size, first.mode):
            raise UnsupportedClipError(
                f"{what}: frame 0 is {_picture(first)}, frame {index} is {_picture(image)}",
                hint="give every frame the same size and mode; nothing is resized",
            )
    _refuse_empty_picture(first, what)
    frames = np.stack([np.asarray(image) for image in images])
    grey = frames[..., np.newaxis] if frames.ndim == 3 else frames
    return _finish(grey, ask, f"{what} ({first.mode})")


def _from_reading(reading: Reading, ask: _Ask) -> Clip:
    fps = reading.fps if ask.fps is None else ask.fps
    return _finish(reading.frames, replace(ask, fps=fps), reading.source)


def _finish(frames: npt.NDArray[Any], ask: _Ask, source: str) -> Clip:
    frames = native_values(frames, source)
    settled = settle_range(frames, ask.value_range, source)
    # The Clip copies, because these may be views of the caller's memory.
    clip = Clip(frames, ask.fps, settled, source)
    return _only_one(clip) if ask.single_image else clip


def _only_one(clip: Clip) -> Clip:
    if clip.num_frames != 1:
        raise UnsupportedClipError(
            f"{clip.source or 'the clip'} holds {clip.num_frames} frames where one image is expected",
            hint='check each image with its own name=, for example check(images[0], name="first"); '
            "check a clip with golden_video",
        )
    return clip


def _host_array(obj: Any, origin: str) -> tuple[npt.NDArray[Any], str]:
    """An array in host memory with the values of ``obj``, and its name for messages."""
    if not _is_tensor(obj):
        array = np.asarray(obj)
        return array, f"{type(obj).__module__.partition('.')[0]}.{array.dtype.name}"
    return _tensor_array(obj, origin), str(obj.dtype)


def _tensor_array(tensor: torch.Tensor, origin: str) -> npt.NDArray[Any]:
    import torch

    what = f"{origin}{tensor.dtype} tensor of shape {tuple(tensor.shape)}"
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type == "meta":
        kind = tensor.device.type if tensor.device.type == "meta" else "sparse or quantized"
        raise UnsupportedClipError(f"{what} is {kind}: it has no plain values", hint=_TAKEN)
    host = tensor.detach().cpu()
    if host.dtype == torch.bfloat16:
        host = host.to(torch.float32)
    try:
        array: npt.NDArray[Any] = host.resolve_neg().numpy()
    except (TypeError, RuntimeError) as error:
        raise UnsupportedClipError(
            f"{what} has no NumPy counterpart: {error}", hint="convert the frames, for example with .float()"
        ) from error
    return array


def _is_tensor(obj: object) -> bool:
    # Whoever holds a tensor has imported torch; whoever has not need not pay for it.
    torch_module = sys.modules.get("torch")
    return torch_module is not None and isinstance(obj, torch_module.Tensor)


def _kind(item: object) -> str:
    if isinstance(item, Image.Image):
        return "picture"
    if isinstance(item, (list, tuple)):
        return "list"
    if _is_tensor(item) or hasattr(item, "__array__"):
        return "array"
    return type_name(item)


def _picture(image: Image.Image) -> str:
    return f"{image.height}x{image.width} {image.mode}"


def _refuse_empty_picture(image: Image.Image, what: str) -> None:
    if 0 in image.size:
        raise EmptyClipError(
            f"{what} is {_picture(image)}: it has no pixels", hint="check what the model returned"
        )
