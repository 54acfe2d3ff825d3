"""Who has a pod's CPU, and how much of the machine each pod gets.

Inside a pod work is measured on the pod's own clock. Where tasks share the CPU (processes, threads) the clock is the
work that each of them has had, and runs at cores / tasks, at most 1: exact processor sharing by virtual time. Where one
task at a time has it (gevent, which switches only where a task waits), the clock is the work done for all of them. A
task is finished when the clock reaches its tag.

Between pods the machine's cores are divided anew every `share_seconds` by max-min fairness, as a fair scheduler does:
who wants less than an equal part gets it all, the others share what is left. What each wants is what it did since the
last division and what it has not got done. Its node, which makes a pod, and a startup probe are processes of their own,
which want one core. Each pod that is there takes its node a little at all times. Nobody is given what the machine does
not have: stand-ins and broker are two processes that get their share as others do, and do later what they cannot do
now; a new pod begins at the level of the last division.

What a message costs falls with their rate (`CostByRate` in the model), which is looked at with each division, as a mean
that forgets within a quarter of a second.
"""

from __future__ import annotations

from harness.simulation.kernel import events
from harness.simulation.kernel.state import (
    BOOT_WAITED,
    CPU_END,
    DRAINING,
    INFINITY,
    NONE,
    READY,
    RUNNING,
    STARTING,
    Flow,
    Records,
)

LEAST_LEVEL = 0.01
"""Left to every thread whatever else happens, so that nothing stands still."""

RATE_SECONDS = 0.25
"""How long a rate remembers."""

HOST_THREADS = 2.0
"""Stand-ins and broker, each a process of its own."""

NODE_WEIGHT = 2.0
"""What a node has for itself where pods have weights: kubelet and container runtime are in a group of their own."""


def rate(s: Flow, p: int) -> float:
    """Return how fast a pod's clock runs."""
    pod = s.pods[p]
    working = s.classes[pod["worker_class"]]
    cores = working["cores"]
    if working["in_turn"] == 0 and pod["working"] > 1:
        cores = cores / pod["working"]
    return pod["speed"] * min(1.0, cores)


def priced(s: Flow, p: int, i: int, work: float) -> float:
    """Return what a part of a task's CPU time is at the pod's rate: receiving and answering cost less of many."""
    message = s.classes[s.pods[p]["worker_class"]]["message_cpu"]
    if message <= 0.0:
        return work
    share = min(1.0, message / s.kinds[s.tasks[i]["kind"]]["cpu"])
    return work * (1.0 + share * (s.pods[p]["cost"] - 1.0))


def settle(s: Flow, p: int, now: float) -> None:
    """Bring a pod's clock and what it has used up to now."""
    pod = s.pods[p]
    if pod["working"] > 0:
        gone = (now - pod["settled"]) * rate(s, p)
        pod["clock"] += gone
        if s.classes[pod["worker_class"]]["in_turn"] == 0:
            gone = gone * pod["working"]
        pod["cpu_seconds"] += gone
    pod["settled"] = now


def enter(s: Flow, p: int, item: int, work: float, now: float) -> None:
    """Give a pod's CPU a task to work on, or its own start."""
    settle(s, p, now)
    pod = s.pods[p]
    in_turn = s.classes[pod["worker_class"]]["in_turn"] == 1
    begin = pod["clock"]
    if in_turn and pod["working"] > 0:
        begin = pod["last_tag"]
    tag = begin + work
    pod["last_tag"] = tag
    _push(s, pod["first_item"], pod["working"], tag, item)
    pod["working"] += 1
    if not in_turn or pod["working"] == 1:
        plan_end(s, p, now)


def leave(s: Flow, p: int, now: float) -> int:
    """Take the finished task from a pod's CPU and return it."""
    settle(s, p, now)
    pod = s.pods[p]
    first = pod["first_item"]
    pod["clock"] = s.cpu_items[first]["tag"]  # what rounding has left over
    item = s.cpu_items[first]["item"]
    pod["working"] -= 1
    _pop(s, first, pod["working"])
    plan_end(s, p, now)
    return item


def plan_end(s: Flow, p: int, now: float) -> None:
    """Plan when the pod's CPU has finished the next task."""
    pod = s.pods[p]
    if pod["working"] > 0:
        left = s.cpu_items[pod["first_item"]]["tag"] - pod["clock"]
        pod["cpu_event"] = events.plan(s, now + max(left, 0.0) / rate(s, p), CPU_END, p)


def forget(s: Flow, p: int) -> None:
    """Drop what a pod that ends was working on."""
    s.pods[p]["working"] = 0
    s.pods[p]["cpu_event"] = NONE
    s.pods[p]["beside_left"] = 0.0


def used(s: Flow, p: int) -> float:
    """Return the CPU time of a pod's container up to its clock's last settling, of a probe up to the next division."""
    return s.pods[p]["cpu_seconds"] + s.pods[p]["probed_cpu"]


