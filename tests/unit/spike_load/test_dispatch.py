"""What is published when: first attempts in time, retries behind their queue's gate, nothing forgotten."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_workers import Backoff
from harness.spike.arrivals import Arrival
from harness.spike.dispatch import IDLE_SECONDS, Dispatcher, Offer
from harness.spike.gate import MAX_HOLDS, Gate
from harness.spike.scenario import Publishing


def settings(**changed: float) -> Publishing:
    figures = {"deadline_seconds": 30.0, "attempts_per_second": 1000.0, "hold_seconds": 0.5} | changed
    backoff = Backoff(first_seconds=1, factor=2, max_seconds=8, jitter=0)
    return Publishing(connections=4, cpu_seconds=0.001, backoff=backoff, **figures)


def arrival(name: str, due: float = 0.0, queue: str = "io") -> Arrival:
    return Arrival(
        id=name,
        due_seconds=due,
        task="t",
        phase="p",
        kwargs={},
        queue=queue,
        worker_class=queue,
        service_seconds=1,
        cpu_seconds=0.01,
    )


def dispatcher(*arrivals: Arrival, publishers: int = 1, **changed: float) -> Dispatcher:
    return Dispatcher(arrivals, settings(**changed), rng=random.Random(1), publishers=publishers)


def take(one: Dispatcher, now: float) -> Offer:
    offer = one.next(now)
    assert offer is not None
    return offer


def test_a_first_attempt_waits_for_its_time_and_no_longer() -> None:
    one = dispatcher(arrival("a", 1.0), arrival("b", 2.0))
    assert one.next(0.9) is None
    assert take(one, 1.0).arrival.id == "a"
    assert one.next(1.9) is None
    assert take(one, 2.1).arrival.id == "b"
    assert one.tally.offered == 2


def test_the_pause_ends_when_the_next_attempt_is_due() -> None:
    one = dispatcher(arrival("a", 0.1), arrival("b", 9.0))
    assert one.pause_seconds(0.0) == pytest.approx(0.1)
    take(one, 0.1)
    assert one.pause_seconds(0.2) == IDLE_SECONDS
    assert one.pause_seconds(8.9) == pytest.approx(0.1)
    assert one.pause_seconds(9.5) == 0


def test_a_refused_task_comes_back_after_its_delay_with_the_next_attempt_number() -> None:
    one = dispatcher(arrival("a"))
    offer = take(one, 0.0)
    assert one.refused(offer, 0.2)
    assert one.next(1.1) is None  # 0.2 + 1 s
    again = take(one, 1.2)
    assert (again.arrival.id, again.attempt) == ("a", 2)
    assert one.refused(again, 1.3)
    assert one.next(3.2) is None  # 1.3 + 2 s
    one.accepted(take(one, 3.3))
    assert one.tally.settled
    assert (one.tally.refusals, one.tally.retries, one.tally.accepted) == (2, 2, 1)


def test_a_first_attempt_goes_before_waiting_retries() -> None:
    one = dispatcher(arrival("a"), arrival("b", 5.0))
    one.refused(take(one, 0.0), 0.0)
    assert take(one, 5.0).arrival.id == "b"
    assert take(one, 5.1).arrival.id == "a"


def test_a_refusal_shuts_the_gate_to_all_retries_of_that_queue_but_not_to_first_attempts() -> None:
    one = dispatcher(arrival("a"), arrival("b"), arrival("d", 0.5, "cpu"), arrival("c", 2.1), hold_seconds=3.0)
    first, second = take(one, 0.0), take(one, 0.01)
    one.refused(first, 0.1)  # io's gate is shut until 3.1
    one.refused(second, 0.2)  # while shut, a refusal changes nothing
    one.refused(take(one, 0.5), 0.5)  # cpu's until 3.5
    assert one.next(2.0) is None  # both delays of 1 s are over, both gates shut
    assert take(one, 2.1).arrival.id == "c"
    assert [take(one, 3.2).arrival.id, take(one, 3.3).arrival.id] == ["a", "b"]
    assert one.next(3.4) is None
    assert take(one, 3.5).arrival.id == "d"


def test_the_pause_knows_of_the_gate() -> None:
    one = dispatcher(arrival("a"), hold_seconds=3.0)
    one.refused(take(one, 0.0), 0.0)
    assert one.pause_seconds(2.9) == pytest.approx(0.1)


def test_no_attempt_starts_after_the_deadline() -> None:
    one = dispatcher(arrival("a"), deadline_seconds=4.0)
    assert one.refused(take(one, 0.0), 0.0)
    assert one.refused(take(one, 1.0), 1.5)
    assert not one.refused(take(one, 3.5), 3.6)  # 4 s more would be 7.6
    assert one.tally.settled
    assert one.tally.gave_up == 1


def test_a_task_whose_gate_opens_too_late_is_given_up_and_said_so() -> None:
    one = dispatcher(arrival("a"), arrival("b"), deadline_seconds=4.0, hold_seconds=9.0)
    one.refused(take(one, 0.0), 0.0)
    one.accepted(take(one, 0.1))
    assert one.next(8.9) is None
    assert one.given_up() == []
    assert one.next(9.0) is None
    assert [offer.arrival.id for offer in one.given_up()] == ["a"]
    assert one.given_up() == []
    assert one.tally.settled


def test_a_final_refusal_is_not_offered_again() -> None:
    one = dispatcher(arrival("a"))
    assert not one.refused(take(one, 0.0), 0.0, final=True)
    assert one.waiting == 0
    assert one.tally.gave_up == 1


def test_an_unconfirmed_task_comes_back_and_shuts_no_gate() -> None:
    one = dispatcher(arrival("a"), arrival("b"), hold_seconds=9.0)
    offer = take(one, 0.0)
    assert one.unconfirmed(offer, 0.0)
    take(one, 0.1)
    assert take(one, 1.0).attempt == 2
    assert (one.tally.unconfirmed, one.tally.refusals) == (1, 0)


def test_the_pace_holds_over_time_and_makes_good_only_a_short_pause() -> None:
    one = dispatcher(*(arrival(str(number)) for number in range(100)), attempts_per_second=10)
    taken = sum(one.next(step / 100) is not None for step in range(501))
    assert 50 <= taken <= 52
    burst = sum(one.next(9.0) is not None for _ in range(50))
    assert burst <= 2


def test_publishers_share_the_pace() -> None:
    one = dispatcher(*(arrival(str(number)) for number in range(100)), attempts_per_second=100, publishers=4)
    assert 25 <= sum(one.next(step / 200) is not None for step in range(200)) <= 28


def test_an_offer_put_back_is_as_if_never_handed_out() -> None:
    one = dispatcher(arrival("a"), arrival("b", 9.0))
    offer = take(one, 0.0)
    one.put_back(offer, 0.1)
    assert (one.tally.offered, offer.attempt) == (0, 0)
    one.refused(take(one, 0.2), 0.2)
    retry = take(one, 2.0)
    one.put_back(retry, 2.0)
    assert (one.tally.retries, one.waiting) == (0, 1)
    assert [left.arrival.id for left in one.abandon()] == ["a"]  # b was never offered


def test_the_gate_holds_longer_while_nothing_is_accepted() -> None:
    gate, now, holds = Gate(hold_seconds=1.0), 0.0, []
    for _ in range(6):
        gate.refused(now)
        holds.append(gate.opens_at - now)
        now = gate.opens_at
    assert holds == [1, 2, 4, MAX_HOLDS, MAX_HOLDS, MAX_HOLDS]
    gate.accepted()
    gate.refused(now)
    assert gate.opens_at == now + 1


@given(
    st.lists(st.sampled_from(["accept", "refuse", "stored", "silent"]), min_size=1, max_size=200),
    st.integers(1, 30),
    st.integers(0, 2**32),
)
def test_every_task_ends_accepted_or_given_up_exactly_once(verdicts: list[str], count: int, seed: int) -> None:
    rng = random.Random(seed)
    arrivals = sorted(
        (arrival(str(n), rng.uniform(0, 5), rng.choice(["io", "cpu"])) for n in range(count)),
        key=lambda one: one.due_seconds,
    )
    one = Dispatcher(arrivals, settings(deadline_seconds=20.0), rng=rng)
    ended: list[str] = []
    now, turn = 0.0, 0
    while not one.tally.settled:
        offer = one.next(now)
        ended += [late.arrival.id for late in one.given_up()]
        if offer is None:
            now += max(one.pause_seconds(now), 1e-6)
            assert now < 200
            continue
        verdict = verdicts[turn % len(verdicts)]
        turn += 1
        if verdict == "accept":
            one.accepted(offer)
            again = False
        elif verdict == "silent":
            again = one.unconfirmed(offer, now)
        else:
            again = one.refused(offer, now, final=verdict == "stored")
        if not again:
            ended.append(offer.arrival.id)
    assert sorted(ended) == sorted(one.id for one in arrivals)
    assert one.waiting == 0
    assert one.tally.offered == count
    assert one.tally.accepted + one.tally.gave_up == count


def test_a_full_queue_costs_few_attempts_and_never_runs_empty() -> None:
    """10,000 tasks at once, room for 5,000 and for 100 more each second."""
    publishing = Publishing(
        deadline_seconds=300,
        connections=8,
        attempts_per_second=900,
        hold_seconds=0.5,
        cpu_seconds=0.001,
        backoff=Backoff(),
    )
    one = Dispatcher((arrival(str(number)) for number in range(10_000)), publishing, rng=random.Random(1))
    room, served_at, now = 5000.0, 0.0, 0.0
    refused: set[str] = set()
    while not one.tally.settled:
        offer = one.next(now)
        if offer is None:
            now += max(one.pause_seconds(now), 0.001)
            continue
        room, served_at = min(5000.0, room + 100 * (now - served_at)), now
        if room >= 1:
            room -= 1
            one.accepted(offer)
        else:
            refused.add(offer.arrival.id)
            one.refused(offer, now)
    assert 3500 < len(refused) < 4500  # first attempts beyond 5,000 and the 100 a second, within 11 s
    assert one.tally.refusals - len(refused) < 0.1 * len(refused)  # refused again
    assert now < 52  # 5,000 more need 50 s
    assert one.tally.accepted == 10_000
