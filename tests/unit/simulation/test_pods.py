"""Pods that come and go, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.simulation import DONE, Clockwork, CostByRate, Nodes, Queue, Task, Trace
from tests.unit.simulation.plants import hpa_scaler, keda_scaler, load, plant, run, task, worker_class

UP = {"scaleUp": {"policies": [{"type": "Pods", "value": 3, "periodSeconds": 60}]}}
AT_ONCE = {"scaleUp": {"policies": [{"type": "Pods", "value": 100, "periodSeconds": 15}]}}
DOWN = {
    "scaleDown": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}
}


def steps(trace: Trace) -> list[tuple[float, int, int]]:
    return [(step.t, step.before, step.after) for step in trace.steps]


def test_the_first_sync_asks_for_what_the_queue_shows_and_the_policy_allows() -> None:
    pod = worker_class(slots=10, scaler=keda_scaler(depth=10, behavior=UP))
    trace = run(plant(pod), load([0.0] * 700, task(10)))
    assert steps(trace) == [(14.5, 1, 4), (74.5, 4, 5)]
    assert "limited by +3 pods/60 s" in trace.steps[0].reason
    assert trace.pods_ready["w"][[14, 15, 76]].tolist() == [1, 4, 5]


def test_a_new_pod_takes_tasks_after_its_start_and_counts_later() -> None:
    pod = worker_class(scaler=keda_scaler(depth=1, maximum=2), start_seconds=3, ready_seconds=5)
    trace = run(plant(pod), load([0.0] * 4, task(20)))
    assert np.sort(trace.started).tolist() == pytest.approx([0, 17.5, 20, 37.5], abs=1e-6)
    assert trace.pods_ready["w"][[19, 20]].tolist() == [1, 2]
    assert trace.running["w"][[14, 15]].tolist() == [1, 2]


def test_starts_share_the_machines_cores() -> None:
    pod = worker_class(scaler=keda_scaler(depth=1, maximum=5), start_seconds=2, start_cpu_seconds=2)
    trace = run(plant(pod, nodes=Nodes(cores=2)), load([0.0] * 5, task(60)))
    # Three pods start on two cores: what takes 2 s alone takes 3 s.
    assert np.sort(trace.started)[1:4].tolist() == pytest.approx([17.5] * 3, abs=0.02)


def test_many_that_start_at_once_get_no_more_than_the_machine_has() -> None:
    scaler = keda_scaler(depth=1, maximum=13, behavior=AT_ONCE)
    pod = worker_class(
        scaler=scaler, start_seconds=1, start_cpu_seconds=1, ready_seconds=1, probe_cpu_seconds=0.5, grace_seconds=1000
    )
    trace = run(plant(pod, nodes=Nodes(cores=2)), load([0.0] * 13, task(60)))
    # Twelve starts of 1 s are 12 s of CPU time; twelve attempts of 0.5 s come after them.
    assert np.sort(trace.started)[1:].tolist() == pytest.approx([14.5 + 6] * 12, rel=0.02)
    assert np.flatnonzero(trace.pods_ready["w"] == 13)[0] == pytest.approx(14.5 + 9, abs=1.0)
    assert trace.cpu_cores["w"].max() <= 2.0 + 0.05


def test_a_prefork_pod_asks_for_no_more_cores_than_it_has_processes_at_work() -> None:
    computing = (task(0, cpu_seconds=1), task(0, name="z", queue="z", cpu_seconds=1))
    prefork = worker_class(pool="prefork", slots=4, cpu_cores=4)
    gevent = worker_class(name="v", deployment="v", queues=("z",))
    what = plant(prefork, gevent, queues=(Queue(name="q"), Queue(name="z")), nodes=Nodes(cores=2))
    trace = run(what, load([0.0, 0.0], *computing, kinds=[0, 1]))
    assert trace.done.tolist() == pytest.approx([1.0, 1.0], abs=0.01)


def test_what_stand_ins_and_broker_cannot_do_now_they_do_later_and_share_the_cores_until_then() -> None:
    # Twenty tasks that end at once ask the rest of the machine for 10 s of CPU time, on two cores.
    asking, computing = task(1, host_cpu_seconds=0.5), task(0, name="c", cpu_seconds=0.5)
    offered = load([0.0] * 20 + [2.0, 4.0, 12.0], asking, computing, kinds=[0] * 20 + [1] * 3)
    trace = run(plant(worker_class(slots=21), nodes=Nodes(cores=2)), offered)
    # Three processes on two cores while there is some of it left, then there is a core for everybody.
    assert trace.done[20:].tolist() == pytest.approx([2.75, 4.75, 12.5], abs=0.05)


def test_a_node_has_to_make_a_pod_before_its_worker_can_start() -> None:
    pod = worker_class(scaler=keda_scaler(depth=1, maximum=7, behavior=AT_ONCE), start_seconds=3, start_cpu_seconds=1)

    def starts(cores: float | None) -> Any:
        return np.sort(run(plant(pod, nodes=Nodes(cores=cores, pod_cpu_seconds=1)), load([0.0] * 7, task(60))).started)

    # Alone a pod starts as fast as ever: a second its node, a second nobody, a second its worker.
    assert starts(None)[1:].tolist() == pytest.approx([14.5 + 3] * 6)
    assert starts(12)[1:].tolist() == pytest.approx([14.5 + 3] * 6, abs=0.05)
    # Six seconds of making and six of starting, on two cores, and a second between them.
    assert starts(2)[1:].tolist() == pytest.approx([14.5 + 7] * 6, abs=0.1)


def test_a_pod_that_goes_while_its_node_makes_it_never_starts() -> None:
    pod = worker_class(scaler=keda_scaler(depth=1, maximum=2, behavior=DOWN), start_seconds=70, start_cpu_seconds=1)
    trace = run(plant(pod, nodes=Nodes(cores=4, pod_cpu_seconds=60)), load([0.0, 0.0], task(20)), limit_seconds=70)
    assert steps(trace) == [(14.5, 1, 2), (29.5, 2, 1)]
    assert trace.pods_ready["w"].max() == 1
    assert trace.host_cores[20:29].tolist() == pytest.approx([1.0] * 9, abs=0.05)
    assert trace.host_cores[31:].max() == 0.0


def test_each_pod_takes_its_node_a_little_and_leaves_tasks_the_rest() -> None:
    computing = load([0.0] * 4, task(0, cpu_seconds=3))
    nodes = Nodes(cores=2, pod_cores=0.25)
    trace = run(plant(worker_class(replicas=2, slots=1, cpu_cores=1), nodes=nodes), computing)
    # Two cores less a half for two pods: twelve seconds of work take eight.
    assert trace.done.max() == pytest.approx(8.0, abs=0.05)
    assert trace.host_cores[2:6].tolist() == pytest.approx([2.0] * 4, abs=0.05)


def test_where_cores_are_short_pods_get_them_by_weight() -> None:
    heavy = worker_class(slots=1, cpu_weight=3.0)
    light = worker_class(name="v", deployment="v", queues=("z",), slots=1, cpu_weight=1.0)
    what = plant(heavy, light, queues=(Queue(name="q"), Queue(name="z")), nodes=Nodes(cores=1))
    computing = (task(0, cpu_seconds=3), task(0, name="z", queue="z", cpu_seconds=3))
    trace = run(what, load([0.0, 0.0], *computing, kinds=[0, 1]))
    assert trace.done.tolist() == pytest.approx([4.0, 6.0], abs=0.05)


def test_the_next_decision_comes_a_period_after_the_last_is_made() -> None:
    pod = worker_class(scaler=keda_scaler(depth=1, behavior=AT_ONCE))
    clockwork = Clockwork(first_sync_seconds=14.0, reconcile_seconds=0.5)
    trace = run(plant(pod, clockwork=clockwork), load([0.0, 20.0, 20.0, 40.0, 40.0], task(100)))
    assert steps(trace)[:2] == [(29.5, 1, 3), (45.0, 3, 5)]


@pytest.mark.parametrize("cores", [None, 4.0])
def test_a_startup_probe_that_has_a_core_to_itself_changes_no_time(cores: float | None) -> None:
    pod = worker_class(
        scaler=keda_scaler(depth=1, maximum=2),
        start_seconds=2,
        start_cpu_seconds=2,
        ready_seconds=5,
        probe_cpu_seconds=1,
    )
    trace = run(plant(pod, nodes=Nodes(cores=cores)), load([0.0] * 2, task(60)))
    assert np.sort(trace.started)[1] == pytest.approx(16.5, abs=0.01)
    assert trace.pods_ready["w"][[19, 20]].tolist() == [1, 2]
    # The pod's start and the attempt of its probe that found it.
    assert np.sum(trace.cpu_cores["w"]) == pytest.approx(3.0, abs=0.01)


def test_a_startup_probe_and_its_worker_share_the_pods_limit() -> None:
    pod = worker_class(
        scaler=keda_scaler(depth=1, maximum=2),
        cpu_cores=0.5,
        cpu_limit_cores=0.5,
        start_seconds=2,
        start_cpu_seconds=1,
        ready_seconds=4,
        probe_cpu_seconds=0.5,
    )

    def second(each: Task, *, cores: float | None = 8) -> tuple[float, list[int]]:
        trace = run(plant(pod, nodes=Nodes(cores=cores)), load([0.0] * 2, task(60), each, kinds=[0, 1]))
        return float(trace.done[1]), trace.pods_ready["w"][[18, 19, 20]].tolist()

    # Its attempt needs a second of the limit; two where a task computes from 16.5 s on, which has half of it meanwhile.
    assert second(task(60, name="z"))[1] == [1, 2, 2]
    assert second(task(60, name="z"), cores=None)[1] == [1, 2, 2]
    assert second(task(0, name="z", cpu_seconds=2)) == (pytest.approx(16.5 + 4 + 1, abs=0.05), [1, 1, 2])


def test_startup_probes_take_the_cores_that_starts_need() -> None:
    pod = worker_class(
        scaler=keda_scaler(depth=1, maximum=5),
        start_seconds=2,
        start_cpu_seconds=2,
        ready_seconds=3,
        probe_cpu_seconds=1,
    )
    slow = worker_class(
        name="v",
        deployment="v",
        queues=("z",),
        scaler=keda_scaler(depth=1, maximum=2, queue="z"),
        start_seconds=5,
        start_cpu_seconds=5,
        ready_seconds=5,
    )
    what = plant(pod, slow, queues=(Queue(name="q"), Queue(name="z")), nodes=Nodes(cores=2))
    trace = run(what, load([0.0] * 7, task(60), task(60, name="z", queue="z"), kinds=[0] * 5 + [1] * 2))
    # Three starts of 2 s beside one of 5 s, four processes on two cores: they are over after 4 s, their attempts of 1 s
    # after 6 s, when the other start has had 3 s; what is left takes 2 s.
    assert np.sort(trace.started[:5])[1:4].tolist() == pytest.approx([14.5 + 4] * 3, abs=0.05)
    assert trace.pods_ready["w"][[20, 21]].tolist() == [1, 4]
    assert np.sort(trace.started[5:])[1] == pytest.approx(14.5 + 8, abs=0.05)


def test_a_warm_pod_and_a_cold_one() -> None:
    def second_done(**changes: float) -> float:
        pod = worker_class(slots=2, scaler=keda_scaler(depth=1, maximum=2), **changes)
        return float(np.sort(run(plant(pod), load([0.0] * 3, task(60, cpu_seconds=0.1))).done)[2])

    # The worker does once what it does once, and the first task takes its turn after it.
    assert second_done(warm_up_cpu_seconds=0.5) == pytest.approx(second_done() + 0.5, abs=1e-6)


def test_a_pod_waits_for_room() -> None:
    scaler = keda_scaler(depth=1, maximum=3, behavior={**UP, **DOWN})
    pod = worker_class(scaler=scaler, cpu_request_milli=400, grace_seconds=1000)
    trace = run(plant(pod, nodes=Nodes(rooms=((1000, 10**9),))), load([0.0] * 3, task(30)))
    assert trace.running["w"][16] == 3  # wanted, and one of them Pending
    assert np.sort(trace.started).tolist() == pytest.approx([0, 14.5, 30], abs=1e-6)


def test_a_node_without_the_image_pulls_it_once() -> None:
    pod = worker_class(scaler=keda_scaler(depth=1, maximum=3), cpu_request_milli=400, image_seconds=8, start_seconds=1)
    trace = run(plant(pod, nodes=Nodes(rooms=((800, 10**9), (800, 10**9)))), load([0.0] * 3, task(60)))
    # The first goes to the empty node and pulls, the second beside the old one, where the image is.
    assert np.sort(trace.started).tolist() == pytest.approx([0, 15.5, 23.5], abs=1e-6)


def test_a_pod_that_goes_finishes_what_it_has() -> None:
    pod = worker_class(slots=1, replicas=2, scaler=keda_scaler(depth=100, behavior=DOWN), grace_seconds=100)
    trace = run(plant(pod), load([0.0, 0.0], task(40)))
    assert steps(trace) == [(14.5, 2, 1)]
    assert (trace.done.tolist(), trace.repeated) == (pytest.approx([40, 40]), 0)
    assert trace.replica_seconds["w"] == pytest.approx(80)


def test_what_is_left_after_the_grace_is_delivered_again() -> None:
    pod = worker_class(slots=1, replicas=2, scaler=keda_scaler(depth=100, behavior=DOWN), grace_seconds=10)
    trace = run(plant(pod), load([0.0, 0.0], task(40)))
    assert trace.repeated == 1
    assert np.sort(trace.done).tolist() == pytest.approx([40, 80])
    assert trace.ready["q"][[24, 25]].tolist() == [0, 1]
    assert (trace.state == DONE).all()


def test_cpu_against_the_request_as_metrics_server_shows_it() -> None:
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    pod = worker_class(slots=10, cpu_request_milli=200, memory_request_milli=10**12, scaler=hpa_scaler(cpu))
    arrivals = np.arange(0, 60, 0.1)
    trace = run(plant(pod), load(arrivals, task(0.5, cpu_seconds=0.015)))
    # 0.15 cores are 75 % of the request. The sample of 7 s has seen 6.5 s of it in 15 s: 32 %; that of 22 s all.
    assert steps(trace)[0] == (29.5, 1, 2)
    assert trace.cpu_cores["w"][30] == pytest.approx(0.15, abs=0.02)


@pytest.mark.parametrize(("age_seconds", "grows_at"), [(0.0, 29.5), (7.8, 44.5)])
def test_a_kubelets_figures_may_be_old_when_metrics_server_asks(age_seconds: float, grows_at: float) -> None:
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    pod = worker_class(slots=10, cpu_request_milli=200, memory_request_milli=10**12, scaler=hpa_scaler(cpu))
    what = plant(pod, clockwork=Clockwork(metrics_age_seconds=age_seconds))
    trace = run(what, load(np.arange(10, 60, 0.1), task(0.5, cpu_seconds=0.015)))
    # What is read at 22 s was measured then, 12 s after the tasks began, or at 14.2 s: 60 % or 21 % of the request.
    assert steps(trace)[0] == (grows_at, 1, 2)


def test_keda_wakes_a_class_from_zero_at_its_own_polling() -> None:
    pod = worker_class(replicas=0, scaler=keda_scaler(depth=1, minimum=0))
    trace = run(plant(pod, clockwork=Clockwork(first_sync_seconds=3.0)), load([5.0], task(1)))
    assert steps(trace)[0] == (18.0, 0, 1)
    assert trace.done.tolist() == pytest.approx([19.0])


def test_queues_without_a_class_keep_what_they_get() -> None:
    trace = run(plant(queues=(Queue(name="q"), Queue(name="z"))), load([0.0], task(queue="z")), limit_seconds=5)
    assert trace.ready["z"].tolist() == [1] * 6


def test_pods_of_two_classes_that_come_and_go_at_once_are_kept_apart() -> None:
    shrinks = worker_class(replicas=2, scaler=keda_scaler(depth=1, maximum=3, behavior=DOWN))
    grows = worker_class(name="v", deployment="v", queues=("z",), scaler=keda_scaler(queue="z", depth=1, maximum=2))
    late, early = task(60), task(60, name="z", queue="z")
    what = plant(shrinks, grows, queues=(Queue(name="q"), Queue(name="z")))
    trace = run(what, load([0, 0, 20, 20, 20], late, early, kinds=[1, 1, 0, 0, 0]))
    assert steps(trace)[:3] == [(14.5, 2, 1), (14.5, 1, 2), (29.5, 1, 3)]
    assert trace.running["w"][[15, 30]].tolist() == [1, 3]
    assert trace.running["v"][[15, 30]].tolist() == [2, 2]


# So many retries wait that the events of all pods at once do not fit beside them: a thousand and a few do at first.
RETRIES = 950
LATER = task(0, failure_share=1.0, max_retries=1, retry_seconds=5000.0)


def test_many_pods_find_room_for_what_they_plan_when_cores_are_shared() -> None:
    computing = task(0, name="c", cpu_seconds=1.0)
    offered = load([0.0] * RETRIES + [1.0] * 60, LATER, computing, kinds=[0] * RETRIES + [1] * 60)
    pod = worker_class(pool="prefork", replicas=60)
    trace = run(plant(pod, nodes=Nodes(cores=10)), offered, limit_seconds=9)
    assert trace.done[RETRIES:].tolist() == pytest.approx([7.0] * 60)  # sixty seconds of CPU time on ten cores


def test_many_pods_find_room_for_what_they_plan_when_they_come_at_once() -> None:
    offered = load([0.0] * RETRIES + [1.0] * 100, LATER, task(60, name="c"), kinds=[0] * RETRIES + [1] * 100)
    scaler = keda_scaler(depth=1, maximum=100, behavior=AT_ONCE)
    trace = run(plant(worker_class(scaler=scaler)), offered, limit_seconds=20)
    assert trace.running["w"][[14, 15]].tolist() == [1, 100]


def test_of_many_a_second_a_message_costs_less() -> None:
    """Measured at 10 a second, halved at 40: each task has 4 ms in its worker and 2 ms beside it there, not 8 and 4."""
    law = CostByRate(per_second=10, exponent=0.5, least_per_second=5, most_per_second=80)
    pod = worker_class(slots=100, message_cpu_seconds=0.008, message_cost=law)
    nodes = Nodes(cores=2.0, load_cost=law)
    steady = run(
        plant(pod, nodes=nodes), load(np.arange(0, 30, 0.025), task(1, cpu_seconds=0.008, host_cpu_seconds=0.004))
    )
    assert steady.cpu_cores["w"][10:30].mean() == pytest.approx(40 * 0.004, rel=0.03)
    assert (steady.host_cores - steady.cpu_cores["w"])[10:30].mean() == pytest.approx(40 * 0.002, rel=0.03)


def test_what_a_task_computes_beside_its_message_costs_the_same_at_every_rate() -> None:
    law = CostByRate(per_second=10, exponent=0.5, least_per_second=5, most_per_second=80)
    pod = worker_class(slots=100, message_cpu_seconds=0.008, message_cost=law)
    offered = load(np.arange(0, 30, 0.025), task(1, cpu_seconds=0.018))
    trace = run(plant(pod, nodes=Nodes(cores=2.0)), offered)
    assert trace.cpu_cores["w"][10:30].mean() == pytest.approx(40 * 0.014, rel=0.03)


def cores_used(law: CostByRate, per_second: float, *, message_cpu_seconds: float) -> float:
    """What a worker uses of so many messages a second, which do nothing else."""
    pod = worker_class(slots=100, message_cpu_seconds=message_cpu_seconds, message_cost=law)
    messages = load(np.arange(0, 30, 1 / per_second), task(1, cpu_seconds=message_cpu_seconds))
    return float(run(plant(pod, nodes=Nodes(cores=2.0)), messages).cpu_cores["w"][10:30].mean())


def test_a_rate_beyond_what_was_measured_changes_a_cost_no_further() -> None:
    law = CostByRate(per_second=10, exponent=1, least_per_second=5, most_per_second=20, below_exponent=1)
    assert cores_used(law, 40, message_cpu_seconds=0.008) == pytest.approx(40 * 0.004, rel=0.03)
    assert cores_used(law, 1, message_cpu_seconds=0.008) == pytest.approx(0.016, rel=0.03)


def test_of_fewer_a_second_a_message_costs_more_by_a_law_of_its_own() -> None:
    law = CostByRate(per_second=40, exponent=0, least_per_second=10, most_per_second=80, below_exponent=0.5)
    assert cores_used(law, 10, message_cpu_seconds=0.004) == pytest.approx(10 * 0.008, rel=0.03)
    assert cores_used(law, 80, message_cpu_seconds=0.004) == pytest.approx(80 * 0.004, rel=0.03)


def test_a_start_within_a_pods_limit_lasts_as_long_as_was_measured() -> None:
    pod = worker_class(
        scaler=keda_scaler(depth=1, maximum=5), start_seconds=4, start_cpu_seconds=0.5, ready_seconds=4, cpu_cores=0.25
    )
    trace = run(plant(pod, nodes=Nodes(cores=2)), load([0.0, 0.0], task(30)))
    assert steps(trace)[0] == (14.5, 1, 2)
    assert trace.started.tolist() == pytest.approx([0.0, 18.5], abs=0.05)
