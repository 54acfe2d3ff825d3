"""What each worker class held in runs, and what kept its tasks waiting, as a Markdown table. Pure.

All is read from a run's samples, one a second. What is in work holds a slot, so the tasks done by the seconds for which
slots were held are what one slot does (Little's law). All slots of a class's maximum together do as much more, where it
is slots that run out and not CPU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.spike import table
from harness.spike.result import Result
from harness.spike.timeline import Numbers

HEADER = (
    "scenario",
    "values",
    "runs",
    "class",
    "tasks done",
    "tasks/s",
    "in work, most",
    "slots used",
    "requested CPU used",
    "its maximum does",
    "what kept tasks waiting",
)
CAUSES = AT_MAXIMUM, STARTING, NOT_ASKED, UNSEEN = (
    "pods at the maximum",
    "pods that were starting",
    "a scaler that had not asked for more",
    "what nobody saw",
)
"""Why tasks wait; one of them holds at any moment."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a class held in one run; figures are None where the run has no samples for them.

    `per_second` is of the seconds in which it had something in work, as are the shares of the slots and of the
    requested CPU of the pods that ran (they take tasks before they are ready). `at_most_per_second` is what all slots
    of its maximum would do. `waiting_seconds` has by cause in how many seconds tasks waited, `refusals` how often its
    queues were full.
    """

    done: int
    per_second: float | None
    in_work_most: float | None
    slots_share: float | None
    cpu_share: float | None
    at_most_per_second: float | None
    waiting_seconds: Mapping[str, int]
    refusals: int


def markdown(results: Iterable[Result]) -> str:
    """Return a line for each class that a scenario offered tasks to; several runs give median and range."""
    return table.grid(HEADER, _rows(table.alike(results)))


def _rows(groups: Mapping[table.Key, Sequence[Result]]) -> Iterator[Sequence[str]]:
    for (scenario, values, runtime), runs in sorted(groups.items()):
        newest = max(runs, key=lambda run: run.started_at)
        where = values if runtime == "local" else f"{values} on {runtime}"
        for name in sorted(newest.setup.get("classes", {})):
            found = [one for run in runs if (one := held(run, name)) is not None]
            if found:
                yield scenario, where, str(len(found)), name, *_figures(found), _waiting(found)


def _figures(found: Sequence[Held]) -> Iterator[str]:
    yield table.spread([one.done for one in found], "", digits=0)
    yield table.spread([one.per_second for one in found], "")
    yield table.spread([one.in_work_most for one in found], "", digits=0)
    yield table.spread([_percent(one.slots_share) for one in found], " %", digits=0)
    yield table.spread([_percent(one.cpu_share) for one in found], " %", digits=0)
    yield table.spread([one.at_most_per_second for one in found], "/s")


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _waiting(found: Sequence[Held]) -> str:
    causes = {cause: [one.waiting_seconds.get(cause, 0) for one in found] for cause in CAUSES}
    told = [f"{cause} {table.spread(seconds, ' s', digits=0)}" for cause, seconds in causes.items() if any(seconds)]
    refusals = [one.refusals for one in found]
    if any(refusals):
        told.append(f"a full queue, which refused {table.spread(refusals, ' times', digits=0)}")
    return "; ".join(told) or "nothing waited"


def held(result: Result, name: str) -> Held | None:
    """Return what a class held in a run, None where nothing was offered to it or the run did not have it."""
    worker: Mapping[str, Any] = result.setup.get("classes", {}).get(name, {"queues": ()})
    queues = [queue for queue in worker["queues"] if queue in result.by_queue]
    if not queues:
        return None
    moments = list(_moments(result, worker, name, queues))
    done = sum(int(result.by_queue[queue]["completed"] or 0) for queue in queues)
    busy = [one for one in moments if one.in_work]
    slot_seconds = sum(one.in_work or 0 for one in busy)
    most = worker["maximum"]
    return Held(
        done=done,
        per_second=done / len(busy) if busy else None,
        in_work_most=max((one.in_work for one in moments if one.in_work is not None), default=None),
        slots_share=_share((one.in_work, one.slots) for one in busy),
        cpu_share=_share((one.cpu_cores, one.requested_cores) for one in busy),
        at_most_per_second=done / slot_seconds * most * worker["concurrency"] if slot_seconds and most else None,
        waiting_seconds=Counter(one.cause for one in moments if one.waiting),
        refusals=sum(int(result.by_queue[queue]["refusals"] or 0) for queue in queues),
    )


def _share(pairs: Iterable[tuple[float | None, float | None]]) -> float | None:
    """Return all of one by all of the other, of the moments at which both were seen."""
    known = [(part, whole) for part, whole in pairs if part is not None and whole is not None]
    total = sum(whole for _, whole in known)
    return sum(part for part, _ in known) / total if total else None


@dataclass(frozen=True, kw_only=True)
class _Moment:
    """One second of a class; None is what was not seen."""

    waiting: float | None
    in_work: float | None
    desired: float | None
    running: float | None
    ready: float | None
    cpu_cores: float | None
    maximum: float | None
    concurrency: int
    cpu_request_cores: float | None

    @property
    def slots(self) -> float | None:
        return None if self.running is None else self.running * self.concurrency

    @property
    def requested_cores(self) -> float | None:
        if self.running is None or self.cpu_request_cores is None:
            return None
        return self.running * self.cpu_request_cores

    @property
    def cause(self) -> str:
        if self.desired is None or self.ready is None:
            return UNSEEN
        if self.ready < self.desired:
            return STARTING
        return AT_MAXIMUM if self.maximum is None or self.desired >= self.maximum else NOT_ASKED


def _moments(result: Result, worker: Mapping[str, Any], name: str, queues: Sequence[str]) -> Iterator[_Moment]:
    line = result.timeline
    unseen: Numbers = (None,) * len(line.seconds)
    pods = line.replicas.get(worker["deployment"], {})
    depths = [line.queues.get(queue, {}) for queue in queues]
    cpu = line.cpu_cores.get(name, unseen)
    for at, second in enumerate(line.seconds):
        if second < 0:
            continue
        yield _Moment(
            waiting=_sum([depth.get("ready", unseen)[at] for depth in depths]),
            in_work=_sum([depth.get("unacked", unseen)[at] for depth in depths]),
            desired=pods.get("desired", unseen)[at],
            running=pods.get("running", unseen)[at],
            ready=pods.get("ready", unseen)[at],
            cpu_cores=cpu[at],
            maximum=worker["maximum"],
            concurrency=worker["concurrency"],
            cpu_request_cores=worker["cpu_request_cores"],
        )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
