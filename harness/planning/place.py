"""Where pods run, as a simulation must know it: what they share, when controllers look. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from harness.simulation.model import Clockwork, Nodes
from harness.spike.arrivals import BACKGROUND_CORES
from harness.spike.start import AFTER_SYNC_SECONDS, CLUSTER_SYNC_SECONDS, RECONCILE_SECONDS, SYNC_SECONDS

KIND = "kind"
NAMES = ("local", KIND, "cluster")
KIND_BACKGROUND_CORES = 0.4
"""What control plane, kubelets and add-ons of a kind cluster use, at rest, on the machine they share with the load."""
KIND_PROCESS_REQUEST_MILLI = 75.0
"""What broker (100) and stand-ins (50) request on a kind cluster, on average."""
KIND_POD_CPU_SECONDS = 0.4
"""What making a pod costs a kind cluster's node beside what the pod itself uses: kubelet, runtime, API server.

A pod that does nothing and has no probe cost 0.35 to 0.45 s, alone or with five others.
"""
FIRST_SYNC_SECONDS = SYNC_SECONDS - AFTER_SYNC_SECONDS
CLUSTER_FIRST_SYNC_SECONDS = CLUSTER_SYNC_SECONDS - AFTER_SYNC_SECONDS
"""From the start of a run's load to the autoscalers' first decision."""
STATISTICS_SECONDS = 5.0  # RabbitMQ's collection interval
METRICS_AGE_SECONDS = 7.8
"""How old a kubelet's figures of a container are on average when metrics-server asks for them.

cAdvisor takes each container's 10 s after the last, and up to 10 s more by chance: 700/90 s is the mean age. Seen on a
kind cluster: 7.7 s over 56 samples, evenly from 1 to 15 s. The local runtime measures when it is asked.
"""


def pod_cpu_seconds(runtime: str) -> float:
    """Return what making a pod costs the machine that everything shares, on a runtime: a process is just started."""
    return KIND_POD_CPU_SECONDS if runtime == KIND else 0.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """A place to plan for.

    `limits_hold` says whether a pod's CPU limit is enforced: processes have none. Where `process_request_milli` says
    what broker and stand-ins request, pods get cores by their requests when they are short; else all are alike.
    `waits_for_sync` says whether a load begins just after the autoscaler has looked; elsewhere that moment is not
    known, and half a period is taken.
    """

    name: str
    nodes: Nodes
    clockwork: Clockwork
    limits_hold: bool
    process_request_milli: float | None = None
    waits_for_sync: bool = False


def local(cores: int) -> Place:
    """Return this machine: workers, broker, stand-ins and publisher share its cores; the load waits for a sync."""
    return Place(
        name="local",
        nodes=Nodes(cores=float(cores), shared_with_load=True, background_cores=BACKGROUND_CORES),
        clockwork=Clockwork(first_sync_seconds=FIRST_SYNC_SECONDS, statistics_seconds=STATISTICS_SECONDS),
        limits_hold=False,
        waits_for_sync=True,
    )


def kind(cores: int, rooms: tuple[tuple[int, int], ...]) -> Place:
    """Return a kind cluster on this machine. `rooms` is what each node has for pods (thousandths of a core, bytes)."""
    return Place(
        name=KIND,
        nodes=Nodes(
            cores=float(cores),
            shared_with_load=True,
            background_cores=KIND_BACKGROUND_CORES,
            pod_cpu_seconds=pod_cpu_seconds(KIND),
            rooms=rooms,
        ),
        clockwork=_cluster_clockwork(CLUSTER_FIRST_SYNC_SECONDS),
        limits_hold=True,
        process_request_milli=KIND_PROCESS_REQUEST_MILLI,
        waits_for_sync=True,
    )


def cluster() -> Place:
    """Return an ordinary cluster: pods have the cores they may use, and there is a node for each."""
    return Place(
        name="cluster",
        nodes=Nodes(cores=None, shared_with_load=False),
        clockwork=_cluster_clockwork(SYNC_SECONDS / 2),
        limits_hold=True,
    )


def _cluster_clockwork(first_sync_seconds: float) -> Clockwork:
    return Clockwork(
        first_sync_seconds=first_sync_seconds,
        reconcile_seconds=RECONCILE_SECONDS,
        statistics_seconds=STATISTICS_SECONDS,
        metrics_age_seconds=METRICS_AGE_SECONDS,
    )
