"""Level ``ops``: every operation of torch, for two runs that are compared at once."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from seedpin.trace.record.call_site import call_site
from seedpin.trace.record.draws import generator_label, generator_of, generator_state
from seedpin.trace.record.sketch import MODULE_SAMPLES
from seedpin.trace.record.watched import Raw

if TYPE_CHECKING:
    from seedpin.trace.record.recorder import Recorder

# What these give is whatever lay in memory: two runs would part there, and mean nothing by it.
_UNINITIALISED = ("aten.empty", "aten.new_empty", "aten.resize_", "aten.empty_like", "aten.empty_strided")


def eagerly() -> AbstractContextManager[Any]:
    """What was compiled runs uncompiled in the block: no graph can be made under a mode that sees operations.

    Left to find that out, torch would compile the recorder's own frames instead, with warnings, and refuse
    where ``fullgraph=True`` was asked for.
    """
    stance = getattr(torch.compiler, "set_stance", None)  # torch 2.6
    return nullcontext() if stance is None else stance("force_eager")


class OpMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records each operation that is no view, and each that drew from a generator as a draw.

    A compiled module runs eagerly under such a mode; the trace's notes say so.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._recorder = recorder

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        recorder = self._recorder
        if not recorder.watching() or _is_view(func):
            return func(*args, **kwargs)
        op = recorder.guarded(str(func), _before, recorder, func, args, kwargs)
        result = func(*args, **kwargs)
        if op is not None:
            recorder.guarded(str(func), _after, recorder, func, op, result)
        return result


@dataclass(slots=True)
class _Op:
    """An operation that is about to run."""

    raw: Raw | None
    seeded: bool
    generator: torch.Generator | None
    given: bool
    before: str


def _before(recorder: Recorder, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Op:
    op = _Op(None, torch.Tag.nondeterministic_seeded in func.tags, None, False, "")
    if op.seeded:
        given = kwargs.get("generator")
        op.given = isinstance(given, torch.Generator)
        op.generator = given if isinstance(given, torch.Generator) else generator_of(_device(args, kwargs))
        op.before = generator_state(op.generator)
    op.raw = recorder.begin("op", str(func))
    if op.raw is not None:
        op.raw.extra["module"] = recorder.inside()
        names = [argument.name for argument in func._schema.arguments]
        for name, value in [*zip(names, args, strict=False), *kwargs.items()]:
            if not isinstance(value, torch.Generator):
                recorder.see(name, value, op.raw.inputs)
        op.raw.site, op.raw.extra["in"] = call_site(2)
    return op


def _after(recorder: Recorder, func: Any, op: _Op, result: object) -> None:
    if op.raw is not None and not str(func).startswith(_UNINITIALISED):
        recorder.see("", result, op.raw.outputs, MODULE_SAMPLES)
    # The tag says that it may draw; whether it did, the state tells.
    if op.seeded and generator_state(op.generator) != op.before:
        extra = {
            "generator": generator_label(op.generator, op.given),
            "in": op.raw.extra["in"] if op.raw else "",
        }
        recorder.draw(str(func), op.before, result, extra, op.raw.site if op.raw else "")


def _is_view(func: Any) -> bool:
    returns = func._schema.returns
    return bool(returns) and all(
        item.alias_info is not None and not item.alias_info.is_write for item in returns
    )


def _device(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.device:
    device = kwargs.get("device")
    if device is not None:
        return torch.device(device)
    tensor = next((item for item in args if isinstance(item, torch.Tensor)), None)
    return torch.device("cpu") if tensor is None else tensor.device
