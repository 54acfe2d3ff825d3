from __future__ import annotations

import pytest

from harness.errors import InputError
from harness.ops import wishes
from tests.unit.ops.test_engine import DEPLOYMENT, HPA, SCALED, TOPOLOGY

KEDA_POOL = wishes.pools([DEPLOYMENT], [SCALED])["io"]
HPA_POOL = wishes.pools([DEPLOYMENT], [HPA])["io"]
BARE_POOL = wishes.pools([DEPLOYMENT], [])["io"]


def test_a_floor_within_the_maximum_leaves_the_maximum() -> None:
    assert wishes.scale(KEDA_POOL, 3, raise_max=True) == {"floor/ScaledObject/celery-io-worker": {"min": 3, "max": 5}}


def test_a_floor_above_the_maximum_needs_to_be_asked_for() -> None:
    with pytest.raises(InputError, match="--raise-max"):
        wishes.scale(HPA_POOL, 6, raise_max=False)
    (setting,) = wishes.scale(HPA_POOL, 6, raise_max=True).values()
    assert setting == {"min": 6, "max": 6}


def test_zero_is_for_what_can_stand_at_zero() -> None:
    with pytest.raises(InputError, match="REPLICAS 0"):
        wishes.scale(HPA_POOL, 0, raise_max=False)
    assert wishes.scale(BARE_POOL, 0, raise_max=False) == {"floor/Deployment/celery-io-worker": {"replicas": 0}}
    with pytest.raises(InputError, match="REPLICAS -1"):
        wishes.scale(KEDA_POOL, -1, raise_max=False)


def test_a_pause_without_a_scaler_is_the_queues_alone() -> None:
    assert wishes.pause("io", TOPOLOGY, {"io": BARE_POOL}) == {"paused/io": True}


def test_a_queue_and_a_class_that_are_not_there_are_refused_with_those_that_are() -> None:
    with pytest.raises(InputError, match=r"QUEUE nope.*io, mail"):
        wishes.pause("nope", TOPOLOGY, {})
    with pytest.raises(InputError, match=r"CLASS nope.*io"):
        wishes.pool_named("nope", {"io": KEDA_POOL})


def test_a_breakers_override_says_something_sensible() -> None:
    assert wishes.breaker(threshold=20, mode=None) == {"threshold": 20}
    assert wishes.breaker(threshold=None, mode="open") == {"mode": "open"}
    with pytest.raises(InputError, match="--threshold 0"):
        wishes.breaker(threshold=0, mode=None)
    with pytest.raises(InputError, match="--open or --close"):
        wishes.breaker(threshold=None, mode=None)
