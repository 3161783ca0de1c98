"""What a review does, apart from how it is served: decide, undo, and how far one is."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seedpin.errors import DecisionRefusedError
from seedpin.run.decide import AppliedDecision, ProjectFolders, key_of, write_accepted, write_rejected
from seedpin.run.ledger import Run, decidable, decision_now
from seedpin.run.undo import Saved, write_saved, write_undone


@dataclass(frozen=True, slots=True)
class _Done:
    """A decision of this session; ``saved`` is what the golden was, None where it was not touched."""

    applied: AppliedDecision
    saved: Saved | None


@dataclass(slots=True)
class ReviewSession:
    """One review of one run. ``scratch`` is an empty folder for what undo needs. Methods take turns."""

    run: Run
    folders: ProjectFolders
    scratch: Path
    _done: dict[str, _Done] = field(default_factory=dict)
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def state(self) -> dict[str, Any]:
        """``{"decided": {id: {"decision", "reason"}}, "total": int}``."""
        with self._lock:
            return self._state()

    def _state(self) -> dict[str, Any]:
        open_ids = [result.id for result in decidable(self.run)]
        decisions = self.run.decisions()
        decided = {
            name: {"decision": decisions[name].decision, "reason": decisions[name].reason}
            for name in open_ids
            if name in decisions
        }
        return {"decided": decided, "total": len(open_ids)}

    def decide(self, name: str, decision: str, reason: str) -> dict[str, Any]:
        """Accepts, rejects or undoes, and gives the state afterwards.

        Raises:
            DecisionRefusedError: no such check, no reason for accepting, decided already, nothing to undo.
            SeedpinError: as ``write_accepted`` and ``write_undone``.
        """
        with self._lock:
            result = next((result for result in decidable(self.run) if result.id == name), None)
            if result is None:
                raise DecisionRefusedError(
                    f"no check {name!r} of this run can be decided", hint="reload the page"
                )
            decided = name in self.run.decisions()
            if decision == "undo":
                self._undo(name, decided)
                return self._state()
            if decided:
                raise DecisionRefusedError(f"{name} is decided already", hint="undo that first")
            if decision == "accept":
                saved = write_saved(self.folders, key_of(result), self._folder())
                applied = write_accepted(self.run, [result], self.folders, reason)[0]
                self._done[name] = _Done(applied, None if applied.effect == "already" else saved)
            elif decision == "reject":
                self._done[name] = _Done(write_rejected(self.run, [result], self.folders, reason)[0], None)
            else:
                raise DecisionRefusedError(f"{decision!r} is no decision", hint="accept, reject or undo")
            return self._state()

    def _folder(self) -> Path:
        self._count += 1
        return self.scratch / str(self._count)

    def _undo(self, name: str, decided: bool) -> None:
        done = self._done.get(name)
        earlier = self.run.decisions().get(name)
        if not decided or earlier is None:
            raise DecisionRefusedError(f"{name} is not decided", hint="reload the page")
        if done is not None and done.saved is not None:
            write_undone(self.run, self.folders, name, done.saved, done.applied.written)
        elif earlier.effect not in ("", "already"):
            raise DecisionRefusedError(
                f"{name} was accepted before this review began, so its former golden is not at hand",
                hint="restore it from version control",
            )
        else:
            self.run.write_decision(decision_now(name, "undo", ""))
        self._done.pop(name, None)
