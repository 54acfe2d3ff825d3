"""Keeps a soak going until every task has come to its end, and writes down where it stands."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import psycopg

from celery_workers.shared import SharedRedis
from harness.chaos.director import Record
from harness.chaos.site import JOURNAL, Notes
from harness.errors import HarnessError
from harness.soak import state
from harness.soak.ground import SoakGround, make_injectors
from harness.soak.ledger import Offer
from harness.soak.striking import Striker
from harness.soak.usage import CpuMeter
from harness.spike.progress import Progress

TICK_SECONDS = 0.25
SAMPLE_SECONDS = 2.0
CPU_EVERY = 5  # samples
STALL_SECONDS = 300.0
BACK_SECONDS = 120.0
"""So long after the last task an end waits for pods that a fault has taken; those still away then never came back."""
QUIET_SAMPLES = 2
"""So many looks at empty queues, after the last task was accepted, are the end."""
RATE_SAMPLES = 15
ANSWER_SECONDS = 2


def nothing_left(*, waiting: int | None, pods: Mapping[str, tuple[int, int]], still_seconds: float) -> bool:
    """Return whether a run whose tasks have all been offered can end, now that nothing has moved for some time.

    `waiting` tasks are in the queues or in work (None: unknown); `pods` are those ready and wanted of each class. A
    fault may strike the last tasks: without a look at the pods that come back the verdict would miss the recovery.
    """
    back = all(ready >= desired for ready, desired in pods.values())
    return waiting == 0 and (back or still_seconds > BACK_SECONDS)


class DoneCounter:
    """How many tasks are done by now, by the highest number of the application's markers: a figure to look at.

    Numbers are left out where a task came twice, and some where the database was killed. The account counts itself.
    """

    def __init__(self, database_url: str) -> None:
        self._url = database_url.replace("+psycopg", "", 1)
        self._connection: psycopg.Connection[Any] | None = None
        self._last = 0

    def count(self) -> int:
        """Return it; while the database is away what was known last."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=ANSWER_SECONDS)
            row = self._connection.execute("SELECT max(seq) FROM task_effects").fetchone()
            self._last = (row and row[0]) or 0
        except psycopg.Error:
            self.close()
        return self._last

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Watch:
    """One part of a run, from the start of its publisher to its end."""

    def __init__(
        self, run: state.Run, ground: SoakGround, *, part: int, offers: state.Offers, progress: Progress
    ) -> None:
        self._run = run
        self._ground = ground
        self._part = part
        self._offers = offers
        self._progress = progress
        self._done = DoneCounter(ground.world.services.database_url)
        self._meter = CpuMeter()
        self._samples = 0
        self._recent: deque[tuple[float, int]] = deque(maxlen=RATE_SAMPLES)
        self._depths: dict[str, tuple[int, int]] | None = None
        self._moved_at = time.monotonic()
        self._stood: tuple[int, int] = (-1, -1)
        self._quiet = 0
        struck = sum(note["what"] == "begins" for note in run.lines(JOURNAL))
        self._striker = Striker(run.strikes()[struck:], make_injectors(ground), record=self._record())

    def until_done(self) -> None:
        """Publish, and return when nothing is left. Raises HarnessError when nothing moves for five minutes."""
        try:
            self._sample()  # before anything is published: a run with a sample is one that may have been cut at work
            self._ground.publisher.start()
            next_at = time.monotonic() + SAMPLE_SECONDS
            while self._quiet < QUIET_SAMPLES:
                time.sleep(TICK_SECONDS)
                self.tick()
                if (now := time.monotonic()) >= next_at:
                    next_at = max(next_at + SAMPLE_SECONDS, now)
                    self._sample()
            self._sample(cpu=True)
        finally:
            self._striker.close()
            self._done.close()

    def tick(self) -> None:
        """Keep the pods going, and the faults coming."""
        self._ground.world.runtime.tick()
        self._striker.tick(self._stood[0], time.time())

    def _sample(self, *, cpu: bool = False) -> None:
        self._look()
        self._samples += 1
        accepted = self._offers.read().count(Offer.ACCEPTED)
        done = min(self._done.count(), self._run.wanted.tasks)
        line: dict[str, Any] = {"t": round(time.time(), 3), "part": self._part, "accepted": accepted, "done": done}
        line |= {"queues": self._depths, "pods": self._pods(), "fault": self._striker.fault}
        if cpu or self._samples % CPU_EVERY == 1:
            line["cpu"] = self._meter.sample()
        self._run.note(state.SAMPLES, line)
        self._show(line)
        self._judge(accepted, done, line["pods"])

    def _judge(self, accepted: int, done: int, pods: Mapping[str, tuple[int, int]]) -> None:
        """See whether this is the end, or whether nothing moves any more."""
        if (accepted, done) != self._stood:
            self._moved_at = time.monotonic()
        self._stood = accepted, done
        still_seconds = time.monotonic() - self._moved_at
        if still_seconds > STALL_SECONDS:
            raise HarnessError(f"nothing has moved for {STALL_SECONDS:.0f} s: {accepted:,} accepted, {done:,} done")
        offered = self._ground.publisher.finished() and not self._striker.fault
        over = offered and nothing_left(waiting=self._waiting(), pods=pods, still_seconds=still_seconds)
        self._quiet = self._quiet + 1 if over else 0

    def _waiting(self) -> int | None:
        return None if self._depths is None else sum(map(sum, self._depths.values()))

    def _look(self) -> None:
        """Ask the broker what waits and what is in work; it may be away."""
        try:
            depths = self._ground.world.management.depths()
            known = self._ground.world.topology["queues"]
            self._depths = {name: (one.ready, one.unacked) for name, one in depths.items() if name in known}
        except HarnessError:
            self._depths = None

    def _pods(self) -> dict[str, tuple[int, int]]:
        names = {deployment: name for name, deployment in self._ground.world.deployments.items()}
        scales = self._ground.world.runtime.scales()
        return {names[one.deployment]: (one.ready, one.desired) for one in scales if one.deployment in names}

    def _show(self, line: Mapping[str, Any]) -> None:
        self._recent.append((line["t"], line["done"]))
        (first_t, first_done), (last_t, last_done) = self._recent[0], self._recent[-1]
        rate = (last_done - first_done) / (last_t - first_t) if last_t > first_t else 0.0
        left = self._run.wanted.tasks - last_done
        counts = {"done": last_done, "of": self._run.wanted.tasks, "a second": round(rate)}
        if rate > 0:
            counts["seconds left"] = round(left / rate)
        queues = {name: {"ready": a, "unacked": b} for name, (a, b) in (line["queues"] or {}).items()}
        replicas = {name: {"ready": a, "desired": b} for name, (a, b) in line["pods"].items()}
        seconds = (self._samples - 1) * SAMPLE_SECONDS
        self._progress.sample({"t": seconds, "queues": queues, "replicas": replicas}, counts)

    def _record(self) -> Record:
        shared = SharedRedis(self._ground.world.redis_url)
        path = self._run.directory / JOURNAL
        return Notes(path, self._ground.world.management, shared, self._progress, more=self._where)

    def _where(self) -> dict[str, int]:
        """The first number that a fault meets: what waits or is in work now was offered before."""
        fresh = self._offers.first(Offer.NEVER)
        number = self._run.wanted.tasks if fresh is None else fresh
        return {"number": max(0, number - (self._waiting() or 0))}
