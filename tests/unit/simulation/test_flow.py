"""What happens to tasks, by hand: small plants of which every time can be worked out."""

from __future__ import annotations

import numpy as np
import pytest

from celery_workers.backoff import Backoff
from harness.simulation import DONE, DROPPED, EXPIRED, FAILED, OPEN, REFUSED, Clockwork, Fixed, Nodes, Queue, Task
from tests.unit.simulation.plants import load, plant, publisher, run, task, worker_class


def test_one_slot_does_one_task_after_the_other() -> None:
    trace = run(plant(), load([0.0, 0.0, 5.0], task(2)))
    assert trace.started.tolist() == pytest.approx([0.0, 2.0, 5.0], abs=1e-6)
    assert trace.done.tolist() == pytest.approx([2.0, 4.0, 7.0], abs=1e-6)
    assert (trace.state == DONE).all()
    assert trace.end_seconds == trace.done.max()


def test_a_run_holds_its_slot_for_the_overhead_too() -> None:
    trace = run(plant(worker_class(overhead_seconds=0.5)), load([0.0, 0.0], task(2)))
    assert trace.done.tolist() == pytest.approx([2.5, 5.0], abs=1e-6)


def test_each_pod_has_its_slots() -> None:
    trace = run(plant(worker_class(slots=2, replicas=2)), load([0.0] * 6, task(1)))
    assert np.sort(trace.done).tolist() == pytest.approx([1, 1, 1, 1, 2, 2], abs=1e-6)
    assert trace.unacked["q"][1] == 4


def test_a_higher_priority_overtakes_what_waits() -> None:
    low, high = task(1, priority=1), Task(name="h", queue="q", service=Fixed(1), priority=9)
    queues = (Queue(name="q", priorities=True),)
    trace = run(plant(queues=queues), load([0, 0, 0.1], low, high, kinds=[0, 0, 1]))
    assert trace.started.tolist() == pytest.approx([0, 2, 1], abs=1e-6)
    without = run(plant(), load([0, 0, 0.1], low, high, kinds=[0, 0, 1]))
    assert without.started.tolist() == pytest.approx([0, 1, 2], abs=1e-6)


def test_a_message_expires_where_it_waits_for_too_long() -> None:
    trace = run(plant(queues=(Queue(name="q", ttl_seconds=1.5),)), load([0, 0, 1.0], task(2)))
    assert trace.state.tolist() == [DONE, EXPIRED, DONE]
    assert trace.started[2] == pytest.approx(2.0)


def test_a_full_queue_refuses_and_the_task_is_offered_again() -> None:
    queues = (Queue(name="q", max_length_messages=1),)
    offers = publisher(backoff=Backoff(first_seconds=0.25, factor=2, max_seconds=10, jitter=0), hold_seconds=0.1)
    trace = run(plant(queues=queues, offers=offers), load([0, 0, 0], task(1)))
    assert trace.refusals.tolist() == [0, 0, 3]  # at 0, 0.25, 0.75; at 1.75 there is room
    assert trace.refused_at.tolist() == pytest.approx([0, 0.25, 0.75], abs=1e-6)
    assert trace.refused_task.tolist() == [2, 2, 2]
    assert trace.accepted[2] == pytest.approx(1.75)
    assert (trace.attempts, trace.state.tolist()) == (6, [DONE] * 3)


def test_a_shut_gate_keeps_retries_away_and_lets_first_attempts_pass() -> None:
    queues = (Queue(name="q", max_length_messages=1),)
    offers = publisher(backoff=Backoff(first_seconds=0.25, factor=1, max_seconds=10, jitter=0), hold_seconds=0.6)
    trace = run(plant(queues=queues, offers=offers), load([0, 0, 0, 0.5], task(1)))
    # The gate shuts at 0 for 0.6 s and, nothing accepted meanwhile, at 0.6 for 1.2 s.
    assert trace.refused_at.tolist() == pytest.approx([0, 0.5, 0.6, 1.8], abs=1e-6)
    assert trace.refused_task.tolist() == [2, 3, 2, 2]


