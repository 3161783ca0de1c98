"""The seeded model: a model or pipeline whose every call runs under a pin of its own."""

from __future__ import annotations

import difflib
import functools
import inspect
import sys
import traceback
import types
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from seedpin.errors import ModelError, SeedpinError
from seedpin.options import DEFAULT_SEED
from seedpin.pinning import switches
from seedpin.pinning.audit import AuditPolicy, EntropyFinding, audit
from seedpin.pinning.devices import DeviceWatch
from seedpin.pinning.generators import generators_kept, is_generator
from seedpin.pinning.object_graph import generators_below, modules_below
from seedpin.pinning.pin import check_level, check_seed, current_pin, pin
from seedpin.pinning.profiles import active_profile
from seedpin.pinning.streams import warn_about_twins

DEFAULT_METHODS = ("__call__", "generate", "generate_i2v", "sample", "forward")
_LAZY_RESULTS = (types.GeneratorType, map, filter, zip)


@dataclass(frozen=True, slots=True)
class PinInfo:
    """What every call of a seeded model is pinned with."""

    seed: int
    level: str
    profile: str


@dataclass(slots=True)
class PinnedCall:
    """One call of a seeded model: its pin, the method's name, what was called with what, and the result
    once known.
    """

    pin: PinInfo
    name: str
    method: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any = None


@dataclass(frozen=True, slots=True)
class CallSettings:
    """What one call is made with. ``around``, ``after``: as ``SeededModel.around_call``, ``after_call``."""

    pin: PinInfo
    around: tuple[Callable[[SeededModel, PinnedCall], AbstractContextManager[Any]], ...] = ()
    after: tuple[Callable[[SeededModel, PinnedCall], None], ...] = ()
    audit_policy: AuditPolicy = field(default_factory=AuditPolicy)


