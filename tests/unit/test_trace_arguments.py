"""What a pinned call was given is recorded, and named before all that it led to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from seedpin.checking.calls import Call, CallWatcher, trace_of
from seedpin.pinning.model import PinnedCall, SeededModel, seeded_model
from seedpin.trace.diff.divergence import Divergence
from seedpin.trace.diff.locate import first_divergence
from seedpin.trace.model import Trace, Value
from seedpin.trace.storage import from_bytes, to_bytes


class Scaled(nn.Module):
    """Multiplies noise by its scale, behind a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(
        self,
        prompt: str = "a red ball",
        guidance_scale: float = 4.0,
        image: Any = None,
        generator: Any = None,
        **options: Any,
    ) -> torch.Tensor:
        start = torch.ones(4) if image is None else image
        own = generator[0] if isinstance(generator, list) else generator
        result: torch.Tensor = self.layer(start + torch.randn(4, generator=own)) * guidance_scale
        return result


def traced(*args: Any, **kwargs: Any) -> Trace:
    torch.manual_seed(0)
    model = seeded_model(Scaled(), seed=3)
    calls: list[Call] = []
    watch = CallWatcher(calls, level="stages", repeats=False)
    model.around_call.append(watch.around)
    result = model(*args, **kwargs)
    trace = trace_of(calls, [result.detach()])
    assert trace is not None
    return from_bytes(to_bytes(trace))


def parted(one: Trace, other: Trace) -> Divergence:
    found = first_divergence(one, other)
    assert found is not None
    return found


def test_an_argument_of_the_call_is_named_first() -> None:
    """A changed number is the place, with both values; where the run parts for it follows."""
    found = parted(traced(guidance_scale=4.0), traced(guidance_scale=5.0))
    assert found.sentence.startswith("the call's argument `guidance_scale` is 5.0 here, was 4.0; then: ")
    assert (found.kind, found.place) == ("argument", "argument guidance_scale of the call")


def test_a_default_and_the_same_value_by_name_or_position_are_one() -> None:
    """How a value was handed in is no difference; that a default is another one is."""
    assert first_divergence(traced(), traced("a red ball", 4.0)) is None
    found = parted(traced(), traced("a red ball", 5.0))
    assert "`guidance_scale` is 5.0 here, was 4.0" in found.sentence


def test_tensors_arrays_generators_and_texts_are_told_apart() -> None:
    """Tensors and arrays by their content, generators by their seed, prompts by their words."""
    one, two = torch.zeros(4), torch.ones(4) * 2
    found = parted(traced(image=one), traced(image=two))
    assert "`image` is another tensor float32 (4,) here" in found.sentence
    seeds = [{"generator": torch.Generator().manual_seed(seed)} for seed in (1, 2)]
    found = parted(*(traced(**seed) for seed in seeds))
    assert "`generator` is a generator of seed 2 in state" in found.sentence
    lists = [{"generator": [torch.Generator().manual_seed(seed)]} for seed in (1, 2)]
    assert "`generator[0]` is a generator of seed 2" in parted(*(traced(**item) for item in lists)).sentence
    words = parted(traced("a red ball", 4.0), traced("a blue ball", 5.0)).sentence
    assert words.startswith(
        "the call's arguments `prompt` is 'a blue ball' here, was 'a red ball', `guidance_scale` is 5.0"
    )
    arrays = [traced(guidance_scale=scale, mask=np.full(3, scale)) for scale in (1.0, 2.0)]
    assert "`mask` is another tensor float64 (3,) here" in parted(*arrays).sentence


class Awkward:
    """Raises where it is looked at."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


def test_what_has_no_stable_text_is_never_claimed() -> None:
    """Objects are known by type, files by no path, and what raises harms nobody: none is named as a cause."""
    odd = {"thing": Awkward(), "folder": "/tmp/1", "at": Path("/tmp/1"), "call": lambda: 0}
    other = {"thing": Awkward(), "folder": "/tmp/2", "at": Path("/tmp/2"), "call": lambda: 1}
    found = parted(traced(guidance_scale=1.0, **odd), traced(guidance_scale=2.0, **other))
    assert found.sentence.startswith("the call's argument `guidance_scale` is 2.0 here, was 1.0; then")
    calls = traced(**odd).calls
    assert calls is not None
    assert all("0x" not in str(seen) for _, seen in calls[0].arguments)


def test_a_huge_argument_is_cut_and_says_so() -> None:
    """Past 256 values nothing is kept of a call's arguments, and a note tells from where on."""
    trace = traced(many=[torch.ones(1)] * 400, late=7)
    assert trace.calls is not None
    assert len(trace.calls[0].arguments) == 256
    assert "only 256 values of the call's arguments were kept, up to many" in "; ".join(trace.notes)


def test_a_golden_without_them_is_read_and_says_nothing_of_them() -> None:
    """A trace of before this was recorded is compared as it was, and no argument is claimed to be new."""
    old = replace(traced(guidance_scale=4.0), calls=None)
    assert from_bytes(to_bytes(old)) == old
    assert "the call's" not in parted(old, traced(guidance_scale=5.0)).sentence


def test_a_parameter_that_only_one_signature_has_is_no_change() -> None:
    """A new option that nobody gave is told by neither side; one that was given is."""
    new = traced(guidance_scale=5.0)
    assert new.calls is not None
    given = new.calls[0]
    options = (*given.arguments, ("sigma_min", Value("None")))
    release = replace(
        new, calls=(replace(given, arguments=options, defaults=(*given.defaults, "sigma_min")),)
    )
    assert "sigma_min" not in parted(traced(guidance_scale=4.0), release).sentence
    asked = replace(new, calls=(replace(given, arguments=options),))
    assert "`sigma_min` is None here, was absent" in parted(traced(guidance_scale=4.0), asked).sentence


def test_recording_arguments_changes_none_of_them() -> None:
    """A generator that is passed draws on from where it was, and no argument is kept alive."""
    own = torch.Generator().manual_seed(5)
    before = own.get_state()
    recorded: list[Call] = []

    def around(model: SeededModel, call: PinnedCall) -> Any:
        return CallWatcher(recorded, level="stages", repeats=False).around(model, call)

    model = seeded_model(lambda generator: torch.randn(3, generator=generator), seed=3)
    plain = model(own)
    model.around_call.append(around)
    assert torch.equal(model(own), plain)
    assert torch.equal(own.get_state(), before)
