"""Which of the offered tasks have shown their effect, and how long each took. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sighting:
    """A task seen at its end. `at` is seconds since the epoch; `error` is empty when it did its work."""

    id: str
    at: float
    error: str = ""


@dataclass(slots=True)
class _Tracked:
    task: str
    first_at: float
    accepted: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """A task's first sighting, measured from its first publish attempt."""

    task: str
    seconds: float
    error: str


class Tracker:
    """Follows tasks from first attempt to effect. A second effect of the same task is the ledger's business."""

    def __init__(self) -> None:
        self._tasks: dict[str, _Tracked] = {}
        self._outstanding = 0
        self.completed = 0
        self.failed = 0

    def offered(self, task_id: str, *, task: str, at: float) -> None:
        """Note the first publish attempt."""
        self._tasks[task_id] = _Tracked(task, at)

    def accepted(self, task_id: str) -> None:
        """Note the broker's confirm; from now on the effect is waited for."""
        tracked = self._tasks[task_id]
        tracked.accepted = True
        if not tracked.ended:
            self._outstanding += 1

    def saw(self, sighting: Sighting) -> Completion | None:
        """Take note of an end. Return what it means, None for another publisher's task and for one seen before."""
        tracked = self._tasks.get(sighting.id)
        if tracked is None or tracked.ended:
            return None
        tracked.ended = True
        self._outstanding -= tracked.accepted  # an effect can be seen before the confirm is
        if sighting.error:
            self.failed += 1
        else:
            self.completed += 1
        return Completion(tracked.task, max(sighting.at - tracked.first_at, 0.0), sighting.error)

    @property
    def outstanding(self) -> int:
        """How many accepted tasks have not been seen to end."""
        return self._outstanding
