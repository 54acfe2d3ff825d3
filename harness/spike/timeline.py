"""What happened in each second of a run: counts, depths, replicas, latency. Pure.

Seconds are counted from the start of the load; second s covers [s, s + 1). A value that was not measured is None.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.spike.ledger import TaskRecord

Numbers = tuple[float | None, ...]
Floats = list[float]
Window = tuple[float, float, float]
"""From when until when, in seconds from the start of the load, a pod's CPU use was measured, and the mean in cores."""

LATENCY_WINDOW_SECONDS = 10
PERCENTILES = {"p50": 50.0, "p95": 95.0, "p99": 99.0}
GROUP_PERCENTILE = "p95"
HOLD_SECONDS = 3  # a late sample leaves no hole in a curve; a longer silence does
REPLICA_KEYS = ("desired", "running", "ready")
QUEUE_KEYS = ("ready", "unacked")


@dataclass(frozen=True)
class Timeline:
    """Per-second series, all as long as `seconds`."""

    seconds: tuple[int, ...]
    arrivals: Numbers  # first publish attempts
    accepted: Numbers  # tasks confirmed by the broker
    refusals: Mapping[str, Numbers]  # refused attempts by queue
    completions: Numbers  # first effects
    queues: Mapping[str, Mapping[str, Numbers]]  # queue -> ready, unacked (messages)
    replicas: Mapping[str, Mapping[str, Numbers]]  # deployment -> desired, running, ready
    cpu_cores: Mapping[str, Numbers]  # by worker class
    memory_bytes: Mapping[str, Numbers]
    latency_seconds: Mapping[str, Numbers]  # p50, p95, p99 of the tasks done in the last window; p95 of each group
    latency_window_seconds: int = LATENCY_WINDOW_SECONDS
    machine_cores: Numbers = ()  # busy cores of the machine that everything shares; empty where there is none
    cpu_windows: Mapping[str, tuple[Window, ...]] = field(default_factory=dict)  # by worker class, of each of its pods

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Timeline:
        """Build from the JSON form."""
        return cls(**{name: _frozen(value) for name, value in document.items()})

    def known(self, values: Sequence[float | None], start: float, end: float) -> Floats:
        """Return what was measured of one of the series from one time until before another, in seconds."""
        shown = zip(self.seconds, values, strict=False)
        return [value for second, value in shown if start <= second < end and value is not None]


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest value that at least `percent` % of the values do not exceed (inverted distribution function).

    Values may be infinite: a task that was never done. Raises ValueError when there are none.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    return ordered[max(math.ceil(len(ordered) * percent / 100) - 1, 0)]


def build(
    *,
    records: Sequence[TaskRecord],
    samples: Sequence[Mapping[str, Any]],
    started_at: float,
    latency_window_seconds: int = LATENCY_WINDOW_SECONDS,
    groups: Mapping[str, str] | None = None,
) -> Timeline:
    """Put the ledger's records and the run's samples on one axis.

    `samples` are the run loop's, one a second: `t` (seconds since the start), `queues`, `replicas`, `cpu_cores`,
    `memory_bytes`, and where they are known `machine_cores` and `cpu_windows`: (pod, from, until, cores) by class, with
    times in seconds since the epoch. `started_at` is the start of the load in seconds since the
    epoch. `groups` has the group of each task that has one.
    """
    arrived = _relative((row.first_attempt_at for row in records), started_at)
    done = _relative((row.done_at for row in records), started_at)
    seconds = _axis(samples, arrived, done)

    def count(times: Floats) -> Numbers:
        found = Counter(map(math.floor, times))
        return tuple(found[second] for second in seconds)

    def pick(name: str, keys: Sequence[str] = ()) -> dict[str, Any]:
        return _sampled(samples, seconds, name, keys)

    return Timeline(
        seconds=seconds,
        arrivals=count(arrived),
        accepted=count(_relative((row.accepted_at for row in records), started_at)),
        refusals=_refusals(records, started_at, count),
        completions=count(done),
        queues=pick("queues", QUEUE_KEYS),
        replicas=pick("replicas", REPLICA_KEYS),
        cpu_cores=pick("cpu_cores"),
        memory_bytes=pick("memory_bytes"),
        latency_seconds={
            **_latencies(records, seconds, started_at, latency_window_seconds),
            **{
                group_latency(name): _latencies(rows, seconds, started_at, latency_window_seconds)[GROUP_PERCENTILE]
                for name, rows in by_group(records, groups or {}).items()
            },
        },
        latency_window_seconds=latency_window_seconds,
        machine_cores=_machine(samples, seconds),
        cpu_windows=_windows(samples, started_at),
    )


def first_added_ready(timeline: Timeline) -> dict[str, int]:
    """For each deployment that grew: the second in which more of its replicas were ready than when the load began."""
    found = {}
    for deployment, series in timeline.replicas.items():
        ready = [(second, value) for second, value in zip(timeline.seconds, series["ready"], strict=True)]
        before = [value for second, value in ready if second <= 0 and value is not None]
        known = [(second, value) for second, value in ready if value is not None]
        if not known:
            continue
        start = before[-1] if before else known[0][1]
        grown = [second for second, value in known if second > 0 and value > start]
        if grown:
            found[deployment] = grown[0]
    return found


