"""The entropy audit: what it notices, whose line it names, what it leaves alone."""

from __future__ import annotations

import copy
import os
import pickle
import random
import secrets
import sys
import tempfile
import types
import uuid
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from seedpin.errors import ConfigError, EntropyWarning, PinError
from seedpin.pinning.audit import AuditPolicy, audit
from seedpin.pinning.model import seeded_model
from seedpin.pinning.pin import pin

if TYPE_CHECKING:
    from collections.abc import Callable

RNG: Any = np.random
WATCHED: list[tuple[Any, str]] = [
    (RNG.bit_generator, "randbits"),
    (RNG.mtrand, "_MT19937"),
    (random.Random, "seed"),
    (random, "seed"),
    (random, "_urandom"),
    (os, "urandom"),
    (uuid, "uuid4"),
    (torch, "seed"),
    (torch, "randn"),
    (torch.Tensor, "normal_"),
]

ENTROPY: dict[str, tuple[str, Callable[[], Any]]] = {
    "default_rng": ("numpy", lambda: np.random.default_rng()),
    "Generator": ("numpy", lambda: np.random.Generator(np.random.PCG64())),
    "RandomState": ("numpy", lambda: np.random.RandomState()),
    "random.Random": ("python", lambda: random.Random()),
    "random.seed": ("python", lambda: random.seed()),
    "SystemRandom": ("system", lambda: random.SystemRandom().random()),
    "os.urandom": ("system", lambda: os.urandom(4)),
    "secrets": ("secrets", lambda: secrets.token_hex()),
    "uuid4": ("uuid4", lambda: uuid.uuid4()),
    "torch.seed": ("torch.seed", lambda: torch.seed()),
}


def findings(block: Callable[[], Any], **options: Any) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EntropyWarning)
        with pin(1), audit(options.pop("policy", None), **options) as found:
            block()
    return found


@pytest.mark.parametrize("name", ENTROPY)
def test_entropy_is_noticed_with_its_line(name: str) -> None:
    """Each way in is one finding, of its kind, at the line that used it."""
    kind, block = ENTROPY[name]
    (found,) = findings(block)
    assert found.kind == kind
    assert (found.file, found.line, found.module) == (__file__, block.__code__.co_firstlineno, __name__)


@pytest.mark.parametrize(
    "block",
    [
        lambda: np.random.default_rng(3).random(),
        lambda: (np.random.RandomState(3), random.Random(3), np.random.rand(), random.random()),
        lambda: (random.seed(3), np.random.seed(3), np.random.RandomState(np.random.MT19937(3))),
        lambda: torch.randn(3),
        lambda: uuid.uuid5(uuid.NAMESPACE_DNS, "x"),
    ],
)
def test_what_is_seeded_is_no_finding(block: Callable[[], Any]) -> None:
    """Seeded generators and the pinned global ones are left alone."""
    assert findings(block) == []


def _temporary() -> None:
    with tempfile.TemporaryDirectory(), tempfile.NamedTemporaryFile():
        pass


def _copies() -> None:
    held = (RNG_OF_THE_MODEL, random.Random(3))
    copy.deepcopy(held)
    pickle.loads(pickle.dumps(RNG_OF_THE_MODEL))


RNG_OF_THE_MODEL = np.random.default_rng(3)


@pytest.mark.parametrize(
    "block",
    [_temporary, _copies, lambda: list(DataLoader([1, 2, 3, 4], num_workers=2))],  # type: ignore[arg-type]
)
def test_no_false_alarm(block: Callable[[], Any]) -> None:
    """Names of temporary files, copies of seeded generators and DataLoader's processes are no findings."""
    assert findings(block) == []


def test_draw_from_the_global_generator_though_one_was_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A draw that leaves out the passed generator is named with its line, one that takes it is not."""
    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)  # as if no test had compiled anything
    generator = torch.Generator().manual_seed(3)

    def block() -> None:
        torch.randn(3, generator=generator)
        torch.zeros(3).normal_(generator=generator)
        torch.zeros(3).normal_()
        torch.nn.functional.dropout(torch.ones(3), training=False)

    (found,) = findings(block, generator_passed=True)
    assert found.kind == "global-draw"
    assert (found.file, found.line) == (__file__, block.__code__.co_firstlineno + 3)
    assert "Tensor.normal_" in found.what


def test_a_generator_that_was_left_out_is_said_to_be_just_that() -> None:
    """The pin holds the global generator, so what is told is the draw that passes the caller's by."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with audit(generator_passed=True):
            torch.zeros(3).normal_()
    (message,) = (str(w.message) for w in caught if w.category is EntropyWarning)
    assert message.startswith("a generator was passed to a pinned call, which drew from the global one: ")
    assert "no pin can hold" not in message
    assert "Next: hand the generator on to that draw (generator=), or allow it by pattern: " in message


def test_draw_that_nothing_watches_is_noticed_by_the_state() -> None:
    """A draw by a function that is not replaced still shows, though without its line."""
    draw: Any = torch.ops.aten.randn.default
    (found,) = findings(lambda: draw([3]), generator_passed=True)
    assert (found.kind, found.line) == ("global-draw", 0)


def test_global_draws_are_fine_where_no_generator_was_passed() -> None:
    """Without a generator of the caller's, the pinned global one is what a model should use."""
    assert findings(lambda: torch.randn(3)) == []


def two_ways() -> None:
    for _ in range(2):
        uuid.uuid4()
        os.urandom(3)


