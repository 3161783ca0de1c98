"""Classes and hyper-parameters of a model's parts before a call: what gives a changed epsilon its name."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import torch
from torch import nn

from seedpin.trace.model import ModuleInfo, names_a_path
from seedpin.trace.record.objects import own_attributes
from seedpin.trace.record.search import THIRD_PARTY, ModelParts


class ModelInventory:
    """Classes and hyper-parameters of all that was found, as they were when this was made.

    The attributes are taken at once, which is quick; their texts are made when they are asked for.
    """

    def __init__(self, parts: ModelParts) -> None:
        self._taken: list[tuple[str, str, dict[str, Any]]] = []
        self._infos: tuple[ModuleInfo, ...] | None = None
        for name, obj in (*parts.modules.items(), *parts.schedulers.items()):
            self._take(name, obj)
        seen = {id(obj) for obj in (*parts.modules.values(), *parts.schedulers.values())}
        for method in parts.methods:
            if id(method.owner) not in seen and method.name.endswith(f".{method.attribute}"):
                seen.add(id(method.owner))
                self._take(method.name.removesuffix(f".{method.attribute}"), method.owner)

    def _take(self, name: str, obj: Any) -> None:
        settings: dict[str, Any] = {}
        attributes = own_attributes(obj) or {}
        declared = attributes.get(
            "_internal_dict"
        )  # diffusers' ConfigMixin: first, as it is what people set.
        for source in (declared if isinstance(declared, Mapping) else {}, attributes):
            for key, value in list(source.items()):
                if key[0] != "_" and key not in _STATE:
                    # The object's own attribute wins over what it declared: somebody may have set it since.
                    settings[key] = _kept(value)
        self._taken.append((name, type(obj).__name__, settings))

    def infos(self) -> tuple[ModuleInfo, ...]:
        """One for each object."""
        if self._infos is None:
            self._infos = tuple(
                [ModuleInfo(name, cls, _config(settings)) for name, cls, settings in self._taken]
            )
            self._taken = []
        return self._infos


_STATE = ("step_index", "begin_index", "num_inference_steps", "this_order", "lower_order_nums")
_PLAIN = (bool, int, float, str)


class _Text(str):
    """The text of a setting that was made at once, so that nothing of the model is held."""

    __slots__ = ()


def _kept(value: Any) -> Any:
    """What is kept of a setting until its text is asked for: never a part of the model."""
    kind = type(value)
    if kind in _PLAIN or value is None or kind is torch.dtype:
        return value
    try:
        return _Text(_setting(value))
    except Exception:  # A setting may raise anything where it is asked for its name.
        return _Text("")


def _config(settings: Mapping[str, Any]) -> dict[str, str]:
    texts = {key: str(value) if type(value) is _Text else _setting(value) for key, value in settings.items()}
    return {key: text for key, text in texts.items() if text and not names_a_path(key, text)}


def _setting(value: Any) -> str:
    """Text of a hyper-parameter, or nothing where it has no stable one."""
    kind = type(value)
    if kind in _PLAIN or value is None or kind is torch.dtype:
        return repr(value)[:200]
    if kind in (tuple, list) or kind is torch.Size:
        if len(value) <= 64 and all(type(item) in _PLAIN or item is None for item in value):
            return repr(tuple(value))[:400]
        return ""
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, functools.partial)):
        target: Callable[..., object] = getattr(value, "func", value)
        return getattr(target, "__qualname__", kind.__name__)
    if kind.__module__.partition(".")[0] in THIRD_PARTY or isinstance(value, (nn.Module, dict, set)):
        return ""
    return f"<{kind.__name__}>"  # A processor or strategy object: its class is the setting.
