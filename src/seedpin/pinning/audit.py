"""The entropy audit: notice, during a pinned call, randomness that no pin can hold, and name its line.

It replaces the functions through which such randomness enters, and looks at the stack only when one of
them is called, so it costs nothing while nothing happens. A function that was imported by name before
(``from os import urandom``) is not seen, except in NumPy and ``random``, which are covered at their root.
"""

from __future__ import annotations

import functools
import os
import random
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import FrameType
from typing import Any

import numpy as np
import torch

from seedpin.errors import ConfigError, EntropyWarning, PinError
from seedpin.pinning.caller_warnings import calling_frame, warn_at, warn_at_frame
from seedpin.trace import drawing
from seedpin.trace.record.imports import originals_for_imports
from seedpin.trace.record.patching import Patches

ACTIONS = ("warn", "fail", "off")

# Frames of these are the way to the source; who called them is meant.
RANDOM_STATE: Any = np.random.mtrand  # the module that makes RandomState

_WAY = ("numpy", "random", "secrets", "uuid", "os")
_HERE = "seedpin.pinning."
# Randomness of these names files and processes; it does not reach frames.
_INFRASTRUCTURE = frozenset(sys.stdlib_module_names) - {"__main__"} | {
    *("torch", "jax", "tensorflow", "cupy", "joblib", "filelock", "tqdm", "fsspec", "imageio"),
    *("huggingface_hub", "urllib3", "requests", "httpx", "anyio", "wandb", "triton"),
    *("_pytest", "pytest", "pluggy", "xdist", "execnet", "hypothesis"),
}


@dataclass(frozen=True, slots=True)
class EntropyFinding:
    """One use of randomness that no pin can hold.

    ``kind`` is one of numpy, python, system, secrets, uuid4, torch.seed and global-draw; ``line`` is 0
    where the place is not known.
    """

    kind: str
    what: str
    module: str
    file: str
    line: int

    def __str__(self) -> str:
        where = f" at {self.file}:{self.line}" if self.line else ""
        return f"{self.what}{where} [{self.kind}]"


@dataclass(frozen=True, slots=True)
class AuditPolicy:
    """What an audit does with its findings.

    ``action`` is warn, fail or off. ``allow`` holds glob patterns over a finding's kind, its module, or
    ``module:line``, such as ``"uuid4"``, ``"mylib.names"`` or ``"mylib.*:17"``.
    """

    action: str = "warn"
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ConfigError(
                f"unknown action {self.action!r} of the entropy audit",
                hint=f"choose one of {', '.join(ACTIONS)}",
            )

    def allows(self, finding: EntropyFinding) -> bool:
        names = (finding.kind, finding.module, f"{finding.module}:{finding.line}")
        return any(fnmatchcase(name, pattern) for pattern in self.allow for name in names)


