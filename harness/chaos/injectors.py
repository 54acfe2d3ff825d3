"""How each fault is made on this machine."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil

from harness import direct
from harness.chaos.world import FamilyServer, Server, World
from harness.errors import HarnessError

ANSWER_SECONDS = 3.0
FULL_LENGTH_MESSAGES = 20
FULL_QUEUE, EXPIRING_QUEUE, CHANGING_QUEUE = "io", "mixed", "io"
SLOWER_SECONDS = 4.0
FAILING_RATIO = 0.5
LITTLE_MEMORY = "1MB"
FREEZE_SECONDS = 10.0  # twice as long as the application waits for a new connection


@dataclass
class Once:
    """A fault that strikes and needs no undoing."""

    world: World

    def begin(self) -> str:
        """Strike."""
        raise NotImplementedError

    def again(self) -> str:
        """Strike once more."""
        return self.begin()

    def over(self) -> bool:
        """Last as long as the schedule says."""
        return False

    def end(self) -> str:
        """Leave it as it is."""
        return ""


@dataclass
class SignalWorker(Once):
    """Signals a worker chosen by chance; `undo` is sent to the same one at the end."""

    number: int
    undo: int | None = None
    victim: str | None = None

    def begin(self) -> str:
        """Signal one."""
        self.victim = self.world.a_pod()
        if self.victim is None:
            return "no worker was ready"
        self.world.runtime.kill(self.victim, self.number)
        return self.victim

    def end(self) -> str:
        """Undo it for the one that was signalled."""
        if self.undo is None or self.victim is None:
            return ""
        victim, self.victim = self.victim, None
        self.world.runtime.kill(victim, self.undo)
        return victim


@dataclass
class KillChild(Once):
    """Kills a child process of the prefork class, as the kernel does when memory runs out."""

    class_name: str

    def begin(self) -> str:
        """Kill one."""
        pod = self.world.a_pod(self.class_name)
        pid = None if pod is None else self.world.runtime.main_process(pod)
        children = [] if pid is None else psutil.Process(pid).children()
        if not children:
            return "no child was there"
        child = self.world.rng.choice(children)
        child.kill()
        return f"child {child.pid} of {pod}"


@dataclass
class RestartServer(Once):
    """Ends a server, waits as long as it should be away, starts it and is over once it answers."""

    server: Server
    number: int
    away_seconds: float
    clock: Callable[[], float]
    started_again: bool = False
    begun_at: float = 0.0

    def begin(self) -> str:
        """End it."""
        self.started_again, self.begun_at = False, self.clock()
        self.server.signal(self.number)
        return signal.Signals(self.number).name

    def over(self) -> bool:
        """Start it when it has been away long enough; whether it answers."""
        if not self.started_again:
            if self.server.runs or self.clock() - self.begun_at < self.away_seconds:
                return False
            self.server.start()
            self.started_again = True
        return self.server.answers()

    def end(self) -> str:
        """Start it where that was not done. Raises HarnessError when it does not answer."""
        if not self.started_again:
            self.server.signal(signal.SIGKILL)
            self.server.start()
            return "started at the end"
        if not self.server.answers():
            raise HarnessError("a server that was ended did not come back in the time of its fault")
        return f"answers after {self.clock() - self.begun_at:.1f} s"


@dataclass
class FreezeServer(Once):
    """Has a server stand still: connections to it stay, and nothing is answered.

    It goes on by a timer, since who looks at the schedule may itself be waiting for the server.
    """

    server: FamilyServer
    seconds: float
    timer: threading.Timer | None = None

    def begin(self) -> str:
        """Freeze it."""
        self.server.signal_all(signal.SIGSTOP)
        self.timer = threading.Timer(self.seconds, self.server.signal_all, args=[signal.SIGCONT])
        self.timer.daemon = True
        self.timer.start()
        return signal.Signals.SIGSTOP.name

    def over(self) -> bool:
        """Whether it has gone on."""
        return self.timer is not None and not self.timer.is_alive()

    def end(self) -> str:
        """Have it go on where it does not yet."""
        if self.timer is not None:
            self.timer.cancel()
            self.server.signal_all(signal.SIGCONT)
        return signal.Signals.SIGCONT.name


@dataclass
class MemoryAlarm(Once):
    """Makes RabbitMQ believe that its memory is used up: it blocks whoever publishes."""

    before: str = "0.4"
    commands: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def begin(self) -> str:
        """Raise the alarm."""
        self._tell("absolute", LITTLE_MEMORY)
        return f"limit {LITTLE_MEMORY}"

    def end(self) -> str:
        """Give the memory back."""
        self._tell(self.before)
        return f"limit {self.before}"

    def _tell(self, *limit: str) -> None:
        self.commands.append(self.world.broker.tell("set_vm_memory_high_watermark", *limit))


@dataclass
class CutConnections(Once):
    """Closes every connection to the broker and lets none come up."""

    def begin(self) -> str:
        """Cut."""
        for name in self.world.proxied:
            self.world.proxies.cut(name)
        return ", ".join(self.world.proxied)

    def end(self) -> str:
        """Let them come again."""
        for name in self.world.proxied:
            self.world.proxies.restore(name)
        return ", ".join(self.world.proxied)


@dataclass
class StopConsuming(Once):
    """Has nobody take from a queue; with `length` the queue holds that many messages and refuses the next."""

    queue: str
    length: int | None = None
    policy: Mapping[str, Any] | None = None

    def begin(self) -> str:
        """Stop."""
        if self.length is not None:
            self.policy = policy_of(self.world, self.queue)
            put_policy(self.world, self.policy, {"max-length": self.length})
        self.world.app.control.cancel_consumer(self.queue, destination=self._workers())
        return self.queue

    def end(self) -> str:
        """Go on."""
        if self.policy is not None:
            put_policy(self.world, self.policy, {})
        # Only those: told to all, the other classes would take from the queue as well.
        self.world.app.control.add_consumer(self.queue, destination=self._workers())
        return self.queue

    def _workers(self) -> list[str]:
        class_name = self.world.topology["queues"][self.queue]["class"]
        return [f"{class_name}@{pod}" for pod in self.world.pods(class_name)]


@dataclass
class ChangePolicy(Once):
    """Gives a queue other limits while it works, and its own again."""

    queue: str
    policy: Mapping[str, Any] | None = None

    def begin(self) -> str:
        """Change to half, then to double."""
        factor = 0.5 if self.policy is None else 2.0
        self.policy = self.policy or policy_of(self.world, self.queue)
        definition = self.policy["definition"]
        changed = {key: int(definition[key] * factor) for key in ("max-length", "message-ttl") if definition.get(key)}
        put_policy(self.world, self.policy, changed)
        return ", ".join(f"{key} {value:,}" for key, value in changed.items())

    def end(self) -> str:
        """Give its own again."""
        if self.policy is None:
            return ""
        put_policy(self.world, self.policy, {})
        self.policy = None
        return self.queue


def policy_of(world: World, queue: str) -> Mapping[str, Any]:
    """Return the policy of a queue as it stands. Raises HarnessError when it has none of its own."""
    for policy in world.management.policies().values():
        if policy["pattern"] == f"^{queue}$":
            return policy
    raise HarnessError(f"queue {queue} has no policy of its own")


def put_policy(world: World, policy: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Write a policy as it was, with some changes."""
    world.management.put_policy(
        policy["name"],
        pattern=policy["pattern"],
        definition={**policy["definition"], **changes},
        priority=policy["priority"],
        apply_to=policy["apply-to"],
    )


