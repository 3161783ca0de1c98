"""Level ``ops``: every operation of torch, for two runs that are compared at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from seedpin.trace.draws import generator_label, generator_of, generator_state
from seedpin.trace.fingerprint import MODULE_SAMPLES
from seedpin.trace.patching import call_site

if TYPE_CHECKING:
    from seedpin.trace.recorder import Recorder

__all__ = ["OpMode"]

_UNINITIALISED = ("aten.empty", "aten.new_empty", "aten.resize_", "aten.empty_like", "aten.empty_strided")


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
        seeded = torch.Tag.nondeterministic_seeded in func.tags
        generator, given, before = None, False, ""
        if seeded:
            given_one = kwargs.get("generator")
            given = isinstance(given_one, torch.Generator)
            generator = given_one if given else generator_of(_device(args, kwargs))
            before = generator_state(generator)
        raw = recorder.begin("op", str(func))
        if raw is not None:
            raw.extra["module"] = recorder.inside()
            with recorder.busy():
                names = [argument.name for argument in func._schema.arguments]
                for name, value in [*zip(names, args, strict=False), *kwargs.items()]:
                    if not isinstance(value, torch.Generator):
                        recorder.see(name, value, raw.inputs)
                raw.site, raw.extra["in"] = call_site(2)
        result = func(*args, **kwargs)
        if raw is not None and not str(func).startswith(_UNINITIALISED):
            with recorder.busy():
                recorder.see("", result, raw.outputs, MODULE_SAMPLES)
        if seeded and generator_state(generator) != before:
            extra = {"generator": generator_label(generator, given), "in": raw.extra["in"] if raw else ""}
            recorder.draw(str(func), before, result, extra, raw.site if raw else "")
        return result


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
