"""Which sampling loop a record belongs to, and which step of it."""

from __future__ import annotations

# For a scheduler that does not tell how many timesteps it has: it never steps past its end.
_ENDLESS = 1 << 30


class Loops:
    """Counts steps of schedulers. Several may share a loop, as one for video and one for sound do."""

    __slots__ = ("_done", "_lengths", "_number", "loop", "step")

    def __init__(self) -> None:
        self.step: int | None = None
        """Finished steps of the present loop; None outside of one."""
        self.loop: int | None = None
        """Number of the present loop, from 0; None outside of one."""
        self._number = -1
        self._done: dict[str, int] = {}
        self._lengths: dict[str, int] = {}

    def set(self, scheduler: str, length: int | None) -> None:
        """A scheduler got its timesteps: another loop begins, unless the last one has not taken a step."""
        # Two schedulers of one loop (video and sound) are both set before the first step of either.
        if self._done or self._number < 0:
            self._begin()
        self.step, self.loop = 0, self._number
        self._lengths[scheduler] = _ENDLESS if length is None else length

    def step_of(self, scheduler: str) -> int:
        """The step that a scheduler is about to take. Past its end it is the first of another loop, as where
        a pipeline starts anew without setting its timesteps again."""
        done = self._done.get(scheduler, 0)
        if self._number < 0 or (done and done >= self._lengths.get(scheduler, _ENDLESS)):
            self._begin()
            self.step, self.loop = 0, self._number
            return 0
        return done

    def stepped(self, scheduler: str) -> None:
        """A scheduler has taken its step."""
        self._done[scheduler] = self._done.get(scheduler, 0) + 1
        if all(done >= self._lengths.get(name, _ENDLESS) for name, done in self._done.items()):
            self.step = self.loop = None  # Past the last step nothing belongs to the loop any more.
        else:
            self.step, self.loop = max(self._done.values()), self._number

    def _begin(self) -> None:
        self._number += 1
        self._done = {}
