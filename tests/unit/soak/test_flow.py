"""How much may be sent now."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.soak import flow

TOPOLOGY = {"queues": {"io": {"max_length_messages": 5000}, "cpu": {"max_length_messages": None}}}


def test_queues_are_filled_to_a_share_of_their_limit() -> None:
    assert flow.marks(TOPOLOGY) == {"io": 1500, "cpu": flow.WITHOUT_LIMIT_MESSAGES}
    assert flow.rooms({"io": 1500, "cpu": 10}, {"io": 1400, "cpu": 30}) == {"io": 100, "cpu": 0}


@given(st.lists(st.sampled_from(["io", "cpu"]), max_size=30), st.integers(0, 20), st.integers(0, 20))
def test_what_fits_never_fills_a_queue_beyond_its_room(queues: list[str], io: int, cpu: int) -> None:
    rooms = {"io": io, "cpu": cpu}
    count = flow.fitting(queues, rooms)
    assert all(queues[:count].count(name) <= room for name, room in rooms.items())
    if count < len(queues):
        assert queues[: count + 1].count(queues[count]) > rooms[queues[count]]


def test_a_rate_is_kept() -> None:
    assert flow.allowed(0, 10.0, None, at_most=500) == 500
    assert flow.allowed(90, 10.0, 10.0, at_most=500) == 10
    assert flow.allowed(200, 10.0, 10.0, at_most=500) == 0
