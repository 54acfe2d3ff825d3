"""What can go wrong, as data: name, what is done, how long it lasts. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One kind of fault.

    It lasts `seconds`; one that `ends_itself` (a restart) as long as that takes, on a busy machine also longer.
    `rest_seconds` is what follows before the next one, for the workers to come back in. It strikes anew
    `every_seconds` where that is set. Any fault may make a task wait longer than its queue's expiry; `deaths` names
    what else is its doing.
    """

    name: str
    title: str
    seconds: float
    rest_seconds: float = 8.0
    every_seconds: float | None = None
    ends_itself: bool = False
    losses: int = 0  # how often a strike takes a worker or a connection from tasks in work
    opens: bool = False  # whether a circuit breaker has to open while it lasts
    deaths: frozenset[str] = frozenset()  # why its tasks may end in a dead-letter queue, in the ledger's words


_ALL = (
    Fault(name="kill-workers", title="A worker is killed every 5 s (SIGKILL)", seconds=15, every_seconds=5, losses=1),
    Fault(name="freeze-worker", title="A worker stands still for 15 s (SIGSTOP)", seconds=15, losses=1),
    Fault(name="stop-worker", title="A worker is told to end (SIGTERM)", seconds=1),
    Fault(name="kill-child", title="A prefork child is killed, as for want of memory", seconds=10, every_seconds=5),
    Fault(name="restart-broker", title="RabbitMQ is stopped and started", seconds=25, ends_itself=True, losses=1),
    Fault(name="kill-broker", title="RabbitMQ is killed and started", seconds=25, ends_itself=True, losses=1),
    Fault(name="memory-alarm", title="RabbitMQ is out of memory and blocks publishers for 10 s", seconds=10),
    Fault(
        name="cut-connections", title="Every connection to RabbitMQ is cut, none comes up for 5 s", seconds=5, losses=1
    ),
    Fault(name="full-queue", title="A queue is full for 60 s", seconds=60),
    Fault(name="database-down", title="PostgreSQL is away for 10 s", seconds=20, ends_itself=True, opens=True),
    Fault(name="freeze-database", title="PostgreSQL stands still for 10 s (SIGSTOP)", seconds=12, ends_itself=True),
    Fault(name="redis-down", title="Redis is away for 10 s", seconds=20, ends_itself=True),
    Fault(name="slow-services", title="Services take 4 s longer", seconds=10),
    Fault(name="failing-services", title="Every second call to a service fails", seconds=10),
    Fault(
        name="poison",
        title="Tasks that kill whoever runs them",
        seconds=10,
        rest_seconds=25,
        losses=3,  # values/chaos.yaml: maxDeliveries
        deaths=frozenset({"poison"}),
    ),
    Fault(name="expiry", title="Nobody takes messages until some have expired", seconds=25),
    Fault(name="scale-down", title="Half of the workers of each class go", seconds=10),
    Fault(name="policy-change", title="Limits and expiry of a queue change twice", seconds=10, every_seconds=5),
    Fault(
        name="kill-publisher",
        title="A publisher is killed in the middle of a bulk and begins again",
        seconds=15,
        ends_itself=True,
    ),
)
CATALOGUE = {fault.name: fault for fault in _ALL}
"""Every fault by its name, in the order in which a person reads them."""
IN_CI = ("kill-workers", "kill-broker", "cut-connections")


def choose(names: Iterable[str]) -> tuple[Fault, ...]:
    """Return the faults of these names, all of them where there is none. Raises InputError for an unknown name."""
    wanted = list(names) or list(CATALOGUE)
    for name in wanted:
        if name not in CATALOGUE:
            raise InputError(f"--fault {name}: there is no such fault; there are: {', '.join(CATALOGUE)}")
    return tuple(CATALOGUE[name] for name in dict.fromkeys(wanted))
