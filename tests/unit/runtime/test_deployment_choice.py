"""Which pods go first, and the pause before a restart."""

from __future__ import annotations

import random
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.autoscaling import Candidate, choose_victims
from harness.runtime.local.backoff import BackOff
from harness.runtime.local.naming import generated_name, template_hash

NOW = 10_000.0


def pod(name: str, **changes: Any) -> Candidate:
    settings: dict[str, Any] = {
        "uid": name,
        "ready": True,
        "ready_at": NOW - 1000,
        "restarts": 0,
        "created_at": NOW - 1010,
        "deletion_cost": 0,
    }
    return Candidate(name=name, **{**settings, **changes})


def victims(*pods: Candidate, count: int = 1) -> list[str]:
    return choose_victims(pods, count, now=NOW)


def test_not_ready_goes_first() -> None:
    assert victims(pod("a", ready_at=NOW - 1), pod("b", ready=False, ready_at=None, created_at=NOW - 5000)) == ["b"]


def test_then_the_cheapest_to_delete() -> None:
    assert victims(pod("a", ready_at=NOW - 1), pod("b", deletion_cost=-5)) == ["b"]


def test_then_the_shortest_time_ready() -> None:
    assert victims(pod("a"), pod("b", ready_at=NOW - 10), pod("c", ready_at=NOW - 100), count=2) == ["b", "c"]


def test_ages_of_one_power_of_two_count_as_equal_and_the_uid_decides() -> None:
    assert victims(pod("a", uid="2", ready_at=NOW - 900), pod("b", uid="1", ready_at=NOW - 1000)) == ["b"]


def test_then_the_most_restarts_then_the_youngest() -> None:
    assert victims(pod("a", created_at=NOW - 1), pod("b", restarts=2)) == ["b"]
    unready = {"ready": False, "ready_at": None}
    assert victims(pod("a", **unready), pod("b", created_at=NOW - 3, **unready)) == ["b"]


ages = st.floats(0.001, 100_000)


@given(
    st.lists(st.tuples(st.booleans(), ages, st.integers(0, 3)), max_size=8),
    st.integers(0, 8),
)
def test_never_a_ready_pod_before_an_unready_one(rows: list[tuple[bool, float, int]], count: int) -> None:
    pods = [
        pod(str(i), ready=ready, ready_at=NOW - age if ready else None, created_at=NOW - age - 1, restarts=restarts)
        for i, (ready, age, restarts) in enumerate(rows)
    ]
    chosen = choose_victims(pods, count, now=NOW)
    assert len(chosen) == len(set(chosen)) == min(count, len(pods))
    unready = {each.name for each in pods if not each.ready}
    assert len(unready & set(chosen)) == min(len(chosen), len(unready))


def test_back_off_doubles_from_the_second_restart_up_to_the_limit() -> None:
    state, now, pauses = BackOff(base_seconds=10, limit_seconds=300), 0.0, []
    for _ in range(8):
        pauses.append(state.restart_at(now) - now)
        now = state.restart_at(now)
        state = state.restarted(now)
    assert pauses == [0, 10, 20, 40, 80, 160, 300, 300]


def test_back_off_forgets_after_running_long_enough() -> None:
    state = BackOff().restarted(0.0).restarted(10.0)
    assert state.restart_at(20.0) == 40.0
    assert state.restart_at(10.0 + 601.0) == 611.0
    assert state.restarted(700.0).wait_seconds == 10.0


def test_names_look_like_kubernetes_and_keep_its_limit() -> None:
    name = generated_name(f"celery-io-worker-{template_hash({'a': 1})}", random.Random(1))
    assert re.fullmatch(r"celery-io-worker-[bcdfghjklmnpqrstvwxz2-9]{9}-[bcdfghjklmnpqrstvwxz2-9]{5}", name)
    assert len(generated_name("x" * 80, random.Random(1))) == 63
    assert template_hash({"a": 1}) == template_hash({"a": 1}) != template_hash({"a": 2})
