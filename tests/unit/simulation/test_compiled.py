"""The compiled kernel against its source as it stands, which is the reference. In one process: compiling takes long."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.simulation import Load, Plant
from tests.unit.simulation.plants import run
from tests.unit.simulation.strategies import plain_plants_and_loads, plants_and_loads
from tests.unit.simulation.test_invariants import same

pytestmark = [pytest.mark.xdist_group("compiled-simulation"), pytest.mark.timeout(600)]


@settings(max_examples=settings.default.max_examples * 3 // 5)
@given(plants_and_loads(), st.integers(0, 2**32 - 1))
def test_the_compiled_flow_is_equal_to_the_bit(case: tuple[Plant, Load], seed: int) -> None:
    what, offered = case
    same(*(run(what, offered, seed=seed, limit_seconds=100, compiled=compiled) for compiled in (False, True)))


@settings(max_examples=settings.default.max_examples * 3 // 5)
@given(plain_plants_and_loads(), st.integers(0, 2**32 - 1))
def test_so_is_the_short_way(case: tuple[Plant, Load], seed: int) -> None:
    what, offered = case
    same(*(run(what, offered, seed=seed, compiled=compiled) for compiled in (False, True)))


def test_arrays_grow_as_they_are_filled() -> None:
    from harness.simulation import Queue
    from tests.unit.simulation.plants import load, plant, publisher, task, worker_class

    queues = (Queue(name="q", max_length_messages=10),)
    pods = worker_class(slots=3, replicas=700)
    offered = load(np.zeros(4000), task(50, failure_share=0.5, max_retries=100))
    trace = run(plant(pods, queues=queues, offers=publisher()), offered, compiled=True)
    assert len(trace.refused_at) > 1024
    assert trace.attempts > 4000
    assert len(trace.seconds) == np.ceil(trace.end_seconds) + 1
