"""Queues as RabbitMQ's classic ones keep them, and who is given the next message.

The length limit counts messages that wait. A message expires at the head of its queue only, where it is looked for
whenever somebody looks at the queue; nobody can tell the difference. Each message goes to the pod that has waited
longest for a turn and has a free slot (prefetch: its slots).
"""

from __future__ import annotations

from harness.simulation.kernel import cpu, events
from harness.simulation.kernel.state import (
    ACCEPTED,
    DROP_HEAD,
    DROPPED,
    EXPIRED,
    INFINITY,
    NONE,
    REJECT,
    SERVICE_END,
    STORED,
    TURNED_AWAY,
    Flow,
)

BEFORE_SHARE = 0.5
"""How much of a run's CPU time comes before it waits for others: to take the message and to ask them."""
TURNS_BEFORE = 3
"""In so many turns, where tasks take turns: the worker's loop takes the messages it finds, then the tasks made of them
have theirs, one for each answer of whom they talk to (SMTP: sender, recipient, text). So a task that comes with many
others asks after most of what all of them have to do. Three fit real runs on both runtimes: of two a campaign on kind
would end 7 % too early, of four one on an idle local machine 7 % too late."""


def offer(s: Flow, i: int, now: float) -> int:
    """Offer a message to its queue and return what that says."""
    q = s.kinds[s.tasks[i]["kind"]]["queue"]
    queue = s.queues[q]
    queue["offered"] += 1
    expire(s, q, now)
    limited = queue["limit"] != NONE
    if limited and queue["overflow"] != DROP_HEAD and queue["ready"] >= queue["limit"]:
        return TURNED_AWAY if queue["overflow"] == REJECT else STORED
    s.tasks[i]["published"] = now
    append(s, q, i)
    if queue["worker_class"] != NONE:
        serve(s, queue["worker_class"], now)
    while limited and queue["ready"] > queue["limit"]:
        settle(s, take(s, q), DROPPED)
    return ACCEPTED


def settle(s: Flow, i: int, state: int) -> None:
    """Give a task its last state."""
    s.tasks[i]["state"] = state
    s.run[0]["open"] -= 1


def expire(s: Flow, q: int, now: float) -> None:
    """Dead-letter what has been in the queue for too long."""
    queue = s.queues[q]
    if queue["ready"] == 0 or queue["ttl"] == INFINITY:
        return
    for level in range(s.lists.shape[1]):
        waiting = s.lists[q, level]
        while waiting["head"] != NONE and s.tasks[waiting["head"]]["published"] + queue["ttl"] <= now:
            settle(s, _take(s, q, level), EXPIRED)


def append(s: Flow, q: int, i: int) -> None:
    """Put a message at the end of its priority."""
    waiting = s.lists[q, s.kinds[s.tasks[i]["kind"]]["level"]]
    s.tasks[i]["after"] = NONE
    if waiting["head"] == NONE:
        waiting["head"] = i
    else:
        s.tasks[waiting["tail"]]["after"] = i
    waiting["tail"] = i
    s.queues[q]["ready"] += 1


def put_back(s: Flow, q: int, i: int) -> None:
    """Put a message back to the front, where it came from."""
    waiting = s.lists[q, s.kinds[s.tasks[i]["kind"]]["level"]]
    s.tasks[i]["after"] = waiting["head"]
    if waiting["head"] == NONE:
        waiting["tail"] = i
    waiting["head"] = i
    s.queues[q]["ready"] += 1


def take(s: Flow, q: int) -> int:
    """Take the first message of a queue that has some."""
    level = 0
    while s.lists[q, level]["head"] == NONE:
        level += 1
    return _take(s, q, level)


def _take(s: Flow, q: int, level: int) -> int:
    waiting = s.lists[q, level]
    i = waiting["head"]
    waiting["head"] = s.tasks[i]["after"]
    if waiting["head"] == NONE:
        waiting["tail"] = NONE
    s.queues[q]["ready"] -= 1
    return i


# --- consumers -----------------------------------------------------------------------------------------------------


