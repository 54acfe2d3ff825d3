"""What to publish next: first attempts at their due time, refused tasks again when their delay is over. Pure.

Times are seconds from the start of the load; the caller brings the clock. Not safe under threads: greenlets that do
not switch inside a call may share one.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from celery_workers.backoff import Uniform
from harness.spike.arrivals import Arrival
from harness.spike.gate import Gate
from harness.spike.scenario import Publishing

IDLE_SECONDS = 0.25
"""The longest time to look away: something a caller reports may have opened a gate meanwhile."""
CATCH_UP_SECONDS = 0.1
"""How much of the publisher's pace may be made good after a pause of the machine."""


@dataclass(slots=True)
class Offer:
    """One task on its way to the broker. `attempt` counts from 1."""

    arrival: Arrival
    attempt: int = 0
    first_at: float = 0.0
    doubtful: bool = False  # an attempt was never answered: the broker may have it

    @property
    def is_first(self) -> bool:
        """Whether this is the task's first attempt."""
        return self.attempt == 1


@dataclass
class Tally:
    """How many tasks and attempts came to what."""

    planned: int = 0
    offered: int = 0  # tasks with at least one attempt
    accepted: int = 0
    gave_up: int = 0
    refusals: int = 0  # attempts a queue refused
    unconfirmed: int = 0  # attempts without an answer
    retries: int = 0  # attempts after a task's first

    @property
    def settled(self) -> bool:
        """Whether every planned task was accepted or given up."""
        return self.accepted + self.gave_up == self.planned


@dataclass(order=True, slots=True)
class _Waiting:
    due: float
    number: int
    offer: Offer = field(compare=False)


class Dispatcher:
    """Hands out attempts. Waiting retries never delay first attempts, and no attempt is forgotten."""

    def __init__(
        self, arrivals: Iterable[Arrival], publishing: Publishing, *, rng: Uniform, publishers: int = 1
    ) -> None:
        self._first = deque(arrivals)
        self._publishing = publishing
        self._rng = rng
        self._pace_seconds = publishers / publishing.attempts_per_second  # each publisher keeps its part of the pace
        self._next_at = 0.0
        self._waiting: dict[str, list[_Waiting]] = {}
        self._gates: dict[str, Gate] = {}
        self._number = 0
        self._given_up: deque[Offer] = deque()
        self.tally = Tally(planned=len(self._first))

    def next(self, now: float) -> Offer | None:
        """Return what to publish now, None when nothing is due. Every one returned must be reported back."""
        if now < self._next_at:
            return None
        offer = self._next_first(now) or self._next_retry(now)
        if offer is None:
            return None
        self._next_at = max(self._next_at, now - CATCH_UP_SECONDS) + self._pace_seconds
        offer.attempt += 1
        return offer

    def pause_seconds(self, now: float) -> float:
        """Return how long nothing will be due, at most 0.25 s."""
        dues = [max(heap[0].due, self._gate(queue).opens_at) for queue, heap in self._waiting.items() if heap]
        if self._first:
            dues.append(self._first[0].due_seconds)
        earliest = max(min(dues, default=now + IDLE_SECONDS), self._next_at)
        return min(max(earliest - now, 0.0), IDLE_SECONDS)

    def put_back(self, offer: Offer, now: float) -> None:
        """Take back an offer of `next` that was not made."""
        offer.attempt -= 1
        if offer.attempt == 0:
            self.tally.offered -= 1
            self._first.appendleft(offer.arrival)
        else:
            self.tally.retries -= 1
            self._wait_until(now, offer)

    def accepted(self, offer: Offer) -> None:
        """The broker has it."""
        self._gate(offer.arrival.queue).accepted()
        self.tally.accepted += 1

    def refused(self, offer: Offer, now: float, *, final: bool = False) -> bool:
        """The broker has it not; `final` when it must not be offered again. Return whether it will be."""
        self.tally.refusals += 1
        self._gate(offer.arrival.queue).refused(now)
        return self._again(offer, now, final=final)

    def unconfirmed(self, offer: Offer, now: float) -> bool:
        """Nobody knows. Offering the same id again is safe. Return whether it will be."""
        self.tally.unconfirmed += 1
        offer.doubtful = True
        return self._again(offer, now, final=False)

    def given_up(self) -> list[Offer]:
        """Return the waiting offers whose deadline has passed since the last call."""
        found = list(self._given_up)
        self._given_up.clear()
        return found

    def abandon(self) -> list[Offer]:
        """End the run: return every offer that still waits for another attempt; each counts as given up."""
        left = [waiting.offer for heap in self._waiting.values() for waiting in heap]
        self._waiting.clear()
        self.tally.gave_up += len(left)
        return self.given_up() + left

    @property
    def waiting(self) -> int:
        """How many refused tasks wait for another attempt."""
        return sum(len(heap) for heap in self._waiting.values())

    def _next_first(self, now: float) -> Offer | None:
        if not self._first or self._first[0].due_seconds > now:
            return None
        self.tally.offered += 1
        return Offer(self._first.popleft(), first_at=now)

    def _next_retry(self, now: float) -> Offer | None:
        for queue, heap in self._waiting.items():
            while heap and heap[0].due <= now and self._gate(queue).is_open(now):
                offer = heapq.heappop(heap).offer
                if now <= offer.first_at + self._publishing.deadline_seconds:
                    self.tally.retries += 1
                    return offer
                self._give_up(offer)
        return None

    def _again(self, offer: Offer, now: float, *, final: bool) -> bool:
        due = now + self._publishing.backoff.delay_seconds(offer.attempt, self._rng)
        if final or due > offer.first_at + self._publishing.deadline_seconds:
            self.tally.gave_up += 1
            return False
        self._wait_until(due, offer)
        return True

    def _wait_until(self, due: float, offer: Offer) -> None:
        self._number += 1
        heapq.heappush(self._waiting.setdefault(offer.arrival.queue, []), _Waiting(due, self._number, offer))

    def _give_up(self, offer: Offer) -> None:
        self.tally.gave_up += 1
        self._given_up.append(offer)

    def _gate(self, queue: str) -> Gate:
        if queue not in self._gates:
            self._gates[queue] = Gate(hold_seconds=self._publishing.hold_seconds)
        return self._gates[queue]
