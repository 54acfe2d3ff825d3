"""The arrays everything happens in. Times are seconds from the start of the load, indices are -1 for none."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

NONE = -1
INFINITY = float("inf")

# What became of a task; the codes of `model`.
OPEN, DONE, REFUSED, EXPIRED, FAILED, DROPPED = range(6)

# What a queue does when it is full.
REJECT, REJECT_AND_STORE, DROP_HEAD = range(3)

# What a queue says to an attempt.
ACCEPTED, TURNED_AWAY, STORED = range(3)

# A row of `pods`: free, waiting for room on a node, coming up, taking tasks, finishing what it has.
GONE, PENDING, STARTING, RUNNING, DRAINING = range(5)

# What an event is about; its code is index * KINDS + kind.
SERVICE_END, CPU_END, RETRY_DUE, BOOT_WAITED, READY, GRACE_END, PROBE_DUE = range(7)
EVENT_KINDS = 8

# Why `flow.advance` came back.
REACHED, SETTLED, POD_GONE, WANTS_EVENTS, WANTS_UNIFORMS, WANTS_REFUSALS, WANTS_SAMPLES = range(7)

BOOT, WARM_UP = -2, -3
"""In a pod's CPU queue: not a task, its own start, and what a worker does once beside its first tasks."""

TASK = np.dtype(
    [
        ("due", "f8"),
        ("first_attempt", "f8"),
        ("accepted", "f8"),
        ("offered", "f8"),  # its last attempt
        ("published", "f8"),  # when its queue took it
        ("started", "f8"),
        ("done", "f8"),
        ("service", "f8"),  # how long a run waits for others
        ("turns", "i8"),  # of the CPU that its run has had before the waiting
        ("asked", "i8"),  # 1: its run has come to the waiting
        ("event", "i8"),  # number of the event it waits for; any other of its events is stale
        ("kind", "i4"),
        ("after", "i8"),  # next in its queue
        ("answer_after", "i8"),  # next attempt of its publisher without an answer
        ("pod", "i8"),
        ("refusals", "i4"),
        ("runs_failed", "i4"),
        ("answer", "i4"),
        ("state", "i4"),
    ]
)

KIND = np.dtype(
    [
        ("queue", "i8"),
        ("level", "i8"),  # of its queue's priorities, 0 the highest
        ("cpu", "f8"),
        ("host_cpu", "f8"),
        ("failure_share", "f8"),
        ("max_retries", "i8"),
        ("retry_seconds", "f8"),
    ]
)

QUEUE = np.dtype(
    [
        ("limit", "i8"),  # NONE: no limit
        ("overflow", "i8"),
        ("ttl", "f8"),
        ("worker_class", "i8"),
        ("ready", "i8"),
        ("unacked", "i8"),
        ("offered", "i8"),  # attempts it has seen, the refused ones too: RabbitMQ's publish count
        ("delivered", "i8"),
        # The newest statistics, and the counts they were made of.
        ("seen_ready", "i8"),
        ("seen_unacked", "i8"),
        ("seen_offered", "i8"),
        ("seen_delivered", "i8"),
        ("publish_rate", "f8"),
        ("deliver_rate", "f8"),
    ]
)

LIST = np.dtype([("head", "i8"), ("tail", "i8")])

CLASS = np.dtype(
    [
        ("slots", "i8"),
        ("in_turn", "i8"),  # 1: one task at a time has the CPU, else all share it
        ("cores", "f8"),
        ("threads", "f8"),  # how many may run at once
        ("weight", "f8"),  # of a pod where cores are short, 0: one a thread
        ("overhead", "f8"),
        ("idle_cores", "f8"),
        ("memory", "f8"),
        ("memory_per_task", "f8"),
        ("message_cpu", "f8"),
        ("cost_rate", "f8"),
        ("cost_exponent", "f8"),  # 0: an event costs the same at every higher rate
        ("cost_below", "f8"),  # and at every lower one
        ("cost_least", "f8"),
        ("cost_most", "f8"),
        ("start_cpu", "f8"),
        ("warm_up_cpu", "f8"),
        ("probe_cpu", "f8"),  # of one attempt of the startup probe
        ("limit", "f8"),  # cores that all processes of a pod may use together
        ("ready_after", "f8"),  # from taking tasks to counting as ready
        ("grace", "f8"),
        ("desired", "i8"),
        ("first_queue", "i8"),  # its part of `consumed`
        ("queues", "i8"),
        ("turn", "i8"),
        ("free_head", "i8"),  # pods with a free slot, in the order of their turn
        ("free_tail", "i8"),
        ("busy", "i8"),  # slots in use
        ("busy_since", "f8"),
        ("busy_seconds", "f8"),
        ("cpu_seconds", "f8"),  # of pods that are gone
        ("pod_seconds", "f8"),  # of pods that are gone
        ("sampled_busy", "f8"),
        ("sampled_cpu", "f8"),
    ]
)