class SeededModel:
    """Wraps a model so that every call starts at the same seed, whatever was called before.

    - ``model(...)``, ``generate``, ``generate_i2v``, ``sample``, ``forward`` and ``methods`` are pinned when
      called through this object. The model's calls to itself are not pinned again.
    - All other attributes are the model's, to read and to set. A method that returns the model itself
      (``to``, ``eval``) returns this object.
    - Generator objects (torch, NumPy, Python) that are passed to a call, or that the model held when it was
      wrapped, get back after the call the state that they had before it. So each call sees them alike, and
      ``generator.manual_seed(...)`` between two calls does what it says.
    - A call that returns a Python generator (or ``map``, ``filter``, ``zip``) is run to its end under the
      pin, and gives a list. None and coroutines are a ModelError.

    ``around_call`` is a list of functions ``(seeded_model, pinned_call) -> context manager``, entered inside
    of the pin around each call; at its exit ``pinned_call.result`` is set. ``after_call`` is a list of
    functions ``(seeded_model, pinned_call) -> None``, called after the pin has ended and generators have
    their states back, and still within whatever surrounds the call. ``settings_for_call``, where it is set,
    is asked at each call for its settings, in place of this object's own: so one model serves several tests.

    Under strict each call is audited by ``audit_policy`` for randomness that no pin can hold;
    ``entropy_findings`` are the last call's. ``devices_used`` holds the devices of all parameters and
    buffers, and the CUDA and XPU devices on which a call allocated memory.
    """

    # In slots, so that ``__dict__`` can be the model's: monkeypatch and mock look there for what to put back.
    __slots__ = (
        "__weakref__",
        "__wrapped__",
        "_seedpin_devices",
        "_seedpin_generators",
        "_seedpin_methods",
        "_seedpin_profile",
        "after_call",
        "around_call",
        "audit_policy",
        "entropy_findings",
        "pin_info",
        "settings_for_call",
    )
    __wrapped__: Any
    around_call: list[Callable[[SeededModel, PinnedCall], AbstractContextManager[Any]]]
    after_call: list[Callable[[SeededModel, PinnedCall], None]]
    settings_for_call: Callable[[SeededModel], CallSettings] | None
    audit_policy: AuditPolicy
    entropy_findings: tuple[EntropyFinding, ...]
    pin_info: PinInfo
    _seedpin_methods: tuple[str, ...]
    _seedpin_devices: set[torch.device]
    _seedpin_generators: list[Any]
    _seedpin_profile: str | None

    def __init__(
        self,
        model: Any,
        *,
        seed: int = DEFAULT_SEED,
        level: str = "strict",
        methods: Iterable[str] = (),
        profile: str | None = None,
    ) -> None:
        info = PinInfo(check_seed(seed), check_level(level), active_profile() if profile is None else profile)
        own = {
            "__wrapped__": model,
            "around_call": [],
            "after_call": [],
            "settings_for_call": None,
            "audit_policy": AuditPolicy(),
            "entropy_findings": (),
            "pin_info": info,
            "_seedpin_methods": _checked_methods(model, methods),
            "_seedpin_devices": set(),
            "_seedpin_generators": generators_below([model]),
            "_seedpin_profile": profile,
        }
        for name, value in own.items():
            object.__setattr__(self, name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not callable(self.__wrapped__):
            names = ", ".join(self._seedpin_methods)
            raise ModelError(
                f"a {_type_name(self.__wrapped__)} cannot be called itself",
                hint=f"call one of its pinned methods: {names}",
            )
        return self._seedpin_run("__call__", self.__wrapped__, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_seedpin") or name == "__wrapped__":  # half made, as by copy.copy
            raise AttributeError(name)
        value = getattr(self.__wrapped__, name)
        if name in self._seedpin_methods and callable(value):
            return _same_signature(value, functools.partial(self._seedpin_run, name, value))
        if inspect.ismethod(value) and value.__self__ is self.__wrapped__:
            return _same_signature(value, functools.partial(self._seedpin_pass, value))
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if name in SeededModel.__annotations__:
            object.__setattr__(self, name, value)
        else:
            setattr(self.__wrapped__, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.__wrapped__, name)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        """The model's own attributes, as ``vars(model)`` gives them; empty where it has no such dict."""
        return getattr(self.__wrapped__, "__dict__", {})

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in SeededModel.__slots__ if name != "__weakref__"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)

    def __dir__(self) -> list[str]:
        own = {name for name in SeededModel.__annotations__ if not name.startswith("_seedpin")}
        return sorted(own | {"devices_used", "modules_found"} | set(dir(self.__wrapped__)))

    def __repr__(self) -> str:
        info = self.pin_info
        return f"SeededModel(seed={info.seed}, level={info.level!r}, model={self.__wrapped__!r})"

    def modules_found(self) -> dict[str, nn.Module]:
        """Every ``nn.Module`` below the model, once, by its path ("" is the model itself)."""
        return modules_below(self.__wrapped__)

    @property
    def devices_used(self) -> set[torch.device]:
        devices = set(self._seedpin_devices)
        for module in self.modules_found().values():
            for tensors in (module._parameters, module._buffers):
                devices |= {tensor.device for tensor in tensors.values() if tensor is not None}
        return devices

    def _seedpin_pass(self, method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = method(*args, **kwargs)
        return self if result is self.__wrapped__ else result

    def _seedpin_run(self, name: str, method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.settings_for_call is not None:
            settings = self.settings_for_call(self)
        else:
            around, after = tuple(self.around_call), tuple(self.after_call)
            settings = CallSettings(self.pin_info, around, after, self.audit_policy)
        return self._seedpin_call(settings, name, method, args, kwargs)

    def _seedpin_call(
        self, settings: CallSettings, name: str, method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        info = settings.pin
        if info.level == "strict":
            switches.refuse_autotune(self._seedpin_compiled())
        passed = [value for value in _one_level_down(args, kwargs) if is_generator(value)]
        watch = DeviceWatch()
        watch.begin()
        with ExitStack() as stack:
            # Around the pin, so that they are back once it has ended, whatever happened inside.
            stack.enter_context(generators_kept(_unique([*self._seedpin_generators, *passed])))
            pinned = stack.enter_context(pin(info.seed, level=info.level, profile=self._seedpin_profile))
            pinned._devices.note_model(self)
            if passed:
                warn_about_twins(args, kwargs, pinned._twins)
            call = PinnedCall(info, name, method, args, kwargs)
            for around in settings.around:
                stack.enter_context(around(self, call))
            if info.level == "strict":
                own = any(isinstance(g, torch.Generator) and g is not torch.default_generator for g in passed)
                findings: list[list[EntropyFinding]] = []
                # Before the audit, so that it runs after it: some findings are known only at its end.
                stack.callback(lambda: object.__setattr__(self, "entropy_findings", tuple(*findings)))
                findings.append(stack.enter_context(audit(settings.audit_policy, generator_passed=own)))
            result = method(*args, **kwargs)
            # Run to its end in here: later, its draws would come from the caller's generators.
            if isinstance(result, _LAZY_RESULTS):
                result = list(result)
            call.result = result
        self._seedpin_devices.update(map(torch.device, watch.used()))
        _refuse_nothing(result, f"the model's {name}" if name != "__call__" else "the model")
        for done in settings.after:
            done(self, call)
        return self if result is self.__wrapped__ else result

    def _seedpin_compiled(self) -> Iterable[Any]:
        # Nothing can be compiled where the compiler was not even imported; the walk is saved then.
        if switches.DYNAMO not in sys.modules:
            return ()
        return [self.__wrapped__, *self.modules_found().values()]


def call_again(
    model: SeededModel,
    call: PinnedCall,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    seed: int | None = None,
    around: Callable[[SeededModel, PinnedCall], AbstractContextManager[Any]],
) -> None:
    """Makes ``call`` once more, with these arguments, under the same pin (``seed``: with another seed).

    Of the hooks only ``around`` is entered; ``entropy_findings`` stay those of the call before.
    """
    info = call.pin if seed is None else replace(call.pin, seed=seed)
    method = model.__wrapped__ if call.name == "__call__" else getattr(model.__wrapped__, call.name)
    findings = model.entropy_findings
    try:
        model._seedpin_call(CallSettings(info, (around,)), call.name, method, args, kwargs)
    finally:
        model.entropy_findings = findings


def seeded_model(
    x: Any,
    *,
    seed: int | None = None,
    level: str | None = None,
    methods: Iterable[str] = (),
    profile: str | None = None,
) -> SeededModel:
    """Make a SeededModel of a factory, a module, a pipeline, or any object or function that generates.

    A class, and a function that needs no argument, is called once under the pin. If what it returns is a
    model (an ``nn.Module``, callable, or with one of the pinned methods), it was a factory and that is the
    model. Otherwise (it returned frames) the function itself is what generates. A function that needs
    arguments generates, too. Everything else is taken as it is.

    ``seed`` and ``level`` default to those of the active pin, else to ``seedpin.config.DEFAULT_SEED`` and
    strict. Raises ModelError if a factory fails or returns None, if there is nothing to call, or if
    ``methods`` names what is not there.
    """
    active = current_pin()
    seed = check_seed(seed if seed is not None else active.seed if active else DEFAULT_SEED)
    level = check_level(level or (active.level if active else "strict"))
    methods = (methods,) if isinstance(methods, str) else tuple(methods)
    model = x.__wrapped__ if isinstance(x, SeededModel) else x
    if inspect.isclass(x) or inspect.isroutine(x) or isinstance(x, functools.partial):
        model = _built(x, methods, pin(seed, level=level, profile=profile))
    return SeededModel(model, seed=seed, level=level, methods=methods, profile=profile)


def _built(factory: Any, methods: tuple[str, ...], pinned: AbstractContextManager[Any]) -> Any:
    needed = _needed_arguments(factory)
    if needed and inspect.isclass(factory):
        raise ModelError(
            f"the class {factory.__qualname__} needs arguments ({', '.join(needed)})",
            hint=f"pass a function that makes it: lambda: {factory.__qualname__}(...)",
        )
    if needed:
        return factory
    name = f"the factory {getattr(factory, '__qualname__', repr(factory))}{_home(factory)}"
    try:
        with pinned:
            made = factory()
    except SeedpinError:
        raise
    except Exception as error:
        raise ModelError(
            f"{name} raised {type(error).__name__}: {error}{_place(error)}",
            hint="a factory is called once, without arguments, under the pin; mend it, or pass a model",
        ) from error
    _refuse_nothing(made, name)
    if inspect.isclass(factory) or _is_model(made, methods):
        return made
    # The function is what generates then: this first generator is let go, before it drew anything.
    if isinstance(made, types.GeneratorType):
        made.close()
    return factory


def _is_model(made: Any, methods: tuple[str, ...]) -> bool:
    return any(callable(getattr(made, name, None)) for name in (*DEFAULT_METHODS, *methods))


def _needed_arguments(factory: Any) -> list[str]:
    """The names of the arguments that a call must give; empty also where nothing can be known."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return []
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in optional]


def _checked_methods(model: Any, methods: Iterable[str]) -> tuple[str, ...]:
    methods = (methods,) if isinstance(methods, str) else tuple(methods)
    public = sorted(name for name in dir(model) if not name.startswith("_"))
    for name in methods:
        if not callable(getattr(model, name, None)):
            close = difflib.get_close_matches(name, public, n=3, cutoff=0.5)
            names = [n for n in close or public if callable(inspect.getattr_static(model, n, None))][:12]
            raise ModelError(
                f"a {_type_name(model)} has no method {name!r} (in methods=)",
                hint=f"it has {', '.join(names) or 'no methods'}",
            )
    pinned = tuple(n for n in (*DEFAULT_METHODS, *methods) if callable(getattr(model, n, None)))
    if not pinned:
        raise ModelError(
            f"a {_type_name(model)} has nothing to call: none of {', '.join(DEFAULT_METHODS)}",
            hint='name the methods that generate, as in methods=("render",)',
        )
    return pinned


def _refuse_nothing(result: Any, who: str) -> None:
    if result is None:
        raise ModelError(f"{who} returned None", hint="is a return missing? Return the frames (or the model)")
    if inspect.iscoroutine(result) or inspect.isasyncgen(result):
        if inspect.iscoroutine(result):
            result.close()
        raise ModelError(
            f"{who} is async, and would run only after the pin has ended",
            hint="wrap it in a function that runs it to its end: lambda *a, **k: asyncio.run(model(*a, **k))",
        )


def _home(factory: Any) -> str:
    code = getattr(factory, "__code__", None)
    return f" ({code.co_filename}:{code.co_firstlineno})" if code else ""


def _place(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f" at {last.filename}:{last.lineno}"


def _type_name(model: Any) -> str:
    return type(model).__qualname__


def _same_signature(method: Any, function: functools.partial[Any]) -> Any:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(args, kwargs)

    return call


def _one_level_down(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterable[Any]:
    for value in (*args, *kwargs.values()):
        yield value
        if isinstance(value, (list, tuple)) and len(value) <= 1000:
            yield from value


def _unique(values: list[Any]) -> list[Any]:
    return list({id(value): value for value in values}.values())