def load_used(s: Flow) -> float:
    """Return the CPU time that attempts, tasks and the making of pods have cost outside the workers up to now."""
    run = s.run[0]
    made, host_cpu = run["attempts"] - run["shared_attempts"], run["host_cpu"] - run["shared_host_cpu"]
    return run["load_cpu"] + (made * run["attempt_cpu"] + host_cpu) * run["cost"]


def _push(s: Flow, first: int, hole: int, tag: float, item: int) -> None:
    items = s.cpu_items
    while hole > 0:
        parent = (hole - 1) >> 1
        if items[first + parent]["tag"] <= tag:
            break
        items[first + hole]["tag"] = items[first + parent]["tag"]
        items[first + hole]["item"] = items[first + parent]["item"]
        hole = parent
    items[first + hole]["tag"] = tag
    items[first + hole]["item"] = item


def _pop(s: Flow, first: int, count: int) -> None:
    """Remove the first of `count` + 1 items."""
    items = s.cpu_items
    tag, item = items[first + count]["tag"], items[first + count]["item"]
    hole, child = 0, 1
    while child < count:
        if child + 1 < count and items[first + child + 1]["tag"] < items[first + child]["tag"]:
            child += 1
        if tag <= items[first + child]["tag"]:
            break
        items[first + hole]["tag"] = items[first + child]["tag"]
        items[first + hole]["item"] = items[first + child]["item"]
        hole, child = child, 2 * child + 1
    items[first + hole]["tag"] = tag
    items[first + hole]["item"] = item


# --- the machine ---------------------------------------------------------------------------------------------------


def share(s: Flow, now: float) -> None:
    """Divide the machine's cores anew, where there is one that all share, and look at rates."""
    run = s.run[0]
    seconds = run["share_seconds"]
    for p in range(run["pods"]):
        settle(s, p, now)
        _look_at_rate(s, p, seconds)
    if run["cores"] == INFINITY:
        return
    made, ended = run["attempts"] - run["shared_attempts"], run["ended"] - run["shared_ended"]
    run["rate"] = _rate(run["rate"], made + ended, seconds)
    run["cost"] = _cost(run, run["rate"])
    attempt_cpu = made * run["attempt_cpu"] * run["cost"]
    task_cpu = (run["host_cpu"] - run["shared_host_cpu"]) * run["cost"]
    run["load_cpu"] += attempt_cpu + task_cpu
    attempts = attempt_cpu * run["slowness"] / seconds
    hosted = (task_cpu + run["host_left"]) / seconds
    run["shared_attempts"] = run["attempts"]
    run["shared_host_cpu"] = run["host_cpu"]
    run["shared_ended"] = run["ended"]
    if run["shared"] == 0:
        attempts, hosted = 0.0, 0.0
    cores = max(run["cores"] - run["background"] - pod_cores(s), LEAST_LEVEL)
    level = _level(s, cores, attempts, hosted, seconds)
    given = min(hosted, level * HOST_THREADS)
    run["host_left"] = (hosted - given) * seconds
    run["level"] = level
    run["slowness"] = 1.0 if attempts <= level else attempts / level
    for p in range(run["pods"]):
        _give(s, p, level, now)
        _beside(s, p, level, now)


def _look_at_rate(s: Flow, p: int, seconds: float) -> None:
    pod = s.pods[p]
    working = s.classes[pod["worker_class"]]
    if working["cost_exponent"] == 0.0 and working["cost_below"] == 0.0:
        return
    pod["rate"] = _rate(pod["rate"], pod["turned"], seconds)
    pod["turned"] = 0
    pod["cost"] = _cost(working, pod["rate"])


def _rate(before: float, halves: int, seconds: float) -> float:
    """Return tasks a second, of which beginning and end count half each, as a mean that forgets."""
    return before + (halves / 2.0 / seconds - before) * seconds / RATE_SECONDS


def _cost(law: Records, rate: float) -> float:
    """Return what an event costs at a rate, in times of what it costs at the one it was measured at."""
    at, rate = law["cost_rate"], min(max(rate, law["cost_least"]), law["cost_most"])
    exponent = law["cost_exponent"] if rate > at else law["cost_below"]
    return (at / rate) ** exponent if exponent > 0.0 else 1.0


def _wanted(s: Flow, p: int, seconds: float) -> float:
    """Return how many cores a pod wants: for what it did and for what is left to do."""
    pod = s.pods[p]
    if pod["phase"] != STARTING and pod["phase"] != RUNNING and pod["phase"] != DRAINING:
        return 0.0
    working = s.classes[pod["worker_class"]]
    left = 0.0
    first = pod["first_item"]
    if working["in_turn"] == 1 and pod["working"] > 0:
        left = pod["last_tag"] - pod["clock"]
    else:
        for i in range(first, first + pod["working"]):
            left += s.cpu_items[i]["tag"] - pod["clock"]
    wanted = (pod["cpu_seconds"] - pod["shared_cpu"] + left) / seconds
    return min(wanted, _most(s, p)) + working["idle_cores"]


