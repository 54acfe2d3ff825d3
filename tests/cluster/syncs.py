"""When an autoscaler's controller synced, and what the harness decides on the same observations at the same moments.

Pure. An observation is what harness/autoscaling/replay.py reads, with the autoscaler's status beside it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from harness.autoscaling.behavior import State
from harness.autoscaling.hpa import decide
from harness.autoscaling.replay import read_observation
from harness.autoscaling.spec import HpaSpec

SYNC_SECONDS = 15.0
SAMPLE = ("usage", "timestamp", "window")  # what the metrics API adds to a pod

Seen = Mapping[str, Any]
Counts = tuple[int, ...]  # replicas that are wanted after each sync


def moments(seen: Sequence[Seen]) -> list[int]:
    """Return, for each sync, the index of the last observation before it.

    A status that differs from the one before it was written by a sync in between. A sync that changes nothing writes
    nothing: those are filled in, evenly, where two known ones are a multiple of the controller's period apart, and
    after the last one.
    """
    times = [one["t"] for one in seen]
    known = [i for i in range(len(seen) - 1) if seen[i]["status"] != seen[i + 1]["status"]]
    found: list[int] = []
    for this, following in zip(known, [*known[1:], None], strict=True):
        until = times[-1] if following is None else times[following]
        periods = (until - times[this]) / SYNC_SECONDS
        count = int(periods) + 1 if following is None else max(1, round(periods))
        step = SYNC_SECONDS if following is None else (until - times[this]) / count
        found += [this, *(bisect_right(times, times[this] + number * step) - 1 for number in range(1, count))]
    return found


def controllers(seen: Sequence[Seen]) -> Counts:
    """Return what the controller wanted after each sync."""
    return tuple(seen[i]["replicas"]["spec"] for i in [*moments(seen)[1:], len(seen) - 1])


def foretold(spec: HpaSpec, seen: Sequence[Seen]) -> list[Counts]:
    """Return what the arithmetic wants after each sync.

    It goes its own way: from sync to sync it goes on from its own decision, whatever the controller did. The controller
    read its metrics between the last observation before the sync and the one after; where these two differ, either may
    be what it saw, and there is a result for each.
    """
    indices = moments(seen)
    wanted = seen[indices[0]]["replicas"]["spec"] if indices else 0
    branches: list[tuple[State, int, Counts]] = [(State(), wanted, ())]
    for i in indices:
        following = seen[min(i + 1, len(seen) - 1)]
        choices = [seen[i]] if _same_metrics(seen[i], following) else [seen[i], _with_metrics(seen[i], following)]
        branches = list(dict.fromkeys(_decided(spec, branch, one) for branch in branches for one in choices))
    return list(dict.fromkeys(counts for _, _, counts in branches))


def disagreement(real: Counts, foretold: Counts) -> str:
    """Return what speaks against the same sequence of replicas, each change at most one sync apart; else nothing."""
    ours, theirs = changes(foretold), changes(real)
    if [count for _, count in ours] != [count for _, count in theirs]:
        return "another sequence"
    late = [(a, b) for a, b in zip(theirs, ours, strict=True) if abs(a[0] - b[0]) > 1]
    return f"more than one sync apart: {late}" if late else ""


def changes(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Return (number of the sync, replicas) at the first sync and wherever the replicas change.

    >>> changes([1, 1, 3, 3, 1])
    [(0, 1), (2, 3), (4, 1)]
    """
    return [(i, count) for i, count in enumerate(counts) if i == 0 or counts[i - 1] != count]


def _decided(spec: HpaSpec, branch: tuple[State, int, Counts], one: Seen) -> tuple[State, int, Counts]:
    state, wanted, counts = branch
    t, observation = read_observation({**one, "replicas": {**one["replicas"], "spec": wanted}})
    decision, after = decide(spec, state, observation, now_seconds=t)
    return after, decision.desired, (*counts, decision.desired)


def _same_metrics(before: Seen, after: Seen) -> bool:
    return before == _with_metrics(before, after)


def _with_metrics(before: Seen, after: Seen) -> Seen:
    """Return an observation with what the metrics APIs say in another one; its pods and replicas stay."""
    samples = {pod["name"]: {key: pod[key] for key in SAMPLE if key in pod} for pod in after["pods"]}
    pods = [{**pod, **samples.get(pod["name"], {})} for pod in before["pods"]]
    return {**before, "pods": pods, "external": after["external"], "unavailable": after.get("unavailable", [])}
