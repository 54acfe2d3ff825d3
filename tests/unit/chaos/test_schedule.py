"""When faults strike."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.chaos.faults import CATALOGUE, IN_CI, choose
from harness.chaos.schedule import CALM_SECONDS, phases, schedule, total_seconds
from harness.errors import InputError

TEN_MINUTES, TWO_MINUTES = 600.0, 120.0


@given(seed=st.integers(0, 2**32), names=st.lists(st.sampled_from(sorted(CATALOGUE)), min_size=1, unique=True))
def test_every_fault_strikes_once_and_never_two_at_a_time(seed: int, names: list[str]) -> None:
    injections = schedule(choose(names), rng=random.Random(seed))
    assert sorted(one.fault.name for one in injections) == sorted(names)
    assert injections[0].phase_start_seconds == CALM_SECONDS
    for one in injections:
        assert one.phase_start_seconds < one.start_seconds < one.end_seconds < one.phase_end_seconds
    for one, following in itertools.pairwise(injections):
        assert one.phase_end_seconds == following.phase_start_seconds
    assert schedule(choose(names), rng=random.Random(seed)) == injections


def test_another_seed_gives_another_order() -> None:
    orders = {tuple(one.fault.name for one in schedule(choose([]), rng=random.Random(seed))) for seed in range(20)}
    assert len(orders) == 20


def test_a_run_with_every_fault_takes_at_most_ten_minutes_and_the_one_in_ci_two() -> None:
    assert total_seconds(schedule(choose([]), rng=random.Random(1))) <= TEN_MINUTES
    assert total_seconds(schedule(choose(IN_CI), rng=random.Random(1))) <= TWO_MINUTES


def test_the_load_goes_on_through_every_fault() -> None:
    injections = schedule(choose([]), rng=random.Random(7))
    shaped = phases(injections, per_second=5)
    assert sum(float(str(one["seconds"])) for one in shaped) == total_seconds(injections)
    assert {one["rate_per_second"] for one in shaped} == {5}


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(InputError, match=r"--fault flood: there is no such fault; there are: kill-workers"):
        choose(["flood"])
