"""Offering tasks, as the load generator does: at a pace, refused ones again with backoff behind each queue's gate.

The source is harness/spike/dispatch.py and gate.py. A queue answers at the moment of the attempt; the publisher hears
of it `confirm` later.
"""

from __future__ import annotations

from harness.simulation.kernel import broker
from harness.simulation.kernel.state import ACCEPTED, INFINITY, NONE, REFUSED, STORED, Flow, Records

CATCH_UP_SECONDS = 0.1
"""How much of its pace a publisher may make good after a pause."""
HOLD_FACTOR = 2.0
"""By how much a gate's hold grows while nothing is accepted."""


def act(s: Flow, now: float) -> None:
    """Do what the publisher whose turn it is has to do now: hear an answer, or make an attempt."""
    w = s.run[0]["publisher"]
    publisher = s.publishers[w]
    head = publisher["answer_head"]
    if head != NONE and s.tasks[head]["offered"] + s.run[0]["confirm"] <= now:
        publisher["answer_head"] = s.tasks[head]["answer_after"]
        hear(s, w, head, now)
    else:
        _attempt(s, w, now)
    plan(s, w)


def plan(s: Flow, w: int) -> None:
    """Find out when a publisher acts next, and who is the first to act."""
    publisher = s.publishers[w]
    at = INFINITY
    if publisher["next_first"] < len(s.tasks):
        at = s.tasks[publisher["next_first"]]["due"]
    for order in range(publisher["queues"]):
        gate = s.gates[w, s.gates[w, order]["order"]]
        if gate["waiting"] > 0:
            at = min(at, max(s.waiting[gate["first_waiting"]]["due"], gate["opens_at"]))
    at = max(at, publisher["next_at"])
    if publisher["answer_head"] != NONE:
        at = min(at, s.tasks[publisher["answer_head"]]["offered"] + s.run[0]["confirm"])
    publisher["acts_at"] = at
    first = 0
    for other in range(1, len(s.publishers)):
        if s.publishers[other]["acts_at"] < s.publishers[first]["acts_at"]:
            first = other
    s.run[0]["publisher"] = first
    s.run[0]["publish_at"] = s.publishers[first]["acts_at"]


def _attempt(s: Flow, w: int, now: float) -> None:
    run, publisher = s.run[0], s.publishers[w]
    i = publisher["next_first"]
    if i < len(s.tasks) and s.tasks[i]["due"] <= now:
        publisher["next_first"] = i + len(s.publishers)
        s.tasks[i]["first_attempt"] = now
    else:
        i = _next_retry(s, w, now)
        if i == NONE:
            return
    publisher["next_at"] = max(publisher["next_at"], now - CATCH_UP_SECONDS) + run["pace"] * run["slowness"]
    run["attempts"] += 1
    task = s.tasks[i]
    task["offered"] = now
    task["answer"] = broker.offer(s, i, now)
    if task["answer"] == ACCEPTED:
        task["accepted"] = now + run["confirm"]
    if run["confirm"] == 0.0:
        hear(s, w, i, now)
        return
    task["answer_after"] = NONE
    if publisher["answer_head"] == NONE:
        publisher["answer_head"] = i
    else:
        s.tasks[publisher["answer_tail"]]["answer_after"] = i
    publisher["answer_tail"] = i


def _next_retry(s: Flow, w: int, now: float) -> int:
    """Return a refused task whose delay is over and whose gate is open; those past their deadline are given up."""
    for order in range(s.publishers[w]["queues"]):
        gate = s.gates[w, s.gates[w, order]["order"]]
        while gate["waiting"] > 0 and s.waiting[gate["first_waiting"]]["due"] <= now and gate["opens_at"] <= now:
            i = s.waiting[gate["first_waiting"]]["task"]
            gate["waiting"] -= 1
            _pop(s, gate["first_waiting"], gate["waiting"])
            if now <= s.tasks[i]["first_attempt"] + s.run[0]["deadline"]:
                return i
            broker.settle(s, i, REFUSED)
    return NONE


def hear(s: Flow, w: int, i: int, now: float) -> None:
    """Take a queue's answer to an attempt."""
    run, task = s.run[0], s.tasks[i]
    q = s.kinds[task["kind"]]["queue"]
    gate = s.gates[w, q]
    if task["answer"] == ACCEPTED:
        gate["hold"] = run["hold"]
        return
    refusal = s.refusals[run["refused"]]
    refusal["at"] = now
    refusal["task"] = i
    run["refused"] += 1
    task["refusals"] += 1
    if now >= gate["opens_at"]:
        gate["opens_at"] = now + gate["hold"]
        gate["hold"] = min(HOLD_FACTOR * gate["hold"], run["max_hold"])
    if task["answer"] == STORED:
        run["stored"] += 1
        broker.settle(s, i, REFUSED)
        return
    due = now + delay(s, task["refusals"])
    if due > task["first_attempt"] + run["deadline"]:
        broker.settle(s, i, REFUSED)
    else:
        _wait(s, w, q, i, due)


def delay(s: Flow, attempt: int) -> float:
    """Draw the delay after attempt 1, 2, ... of a task."""
    run = s.run[0]
    chance = s.uniforms[run["uniform"]]
    run["uniform"] += 1
    return s.ceilings[min(attempt, len(s.ceilings)) - 1] * (1.0 - run["jitter"] * chance)


def _wait(s: Flow, w: int, q: int, i: int, due: float) -> None:
    run, publisher, gate = s.run[0], s.publishers[w], s.gates[w, q]
    if gate["known"] == 0:
        gate["known"] = 1
        s.gates[w, publisher["queues"]]["order"] = q
        publisher["queues"] += 1
    _push(s, gate["first_waiting"], gate["waiting"], due, run["waiting_number"], i)
    gate["waiting"] += 1
    run["waiting_number"] += 1


def _push(s: Flow, first: int, hole: int, due: float, number: int, task: int) -> None:
    heap = s.waiting
    while hole > 0:
        parent = (hole - 1) >> 1
        if heap[first + parent]["due"] <= due:
            break
        _copy(heap, first + parent, first + hole)
        hole = parent
    _write(heap, first + hole, due, number, task)


def _pop(s: Flow, first: int, count: int) -> None:
    """Remove the first of `count` + 1 entries."""
    heap = s.waiting
    due, number, task = heap[first + count]["due"], heap[first + count]["number"], heap[first + count]["task"]
    hole, child = 0, 1
    while child < count:
        if child + 1 < count and _before(heap, first + child + 1, first + child):
            child += 1
        ahead = heap[first + child]
        if due < ahead["due"] or (due == ahead["due"] and number < ahead["number"]):
            break
        _copy(heap, first + child, first + hole)
        hole, child = child, 2 * child + 1
    _write(heap, first + hole, due, number, task)


def _before(heap: Records, one: int, other: int) -> bool:
    if heap[one]["due"] == heap[other]["due"]:
        return heap[one]["number"] < heap[other]["number"]
    return heap[one]["due"] < heap[other]["due"]


def _copy(heap: Records, source: int, target: int) -> None:
    _write(heap, target, heap[source]["due"], heap[source]["number"], heap[source]["task"])


def _write(heap: Records, place: int, due: float, number: int, task: int) -> None:
    heap[place]["due"] = due
    heap[place]["number"] = number
    heap[place]["task"] = task
