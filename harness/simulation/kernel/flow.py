"""The loop: whatever comes next happens, until a time, or until somebody outside must act."""

from __future__ import annotations

from harness.simulation.kernel import events, publisher, watch, workers
from harness.simulation.kernel.state import (
    BOOT_WAITED,
    EVENT_KINDS,
    GONE,
    GRACE_END,
    INFINITY,
    POD_GONE,
    PROBE_DUE,
    REACHED,
    READY,
    RETRY_DUE,
    SERVICE_END,
    SETTLED,
    WANTS_EVENTS,
    WANTS_REFUSALS,
    WANTS_SAMPLES,
    WANTS_UNIFORMS,
    Flow,
)


def advance(s: Flow, until: float) -> int:
    """Let everything happen up to a time, that included, and return why it came back: `REACHED` or one of the others.

    After another one than REACHED the caller does what is wanted and calls again with the same time. Of what happens at
    the same time tasks and pods come first, then publishers, then who looks.
    """
    run = s.run[0]
    room = run["max_slots"] + 2 * run["pods"] + EVENT_KINDS  # what one step may need; sharing the cores two a pod
    while True:
        if run["open"] == 0 and run["closing"] == 0:
            return SETTLED
        if run["events"] + room > len(s.events):
            return WANTS_EVENTS
        if run["uniform"] == len(s.uniforms):
            return WANTS_UNIFORMS
        if run["refused"] == len(s.refusals):
            return WANTS_REFUSALS
        if run["samples"] == len(s.host_samples):
            return WANTS_SAMPLES
        event_at = s.events[0]["at"] if run["events"] > 0 else INFINITY
        at = min(event_at, run["publish_at"])
        if at > until and run["clock_at"] > until:
            run["now"] = until
            return REACHED
        if at > run["clock_at"]:
            run["now"] = run["clock_at"]
            watch.look(s, run["clock_at"])
        elif event_at <= run["publish_at"]:
            run["now"] = event_at
            if _happen(s, event_at) and run["watch_pods"] == 1:
                return POD_GONE
        else:
            run["now"] = at
            publisher.act(s, at)


def _happen(s: Flow, now: float) -> bool:
    """Let the first event happen, unless it is stale; tell whether a pod is gone by it."""
    number = s.events[0]["number"]
    code = s.events[0]["code"]
    index, kind = code // EVENT_KINDS, code % EVENT_KINDS
    events.drop_first(s)
    if kind in (SERVICE_END, RETRY_DUE):
        return _task_event(s, index, kind, number, now)
    if not workers.is_due(s, index, number, kind):
        return False
    if kind == BOOT_WAITED:
        workers.waited(s, index, now)
    elif kind == PROBE_DUE:
        workers.probe_for_ready(s, index, now)
    elif kind == READY:
        workers.make_ready(s, index, now)
    elif kind == GRACE_END:
        workers.kill(s, index, now)
    else:
        workers.cpu_over(s, index, now)
    return s.pods[index]["phase"] == GONE


def _task_event(s: Flow, i: int, kind: int, number: int, now: float) -> bool:
    if s.tasks[i]["event"] != number:
        return False
    if kind == RETRY_DUE:
        workers.try_again(s, i, now)
        return False
    p = s.tasks[i]["pod"]
    workers.service_over(s, i, now)
    return s.pods[p]["phase"] == GONE
