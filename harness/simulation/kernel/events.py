"""What is going to happen, earliest first; of two at the same time the one that was planned first."""

from __future__ import annotations

from harness.simulation.kernel.state import EVENT_KINDS, Flow, Records


def plan(s: Flow, at: float, kind: int, index: int) -> int:
    """Plan an event and return its number; whoever waits for it keeps the number, so that a stale one is known."""
    run, events = s.run[0], s.events
    number = run["event_number"]
    hole = run["events"]
    run["event_number"] = number + 1
    run["events"] = hole + 1
    while hole > 0:
        parent = (hole - 1) >> 1
        if events[parent]["at"] <= at:
            break
        _copy(events, parent, hole)
        hole = parent
    events[hole]["at"] = at
    events[hole]["number"] = number
    events[hole]["code"] = index * EVENT_KINDS + kind
    return number


def drop_first(s: Flow) -> None:
    """Take the earliest event away."""
    run, events = s.run[0], s.events
    count = run["events"] - 1
    run["events"] = count
    at, number = events[count]["at"], events[count]["number"]
    code = events[count]["code"]
    hole, child = 0, 1
    while child < count:
        other = child + 1
        if other < count and _before(events, other, child):
            child = other
        if at < events[child]["at"] or (at == events[child]["at"] and number < events[child]["number"]):
            break
        _copy(events, child, hole)
        hole, child = child, 2 * child + 1
    events[hole]["at"] = at
    events[hole]["number"] = number
    events[hole]["code"] = code


def _before(events: Records, one: int, other: int) -> bool:
    if events[one]["at"] == events[other]["at"]:
        return events[one]["number"] < events[other]["number"]
    return events[one]["at"] < events[other]["at"]


def _copy(events: Records, source: int, target: int) -> None:
    events[target]["at"] = events[source]["at"]
    events[target]["number"] = events[source]["number"]
    events[target]["code"] = events[source]["code"]
