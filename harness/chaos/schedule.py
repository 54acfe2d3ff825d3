"""When each fault strikes: a seeded order, a phase of the load for each. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.chaos.faults import Fault

LEAD_SECONDS = 3.0
"""From a phase's start to its fault, so that tasks of the phase are in work when it strikes."""
CALM = "calm"
CALM_SECONDS = 10.0


class Shuffle(Protocol):
    """What is needed of a random generator; `random.Random` has it."""

    def shuffle(self, order: list[Fault]) -> None:
        """Put a list into an order by chance."""


@dataclass(frozen=True, kw_only=True)
class Injection:
    """One fault at its time; seconds from the start of the load."""

    fault: Fault
    phase: str
    phase_start_seconds: float
    start_seconds: float
    end_seconds: float  # at the latest
    phase_end_seconds: float


def schedule(faults: Sequence[Fault], *, rng: Shuffle) -> tuple[Injection, ...]:
    """Return each fault once, in an order by chance, one after the other."""
    order = list(faults)
    rng.shuffle(order)
    injections, at = [], CALM_SECONDS
    for fault in order:
        start = at + LEAD_SECONDS
        end = start + fault.seconds
        injections.append(
            Injection(
                fault=fault,
                phase=fault.name,
                phase_start_seconds=at,
                start_seconds=start,
                end_seconds=end,
                phase_end_seconds=end + fault.rest_seconds,
            )
        )
        at = injections[-1].phase_end_seconds
    return tuple(injections)


def phases(injections: Sequence[Injection], *, per_second: float) -> list[dict[str, object]]:
    """Return the load's phases, as a scenario file states them: calm, then one for each fault."""
    calm: dict[str, object] = {"name": CALM, "seconds": CALM_SECONDS, "rate_per_second": per_second}
    return [
        calm,
        *(
            {
                "name": one.phase,
                "seconds": one.phase_end_seconds - one.phase_start_seconds,
                "rate_per_second": per_second,
            }
            for one in injections
        ),
    ]


def total_seconds(injections: Sequence[Injection]) -> float:
    """Return how long the load lasts."""
    return injections[-1].phase_end_seconds if injections else CALM_SECONDS