def _most(s: Flow, p: int) -> float:
    """Return how many cores a pod can use: one for its start and where tasks take turns, else one a task at work."""
    working = s.classes[s.pods[p]["worker_class"]]
    if working["in_turn"] == 1 or s.pods[p]["phase"] == STARTING:
        return min(1.0, working["cores"])
    return min(max(1.0, s.pods[p]["working"]), working["cores"])


def _level(s: Flow, cores: float, attempts: float, hosted: float, seconds: float) -> float:
    """Return the water level: what each thread may use at most so that all together use the cores there are.

    Found from below: each round gives those who want less than the level what they want, and the rest an equal part of
    what that leaves.
    """
    level = 0.0
    for _ in range(2 * s.run[0]["pods"] + 2):
        left, threads = cores, 0.0
        if attempts > level:
            threads += 1.0
        else:
            left -= attempts
        if hosted > level * HOST_THREADS:
            threads += HOST_THREADS
        else:
            left -= hosted
        for p in range(s.run[0]["pods"]):
            wanted, weight = _wanted(s, p, seconds), _weight(s, p)
            if wanted > level * weight:
                threads += weight
            else:
                left -= wanted
            beside, weight = min(_beside_most(s, p), s.pods[p]["beside_left"] / seconds), _beside_weight(s, p)
            if beside > level * weight:
                threads += weight
            else:
                left -= beside
        if threads == 0.0:
            return INFINITY
        raised = left / threads
        if raised <= level:
            break
        level = raised
    return max(level, LEAST_LEVEL)


def pod_cores(s: Flow) -> float:
    """Return what nodes use for the pods that are there."""
    each, cores = s.run[0]["pod_cores"], 0.0
    if each > 0.0:
        for p in range(s.run[0]["pods"]):
            if s.pods[p]["phase"] == RUNNING or s.pods[p]["phase"] == DRAINING:
                cores += each
    return cores


def _beside_most(s: Flow, p: int) -> float:
    """Return how many cores a process beside a worker can use: one; a probe of a limit that it shares with it."""
    if s.pods[p]["phase"] == STARTING:
        return 1.0
    limit = s.classes[s.pods[p]["worker_class"]]["limit"]
    if s.pods[p]["working"] == 0:
        return min(1.0, limit)
    return min(1.0, max(limit - _most(s, p), limit / 2.0))


def _beside_probe(s: Flow, p: int) -> float:
    """Return how many cores a pod's limit leaves its worker."""
    limit = s.classes[s.pods[p]["worker_class"]]["limit"]
    probed = s.pods[p]["beside_left"] > 0.0 and s.pods[p]["phase"] != STARTING
    return max(limit - 1.0, limit / 2.0) if probed else limit


def _weight(s: Flow, p: int) -> float:
    """Return what a pod gets where cores are short, in times of what another process gets."""
    working = s.classes[s.pods[p]["worker_class"]]
    if working["weight"] > 0.0:
        return working["weight"]
    return max(1.0, _most(s, p)) if working["threads"] > 1.0 else 1.0


def _beside_weight(s: Flow, p: int) -> float:
    """Return the same of a process beside a worker: a probe is one of its pod."""
    working = s.classes[s.pods[p]["worker_class"]]
    if working["weight"] > 0.0:
        return NODE_WEIGHT if s.pods[p]["phase"] == STARTING else working["weight"]
    return 1.0


def _give(s: Flow, p: int, level: float, now: float) -> None:
    pod = s.pods[p]
    pod["shared_cpu"] = pod["cpu_seconds"]
    speed = min(1.0, level * _weight(s, p) / _most(s, p), _beside_probe(s, p) / _most(s, p))
    if speed != pod["speed"]:
        pod["speed"] = speed
        plan_end(s, p, now)


def _beside(s: Flow, p: int, level: float, now: float) -> None:
    """Let a node that makes a pod, or a startup probe, go on until the next division.

    A pod that is made goes on with its start; the probe's attempt that finds its worker makes it ready.
    """
    pod = s.pods[p]
    if pod["beside_left"] <= 0.0:
        return
    speed = min(_beside_most(s, p), level * _beside_weight(s, p))
    given = min(pod["beside_left"], speed * s.run[0]["share_seconds"])
    pod["beside_left"] -= given
    if pod["phase"] == STARTING:
        s.run[0]["load_cpu"] += given
    else:
        pod["probed_cpu"] += given
    if pod["beside_left"] > 0.0:
        return
    if pod["phase"] == STARTING:
        pod["life_event"] = events.plan(s, now + given / speed + pod["start_wait"], BOOT_WAITED, p)
    elif pod["phase"] == RUNNING:  # not told to go meanwhile
        pod["life_event"] = events.plan(s, now + given / speed, READY, p)
