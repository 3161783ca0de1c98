"""What the checks of one test share, and what of them comes from outside: from pytest, or from a script."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from seedpin.checking.state import AttemptState, Update
    from seedpin.compare.verdict import Decision
    from seedpin.config import Config
    from seedpin.goldens.store import GoldenStore
    from seedpin.pinning.pin import Pin
    from seedpin.run.ledger import Run
    from seedpin.run.result import CheckResult


class Revision(Protocol):
    """Another revision of the project, whose clips on this machine take the goldens' place.

    ``test`` is a node id, ``fixtures`` the names of the test's fixtures, ``check`` the check's name.
    """

    @property
    def short(self) -> str:
        """Its commit, shortened, for people."""

    def is_new(self, test: str, fixtures: Collection[str], check: str) -> bool:
        """Whether the revision is known to have no such test, or no such check in it."""

    def reworded(self, decision: Decision, test: str, fixtures: Collection[str], check: str) -> Decision:
        """``decision`` in terms of the revision: same machine, so the environment excuses nothing."""

    def next_step(self, verdict: str, test: str) -> str:
        """What to do about a check that did not pass; ``test`` is quoted for a shell."""


class LastStep(Protocol):
    """How an obtained manifest is at last held against a golden's, or with ``stage`` only written."""

    def __call__(
        self,
        *,
        golden: Path,
        obtained: Path,
        dump: Callable[[Path], None],
        check: Callable[[Path, Path], None],
        stage: bool,
    ) -> None: ...


class Marker(Protocol):
    """``@pytest.mark.golden(...)`` at a test."""

    @property
    def args(self) -> tuple[Any, ...]: ...
    @property
    def kwargs(self) -> Mapping[str, Any]: ...


def compare_files(
    *,
    golden: Path,
    obtained: Path,
    dump: Callable[[Path], None],
    check: Callable[[Path, Path], None],
    stage: bool,
) -> None:
    """The last step where there is no pytest. Raises what ``dump`` and ``check`` raise."""
    dump(obtained)
    if not stage:
        check(obtained, golden)


def _unmarked() -> None:
    return None


def _own_pin(pinned: Pin | None) -> Pin | None:
    return pinned


def _nobody() -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What the checks of one fixture of one test share.

    test: the node id that its goldens belong to. fixture: ``golden_<fixture>`` checks, and a check without a
    name is called as that. fixtures: names of all fixtures of the test. marker: the test's ``golden`` marker,
    which declares limits. earlier: by its id, what each earlier attempt of a check came to. revision: what
    takes the goldens' place, if something does. pin_behind: the pin that a clip came from, of the one that
    the test itself used last. living: node ids of tests that are known to be there.
    offered: what to type next, of a result and what a test would be told; None where that is right.
    """

    test: str
    fixture: str
    settings: Config
    update: Update
    run: Run
    store: GoldenStore
    state: AttemptState
    fixtures: frozenset[str] = frozenset()
    marker: Callable[[], Marker | None] = _unmarked
    earlier: Mapping[str, list[CheckResult]] = field(default_factory=dict)
    revision: Revision | None = None
    pin_behind: Callable[[Pin | None], Pin | None] = _own_pin
    living: Callable[[], Collection[str]] = _nobody
    last_step: LastStep = compare_files
    offered: Callable[[CheckResult, str], str] | None = None
