"""The fixtures. Heavy modules are imported when a fixture is used, not when pytest starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pytest

from seedpin.plugin.state import AGAINST, CONFIG, ITEM, UPDATE

if TYPE_CHECKING:
    from seedpin.pinning.model import SeededModel
    from seedpin.plugin.gate import ClipGate, TensorGate


def _pin_of(request: pytest.FixtureRequest) -> tuple[int, str]:
    """Seed and level of a test: its ``seed`` marker, else the configuration."""
    config = request.config.stash[CONFIG]
    marker = request.node.get_closest_marker("seed")
    if marker is None:
        return config.seed, config.level
    if len(marker.args) != 1 or marker.kwargs.keys() - {"level"}:
        raise pytest.UsageError(
            f"{request.node.nodeid}: write @pytest.mark.seed(1234) or @pytest.mark.seed(1234, level='warn')"
        )
    return marker.args[0], marker.kwargs.get("level", config.level)


@pytest.fixture
def seeded_model(request: pytest.FixtureRequest) -> Callable[..., SeededModel]:
    """Wraps a factory, ``nn.Module``, pipeline or callable so that its every call runs under a pin.

    ``seeded_model(x, seed=None, level=None, methods=())``: seed and level default to the test's ``seed``
    marker, then to the configuration. ``methods`` names further methods that are to be pinned.
    """
    from seedpin.pinning.audit import AuditPolicy
    from seedpin.pinning.model import seeded_model as wrap_model
    from seedpin.plugin.calls import watch

    default_seed, default_level = _pin_of(request)
    state = request.node.stash[ITEM]
    settings = request.config.stash[CONFIG]
    update = request.config.stash[UPDATE]

    def wrap(
        x: Any, *, seed: int | None = None, level: str | None = None, methods: Iterable[str] = ()
    ) -> SeededModel:
        model = wrap_model(
            x,
            seed=default_seed if seed is None else seed,
            level=default_level if level is None else level,
            methods=tuple(methods),
        )
        probed = (update.mode is not None or AGAINST in request.config.stash) and settings.probe == "twice"
        repeatable = update.thorough or (probed and not update.collect)
        model.around_call.append(watch(state.calls, level=settings.trace, repeatable=repeatable))
        model.audit_policy = AuditPolicy(settings.audit, settings.audit_allow)
        state.models.append(model)
        return model

    return wrap


@pytest.fixture
def golden_video(request: pytest.FixtureRequest) -> ClipGate:
    """``golden_video.check(clip, name=, fps=, tolerance=)`` compares a clip with its golden."""
    from seedpin.plugin.gate import ClipGate

    return ClipGate(request, "video")


@pytest.fixture
def golden_image(request: pytest.FixtureRequest) -> ClipGate:
    """``golden_image.check(image, name=, tolerance=)`` compares one image with its golden."""
    from seedpin.plugin.gate import ClipGate

    return ClipGate(request, "image")


@pytest.fixture
def golden_tensors(request: pytest.FixtureRequest) -> TensorGate:
    """``golden_tensors.check(tensors, name=, tolerance=)`` compares latents, a tensor or a dict of them."""
    from seedpin.plugin.gate import TensorGate

    return TensorGate(request, "tensors")
