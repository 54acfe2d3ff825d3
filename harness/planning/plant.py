"""From rendered manifests and measured figures to what a simulation is given. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, cast

from harness.autoscaling import ControllerConfig, HpaSpec, ScaledObject, hpa_from_scaled_object
from harness.chart import manifests as look
from harness.errors import InputError
from harness.planning.figures import Figures
from harness.planning.place import Place
from harness.simulation.model import Nodes, Overflow, Plant, Pool, Publisher, Queue, Scaler, WorkerClass
from harness.spike.arrivals import Topology
from harness.spike.scenario import Publishing

REFUSES: Overflow = "reject-publish"
REQUESTS_COUNT = 0.7
"""By which power of its request a pod gets cores where they are short.

A kubelet makes a pod's CPU shares of its request, but nodes of a kind cluster share the machine alike, whatever their
pods request, and a limit hands a pod its cores in slices of a tenth of a second, between which others have them. With
this power six pods that started at once took tasks as they did on three occasions, each by its own calibration.
"""


def plant(
    manifests: Sequence[Mapping[str, Any]],
    topology: Topology,
    *,
    publishing: Publishing,
    figures: Figures,
    place: Place,
) -> Plant:
    """Return everything that works on a load. Raises InputError for an autoscaler that a cluster would refuse."""
    release = look.Release.of(manifests)
    scalers = {look.scale_target(one)[1]: one for one in release.of_kind(*look.SCALER_KINDS)}
    return Plant(
        classes=tuple(
            _class(worker, scalers.get(look.name_of(worker.deployment)), topology, figures=figures, place=place)
            for worker in release.workers
        ),
        queues=tuple(_queue(name, queue) for name, queue in topology["queues"].items()),
        publisher=_publisher(publishing, figures),
        nodes=_nodes(place.nodes, figures),
        clockwork=place.clockwork,
    )


def _class(
    worker: look.Worker, scaler: look.Manifest | None, topology: Topology, *, figures: Figures, place: Place
) -> WorkerClass:
    settings = topology["classes"][worker.class_name]
    pool, slots = str(settings["pool"]), int(settings["concurrency"])
    measured = figures.of(pool)
    pod = look.pod_spec(worker.deployment)
    scaled = None if scaler is None else _scaler(scaler, place.clockwork.controller)
    most, limit = _most_cores(pool, slots), _limit_cores(pod, place)
    return WorkerClass(
        name=worker.class_name,
        deployment=look.name_of(worker.deployment),
        pool=cast(Pool, pool),
        slots=slots,
        queues=tuple(settings["queues"]),
        replicas=_replicas(worker.deployment, scaled),
        scaler=scaled,
        cpu_cores=most if limit is None else min(most, limit),
        cpu_limit_cores=limit,
        cpu_weight=_cpu_weight(pod, place),
        overhead_seconds=measured.overhead_seconds,
        start_seconds=measured.start_seconds,
        ready_seconds=measured.ready_seconds,
        start_cpu_seconds=measured.start_cpu_seconds,
        warm_up_cpu_seconds=measured.warm_up_cpu_seconds,
        probe_cpu_seconds=measured.probe_cpu_seconds,
        grace_seconds=float(settings["termination_grace_period_seconds"]),
        idle_cores=measured.idle_cores,
        cpu_request_milli=_requested(pod, "cpu"),
        memory_request_milli=_requested(pod, "memory"),
        memory_bytes=measured.memory_bytes,
        memory_bytes_per_task=measured.memory_bytes_per_task,
        message_cpu_seconds=measured.message_cpu_seconds,
        message_cost=None if measured.message_cost is None else measured.message_cost.by_rate(),
    )


def _scaler(manifest: look.Manifest, controller: ControllerConfig) -> Scaler:
    try:
        if manifest.get("kind") != "ScaledObject":
            return Scaler(hpa=HpaSpec.from_manifest(manifest, controller=controller))
        hpa = HpaSpec.from_manifest(hpa_from_scaled_object(manifest), controller=controller)
        return Scaler(hpa=hpa, keda=ScaledObject.from_manifest(manifest))
    except ValueError as error:
        raise InputError(str(error)) from error


def _replicas(deployment: look.Manifest, scaler: Scaler | None) -> int:
    """Return the pods there are when the load begins: a class that scales to zero was just installed and has one."""
    if scaler is None:
        return int(look.get(deployment, "spec", "replicas", default=1))
    return max(scaler.hpa.min_replicas, 1)


def _most_cores(pool: str, slots: int) -> float:
    """Return what one pod's tasks can use: one core where all share an interpreter."""
    return float(slots) if pool == "prefork" else 1.0


def _limit_cores(pod: Mapping[str, Any], place: Place) -> float | None:
    """Return what one pod may use, None where nothing keeps it from more."""
    limit = _together(pod, "limits", "cpu") if place.limits_hold else None
    return None if limit is None else float(limit)


def _cpu_weight(pod: Mapping[str, Any], place: Place) -> float | None:
    """Return what a pod gets where cores are short, in times of what broker and stand-ins do: by requests."""
    asked = _requested(pod, "cpu")
    if asked is None or place.process_request_milli is None:
        return None
    return float((asked / place.process_request_milli) ** REQUESTS_COUNT)


def _requested(pod: Mapping[str, Any], resource: str) -> int | None:
    """Return what the pod's containers request together, in thousandths; None where one requests nothing."""
    asked = _together(pod, "requests", resource)
    return None if asked is None else int(asked * 1000)


def _together(pod: Mapping[str, Any], kind: str, resource: str) -> Fraction | None:
    """Return the sum over the pod's containers; None where one states nothing."""
    amounts = [look.quantity(look.get(one, "resources", kind, resource)) for one in look.containers(pod, init=False)]
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Fraction()) if known and len(known) == len(amounts) else None


def _queue(name: str, queue: Mapping[str, Any]) -> Queue:
    return Queue(
        name=name,
        max_length_messages=queue.get("max_length_messages"),
        overflow=cast(Overflow, queue.get("overflow") or REFUSES),
        ttl_seconds=queue.get("message_ttl_seconds"),
        priorities=bool(queue.get("max_priority")),
    )


def _nodes(nodes: Nodes, figures: Figures) -> Nodes:
    if not nodes.shared_with_load:
        return nodes
    background = nodes.background_cores if figures.background_cores is None else figures.background_cores
    cost = None if figures.host_cost is None else figures.host_cost.by_rate()
    return replace(nodes, background_cores=background, pod_cores=figures.pod_cores or 0.0, load_cost=cost)


def _publisher(publishing: Publishing, figures: Figures) -> Publisher:
    return Publisher(
        deadline_seconds=publishing.deadline_seconds,
        attempts_per_second=publishing.attempts_per_second,
        hold_seconds=publishing.hold_seconds,
        backoff=publishing.backoff,
        cpu_seconds=publishing.cpu_seconds * figures.host_factor,
        confirm_seconds=figures.confirm_seconds,
    )
