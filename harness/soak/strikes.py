"""Which fault strikes when: at how many accepted tasks, so that a run taken up again goes on with the next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.chaos.faults import Fault, choose
from harness.chaos.schedule import Shuffle

EVERY_TASKS = 75_000
NAMES = (
    "kill-workers",
    "freeze-worker",
    "stop-worker",
    "kill-child",
    "restart-broker",
    "kill-broker",
    "memory-alarm",
    "cut-connections",
    "database-down",
    "redis-down",
    "scale-down",
    "policy-change",
    "kill-publisher",
)
"""The faults of a soak: those of `make chaos` that mean no task for a dead-letter queue and slow no service down."""


@dataclass(frozen=True)
class Strike:
    """A fault, and how many tasks have been accepted when it comes."""

    at_task: int
    fault: Fault


def chosen(names: Iterable[str]) -> tuple[Fault, ...]:
    """Return the faults of these names, a soak's own where there is none. Raises InputError for an unknown name."""
    return choose(list(names) or NAMES)


def strikes(tasks: int, faults: Sequence[Fault], *, rng: Shuffle) -> tuple[Strike, ...]:
    """Return one fault for each 75,000 tasks, at least one, evenly spread; each comes once before any comes again."""
    if not faults:
        return ()
    number = max(1, tasks // EVERY_TASKS)
    order = _rounds(faults, rng)
    return tuple(Strike(tasks * (place + 1) // (number + 1), next(order)) for place in range(number))


def _rounds(faults: Sequence[Fault], rng: Shuffle) -> Iterator[Fault]:
    while True:
        order = list(faults)
        rng.shuffle(order)
        yield from order
