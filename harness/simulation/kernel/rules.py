"""What an autoscaler's decisions need, as plain numbers and arrays. Times are whole nanoseconds."""

from __future__ import annotations

from typing import Any, NamedTuple


class Direction(NamedTuple):
    """One direction's rules."""

    window: int
    select: int
    longest: int  # period of a policy
    kinds: Any
    values: Any
    periods: Any


class Autoscaler(NamedTuple):
    """An HPA with one CPU target in per cent of the request, and `behavior`."""

    minimum: int
    maximum: int
    target_percent: int
    tolerance_down: float
    tolerance_up: float
    initialization: int
    readiness_delay: int
    up: Direction
    down: Direction


class Workload(NamedTuple):
    """Pods that share a demand evenly once they are ready, `boot` after their creation."""

    sync: int
    boot: int
    sample_age: int  # how old a pod's sample is at a sync
    sample_window: int
    request_milli: int
    limit_milli: int


class Memory(NamedTuple):
    """What the controller remembers; `used` says how many entries of each list are."""

    used: Any  # recommendations, events up, events down
    wanted: Any
    wanted_at: Any
    added: Any
    added_at: Any
    removed: Any
    removed_at: Any