@dataclass(slots=True)
class _Audit:
    """One audit that is running."""

    policy: AuditPolicy
    findings: list[EntropyFinding] = field(default_factory=list)
    patches: Patches = field(default_factory=Patches)
    below: bool = False  # within a source that is noted already
    tentative: list[tuple[Any, EntropyFinding]] = field(default_factory=list)
    known: bytes = b""  # torch's global states after the last draw that was accounted for

    def note(self, kind: str, what: str) -> None:
        self.add(_culprit(sys._getframe(2), kind, what))

    def add(self, finding: EntropyFinding | None) -> None:
        if finding is not None and finding not in self.findings and not self.policy.allows(finding):
            self.findings.append(finding)

    def watch(self, owner: Any, name: str, make: Callable[[Any], Callable[..., Any]]) -> None:
        """Put ``make(original)`` in the place of ``owner.name`` until the audit ends."""
        original = getattr(owner, name, None)
        if original is not None:
            self.patches.set(owner, name, functools.wraps(original)(make(original)))

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """While a module is imported nothing is replaced, and what it draws is no finding."""
        if self.known:
            self.account(_global_states())
        with self.patches.suspended():
            yield
        if self.known:
            self.known = _global_states()

    def always(self, kind: str, what: str) -> Callable[[Any], Callable[..., Any]]:
        """Note every call."""

        def make(original: Any) -> Callable[..., Any]:
            def noted(*args: Any, **kwargs: Any) -> Any:
                # One asks another (uuid4 os.urandom, an unseeded NumPy generator SystemRandom): one finding.
                if self.below:
                    return original(*args, **kwargs)
                self.note(kind, what)
                self.below = True
                try:
                    return original(*args, **kwargs)
                finally:
                    self.below = False

            return noted

        return make

    def twister(self) -> type:
        """A stand-in for the MT19937 that ``RandomState(seed)`` makes unseeded, and seeds right after.

        Which of the two it was can be seen in the finished object only, so the finding waits.
        """
        audit_, real = self, np.random.MT19937

        class Twister(type):
            def __call__(cls, *args: Any, **kwargs: Any) -> Any:
                below, audit_.below = audit_.below, True
                try:
                    made = real(*args, **kwargs)
                finally:
                    audit_.below = below
                finding = _culprit(sys._getframe(1), "numpy", "an unseeded np.random.RandomState()")
                if finding is not None and not args:
                    audit_.tentative.append((made, finding))
                return made

            def __instancecheck__(cls, value: object) -> bool:
                return isinstance(value, real)

        return Twister("MT19937", (), {})

    def settle(self) -> None:
        """Decide the findings that had to wait: a seed sequence is left only where no seed came."""
        for made, finding in self.tentative:
            if getattr(made, "_seed_seq", None) is not None:
                self.add(finding)

    def unseeded(self, what: str, position: int) -> Callable[[Any], Callable[..., Any]]:
        """Note calls of a seeding function that give no seed."""

        def make(original: Any) -> Callable[..., Any]:
            def noted(*args: Any, **kwargs: Any) -> Any:
                if (args[position] if len(args) > position else kwargs.get("a")) is None:
                    self.note("python", what)
                return original(*args, **kwargs)

            return noted

        return make

    def draws(self, name: str) -> Callable[[Any], Callable[..., Any]]:
        """Note calls that advance one of torch's global generators."""

        def make(original: Any) -> Callable[..., Any]:
            def noted(*args: Any, **kwargs: Any) -> Any:
                before = _global_states()
                self.account(before)
                result = original(*args, **kwargs)
                self.known = _global_states()
                if before != self.known:
                    self.note("global-draw", f"{name} from the global generator, though one was passed")
                return result

            return noted

        return make

    def account(self, now: bytes) -> None:
        """Note a draw that went by unseen, between the state last known and ``now``."""
        if now != self.known:
            what = "a draw from torch's global generator, though one was passed"
            self.add(EntropyFinding("global-draw", what, "", "", 0))


