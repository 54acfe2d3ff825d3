"""What the coarse model works on and what it gives back: arrays of records, which a compiler and Python both read.

A lane is the tasks of one queue and one priority, of which the coarse model knows amounts only. Rows of lanes are in
the order of class, queue and falling priority, those of queues in the order of class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Records = Any
"""An array of one of the record types below; neither they nor arrays as sequences are known to the type checker."""

NONE = -1
"""In a table of integers: not set."""
DEPTH, DEPTH_READY, DRAIN_TIME = 0, 1, 2
"""What a trigger reads: messages waiting and in work, messages waiting, seconds to empty the queue at its rate."""
UP, DOWN = 0, 1
"""The directions of an autoscaler."""

GRID = np.dtype(
    [
        ("steps", "i8"),
        ("seconds", "f8"),  # each
        ("first_sync", "i8"),  # the autoscaler looks before this step,
        ("sync_every", "i8"),  # and each so many after it
        ("statistics_lag", "i8"),  # steps a trigger's figures are old
        ("rate_steps", "i8"),  # steps the broker takes a rate over
        ("stop_when_quiet", "i8"),  # 1: end once nothing is left to do and all replicas are at their minimum
        ("attempts", "f8"),  # a publisher makes in a step
        ("deadline_steps", "i8"),  # after which it gives a task up
    ]
)
LANE = np.dtype(
    [
        ("cpu_cores", "f8"),  # used while a slot is held
        ("running", "f8"),  # share of the starts in a step that hold their slot at its end
        ("taps", "i8"),  # how many TAPs are used
    ]
)
TAP = np.dtype([("at", "i8"), ("share", "f8")])  # [lane, tap]: steps from start to end, and the share that takes them
QUEUE = np.dtype(
    [
        ("first", "i8"),  # its lanes
        ("last", "i8"),
        ("limit", "f8"),
        ("keeps_refused", "i8"),  # 1: a refused task is stored, its publisher must not try again
        ("ttl_steps", "i8"),
    ]
)
POOL = np.dtype(
    [
        ("first", "i8"),  # its queues
        ("last", "i8"),
        ("slots", "f8"),
        ("cores", "f8"),
        ("idle_cores", "f8"),
        ("start_seconds", "f8"),
        ("ready_seconds", "f8"),
        ("replicas", "i8"),
        ("cpu_request_milli", "i8"),
        ("memory_request_milli", "i8"),
        ("memory_bytes", "f8"),
        ("memory_bytes_per_task", "f8"),
    ]
)
RULE = np.dtype(
    [
        ("scaled", "i8"),  # 0: nothing changes the replicas
        ("minimum", "i8"),
        ("maximum", "i8"),
        ("cpu_percent", "i8"),
        ("memory_percent", "i8"),
        ("tolerance_down", "f8"),
        ("tolerance_up", "f8"),
        ("has_behavior", "i8"),
        ("to_zero", "i8"),  # 1: KEDA takes the last pod away
        ("polling_steps", "i8"),
        ("cooldown_steps", "i8"),
        ("first_trigger", "i8"),
        ("last_trigger", "i8"),
    ]
)
DIRECTION = np.dtype(  # [class, direction]; times in nanoseconds, as `harness.autoscaling.kernel` takes them
    [
        ("window", "i8"),  # without behavior the controller's own
        ("select", "i8"),
        ("policies", "i8"),  # how many are used
        ("longest", "i8"),
    ]
)
TRIGGER = np.dtype([("queue", "i8"), ("reads", "i8"), ("target_milli", "i8"), ("by_value", "i8")])

FLOW = np.dtype(  # [step, lane], cumulated; the first row is all zeros
    [
        ("offered", "f8"),  # first attempts made
        ("admitted", "f8"),  # accepted by the queue
        ("started", "f8"),
        ("done", "f8"),
        ("expired", "f8"),
        ("given_up", "f8"),  # by the publisher, or refused and stored
    ]
)
DEPTHS = np.dtype([("refused", "f8"), ("waiting", "f8")])  # [step, queue]: first attempts refused; waiting at its end
PODS = np.dtype([("busy", "f8"), ("replicas", "i8"), ("ready", "i8")])  # [step, class]: slots in use at its end


class Policies(NamedTuple):
    """Rate policies, [class, direction, policy]; apart, since the controller's arithmetic takes plain arrays."""

    kind: Records
    value: Records
    period: Records


class Tables(NamedTuple):
    """A plant and a load, ready for `fluid.run`. `arrivals` counts tasks: [step, lane]."""

    grid: Records  # one
    lanes: Records
    taps: Records
    queues: Records
    pools: Records
    rules: Records
    directions: Records
    policies: Policies
    triggers: Records
    arrivals: Records


class Curves(NamedTuple):
    """What came of it."""

    lanes: Records
    queues: Records
    pools: Records


def records(kind: np.dtype[Any], rows: Sequence[Mapping[str, Any]]) -> Records:
    """Return an array of records, every field given by name."""
    return np.array([tuple(row[name] for name in kind.names or ()) for row in rows], kind)
