"""Making the attempts a dispatcher hands out, and writing down what came of each."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from celery_workers.errors import PublishError, QueueFull, Unconfirmed
from celery_workers.publishing import may_retry
from harness.spike.dispatch import Dispatcher, Offer
from harness.spike.ledger import OfferEvent
from harness.spike.tracking import Tracker


class Attempts(Protocol):
    """What is needed of a `celery_workers.Publisher`."""

    def attempt(self, task: str, *, kwargs: Mapping[str, Any] | None = None, task_id: str | None = None) -> str:
        """Offer a task once. Raises PublishError."""


class Record(Protocol):
    """Takes one measured attempt for the load generator's statistics."""

    def __call__(self, kind: str, name: str, seconds: float, error: str | None = None) -> None:
        """Note it; `kind` is publish, refused, unconfirmed or e2e. Equal errors are counted together."""


class PublisherJournal:
    """One publisher's JSON lines, each written at once: a line says what is about to happen or has happened."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)

    def write(self, event: OfferEvent, offer: Offer, *, stored: bool = False, reason: str = "") -> None:
        """Write one event of one task."""
        arrival = offer.arrival
        line = {
            "t": round(self._clock(), 6),
            "id": arrival.id,
            "event": event.value,
            "task": arrival.task,
            "queue": arrival.queue,
            "phase": arrival.phase,
            "attempt": max(offer.attempt, 1),
        }
        if stored:
            line["stored"] = True
        if reason:
            line["reason"] = reason
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class NoJournal:
    """Writes nothing, for a load without a ledger."""

    def write(self, event: OfferEvent, offer: Offer, *, stored: bool = False, reason: str = "") -> None:
        """Write nothing."""

    def close(self) -> None:
        """Have nothing to close."""


class Offering:
    """One publisher process's part of a run. `now` is seconds from the start of the load."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        publisher: Attempts,
        journal: PublisherJournal | NoJournal,
        tracker: Tracker,
        record: Record,
        *,
        now: Callable[[], float],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.dispatcher = dispatcher
        self.tracker = tracker
        self._publisher = publisher
        self._journal = journal
        self._record = record
        self._now = now
        self._wall_clock = wall_clock

    def next(self) -> tuple[Offer | None, float]:
        """Return an attempt to make now, or None and how many seconds to wait before asking again."""
        now = self._now()
        offer = self.dispatcher.next(now)
        for late in self.dispatcher.given_up():
            self._journal.write(OfferEvent.GAVE_UP, late, reason="deadline")
        return offer, 0.0 if offer else self.dispatcher.pause_seconds(now)

    def put_back(self, offer: Offer) -> None:
        """Take back an attempt of `next` that was not made."""
        self.dispatcher.put_back(offer, self._now())

    def make(self, offer: Offer) -> None:
        """Make the attempt; whatever comes of it is noted and, where sensible, tried again later."""
        started = self._now()
        if offer.is_first:
            offer.first_at = started  # it may have waited for a free publisher since it was handed out
            self._journal.write(OfferEvent.OFFERED, offer)
            self.tracker.offered(offer.arrival.id, task=offer.arrival.task, at=self._wall_clock())
        try:
            self._publisher.attempt(offer.arrival.task, kwargs=offer.arrival.kwargs, task_id=offer.arrival.id)
        except Unconfirmed as error:
            self._unconfirmed(offer, started, error)
        except Exception as error:  # a message that cannot even be built is refused like any other
            self._refused(offer, started, error)
        except BaseException:  # stopped in the middle: nobody will hear the answer
            self._journal.write(OfferEvent.UNCONFIRMED, offer, reason="stopped")
            raise
        else:
            self._accepted(offer, started)

    def end(self) -> None:
        """Give up what still waits, and close the journal."""
        for offer in self.dispatcher.abandon():
            self._journal.write(OfferEvent.GAVE_UP, offer, reason="end of the run")
        self._journal.close()

    def _accepted(self, offer: Offer, started: float) -> None:
        self._journal.write(OfferEvent.ACCEPTED, offer)
        self.dispatcher.accepted(offer)
        self.tracker.accepted(offer.arrival.id)
        self._record("publish", offer.arrival.task, self._now() - started)

    def _refused(self, offer: Offer, started: float, error: Exception) -> None:
        stored = isinstance(error, QueueFull) and error.stored
        retriable = isinstance(error, PublishError) and may_retry(error)
        self._journal.write(OfferEvent.REFUSED, offer, stored=stored, reason=_reason(error))
        again = self.dispatcher.refused(offer, self._now(), final=not retriable)
        self._failed("refused", offer, started, error)
        if not again:
            self._journal.write(OfferEvent.GAVE_UP, offer, reason="deadline" if retriable else _reason(error))

    def _unconfirmed(self, offer: Offer, started: float, error: Unconfirmed) -> None:
        self._journal.write(OfferEvent.UNCONFIRMED, offer, reason=error.reason)
        self._failed("unconfirmed", offer, started, error)
        if not self.dispatcher.unconfirmed(offer, self._now()):
            self._journal.write(OfferEvent.GAVE_UP, offer, reason="deadline")

    def _failed(self, kind: str, offer: Offer, started: float, error: Exception) -> None:
        self._record(kind, offer.arrival.task, self._now() - started, f"{type(error).__name__}: {_reason(error)}")


def _reason(error: Exception) -> str:
    """What went wrong, without the task's id: equal reasons must read alike to be counted together."""
    return error.reason if isinstance(error, PublishError) else str(error)
