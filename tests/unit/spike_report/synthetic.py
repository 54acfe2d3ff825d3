"""A small simulated spike that writes what a real run writes: journals, effects, samples, all belonging together.

Publishers offer at their due times as fast as they can, a full queue refuses, refused tasks come back after a jittered
backoff; pods take tasks first come first served, a scaler adds pods at 15 s syncs, a pod can be killed.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.runtime.base import RuntimeEvent, ScaleEvent
from harness.spike.ledger import DeadLetter, Effect, Offer, OfferEvent

EPOCH = 1_790_000_000.0
NAMESPACE = uuid.UUID("6f2a7c1e-3f53-4c1b-9a53-1b1f7b1d2c10")


@dataclass(frozen=True)
class Class:
    """A worker class with its one queue."""

    name: str = "io"
    queue: str = "io"
    task: str = "forgot_password_mail"
    kind: str = "mail"
    concurrency: int = 200
    limit_messages: int = 5000
    service_seconds: float = 2.0
    minimum: int = 1
    maximum: int = 5
    add_pods: int = 3
    add_every_seconds: float = 60.0
    pod_start_seconds: float = 5.5
    cores_per_slot: float = 0.0007
    request_cores: float = 0.2
    arrivals: tuple[tuple[float, str], ...] = ()  # due second, phase

    @property
    def deployment(self) -> str:
        return f"celery-{self.name}-worker"


@dataclass(frozen=True)
class Faults:
    """What goes wrong on purpose."""

    lose: int = 0
    expire: int = 0
    give_up_seconds: float = 600.0
    kill_pod_at: float | None = None
    unknown_effects: int = 0
    unconfirmed: int = 0


@dataclass
class Run:
    """What a run leaves behind."""

    offers: list[Offer] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    in_queue: set[str] = field(default_factory=set)
    samples: list[dict] = field(default_factory=list)
    scale_events: list[ScaleEvent] = field(default_factory=list)
    events: list[RuntimeEvent] = field(default_factory=list)
    due: dict[str, float] = field(default_factory=dict)  # id -> epoch seconds
    lost_ids: list[str] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)


def burst(count: int, *, at: float = 0.0, phase: str = "burst") -> tuple[tuple[float, str], ...]:
    return tuple((at, phase) for _ in range(count))


def steady(rate: float, *, start: float, seconds: float, phase: str) -> tuple[tuple[float, str], ...]:
    return tuple((start + index / rate, phase) for index in range(int(rate * seconds)))


def simulate(classes: Sequence[Class], *, seed: int = 1, faults: Faults = Faults()) -> Run:
    """Run every class on its own and put the traces together."""
    run = Run()
    per_second: dict[int, dict] = {}
    for number, one in enumerate(classes):
        _ClassRun(one, random.Random(f"{seed}-{number}"), faults, run, per_second).go()
    run.samples = [per_second[second] for second in sorted(per_second)]
    for before, after in itertools.pairwise(run.samples):  # a class that has settled stays as it is
        for name in ("queues", "replicas", "cpu_cores", "memory_bytes"):
            after[name] = before[name] | after[name]
    run.offers.sort(key=lambda offer: offer.at)
    run.effects.sort(key=lambda effect: effect.at)
    run.effects += [Effect(EPOCH + 1, f"stranger-{n}", "mail") for n in range(faults.unknown_effects)]
    return run


class _ClassRun:
    PUBLISH_PER_SECOND = 1500.0
    SYNC_SECONDS = 15.0

    def __init__(self, one: Class, rng: random.Random, faults: Faults, run: Run, per_second: dict[int, dict]) -> None:
        self.one, self.rng, self.faults, self.run, self.per_second = one, rng, faults, run, per_second
        self.agenda: list[tuple[float, int, str, object]] = []
        self.order = itertools.count()
        self.waiting: deque[str] = deque()
        self.busy: dict[str, int] = {}  # id -> pod
        self.pods = list(range(one.minimum))
        self.desired = one.minimum
        self.next_pod = one.minimum
        self.last_added = -math.inf
        self.phase_of: dict[str, str] = {}
        self.attempts: dict[str, int] = {}
        self.open = 0
        self.lose = faults.lose
        self.expire = faults.expire
        self.unconfirmed = faults.unconfirmed
        run.kinds[one.task] = one.kind

    def go(self) -> None:
        self._plan()
        self._at(0.0, "sample", None)
        self._at(self.SYNC_SECONDS, "sync", None)
        if self.faults.kill_pod_at is not None:
            self._at(self.faults.kill_pod_at, "kill", None)
        quiet_until = None
        while self.agenda:
            now, _, what, subject = heapq.heappop(self.agenda)
            getattr(self, f"_{what}")(now, subject)
            if self.open == 0:
                quiet_until = quiet_until or now + 5
                if now > quiet_until:
                    break

    def _at(self, when: float, what: str, subject: object) -> None:
        heapq.heappush(self.agenda, (when, next(self.order), what, subject))

    def _plan(self) -> None:
        free_at = 0.0
        for index, (due, phase) in enumerate(self.one.arrivals):
            key = str(uuid.uuid5(NAMESPACE, f"{self.one.name}-{index}"))
            free_at = max(due, free_at + 1 / self.PUBLISH_PER_SECOND)
            self.run.due[key] = EPOCH + due
            self.phase_of[key] = phase
            self.open += 1
            self._at(free_at, "attempt", key)

    def _write(self, now: float, key: str, event: OfferEvent) -> None:
        attempt = self.attempts[key]
        offer = Offer(EPOCH + now, key, event, self.one.task, self.one.queue, self.phase_of[key], attempt)
        self.run.offers.append(offer)

    def _attempt(self, now: float, key: str) -> None:
        self.attempts[key] = self.attempts.get(key, 0) + 1
        if self.attempts[key] == 1:
            self._write(now, key, OfferEvent.OFFERED)
        if len(self.waiting) >= self.one.limit_messages:
            self._refuse(now, key)
            return
        if self._vanishes(key):
            self._write(now + 0.001, key, OfferEvent.ACCEPTED)
            self.open -= 1
            return
        answer = OfferEvent.UNCONFIRMED if self.unconfirmed else OfferEvent.ACCEPTED
        self.unconfirmed -= bool(self.unconfirmed)
        self._write(now + 0.001, key, answer)
        self.waiting.append(key)
        self._dispatch(now)

    def _refuse(self, now: float, key: str) -> None:
        self._write(now + 0.001, key, OfferEvent.REFUSED)
        delay = min(0.5 * 2 ** self.attempts[key], 6.0) * self.rng.uniform(0.5, 1.5)
        if now + delay - (self.run.due[key] - EPOCH) > self.faults.give_up_seconds:
            self._write(now + 0.001, key, OfferEvent.GAVE_UP)
            self.open -= 1
        else:
            self._at(now + delay, "attempt", key)

    def _vanishes(self, key: str) -> bool:
        if self.lose:
            self.lose -= 1
            self.run.lost_ids.append(key)
            return True
        if self.expire:
            self.expire -= 1
            self.run.dead_letters.append(DeadLetter(key, "expired"))
            return True
        return False

    def _dispatch(self, now: float) -> None:
        while self.waiting and len(self.busy) < self.one.concurrency * len(self.pods):
            key = self.waiting.popleft()
            self.busy[key] = self.rng.choice(self.pods)
            self._at(now + self.one.service_seconds * self.rng.uniform(0.97, 1.08), "finish", (key, self.busy[key]))

    def _finish(self, now: float, subject: tuple[str, int]) -> None:
        key, pod = subject
        if self.busy.get(key) != pod:  # its pod was killed; another does it again
            return
        del self.busy[key]
        self.open -= 1
        self.run.effects.append(Effect(EPOCH + now, key, self.one.kind))
        self._dispatch(now)

    def _sync(self, now: float, _: object) -> None:
        depth = len(self.waiting) + len(self.busy)
        wanted = max(self.one.minimum, math.ceil(depth / self.one.concurrency))
        if wanted > self.desired and now - self.last_added >= self.one.add_every_seconds:
            before = self.desired
            self.desired = min(wanted, before + self.one.add_pods, self.one.maximum)
            if self.desired > before:
                self.last_added = now
                reason = (
                    f"s0-rabbitmq-{self.one.queue} {depth:,}/{self.one.concurrency} per pod -> {wanted}, limited by "
                )
                bound = f"{self.one.add_pods} pods/{self.one.add_every_seconds:.0f} s"
                limit = f"maxReplicas {self.one.maximum}" if self.desired == self.one.maximum else bound
                self.run.scale_events.append(
                    ScaleEvent(EPOCH + now, self.one.deployment, before, self.desired, reason + limit)
                )
                for _ in range(self.desired - before):
                    self._start_pod(now)
        self._at(now + self.SYNC_SECONDS, "sync", None)

    def _start_pod(self, now: float) -> None:
        self._at(now + self.one.pod_start_seconds + self.rng.uniform(0, 1.5), "ready", self.next_pod)
        self.next_pod += 1

    def _ready(self, now: float, pod: int) -> None:
        self.pods.append(pod)
        name = f"{self.one.deployment}-{pod}"
        self.run.events.append(RuntimeEvent(EPOCH + now, "ready", name))
        self._dispatch(now)

    def _kill(self, now: float, _: object) -> None:
        pod = self.pods.pop(0)
        again = [key for key, owner in self.busy.items() if owner == pod]
        for key in again:
            del self.busy[key]
        sent = again[: max(len(again) // 20, 1)]  # their mail had left, their acknowledgement had not
        self.run.effects += [Effect(EPOCH + now, key, self.one.kind) for key in sent]
        self.waiting.extendleft(again)
        name = f"{self.one.deployment}-{pod}"
        self.run.events.append(RuntimeEvent(EPOCH + now, "killed", name, f"SIGKILL with {len(again)} tasks in work"))
        self._start_pod(now)
        self._dispatch(now)

    def _sample(self, now: float, _: object) -> None:
        cell = self.per_second.setdefault(
            int(now), {"t": now, "queues": {}, "replicas": {}, "cpu_cores": {}, "memory_bytes": {}}
        )
        cell["queues"][self.one.queue] = {"ready": len(self.waiting), "unacked": len(self.busy)}
        cell["replicas"][self.one.deployment] = {
            "desired": self.desired,
            "running": self.desired,
            "ready": len(self.pods),
        }
        cores = len(self.busy) * self.one.cores_per_slot + 0.01 * len(self.pods)
        cell["cpu_cores"][self.one.name] = round(cores * self.rng.uniform(0.9, 1.1), 4)
        cell["memory_bytes"][self.one.name] = int(len(self.pods) * 62e6 + len(self.busy) * 60e3)
        self._at(now + 1, "sample", None)
