"""The scripts in a real Redis do step for step what the model does."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from celery_workers.breaker_store import BreakerStore
from celery_workers.shared import SharedRedis
from harness.services.redis import Redis
from tests.local.shared_state.breaker_model import Model

CALLERS = st.sampled_from(["a", "b", "c"])
STEPS = st.one_of(
    st.tuples(st.just("admit"), CALLERS),
    st.tuples(st.sampled_from(["success", "failure", "failure", "release"]), CALLERS),
    st.tuples(st.just("wait"), st.sampled_from([1, 99, 100, 101, 499, 500, 501])),
)
_names = itertools.count()


@settings(max_examples=150)
@given(steps=st.lists(STEPS, min_size=1, max_size=40), threshold=st.integers(1, 4))
def test_redis_does_what_the_model_does(
    redis: Redis, redis_prefix_of_session: str, steps: list[tuple[str, str | int]], threshold: int
) -> None:
    model = Model(threshold=threshold, reset_ms=100, probe_ms=500)
    shared = SharedRedis(redis.url, prefix=redis_prefix_of_session)
    store = BreakerStore(
        shared, f"model-{next(_names)}", reset_seconds=0.1, probe_seconds=0.5, now_ms=lambda: model.now
    )
    for step, operand in steps:
        if step == "wait":
            model.now += int(operand)
        elif step == "admit":
            found = store.admit(str(operand))
            state, wait_ms, probe = model.admit(str(operand))
            assert (found.state, round(found.wait_seconds * 1000), found.probe) == (state, wait_ms, probe)
        else:
            opened = model.opened
            found = store.record(step, threshold=threshold, token=str(operand))  # type: ignore[arg-type]
            assert found.state == model.record(step, str(operand))
            assert (found.changed and found.state == "open") == (model.opened > opened)
            assert found.failures == model.failures
    shared.close()


def test_times_are_redis_own_when_none_is_given(shared: SharedRedis) -> None:
    store = BreakerStore(shared, "db", reset_seconds=60, probe_seconds=60)
    assert store.record("failure", threshold=1).state == "open"
    assert 59 < store.admit("a").wait_seconds <= 60