def test_no_attempt_starts_after_the_deadline() -> None:
    queues = (Queue(name="q", max_length_messages=0),)
    offers = publisher(backoff=Backoff(first_seconds=1, factor=1, max_seconds=1, jitter=0), deadline_seconds=2.5)
    trace = run(plant(queues=queues, offers=offers), load([0.0], task(1)))
    assert (trace.state.tolist(), trace.refusals.tolist()) == ([REFUSED], [3])
    assert trace.end_seconds == pytest.approx(2.0)


def test_what_is_refused_and_stored_is_not_offered_again() -> None:
    queues = (Queue(name="q", max_length_messages=1, overflow="reject-publish-dlx"),)
    trace = run(plant(queues=queues), load([0, 0, 0], task(1)))
    assert (trace.state.tolist(), trace.refused_stored) == ([DONE, DONE, REFUSED], 1)


def test_drop_head_takes_everything_and_loses_the_oldest() -> None:
    queues = (Queue(name="q", max_length_messages=1, overflow="drop-head"),)
    trace = run(plant(queues=queues), load([0, 0, 0], task(1)))
    assert trace.state.tolist() == [DONE, DROPPED, DONE]
    assert not np.isnan(trace.accepted[1])


def test_the_publisher_keeps_its_pace() -> None:
    trace = run(plant(worker_class(slots=100), offers=publisher(attempts_per_second=10)), load([0.0] * 5, task(1)))
    assert trace.first_attempt.tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_several_publishers_share_pace_and_tasks() -> None:
    offers = publisher(attempts_per_second=10, publishers=2)
    trace = run(plant(worker_class(slots=100), offers=offers), load([0.0] * 4, task(1)))
    assert trace.first_attempt.tolist() == pytest.approx([0, 0, 0.2, 0.2])


def test_an_answer_takes_its_time() -> None:
    queues = (Queue(name="q", max_length_messages=0),)
    offers = publisher(
        confirm_seconds=0.1,
        backoff=Backoff(first_seconds=0.2, factor=1, max_seconds=0.2, jitter=0),
        deadline_seconds=0.5,
        hold_seconds=0.01,
    )
    trace = run(plant(queues=queues, offers=offers), load([0.0], task(1)))
    assert trace.refused_at.tolist() == pytest.approx([0.1, 0.4])
    assert run(plant(offers=offers), load([0.0], task(1))).accepted[0] == pytest.approx(0.1)


def test_a_failed_task_runs_again_and_is_dead_lettered_in_the_end() -> None:
    trace = run(plant(), load([0.0], task(1, failure_share=1.0, max_retries=2, retry_seconds=10)))
    assert trace.state.tolist() == [FAILED]
    assert trace.end_seconds == pytest.approx(23.0)
    assert trace.unacked["q"][5] == 1  # it is held meanwhile


def test_the_share_that_fails() -> None:
    trace = run(plant(worker_class(slots=100)), load(np.zeros(4000), task(1, failure_share=0.25)))
    assert (trace.state == FAILED).sum() == pytest.approx(1000, abs=4 * np.sqrt(4000 * 0.25 * 0.75))


def test_gevent_tasks_take_turns_on_one_core() -> None:
    trace = run(plant(worker_class(slots=3, cpu_cores=4)), load([0, 0, 0], task(1, cpu_seconds=1)))
    # Each a sixth of a second to be taken, then two more in turn to ask; a second later half a second each.
    assert trace.done.tolist() == pytest.approx([8 / 3, 19 / 6, 11 / 3], abs=1e-6)
    alone = run(plant(worker_class(slots=3, cpu_cores=4)), load([0, 0, 0], task(0, cpu_seconds=1)))
    assert alone.done.tolist() == pytest.approx([1, 2, 3], abs=1e-6)


def test_tasks_that_come_together_are_all_taken_before_the_first_of_them_asks() -> None:
    trace = run(plant(worker_class(slots=200)), load(np.zeros(400), task(2, cpu_seconds=0.002)))
    done = np.sort(trace.done)
    # 200 times two turns of a third of a millisecond, the third of the first, the wait, a whole one to end.
    assert done[0] == pytest.approx((400 / 3 + 1 / 3) / 1000 + 2 + 0.001, abs=1e-6)
    assert done[199] > 2.2  # 200 times a millisecond before anybody is asked last


