"""The fixtures. Heavy modules are imported when a fixture is used, not when pytest starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from seedpin.plugin.stash_keys import CONFIG, CURRENT_TEST, ITEM

if TYPE_CHECKING:
    from seedpin.checking.gate import ClipGate, Gate, TensorGate
    from seedpin.pinning.model import SeededModel


@pytest.fixture
def seeded_model(request: pytest.FixtureRequest) -> Callable[..., SeededModel]:
    """Wraps a factory, ``nn.Module``, pipeline or callable so that its every call runs under a pin.

    ``seeded_model(x, seed=None, level=None, methods=())``: seed and level default to the test's ``seed``
    marker, then to the configuration. ``methods`` names further methods that are to be pinned.
    """
    from seedpin.pinning.audit import AuditPolicy
    from seedpin.pinning.model import seeded_model as wrap_model
    from seedpin.plugin.current_test import pin_of, watch

    settings = request.config.stash[CONFIG]
    default_seed, default_level = pin_of(request.node, settings)
    state = request.node.stash[ITEM]

    def wrap(
        x: Any, *, seed: int | None = None, level: str | None = None, methods: Iterable[str] = ()
    ) -> SeededModel:
        model = wrap_model(
            x,
            seed=default_seed if seed is None else seed,
            level=default_level if level is None else level,
            methods=tuple(methods),
        )
        watching = watch(request.config, state.calls)
        model.around_call.append(watching.around)
        model.after_call.append(watching.after)
        model.audit_policy = AuditPolicy(settings.audit, settings.audit_allow)
        state.models.append(model)
        return model

    return wrap


@pytest.fixture(scope="session")
def seeded_model_factory(request: pytest.FixtureRequest) -> Callable[..., SeededModel]:
    """Makes models that many tests share, in fixtures of any scope: built once, pinned as each test says.

    ``seeded_model_factory(x, seed=None, level=None, methods=())``: as ``seeded_model``, but the model is
    built under the configuration's seed, and each of its calls takes seed, level, trace and probe of the test
    that makes it. ``seed`` and ``level``, where given, hold for the building and for every call.
    """
    from seedpin.pinning.model import seeded_model as wrap_model
    from seedpin.pinning.pin import last_pin
    from seedpin.plugin.current_test import share

    config = request.config
    settings = config.stash[CONFIG]

    def wrap(
        x: Any, *, seed: int | None = None, level: str | None = None, methods: Iterable[str] = ()
    ) -> SeededModel:
        model = wrap_model(
            x,
            seed=settings.seed if seed is None else seed,
            level=settings.level if level is None else level,
            methods=tuple(methods),
        )
        share(model, config, seed, level)
        config.stash[CURRENT_TEST].built = last_pin()
        return model

    return wrap


@pytest.fixture
def golden_video(request: pytest.FixtureRequest) -> ClipGate:
    """``golden_video.check(clip, name=, fps=, tolerance=)`` compares a clip with its golden."""
    from seedpin.checking.gate import ClipGate
    from seedpin.plugin.context import context_of

    return ClipGate(context_of(request, "video"))


@pytest.fixture
def golden_image(request: pytest.FixtureRequest) -> ClipGate:
    """``golden_image.check(image, name=, tolerance=)`` compares one image with its golden."""
    from seedpin.checking.gate import ClipGate
    from seedpin.plugin.context import context_of

    return ClipGate(context_of(request, "image"))


@pytest.fixture
def golden_tensors(request: pytest.FixtureRequest) -> TensorGate:
    """``golden_tensors.check(tensors, name=, tolerance=)`` compares latents, a tensor or a dict of them."""
    from seedpin.checking.gate import TensorGate
    from seedpin.plugin.context import context_of

    return TensorGate(context_of(request, "tensors"))


@pytest.fixture
def golden_audio(request: pytest.FixtureRequest) -> Gate:
    """``golden_audio.check(waveform, rate=, name=, tolerance=)`` compares a waveform with its golden."""
    return _gate(request, "audio")


@pytest.fixture
def golden_text(request: pytest.FixtureRequest) -> Gate:
    """``golden_text.check(text, name=)`` compares a text, a list of texts or token ids with their golden."""
    return _gate(request, "text")


def _gate(request: pytest.FixtureRequest, fixture: str) -> Gate:
    from seedpin.checking.gate import Gate
    from seedpin.plugin.context import context_of

    return Gate(context_of(request, fixture))


def fixtures_of(kinds: Iterable[str]) -> ModuleType:
    """A plugin for pytest with ``golden_<kind>`` for each kind that a package brings.

    No kind is loaded before its fixture is used.
    """
    plugin = ModuleType("seedpin_further_kinds")
    for kind in kinds:

        def golden(request: pytest.FixtureRequest, kind: str = kind) -> Gate:
            return _gate(request, kind)

        golden.__doc__ = f"``golden_{kind}.check(obj, name=, tolerance=)`` compares with a golden."
        setattr(plugin, f"golden_{kind}", pytest.fixture(name=f"golden_{kind}")(golden))
    return plugin
