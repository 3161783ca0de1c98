"""Find what can be watched below any object: modules, schedulers, and the methods that are stages."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from seedpin.errors import TraceError
from seedpin.trace.record.objects import FUNCTIONS, captured, items_of, own_attributes

_STAGE_METHODS = (
    *("encode", "decode", "generate", "get_image_features", "get_text_features"),
    *("preprocess", "preprocess_video", "postprocess", "postprocess_video"),
)
_PIPELINE_METHODS = ("encode_prompt", "encode_image", "prepare_latents", "decode_latents")
SCHEDULER_METHODS = ("set_timesteps", "scale_model_input", "add_noise", "step")
THIRD_PARTY = ("torch", "numpy", "builtins", "collections", "functools", "types", "tokenizers", "PIL")
_LEAVES = frozenset([str, int, float, bool, type(None)])
_MAX_OBJECTS = 20_000
_MAX_DEPTH = 6


@dataclass(frozen=True, slots=True)
class Method:
    """A bound method that is watched under a name of its own."""

    name: str
    owner: Any
    attribute: str


@dataclass(slots=True)
class ModelParts:
    """What ``find`` saw; every object appears once, under the first name that led to it."""

    modules: dict[str, nn.Module] = field(default_factory=dict)
    stages: dict[str, nn.Module] = field(default_factory=dict)
    methods: list[Method] = field(default_factory=list)
    schedulers: dict[str, Any] = field(default_factory=dict)
    compiled: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def is_compiled(module: nn.Module) -> bool:
    """Whether calling the module runs a compiled graph."""
    return isinstance(module, torch._dynamo.eval_frame.OptimizedModule) if _dynamo() else False


def _dynamo() -> bool:
    # Importing torch._dynamo takes a second; without it nothing can have been compiled.
    return "torch._dynamo.eval_frame" in sys.modules


def find(objects: tuple[object, ...], stages: Mapping[str, object] | None = None) -> ModelParts:
    """Look through attributes, dicts, lists and closures of ``objects`` (never through properties).

    ``stages`` declares further ones by name: a module or a bound method. Raises TraceError for others.
    """
    walker = _Walker()
    for name, declared in (stages or {}).items():
        if isinstance(declared, nn.Module):
            walker.walk(declared, name, stage=True)
        elif isinstance(declared, types.MethodType):
            walker.parts.methods.append(Method(name, declared.__self__, declared.__name__))
        else:
            raise TraceError(
                f"stage {name!r} is {type(declared).__name__}, which cannot be watched.",
                hint="give an nn.Module or a bound method, or call seedpin.mark inside of it",
            )
    for obj in objects:
        prefix = type(obj).__name__ if len(objects) > 1 else ""
        if isinstance(obj, nn.Module):
            walker.walk(obj, prefix or type(obj).__name__, root=not prefix, stage=True)
        else:
            walker.walk(obj, prefix, root=True)
    parts = walker.parts
    if walker.visited >= _MAX_OBJECTS:
        parts.notes.append(f"only the first {_MAX_OBJECTS:,} objects below the model were looked at")
    if not (parts.modules or parts.schedulers or parts.methods):
        names = ", ".join(type(obj).__name__ for obj in objects) or "nothing"
        parts.notes.append(f"no module or scheduler was found below {names}: only draws and marks are seen")
    return parts


class _Walker:
    def __init__(self) -> None:
        self.parts = ModelParts()
        self.visited = 0
        self._seen: set[int] = set()
        self._dynamo = _dynamo()

    def walk(
        self,
        obj: Any,
        path: str,
        depth: int = 0,
        *,
        root: bool = False,
        stage: bool = False,
        own: bool = True,
    ) -> None:
        """``own``: whether the modules right below ``obj`` are stages of the model.

        An object that raises where it is looked at is left alone, and a note says so.
        """
        try:
            self._walk(obj, path, depth, root=root, stage=stage, own=own)
        except Exception as error:
            self._lost(path, obj, error)

    def _lost(self, path: str, obj: object, error: Exception) -> None:
        where = path or type(obj).__name__
        self.parts.notes.append(f"{where} could not be looked into: {type(error).__name__}")

    def _walk(self, obj: Any, path: str, depth: int, *, root: bool, stage: bool, own: bool) -> None:
        # Modules nest deeper than plain objects do: what lies below one may lie further down.
        if id(obj) in self._seen or self.visited >= _MAX_OBJECTS or depth > _MAX_DEPTH + 20 * (not own):
            return
        if not root and isinstance(obj, (str, int, float, torch.Tensor, types.ModuleType, type)):
            return
        if isinstance(obj, nn.Module):
            self._module(obj, path, depth, root=root, stage=stage)
            return
        children = items_of(obj)
        if children is not None:
            pass
        elif _is_scheduler(obj):
            self._seen.add(id(obj))
            self.parts.schedulers[path or type(obj).__name__] = obj
            return
        elif isinstance(obj, FUNCTIONS):
            self._seen.add(id(obj))
            for name, child in list(captured(obj, _is_part)):
                # What a function holds is as good as given; a bound method adds no name.
                self.walk(child, path if isinstance(obj, types.MethodType) else _join(path, name), root=True)
            return
        elif _is_third_party(obj):
            return
        else:
            children = iter(list((own_attributes(obj) or {}).items()))
            self._methods(obj, path, _PIPELINE_METHODS if root else ())
            self._methods(obj, path, _STAGE_METHODS)
        self._seen.add(id(obj))
        self.visited += 1
        for name, child in children:
            if type(child) not in _LEAVES:
                # A private holder (diffusers keeps its config in one) has the name of what it holds.
                self.walk(child, _join(path, name), depth + 1, stage=own and depth < 3, own=own)

    def _module(self, module: nn.Module, path: str, depth: int, *, root: bool, stage: bool) -> None:
        self._seen.add(id(module))
        self.visited += 1
        attributes = module.__dict__
        if attributes.get("_compiled_call_impl") is not None or (self._dynamo and is_compiled(module)):
            self.parts.compiled.append(path)
        self.parts.modules[path] = module
        if stage and not isinstance(module, (nn.ModuleList, nn.ModuleDict)):
            self.parts.stages[path] = module
            self._methods(module, "" if root else path, _STAGE_METHODS + _PIPELINE_METHODS * root)
        below = "" if root else path
        for name, child in module._modules.items():
            if child is not None and id(child) not in self._seen:
                # torch.compile's wrapper: what it wraps is the same stage, not one more.
                whole = name == "_orig_mod"
                inner = f"{path}._orig_mod" if whole else _join(below, name)
                try:
                    self._module(child, inner, depth + 1, root=False, stage=root and not whole)
                except Exception as error:
                    self._lost(inner, child, error)
        for name, value in list(attributes.items()):
            if type(value) not in _LEAVES and name[0] != "_":
                self.walk(value, _join(below, name), depth + 1, stage=root, own=root)

    def _methods(self, obj: Any, path: str, names: tuple[str, ...]) -> None:
        for name in names:
            if callable(getattr(type(obj), name, None)):
                self.parts.methods.append(Method(_join(path, name), obj, name))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_scheduler(obj: Any) -> bool:
    cls = type(obj)
    # By what it can do: pipelines bring schedulers of their own, under any base class. The name alone counts
    # where it has a `step` but takes its timesteps elsewhere.
    return callable(getattr(cls, "step", None)) and (
        callable(getattr(cls, "set_timesteps", None)) or "cheduler" in cls.__name__
    )


def _is_third_party(obj: Any) -> bool:
    cls = type(obj)
    if own_attributes(obj) is None or cls.__module__.partition(".")[0] in THIRD_PARTY:
        return True
    return hasattr(cls, "convert_tokens_to_ids")  # A tokenizer: its product is seen as the encoder's input.


def _is_part(value: Any) -> bool:
    """Whether a global that a function names may be part of the model."""
    # A function names classes, helpers, half a library. A pipeline is callable as well, but has a scheduler.
    if isinstance(value, nn.Module) or not callable(value):
        return True
    return "scheduler" in (own_attributes(value) or ())