def test_a_task_that_comes_alone_to_a_gevent_pod_waits_for_no_turn() -> None:
    trace = run(plant(worker_class(slots=200)), load([0.0, 5.0], task(2, cpu_seconds=0.002)))
    assert trace.done.tolist() == pytest.approx([2.002, 7.002], abs=1e-6)


def test_threads_share_one_core() -> None:
    trace = run(plant(worker_class(pool="threads", slots=2)), load([0, 0.25], task(1, cpu_seconds=1)))
    # Before and after the second each waits: one alone for a quarter, both at half speed, the other alone.
    assert trace.done.tolist() == pytest.approx([2.5, 2.75], abs=1e-6)


def test_threads_that_compute_shortly_take_turns() -> None:
    trace = run(plant(worker_class(pool="threads", slots=2)), load([0, 0], task(0, cpu_seconds=0.004)))
    assert trace.done.tolist() == pytest.approx([0.004, 0.008], abs=1e-6)


def test_prefork_children_have_a_core_each_up_to_the_limit() -> None:
    pod = worker_class(pool="prefork", slots=4, cpu_cores=2)
    assert run(plant(pod), load([0, 0], task(1, cpu_seconds=1))).done.tolist() == pytest.approx([2, 2], abs=1e-6)
    trace = run(plant(pod), load([0] * 4, task(1, cpu_seconds=1)))
    assert trace.done.tolist() == pytest.approx([3] * 4, abs=1e-6)


def test_what_is_not_done_at_the_limit_stays_open() -> None:
    trace = run(plant(), load([0, 0], task(2)), limit_seconds=3)
    assert trace.state.tolist() == [DONE, OPEN]
    assert (trace.end_seconds, trace.limit_reached) == (3.0, True)
    assert np.isnan(trace.done[1])
    assert trace.seconds.tolist() == [0, 1, 2, 3]


def test_nothing_offered_ends_at_once() -> None:
    trace = run(plant(), load([]))
    assert (trace.end_seconds, trace.limit_reached) == (0.0, False)
    assert run(plant(), load([]), limit_seconds=7, to_the_limit=True).replica_seconds == {"w": 7.0}


def test_samples_say_what_is_where() -> None:
    trace = run(plant(worker_class(idle_cores=0.1, memory_bytes=50, memory_bytes_per_task=3)), load([0] * 3, task(2)))
    assert trace.ready["q"][1:].tolist() == [2, 1, 1, 0, 0, 0]
    assert trace.busy_slots["w"].tolist() == pytest.approx([0, 1, 1, 1, 1, 1, 1], abs=1e-6)
    assert trace.memory_bytes["w"].tolist() == [53] * 6 + [50]
    assert trace.cpu_cores["w"][1:].tolist() == pytest.approx([0.1] * 6)


@pytest.mark.parametrize(
    ("what", "offered", "says"),
    [
        (plant(), load([0.0], task(queue="x")), "goes to 'x', which is no queue"),
        (plant(worker_class(queues=("y",))), load([0.0]), "consumes 'y', which is no queue"),
        (plant(worker_class(), worker_class(name="v", deployment="v")), load([0.0]), "queue 'q' has two classes"),
        (plant(), load([1.0, 0.0]), "due times must be in order"),
        (plant(worker_class(cpu_weight=0.0)), load([0.0]), "cpu_weight is 0.0, must be above 0"),
        (plant(nodes=Nodes(pod_cpu_seconds=-1)), load([0.0]), "pod_cpu_seconds and pod_cores must not be below 0"),
        (plant(clockwork=Clockwork(reconcile_seconds=-1)), load([0.0]), "reconcile_seconds must not be below 0"),
    ],
)
def test_what_cannot_be_simulated_is_said(what, offered, says) -> None:
    with pytest.raises(ValueError, match=says):
        run(what, offered)