@dataclass
class ChangeServices(Once):
    """Has the stand-in services behave otherwise; `change` makes a service's rules from those it has."""

    change: Callable[[Mapping[str, float]], Mapping[str, float]]

    def begin(self) -> str:
        """Change them."""
        profile = {name: dict(self.change(rules)) for name, rules in self._services().items()}
        self._put(profile)
        return ", ".join(profile)

    def end(self) -> str:
        """Have them behave as before."""
        self._put({name: dict(rules) for name, rules in self._services().items()})
        return "as before"

    def _services(self) -> Mapping[str, Mapping[str, float]]:
        return {name: rules for name, rules in self.world.profile.items() if isinstance(rules, Mapping)}

    def _put(self, profile: Mapping[str, Any]) -> None:
        try:
            with direct.client(self.world.services.http_url, timeout_seconds=ANSWER_SECONDS) as client:
                client.put("/_profile", json=profile).raise_for_status()
        except httpx.HTTPError as error:
            raise HarnessError(f"the stand-in services do not take a profile: {error}") from error


@dataclass
class ScaleDown(Once):
    """Takes half of the workers of each class away, in the middle of their work."""

    before: dict[str, int] = field(default_factory=dict)

    def begin(self) -> str:
        """Take them."""
        self.before = {scale.deployment: scale.desired for scale in self.world.runtime.scales()}
        for deployment, replicas in self.before.items():
            self.world.runtime.scale(deployment, max(1, replicas // 2))
        return ", ".join(self.before)

    def end(self) -> str:
        """Bring as many back."""
        for deployment, replicas in self.before.items():
            self.world.runtime.scale(deployment, replicas)
        return ", ".join(self.before)


@dataclass
class PublishOwn(Once):
    """Publishes the phase's own tasks from a process of its own; `killed` ends that in the middle and begins again."""

    phase: str
    killed: bool = False
    process: Any = None
    kills: int = 0

    def begin(self) -> str:
        """Begin to publish."""
        self.process = self.world.publish(self.phase)
        return "publishing"

    def over(self) -> bool:
        """Kill the publisher once it is in the middle, and begin again with what is left."""
        if self.killed and self.kills == 0 and self.process.half_done():
            self.process.kill()
            self.kills += 1
            self.process = self.world.publish(self.phase)
        return bool(self.process.finished()) and (not self.killed or self.kills == 1)

    def end(self) -> str:
        """Say how it ended. Raises HarnessError when it has not."""
        if self.process is not None and not self.process.finished():
            raise HarnessError(f"the publisher of {self.phase} did not end: {self.process.log}")
        return f"killed {self.kills} times" if self.killed else "published"


def make(world: World, *, clock: Callable[[], float]) -> dict[str, Any]:
    """Return what makes each fault of the catalogue."""

    def restart(server: Server, number: int, away_seconds: float) -> RestartServer:
        return RestartServer(world, server, number, away_seconds, clock)

    def slower(rules: Mapping[str, float]) -> dict[str, float]:
        return {**rules, "latency_seconds": rules.get("latency_seconds", 0.0) + SLOWER_SECONDS}

    return {
        "kill-workers": SignalWorker(world, signal.SIGKILL),
        "freeze-worker": SignalWorker(world, signal.SIGSTOP, undo=signal.SIGCONT),
        "stop-worker": SignalWorker(world, signal.SIGTERM),
        "kill-child": KillChild(world, "cpu"),
        "restart-broker": restart(world.broker, signal.SIGTERM, 3.0),
        "kill-broker": restart(world.broker, signal.SIGKILL, 3.0),
        "memory-alarm": MemoryAlarm(world),
        "cut-connections": CutConnections(world),
        "full-queue": StopConsuming(world, FULL_QUEUE, FULL_LENGTH_MESSAGES),
        "database-down": restart(world.database, signal.SIGINT, 10.0),
        "freeze-database": FreezeServer(world, world.database, FREEZE_SECONDS),
        "redis-down": restart(world.redis, signal.SIGTERM, 10.0),
        "slow-services": ChangeServices(world, slower),
        "failing-services": ChangeServices(world, lambda rules: {**rules, "error_ratio": FAILING_RATIO}),
        "poison": PublishOwn(world, "poison"),
        "expiry": StopConsuming(world, EXPIRING_QUEUE),
        "scale-down": ScaleDown(world),
        "policy-change": ChangePolicy(world, CHANGING_QUEUE),
        "kill-publisher": PublishOwn(world, "kill-publisher", killed=True),
    }