def serve(s: Flow, c: int, now: float) -> None:
    """Give out messages for as long as there are some and a pod of the class has a free slot."""
    while s.classes[c]["free_head"] != NONE:
        q = _next_queue(s, c, now)
        if q == NONE:
            return
        _start(s, _next_pod(s, c), q, take(s, q), now)


def _next_queue(s: Flow, c: int, now: float) -> int:
    """Return the next of a class's queues that has a message, in turn."""
    working = s.classes[c]
    for step in range(working["queues"]):
        turn = (working["turn"] + step) % working["queues"]
        q = s.consumed[working["first_queue"] + turn]
        expire(s, q, now)
        if s.queues[q]["ready"] > 0:
            working["turn"] = turn + 1
            return q
    return NONE


def _next_pod(s: Flow, c: int) -> int:
    working = s.classes[c]
    p = working["free_head"]
    working["free_head"] = s.pods[p]["after"]
    if working["free_head"] == NONE:
        working["free_tail"] = NONE
    s.pods[p]["in_turn"] = 0
    return p


def line_up(s: Flow, p: int) -> None:
    """Have a pod that takes tasks and has a free slot wait for its turn."""
    pod = s.pods[p]
    working = s.classes[pod["worker_class"]]
    if pod["in_turn"] == 1 or pod["used"] >= working["slots"]:
        return
    pod["in_turn"] = 1
    pod["after"] = NONE
    if working["free_head"] == NONE:
        working["free_head"] = p
    else:
        s.pods[working["free_tail"]]["after"] = p
    working["free_tail"] = p


def step_out(s: Flow, p: int) -> None:
    """Take a pod that goes out of the line."""
    pod = s.pods[p]
    if pod["in_turn"] == 0:
        return
    working = s.classes[pod["worker_class"]]
    before, at = NONE, working["free_head"]
    while at != p:
        before, at = at, s.pods[at]["after"]
    if before == NONE:
        working["free_head"] = pod["after"]
    else:
        s.pods[before]["after"] = pod["after"]
    if working["free_tail"] == p:
        working["free_tail"] = before
    pod["in_turn"] = 0


def cpu_before(s: Flow, i: int) -> float:
    """Return the CPU time of a run before it waits for others; one that waits for nobody has it in one piece."""
    return s.kinds[s.tasks[i]["kind"]]["cpu"] * BEFORE_SHARE if s.tasks[i]["service"] > 0.0 else 0.0


def go_on(s: Flow, i: int, now: float) -> None:
    """Give a run its next turn of the CPU before it waits for others, or let it wait."""
    task = s.tasks[i]
    p = task["pod"]
    turns = TURNS_BEFORE if s.classes[s.pods[p]["worker_class"]]["in_turn"] == 1 else 1
    work = cpu_before(s, i)
    if work > 0.0 and task["turns"] < turns:
        if task["turns"] == 0:
            s.pods[p]["turned"] += 1
        task["turns"] += 1
        cpu.enter(s, p, i, cpu.priced(s, p, i, work / turns), now)
    else:
        wait(s, i, now)


def wait(s: Flow, i: int, now: float) -> None:
    """Have a task wait for others; it holds its slot meanwhile."""
    task = s.tasks[i]
    task["asked"] = 1
    overhead = s.classes[s.pods[task["pod"]]["worker_class"]]["overhead"]
    task["event"] = events.plan(s, now + (overhead + task["service"]), SERVICE_END, i)


def _start(s: Flow, p: int, q: int, i: int, now: float) -> None:
    task = s.tasks[i]
    use_slots(s, p, 1, now)
    line_up(s, p)
    s.queues[q]["unacked"] += 1
    s.queues[q]["delivered"] += 1
    task["started"] = now
    task["pod"] = p
    task["turns"] = 0
    task["asked"] = 0
    go_on(s, i, now)


def use_slots(s: Flow, p: int, change: int, now: float) -> None:
    """Note that a pod uses more slots, or fewer."""
    working = s.classes[s.pods[p]["worker_class"]]
    working["busy_seconds"] += (now - working["busy_since"]) * working["busy"]
    working["busy_since"] = now
    working["busy"] += change
    s.pods[p]["used"] += change
