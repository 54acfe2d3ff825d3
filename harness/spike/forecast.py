"""What was foretold of a run before its load began, and how near it came. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness.spike.ledger import Counts
from harness.spike.objectives import Outcome
from harness.spike.result import Result
from harness.spike.timeline import Timeline
from harness.spike.words import seconds

FILE_NAME = "forecast.json"
TOLERATED_SHARE = 0.05
"""A forecast holds when drain and peak depth differ by no more than this, and replicas took the same steps."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What was foretold of a run. `calibration` says where the workers' own figures are from.

    `steps` has for each Deployment the replica counts in order; `written_at` is seconds since the epoch. What a result
    has as well has its name and form here, so that one path leads to both.
    """

    written_at: float
    calibration: Mapping[str, Any]
    drain_seconds: float | None
    peak_depth_messages: Mapping[str, int]
    steps: Mapping[str, Sequence[int]]
    first_added_ready_seconds: float | None
    counts: Counts
    objectives: Sequence[Outcome]
    by_queue: Mapping[str, Mapping[str, float | None]]
    by_group: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    timeline: Timeline

    @classmethod
    def of(cls, foretold: Result, *, calibration: Mapping[str, Any], written_at: float) -> Forecast:
        """Take what is compared out of a foretold result."""
        return cls(
            written_at=written_at,
            calibration=calibration,
            drain_seconds=foretold.drain_seconds,
            peak_depth_messages=peak_depths(foretold),
            steps=steps_until_done(foretold),
            first_added_ready_seconds=foretold.first_added_ready_seconds,
            counts=foretold.counts,
            objectives=foretold.objectives,
            by_queue=foretold.by_queue,
            by_group=foretold.by_group,
            timeline=foretold.timeline,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, which `Result.forecast` holds: the counts stand at the top level."""
        document = asdict(replace(self, objectives=()))
        counts = document.pop("counts")
        return document | counts | {"objectives": [outcome.as_dict() for outcome in self.objectives]}


@dataclass(frozen=True)
class Comparison:
    """One figure, foretold and measured, as words. `passed` says whether the difference is tolerated."""

    title: str
    foretold: str
    measured: str
    difference: str
    passed: bool


def peak_depths(result: Result) -> dict[str, int]:
    """Return the most messages seen waiting in each queue that the run used."""
    return {
        queue: int(max((value for value in depth["ready"] if value is not None), default=0))
        for queue, depth in result.timeline.queues.items()
        if queue in result.by_queue
    }


def steps(result: Result, *, end: float = math.inf) -> dict[str, list[int]]:
    """Return each scaled Deployment's replica counts from the start of the load on, in order."""
    found: dict[str, list[int]] = {}
    for event in sorted(result.scale_events, key=lambda event: event["t"]):
        if 0 <= event["t"] <= end:
            found.setdefault(event["deployment"], [event["before"]]).append(event["after"])
    return found


def steps_until_done(result: Result) -> dict[str, list[int]]:
    """Return `steps` until the last task's end: a forecast ends there, a run is watched a little longer."""
    drained = result.drain_seconds
    return steps(result, end=math.inf if drained is None else result.last_due_seconds + drained)


def compare(result: Result) -> list[Comparison]:
    """Put a run beside its forecast; nothing for a run without one."""
    return [] if result.forecast is None else list(_compared(result, result.forecast))


def _compared(result: Result, forecast: Mapping[str, Any]) -> Iterator[Comparison]:
    yield figure("Time until the backlog was gone", forecast["drain_seconds"], result.drain_seconds, seconds)
    measured = peak_depths(result)
    for queue, depth in sorted(forecast["peak_depth_messages"].items()):
        yield figure(f"Most messages waiting in {queue}", depth, measured.get(queue), lambda value: f"{value:,.0f}")
    names = {each["deployment"]: name for name, each in result.setup.get("classes", {}).items()}
    taken = steps_until_done(result)
    for deployment in sorted({*forecast["steps"], *taken}):
        foretold, seen = (found.get(deployment, []) for found in (forecast["steps"], taken))
        same = list(foretold) == list(seen)
        yield Comparison(
            f"Pods of {names.get(deployment, deployment)}",
            counts(foretold),
            counts(seen),
            "none" if same else "other steps",
            same,
        )


def figure(title: str, foretold: float | None, measured: float | None, words: Callable[[float], str]) -> Comparison:
    """Compare one figure; None is what never came about, `words` shows a value."""
    told, seen = ("never" if value is None else words(value) for value in (foretold, measured))
    if foretold == measured:
        return Comparison(title, told, seen, "none", passed=True)
    if not foretold or not measured:
        return Comparison(title, told, seen, "all of it", passed=False)
    share = (foretold - measured) / measured
    return Comparison(title, told, seen, f"{share:+.1%}", passed=abs(share) <= TOLERATED_SHARE)


def counts(taken: Sequence[int]) -> str:
    """Return replica counts in order, for a person."""
    return " → ".join(map(str, taken)) if taken else "no change"