POD = np.dtype(
    [
        ("worker_class", "i8"),
        ("phase", "i8"),
        ("created", "f8"),
        ("ready", "i8"),
        ("changed", "f8"),  # when `ready` changed last
        ("used", "i8"),  # slots
        ("after", "i8"),  # next in turn
        ("in_turn", "i8"),  # 1: it is in the list of pods with a free slot
        # The CPU: work is measured on a clock of the pod's own, which runs as fast as a task gets on.
        ("settled", "f8"),
        ("clock", "f8"),
        ("last_tag", "f8"),
        ("working", "i8"),  # tasks that have or want the CPU
        ("first_item", "i8"),  # its part of `cpu_items`
        ("speed", "f8"),  # of the cores it has, 1 where there are enough
        ("cpu_seconds", "f8"),
        ("shared_cpu", "f8"),  # cpu_seconds when speeds were set last
        # Times a task came to the CPU since then, half of that a second, and what a message costs by that.
        ("turned", "i8"),
        ("rate", "f8"),
        ("cost", "f8"),
        # What a process beside the worker has left to do: its node, which makes the pod, then the startup probe.
        ("beside_left", "f8"),
        ("start_wait", "f8"),  # from its being made until its worker needs the CPU
        ("probed_cpu", "f8"),
        # Numbers of the events that count.
        ("cpu_event", "i8"),
        ("life_event", "i8"),
        ("grace_event", "i8"),
        # The metrics sample that is shown, the one that is taken and not shown yet, and what the next is compared with.
        ("metric_at", "f8"),
        ("metric_window", "f8"),
        ("metric_cores", "f8"),
        ("metric_memory", "f8"),
        ("taken_at", "f8"),
        ("taken_window", "f8"),
        ("taken_cores", "f8"),
        ("taken_memory", "f8"),
        ("scraped_at", "f8"),
        ("scraped_cpu", "f8"),
    ]
)

CPU_ITEM = np.dtype([("tag", "f8"), ("item", "i8")])

PUBLISHER = np.dtype(
    [
        ("acts_at", "f8"),
        ("next_at", "f8"),
        ("next_first", "i8"),
        ("answer_head", "i8"),
        ("answer_tail", "i8"),
        ("queues", "i8"),  # queues it has waiting tasks for, in `gates.order`
    ]
)

GATE = np.dtype(
    [
        ("opens_at", "f8"),
        ("hold", "f8"),
        ("first_waiting", "i8"),  # its part of `waiting`
        ("waiting", "i8"),
        ("order", "i8"),  # the queue that is looked at as this number
        ("known", "i8"),
    ]
)

WAITING = np.dtype([("due", "f8"), ("number", "i8"), ("task", "i8")])
EVENT = np.dtype([("at", "f8"), ("number", "i8"), ("code", "i8")])
REFUSAL = np.dtype([("at", "f8"), ("task", "i8")])

RUN = np.dtype(
    [
        # figures
        ("pace", "f8"),  # seconds between two attempts of one publisher
        ("confirm", "f8"),
        ("deadline", "f8"),
        ("hold", "f8"),
        ("max_hold", "f8"),
        ("jitter", "f8"),
        ("attempt_cpu", "f8"),
        ("cores", "f8"),  # infinity: enough
        ("shared", "i8"),  # 1: publisher and stand-ins are on the same cores
        ("background", "f8"),
        ("pod_cpu", "f8"),  # what a node computes to make a pod
        ("pod_cores", "f8"),  # and uses for each that is there
        ("share_seconds", "f8"),
        ("cost_rate", "f8"),
        ("cost_exponent", "f8"),
        ("cost_below", "f8"),
        ("cost_least", "f8"),
        ("cost_most", "f8"),
        ("statistics_seconds", "f8"),
        ("metrics_seconds", "f8"),
        ("fresh_seconds", "f8"),
        ("max_slots", "i8"),
        # clocks
        ("now", "f8"),
        ("clock_at", "f8"),  # the earliest of the next five
        ("sample_at", "f8"),
        ("statistics_at", "f8"),
        ("metrics_at", "f8"),
        ("shown_at", "f8"),  # of what was taken before
        ("share_at", "f8"),
        ("publish_at", "f8"),  # the earliest of the publishers, and whose it is
        ("publisher", "i8"),
        # counters
        ("open", "i8"),
        ("closing", "i8"),  # 1: go on though no task is open
        ("watch_pods", "i8"),  # 1: come back when a pod is gone
        ("events", "i8"),
        ("event_number", "i8"),
        ("uniform", "i8"),
        ("waiting_number", "i8"),
        ("attempts", "i8"),
        ("refused", "i8"),
        ("stored", "i8"),
        ("repeated", "i8"),
        ("samples", "i8"),
        ("pods", "i8"),
        # the machine
        ("slowness", "f8"),  # how much longer an attempt takes where cores are short
        ("level", "f8"),  # what each thread may use since the last division
        ("host_cpu", "f8"),
        ("host_left", "f8"),  # of that, what no core has been free for
        ("ended", "i8"),  # runs of tasks
        ("shared_attempts", "i8"),
        ("shared_host_cpu", "f8"),
        ("shared_ended", "i8"),
        ("rate", "f8"),  # half of attempts and ends a second
        ("cost", "f8"),  # of one by that
        ("load_cpu", "f8"),  # what attempts and tasks had cost outside the workers at the last division
        ("sampled_load_cpu", "f8"),
    ]
)

QUEUE_SAMPLE = np.dtype([("ready", "i8"), ("unacked", "i8")])
CLASS_SAMPLE = np.dtype(
    [("desired", "i8"), ("running", "i8"), ("ready", "i8"), ("cpu", "f8"), ("memory", "f8"), ("busy", "f8")]
)

Records = Any
"""A structured array of one of the types above."""


class Flow(NamedTuple):
    """All that a simulation knows between two moments."""

    run: Records  # one row
    tasks: Records
    kinds: Records
    queues: Records
    lists: Records  # (queue, level): messages that wait
    classes: Records
    consumed: Any  # the queues of all classes, one after another
    pods: Records
    cpu_items: Records  # a heap a pod
    publishers: Records
    gates: Records  # (publisher, queue)
    waiting: Records  # a heap a gate
    ceilings: Any  # longest delay after attempt 1, 2, ...
    events: Records  # a heap
    uniforms: Any  # chance, drawn in advance
    refusals: Records
    queue_samples: Records  # (second, queue)
    class_samples: Records  # (second, class)
    host_samples: Any
