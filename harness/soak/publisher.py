"""The publisher of a soak, in a process of its own, which can be killed at any moment and goes on where it stopped.

`python -m harness.soak.publisher RUN TOPOLOGY`: the broker's address comes by BROKER_URL. It keeps the queues filled up
to a mark, so it waits for the workers and is hardly ever refused. It ends when the broker has said something final
about each task.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from celery import Celery

from celery_workers import Publisher, TaskCall, Topology
from harness.errors import HarnessError
from harness.soak import flow, state
from harness.soak.ledger import Offer
from harness.soak.mix import KINDS, Mix
from harness.spike.arrivals import queue_of
from harness.spike.publisher_app import publisher_app

CHUNK = 500
LEAST = 100
"""Fewer are not worth a round; but for the last ones."""
PAUSE_SECONDS = 0.05
AWAY_SECONDS = 0.5
ANSWER_SECONDS = 5.0
DEADLINE_SECONDS = 30.0
HOPELESS = ("unroutable", "forbidden", "unsendable")
FINAL = {"accepted": Offer.ACCEPTED, "stored": Offer.REFUSED}


class Depths:
    """How many messages wait in each queue, asked over one kept connection."""

    def __init__(self, app: Celery, queues: Sequence[str]) -> None:
        self._app = app
        self._queues = queues
        self._connection: Any = None

    def ready(self) -> dict[str, int] | None:
        """Return the counts, None while the broker does not answer."""
        try:
            channel = self._channel()
            return {queue: channel.queue_declare(queue=queue, passive=True).message_count for queue in self._queues}
        except Exception:  # whatever it is, the next question opens another connection
            if self._connection is not None:
                self._connection.collect(socket_timeout=0.1)
            self._connection = None
            return None

    def _channel(self) -> Any:
        if self._connection is None:
            self._connection = self._app.connection_for_read(heartbeat=0, connect_timeout=ANSWER_SECONDS)
            self._connection.ensure_connection(max_retries=1, reraise_as_library_errors=False)
            self._connection.connection.transport.sock.settimeout(ANSWER_SECONDS)
        return self._connection.default_channel


class SoakPublisher:
    """Publishes what is left of a run."""

    def __init__(self, run: state.Run, topology: Mapping[str, Any], *, broker_url: str, offers: state.Offers) -> None:
        app = publisher_app(topology, broker_url=broker_url)
        self._run = run
        self._mix: Mix = run.mix()
        self._queues = {kind.name: queue_of(kind.task, topology) for kind in KINDS}
        self._marks = flow.marks({"queues": {name: topology["queues"][name] for name in set(self._queues.values())}})
        self._depths = Depths(app, list(self._marks))
        self._publisher = Publisher(app, topology=Topology.from_document(topology))
        self._offers = offers
        self._sent = 0
        self._fresh = 0  # no number below was never offered
        self._started = time.monotonic()

    def run(self) -> None:
        """Publish until there is nothing left. Raises HarnessError for a task that can never be published."""
        while numbers := self._next():
            going = numbers[: self._room(numbers)]
            if len(going) < min(LEAST, len(numbers)):
                time.sleep(PAUSE_SECONDS)
                continue
            self._publish(going)

    def _next(self) -> list[int]:
        """Return what to offer next: first what is in doubt, then what was never offered."""
        doubtful = self._offers.first(Offer.OFFERED)
        found: list[int] = []
        while doubtful is not None and len(found) < CHUNK:
            found.append(doubtful)
            doubtful = self._offers.first(Offer.OFFERED, doubtful + 1)
        if found:
            return found
        fresh = self._offers.first(Offer.NEVER, self._fresh)
        if fresh is None:
            return []
        self._fresh = fresh
        return [number for number in range(fresh, min(fresh + CHUNK, self._mix.tasks)) if not self._offers[number]]

    def _room(self, numbers: Sequence[int]) -> int:
        ready = self._depths.ready()
        if ready is None:
            time.sleep(AWAY_SECONDS)
            return 0
        seconds = time.monotonic() - self._started
        most = flow.allowed(self._sent, seconds, self._run.wanted.at_most_per_second, at_most=len(numbers))
        return flow.fitting(map(self._queue_of, numbers[:most]), flow.rooms(self._marks, ready))

    def _queue_of(self, number: int) -> str:
        return self._queues[self._mix.kind_of(number).name]

    def _publish(self, numbers: Sequence[int]) -> None:
        doubts = sum(self._is_mail(number) for number in numbers if self._offers[number] == Offer.OFFERED)
        for number in numbers:
            self._offers[number] = Offer.OFFERED
        if doubts:
            self._run.note(state.DOUBTS, {"t": time.time(), "mails": doubts, "why": "in doubt"})
        again = 0
        outcomes = self._publisher.publish_many(self._calls(numbers), window=CHUNK, deadline_seconds=DEADLINE_SECONDS)
        for outcome in outcomes:
            number = numbers[outcome.position]
            if outcome.status in HOPELESS:
                raise HarnessError(f"task {outcome.task_id} cannot be published: {outcome.error}")
            self._offers[number] = FINAL.get(outcome.status, Offer.OFFERED)
            again += outcome.attempts > 1 and self._is_mail(number)
        if again:
            self._run.note(state.DOUBTS, {"t": time.time(), "mails": again, "why": "offered again"})
        self._sent += len(numbers)

    def _is_mail(self, number: int) -> bool:
        return self._mix.kind_of(number).effect == "mail"

    def _calls(self, numbers: Sequence[int]) -> Iterator[TaskCall]:
        for number in numbers:
            kind = self._mix.kind_of(number)
            yield TaskCall(kind.task, kwargs=kind.kwargs, task_id=self._mix.id_of(number))


def main(arguments: Sequence[str]) -> int:
    """Publish the run in a directory; 0 when everything has been said about every task."""
    directory, topology = map(Path, arguments)
    run = state.load(directory)
    with state.Offers(directory / state.OFFERS, run.wanted.tasks) as offers:
        publisher = SoakPublisher(
            run, json.loads(topology.read_text()), broker_url=os.environ["BROKER_URL"], offers=offers
        )
        publisher.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