def spans(seconds: Sequence[int], values: Sequence[float | None], *, gap_seconds: int = 5) -> list[tuple[int, int]]:
    """Return the stretches (first second, second after the last) with values above 0; shorter gaps do not split one."""
    found: list[tuple[int, int]] = []
    for second, value in zip(seconds, values, strict=True):
        if not value:
            continue
        if found and second - found[-1][1] < gap_seconds:
            found[-1] = (found[-1][0], second + 1)
        else:
            found.append((second, second + 1))
    return found


def _relative(times: Iterable[float | None], started_at: float) -> Floats:
    return [time - started_at for time in times if time is not None]


def _axis(samples: Sequence[Mapping[str, Any]], *times: Floats) -> tuple[int, ...]:
    edges = [0.0, *(float(sample["t"]) for sample in samples)]
    for series in times:
        if series:
            edges += [min(series), max(series)]
    return tuple(range(math.floor(min(edges)), math.floor(max(edges)) + 1))


def _refusals(
    records: Sequence[TaskRecord], started_at: float, count: Callable[[Floats], Numbers]
) -> dict[str, Numbers]:
    by_queue: dict[str, list[float]] = {}
    for row in records:
        by_queue.setdefault(row.queue, []).extend(row.refused_at)
    return {queue: count(_relative(times, started_at)) for queue, times in sorted(by_queue.items())}


def _latencies(
    records: Sequence[TaskRecord], seconds: Sequence[int], started_at: float, window_seconds: int
) -> dict[str, Numbers]:
    """Percentiles of first attempt to effect over the tasks done in the window that ends with each second."""
    done = sorted((row.done_at - started_at, row.latency_seconds) for row in records if row.done_at is not None)
    times = [time for time, _ in done]
    windows = [
        [
            latency
            for _, latency in done[bisect_left(times, end - window_seconds) : bisect_left(times, end)]
            if latency is not None
        ]
        for end in (second + 1 for second in seconds)
    ]
    return {
        name: tuple(round(percentile(window, percent), 3) if window else None for window in windows)
        for name, percent in PERCENTILES.items()
    }


def group_latency(group: str) -> str:
    """Return the name under which a group's p95 stands among the latencies."""
    return f"{GROUP_PERCENTILE} {group}"


def by_group(records: Iterable[TaskRecord], groups: Mapping[str, str]) -> dict[str, list[TaskRecord]]:
    """Return the records of each group, by its name; `groups` has the group of each task that has one."""
    members: dict[str, list[TaskRecord]] = {name: [] for name in sorted(set(groups.values()))}
    for row in records:
        if row.task in groups:
            members[groups[row.task]].append(row)
    return {name: rows for name, rows in members.items() if rows}


def _sampled(
    samples: Sequence[Mapping[str, Any]], seconds: Sequence[int], name: str, keys: Sequence[str]
) -> dict[str, Any]:
    """Series by the names found in any sample: one each, or one for each key of a mapping."""
    cells: dict[int, Mapping[str, Any]] = {}
    for sample in samples:
        cells[math.floor(sample["t"])] = sample.get(name) or {}
    names = sorted({key for cell in cells.values() for key in cell})
    if not keys:
        return {one: _held(seconds, {second: cell.get(one) for second, cell in cells.items()}) for one in names}
    return {
        one: {
            key: _held(seconds, {second: (cell.get(one) or {}).get(key) for second, cell in cells.items()})
            for key in keys
        }
        for one in names
    }


def _machine(samples: Sequence[Mapping[str, Any]], seconds: Sequence[int]) -> Numbers:
    found = {math.floor(sample["t"]): sample.get("machine_cores") for sample in samples}
    return () if all(value is None for value in found.values()) else _held(seconds, found)


def _windows(samples: Sequence[Mapping[str, Any]], started_at: float) -> dict[str, tuple[Window, ...]]:
    """Each window of each pod once, though every sample shows it until the next.

    metrics-server measures a young container from its start until now, twice: the second takes the first one's place.
    """
    found: dict[str, dict[str, list[Window]]] = {}
    for sample in samples:
        for name, windows in (sample.get("cpu_windows") or {}).items():
            for pod, began_at, ended_at, cores in windows:
                known = found.setdefault(name, {}).setdefault(pod, [])
                since, until = began_at - started_at, round(ended_at - started_at, 3)
                if known and until <= known[-1][1]:
                    continue
                if known and since < (known[-1][0] + known[-1][1]) / 2:
                    known.pop()
                known.append((round(since, 3), until, cores))
    return {name: tuple(sorted(itertools.chain(*by_pod.values()))) for name, by_pod in found.items()}


def _held(seconds: Sequence[int], values: Mapping[int, float | None]) -> Numbers:
    """One value a second; a missing one repeats the last for up to HOLD_SECONDS."""
    series: list[float | None] = []
    last, last_second = None, -math.inf
    for second in seconds:
        value = values.get(second)
        if value is not None:
            last, last_second = value, second
        series.append(last if second - last_second <= HOLD_SECONDS else None)
    return tuple(series)


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(value) if isinstance(value, list) else value