def _culprit(frame: FrameType | None, kind: str, what: str) -> EntropyFinding | None:
    """The finding for the first frame that is not on the way; None if that is infrastructure."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        top = module.partition(".")[0]
        way = top in _WAY or module.startswith(_HERE) or frame.f_code.co_name in drawing.HELPERS
        if not way:
            if top in _INFRASTRUCTURE or _is_importing(frame):
                return None
            return EntropyFinding(kind, what, module, frame.f_code.co_filename, frame.f_lineno)
        if module == "numpy.random._pickle":  # a copy: the seed is overwritten right after
            return None
        if module == "uuid":
            kind, what = "uuid4", "uuid.uuid4()"
        elif module == "secrets":
            kind, what = "secrets", f"secrets.{frame.f_code.co_name}()"
        frame = frame.f_back
    return None


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported: what it makes then is no part of the call."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def audit(
    policy: AuditPolicy | None = None, *, generator_passed: bool = False
) -> Iterator[list[EntropyFinding]]:
    """Collect what a pin cannot hold during the block; at its end warn, or fail, about all of it at once.

    With ``generator_passed``, draws from torch's global generators (CPU, CUDA) are findings, too. Raises
    PinError if ``policy`` says fail, unless the block itself raised; otherwise warns EntropyWarning.
    """
    policy = policy or AuditPolicy()
    running = _Audit(policy)
    if policy.action == "off":
        yield running.findings
        return
    try:
        _watch_all(running, generator_passed)
        with originals_for_imports(running):
            yield running.findings
        if generator_passed:
            running.account(_global_states())
        running.settle()
    finally:
        running.patches.undo()
    _report(running)


def _watch_all(running: _Audit, generator_passed: bool) -> None:
    bit_generator: Any = np.random.bit_generator
    # The root of every unseeded default_rng(), Generator, RandomState and SeedSequence.
    running.watch(bit_generator, "randbits", running.always("numpy", "an unseeded NumPy generator"))
    if hasattr(RANDOM_STATE, "_MT19937"):
        running.patches.set(RANDOM_STATE, "_MT19937", running.twister())
    running.watch(random.Random, "seed", running.unseeded("an unseeded random.Random()", 1))
    running.watch(random, "seed", running.unseeded("random.seed() without a seed", 0))
    running.watch(random, "_urandom", running.always("system", "random.SystemRandom"))
    running.watch(os, "urandom", running.always("system", "os.urandom()"))
    running.watch(uuid, "uuid4", running.always("uuid4", "uuid.uuid4()"))
    for owner, name in (
        (torch, "seed"),
        (torch.random, "seed"),
        (torch.cuda, "seed"),
        (torch.cuda, "seed_all"),
    ):
        running.watch(owner, name, running.always("torch.seed", "torch.seed()"))
    if not generator_passed:
        return
    running.known = _global_states()
    # The compiler would trace through the replacements and break its graph at them: then only the
    # states are compared, and the line stays unknown.
    if "torch._dynamo" not in sys.modules:
        for name in drawing.FUNCTIONS:
            running.watch(torch, name, running.draws(f"torch.{name}"))
        for name in drawing.METHODS:
            running.watch(torch.Tensor, name, running.draws(f"Tensor.{name}"))
        running.watch(torch.nn.functional, "dropout", running.draws("dropout"))


def _global_states() -> bytes:
    """The states of torch's global generators, of the CPU and of CUDA where it is in use; no device sync."""
    cuda: Any = torch.cuda
    generators = [torch.default_generator, *(cuda.default_generators if cuda.is_initialized() else ())]
    return b"".join(generator.get_state().numpy().tobytes() for generator in generators)


def _report(running: _Audit) -> None:
    if not running.findings:
        return
    listed = "; ".join(map(str, running.findings[:5]))
    more = f"; and {len(running.findings) - 5} more" if len(running.findings) > 5 else ""
    first = running.findings[0]
    # The pin holds torch's global generators: of these it is only that the caller's was left out.
    held = {finding.kind == "global-draw" for finding in running.findings}
    used = "a generator was passed to a pinned call, which drew from the global one"
    if held != {True}:
        used = "randomness that no pin can hold was used during a pinned call"
    what = f"{used}: {listed}{more}"
    allow = f"{first.module}:{first.line}" if first.line else first.kind
    mend = "hand the generator on to that draw (generator=)"
    if first.kind != "global-draw":
        mend = "seed it from the call's arguments (current_pin().derive(...))"
    hint = f"{mend}, or allow it by pattern: {allow!r}"
    if running.policy.action == "fail":
        raise PinError(what, hint=hint)
    # At the model's own line, so that a warning filter and an editor find it; else where the call was made.
    said = f"{what}. Next: {hint}"
    named = next((finding for finding in running.findings if finding.line), None)
    if named is not None:
        warn_at(said, EntropyWarning, named.module, named.file, named.line)
    else:
        warn_at_frame(said, EntropyWarning, calling_frame(sys._getframe(1)))
