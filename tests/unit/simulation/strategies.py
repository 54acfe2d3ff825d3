"""Random plants and loads, small enough for the reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from celery_workers.backoff import Backoff
from harness.simulation import (
    Clockwork,
    CostByRate,
    Empirical,
    Fixed,
    Load,
    Lognormal,
    Nodes,
    Plant,
    Publisher,
    Queue,
    Scaler,
    Task,
    WorkerClass,
)
from tests.unit.simulation.plants import hpa_scaler, keda_scaler, load, plant

CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
DOWN = {
    "scaleDown": {"stabilizationWindowSeconds": 30, "policies": [{"type": "Pods", "value": 2, "periodSeconds": 15}]}
}
SERVICES = st.one_of(
    st.builds(Fixed, st.sampled_from([0.5, 1.0, 7.0])),
    st.builds(Lognormal, st.sampled_from([0.5, 3.0]), st.sampled_from([0.3, 1.5])),
    st.builds(Empirical, st.just((0.25, 1.0, 20.0))),
)
COSTS = st.sampled_from(
    [
        None,
        CostByRate(per_second=1.0, exponent=0.5, least_per_second=0.5, most_per_second=20.0, below_exponent=0.3),
    ]
)
DUES = st.lists(st.floats(0, 60).map(lambda at: round(at, 2)), min_size=1, max_size=80).map(sorted)


@st.composite
def tasks(draw: Any, name: str, queue: str, *, failing: bool = True) -> Task:
    return Task(
        name=name,
        queue=queue,
        service=draw(SERVICES),
        cpu_seconds=draw(st.sampled_from([0.0, 0.05, 0.8])),
        host_cpu_seconds=draw(st.sampled_from([0.0, 0.1])),
        priority=draw(st.integers(0, 3)),
        failure_share=draw(st.sampled_from([0.0, 0.3])) if failing else 0.0,
        max_retries=draw(st.integers(0, 2)),
        retry_seconds=draw(st.sampled_from([0.0, 4.0])),
    )


@st.composite
def queues(draw: Any, name: str) -> Queue:
    return Queue(
        name=name,
        max_length_messages=draw(st.sampled_from([None, 0, 1, 5, 20])),
        overflow=draw(st.sampled_from(["reject-publish", "reject-publish-dlx", "drop-head"])),
        ttl_seconds=draw(st.sampled_from([None, 5.0, 30.0])),
        priorities=draw(st.booleans()),
    )


@st.composite
def classes(draw: Any, name: str, *queue_names: str) -> WorkerClass:
    pool = draw(st.sampled_from(["gevent", "threads", "prefork", "solo"]))
    scaler: Scaler | None = draw(
        st.sampled_from(
            [
                None,
                keda_scaler(queue=queue_names[0], depth=2, behavior=DOWN),
                keda_scaler(queue=queue_names[0], depth=4, minimum=0),
                hpa_scaler(CPU, behavior=DOWN),
            ]
        )
    )
    return WorkerClass(
        name=name,
        deployment=name,
        pool=pool,
        slots=1 if pool == "solo" else draw(st.integers(1, 6)),
        queues=queue_names,
        replicas=draw(st.integers(0 if scaler and scaler.keda else 1, 3)),
        scaler=scaler,
        cpu_cores=draw(st.sampled_from([0.5, 1.0, 2.0])) if pool == "prefork" else 1.0,
        overhead_seconds=draw(st.sampled_from([0.0, 0.1])),
        image_seconds=draw(st.sampled_from([0.0, 5.0])),
        start_seconds=draw(st.sampled_from([0.0, 2.0])),
        ready_seconds=draw(st.sampled_from([0.0, 3.0])),
        start_cpu_seconds=draw(st.sampled_from([0.0, 1.5])),
        warm_up_cpu_seconds=draw(st.sampled_from([0.0, 0.3])),
        probe_cpu_seconds=draw(st.sampled_from([0.0, 0.4])),
        cpu_weight=draw(st.sampled_from([None, 0.7, 2.0])),
        cpu_limit_cores=draw(st.sampled_from([None, 0.5])),
        grace_seconds=draw(st.sampled_from([0.0, 2.0, 100.0])),
        idle_cores=draw(st.sampled_from([0.0, 0.02])),
        message_cpu_seconds=draw(st.sampled_from([0.01, 0.1])),
        message_cost=draw(COSTS),
        cpu_request_milli=200,
        memory_request_milli=10**11,
        memory_bytes=5 * 10**7,
        memory_bytes_per_task=10**5,
    )


@st.composite
def publishers(draw: Any) -> Publisher:
    return Publisher(
        deadline_seconds=draw(st.sampled_from([0.5, 20.0, 300.0])),
        attempts_per_second=draw(st.sampled_from([5.0, 900.0])),
        hold_seconds=draw(st.sampled_from([0.1, 0.5])),
        backoff=Backoff(first_seconds=0.2, factor=draw(st.sampled_from([1.0, 2.0])), max_seconds=5.0, jitter=0.5),
        cpu_seconds=draw(st.sampled_from([0.0, 0.02])),
        publishers=draw(st.integers(1, 3)),
        confirm_seconds=draw(st.sampled_from([0.0, 0.01])),
    )


@st.composite
def plants_and_loads(draw: Any) -> tuple[Plant, Load]:
    """Two classes, one of them with two queues, and everything else there is."""
    names = ("a", "b", "c")
    what = Plant(
        classes=(draw(classes("one", "a", "b")), draw(classes("two", "c"))),
        queues=tuple(draw(queues(name)) for name in names),
        publisher=draw(publishers()),
        nodes=Nodes(
            cores=draw(st.sampled_from([None, 1.0, 3.0])),
            background_cores=0.1,
            pod_cpu_seconds=draw(st.sampled_from([0.0, 0.9])),
            pod_cores=draw(st.sampled_from([0.0, 0.02])),
            load_cost=draw(COSTS),
            rooms=draw(st.sampled_from([(), ((900, 10**9), (500, 10**9))])),
        ),
        clockwork=Clockwork(
            reconcile_seconds=draw(st.sampled_from([0.0, 0.1])),
            first_sync_seconds=draw(st.sampled_from([3.0, 14.5])),
            metrics_age_seconds=draw(st.sampled_from([0.0, 7.8])),
        ),
    )
    dues = draw(DUES)
    kinds = draw(st.lists(st.integers(0, 3), min_size=len(dues), max_size=len(dues)))
    offered = [draw(tasks(f"t{index}", names[index % 3])) for index in range(4)]
    return what, load(dues, *offered, kinds=kinds)


@st.composite
def plain_plants_and_loads(draw: Any) -> tuple[Plant, Load]:
    """One class, one queue, nothing that interferes."""
    each = WorkerClass(
        name="w",
        deployment="w",
        pool="gevent",
        slots=draw(st.integers(1, 4)),
        queues=("q",),
        replicas=draw(st.integers(1, 3)),
        overhead_seconds=draw(st.sampled_from([0.0, 0.1])),
        idle_cores=0.01,
        memory_bytes=1000,
        memory_bytes_per_task=7,
    )
    service = draw(SERVICES)
    offered = load(draw(DUES), Task(name="t", queue="q", service=service, host_cpu_seconds=0.05))
    return plant(each, offers=replace(draw(publishers()), publishers=1)), offered