def test_warns_once_about_all() -> None:
    """By default one warning lists every place and says how to allow it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with audit():
            two_ways()
    (message,) = (str(w.message) for w in caught if w.category is EntropyWarning)
    assert message.count("uuid.uuid4() at") == message.count("os.urandom() at") == 1
    assert f"allow it by pattern: '{__name__}:" in message


def test_fails_on_request_and_not_over_another_error() -> None:
    """``fail`` raises at the end of the block, unless the block raised by itself."""
    with (
        pytest.raises(PinError, match=r"(?s)no pin can hold.*uuid4.*next: seed it"),
        audit(AuditPolicy("fail")),
    ):
        two_ways()
    with pytest.raises(ZeroDivisionError), audit(AuditPolicy("fail")):
        _ = (uuid.uuid4(), 1 / 0)


@pytest.mark.parametrize("pattern", ["uuid4", "uuid*", __name__, f"{__name__}:*", "*test_pinning_*"])
def test_allowed_by_pattern(pattern: str) -> None:
    """A finding is allowed by its kind, its module, or its module and line."""
    with audit(AuditPolicy("fail", (pattern,))) as found:
        uuid.uuid4()
    assert found == []


def test_another_line_is_not_allowed() -> None:
    """A pattern with a line allows that line only."""
    policy = AuditPolicy("warn", (f"{__name__}:1",))
    assert len(findings(lambda: uuid.uuid4(), policy=policy)) == 1


def test_off_replaces_nothing() -> None:
    """``off`` leaves every function alone."""
    before = [vars(owner).get(name) for owner, name in WATCHED]
    with audit(AuditPolicy("off"), generator_passed=True):
        assert [vars(owner).get(name) for owner, name in WATCHED] == before
        uuid.uuid4()


def test_unknown_action() -> None:
    """An unknown action names those that exist."""
    with pytest.raises(ConfigError, match=r"(?s)unknown action 'shout'.*warn, fail, off"):
        AuditPolicy("shout")


def test_rule_10_functions_are_restored() -> None:
    """After the block, also after an exception and nested, all functions are the very same objects."""
    before = [vars(owner).get(name) for owner, name in WATCHED]
    for fails in (False, True):
        try:
            with audit(generator_passed=True), audit(generator_passed=True):
                assert vars(os)["urandom"] is not before[WATCHED.index((os, "urandom"))]
                if fails:
                    raise KeyError
        except KeyError:
            pass
        assert [vars(owner).get(name) for owner, name in WATCHED] == before


def test_a_library_that_is_not_infrastructure_is_named() -> None:
    """A model library that seeds itself from the system is a finding at its own line."""
    library = types.ModuleType("modelzoo.noise")
    exec(
        compile("import numpy\ndef make():\n    return numpy.random.default_rng()", "zoo.py", "exec"),
        vars(library),
    )
    (found,) = findings(library.make)
    assert (found.module, found.file, found.line) == ("modelzoo.noise", "zoo.py", 3)


def test_a_seeded_model_is_audited_under_strict() -> None:
    """Calls are audited by the model's policy under strict, and keep their findings; not under seeds."""

    def generate(count: int) -> Any:
        return np.random.default_rng().random(count)

    model = seeded_model(generate)
    with pytest.warns(EntropyWarning, match="unseeded NumPy generator"):
        model(3)
    assert [found.kind for found in model.entropy_findings] == ["numpy"]
    model.audit_policy = AuditPolicy("fail")
    with pytest.raises(PinError, match="no pin can hold"):
        model(3)
    model.audit_policy = AuditPolicy("fail", ("numpy",))
    model(3)
    assert model.entropy_findings == ()
    seeded_model(generate, level="seeds")(3)


def test_the_warning_stands_at_the_models_own_line() -> None:
    """A warning stands at the file and line that used the randomness, not where it was noticed."""

    def generate(count: int) -> Any:
        return np.random.default_rng().random(count)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            seeded_model(generate)(3)
    line = generate.__code__.co_firstlineno + 1
    assert [(w.filename, w.lineno) for w in caught if w.category is EntropyWarning] == [(__file__, line)]


def test_a_finding_without_a_line_stands_where_the_model_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing tells which line drew, the warning stands at the call of the model."""
    monkeypatch.setitem(sys.modules, "torch._dynamo", types.ModuleType("torch._dynamo"))

    def generate(generator: torch.Generator) -> torch.Tensor:
        return torch.rand(3)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        seeded_model(generate)(generator=torch.Generator().manual_seed(3))
    assert {w.filename for w in caught if w.category is EntropyWarning} == {__file__}


def test_a_seeded_model_that_leaves_out_the_callers_generator() -> None:
    """A model that draws from the global generator though it was given one is told so."""

    def generate(generator: torch.Generator) -> torch.Tensor:
        return torch.randn(3, generator=generator) + torch.rand(3)

    with pytest.warns(EntropyWarning, match="global generator, though one was passed"):
        seeded_model(generate)(generator=torch.Generator().manual_seed(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seeded_model(lambda generator: torch.randn(3, generator=generator))(generator=torch.Generator())


def test_what_the_model_replaced_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit takes away its own replacement, not the one that the audited code put in its place."""
    monkeypatch.setattr(os, "urandom", os.urandom)

    def urandom(size: int) -> bytes:
        return bytes(size)

    with audit():
        os.urandom = urandom
    assert os.urandom is urandom
