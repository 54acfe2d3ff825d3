"""Which pods of a Deployment go first when there are too many. Pure."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.autoscaling.spec import NANOSECONDS


@dataclass(frozen=True)
class Candidate:
    """What the ReplicaSet controller weighs when it must delete pods."""

    name: str
    uid: str
    ready: bool
    ready_at: float | None
    restarts: int
    created_at: float
    deletion_cost: int = 0


def choose_victims(candidates: Sequence[Candidate], count: int, *, now: float) -> list[str]:
    """Return the names of the `count` pods to delete, first to go first.

    The order of Kubernetes' ActivePodsWithRanks on one node: not ready, cheap to delete, ready for a short time,
    often restarted, young. Ages count by powers of two (LogarithmicScaleDown), equal ones by uid, which is random.
    """

    def compare(one: Candidate, other: Candidate) -> int:
        return _compare(one, other, now)

    return [candidate.name for candidate in sorted(candidates, key=functools.cmp_to_key(compare))[:count]]


def _compare(one: Candidate, other: Candidate, now: float) -> int:
    if one.ready != other.ready:
        return -1 if not one.ready else 1
    if one.deletion_cost != other.deletion_cost:
        return one.deletion_cost - other.deletion_cost
    if one.ready and one.ready_at is not None and other.ready_at is not None and one.ready_at != other.ready_at:
        return _younger_first(now - one.ready_at, now - other.ready_at) or _by_uid(one, other)
    if one.restarts != other.restarts:
        return other.restarts - one.restarts
    if one.created_at != other.created_at:
        return _younger_first(now - one.created_at, now - other.created_at) or _by_uid(one, other)
    return 0


def _younger_first(one_age_seconds: float, other_age_seconds: float) -> int:
    return _power(one_age_seconds) - _power(other_age_seconds)


def _power(age_seconds: float) -> int:
    nanoseconds = age_seconds * NANOSECONDS
    return int(math.log2(nanoseconds)) if nanoseconds >= 1 else -1


def _by_uid(one: Candidate, other: Candidate) -> int:
    return -1 if one.uid < other.uid else 1
