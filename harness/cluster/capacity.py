"""Whether a release fits a cluster at its maximum of replicas. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from harness.chart import manifests as look
from harness.errors import InputError

ZERO = Fraction(0)


@dataclass(frozen=True)
class Room:
    """An amount of CPU (cores) and memory (bytes): what a node has left, or what a pod asks for."""

    cpu: Fraction = ZERO
    memory: Fraction = ZERO

    def plus(self, other: Room) -> Room:
        """Return both together."""
        return Room(self.cpu + other.cpu, self.memory + other.memory)

    def most(self, other: Room) -> Room:
        """Return the larger of each amount."""
        return Room(max(self.cpu, other.cpu), max(self.memory, other.memory))

    def minus(self, other: Room) -> Room:
        """Return what is left after taking `other` away."""
        return Room(self.cpu - other.cpu, self.memory - other.memory)

    def holds(self, other: Room) -> bool:
        """Whether `other` fits."""
        return other.cpu <= self.cpu and other.memory <= self.memory


@dataclass(frozen=True)
class Demand:
    """All replicas of one workload at its maximum."""

    name: str
    replicas: int
    pod: Room

    @property
    def total(self) -> Room:
        """What all replicas ask for together."""
        return Room(self.pod.cpu * self.replicas, self.pod.memory * self.replicas)


def demands(manifests: Sequence[Mapping[str, Any]]) -> list[Demand]:
    """Return what each Job asks for, and each Deployment and StatefulSet at its most replicas."""
    maxima = _maxima(manifests)
    found = []
    for manifest in manifests:
        key = _REPLICAS.get(str(manifest.get("kind")))
        if key is not None and not look.is_hook(manifest):
            name = look.name_of(manifest)
            replicas = maxima.get(name, int(look.get(manifest, "spec", key, default=1)))
            found.append(Demand(name, replicas, requested(look.mapping(manifest, "spec", "template", "spec"))))
    return found


_REPLICAS: Mapping[str, str] = {"Deployment": "replicas", "StatefulSet": "replicas", "Job": "parallelism"}


def requested(pod: Mapping[str, Any]) -> Room:
    """Return what a pod asks for, as the scheduler counts it; what has no request counts as nothing.

    That is its containers together with its sidecars (initContainers that are restarted always), or what one of the
    initContainers before them needs beside the sidecars that run by then, where that is more.
    """
    sidecars, starting = Room(), Room()
    for container in look.items(pod, "initContainers"):
        asked = _room(look.mapping(container, "resources", "requests"))
        starting = starting.most(sidecars.plus(asked))
        if look.get(container, "restartPolicy") == "Always":
            sidecars = sidecars.plus(asked)
    total = sidecars
    for container in look.items(pod, "containers"):
        total = total.plus(_room(look.mapping(container, "resources", "requests")))
    return total.most(starting)


def nodes_room(nodes: Iterable[Mapping[str, Any]], pods: Iterable[Mapping[str, Any]]) -> dict[str, Room]:
    """Return what each node that takes ordinary pods has left, from `kubectl get nodes` and `get pods -A`."""
    room = {
        look.name_of(node): _room(look.mapping(node, "status", "allocatable")) for node in nodes if not _closed(node)
    }
    for pod in pods:
        node = look.get(pod, "spec", "nodeName")
        if node in room and look.get(pod, "status", "phase") in ("Pending", "Running"):
            room[node] = room[node].minus(requested(look.mapping(pod, "spec")))
    return room


def check(wanted: Sequence[Demand], room: Mapping[str, Room], *, machine: Room | None = None) -> None:
    """Raise InputError when the pods cannot all be scheduled at their maximum.

    Pods are placed largest first, each on the node with the most CPU left. `machine` is what the nodes share where they
    are containers of one machine: each reports all of it.
    """
    if machine is not None:
        total = Room(sum((one.total.cpu for one in wanted), ZERO), sum((one.total.memory for one in wanted), ZERO))
        if not machine.holds(total):
            raise InputError(
                f"at maximum replicas the run asks for {_shown(total)}, the machine has {_shown(machine)}: {_FIX}"
            )
    left = dict(room)
    for demand in sorted(wanted, key=lambda one: (one.pod.cpu, one.pod.memory), reverse=True):
        for number in range(1, demand.replicas + 1):
            node = _place(demand.pod, left)
            if node is None:
                free = "; ".join(f"{name} {_shown(one)}" for name, one in sorted(left.items()))
                raise InputError(
                    f"at maximum replicas pod {number} of {demand.replicas} of {demand.name} ({_shown(demand.pod)}) "
                    f"fits on no node (left: {free}): {_FIX}"
                )
            left[node] = left[node].minus(demand.pod)


_FIX = "lower the requests (values/kind.yaml divides them, add it to the environment), lower replicas.max, or add nodes"


def _place(pod: Room, left: Mapping[str, Room]) -> str | None:
    fitting = [name for name, room in left.items() if room.holds(pod)]
    return max(fitting, key=lambda name: (left[name].cpu, left[name].memory, name)) if fitting else None


def _maxima(manifests: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    found = {}
    for manifest in manifests:
        if manifest.get("kind") == "HorizontalPodAutoscaler":
            found[look.text(manifest, "spec", "scaleTargetRef", "name")] = int(
                look.get(manifest, "spec", "maxReplicas")
            )
        elif manifest.get("kind") == "ScaledObject":
            most = int(look.get(manifest, "spec", "maxReplicaCount", default=100))
            found[look.text(manifest, "spec", "scaleTargetRef", "name")] = most
    return found


def _closed(node: Mapping[str, Any]) -> bool:
    taints = [look.get(taint, "effect") for taint in look.items(node, "spec", "taints")]
    return (
        bool(look.get(node, "spec", "unschedulable", default=False)) or "NoSchedule" in taints or "NoExecute" in taints
    )


def _room(resources: Mapping[str, Any]) -> Room:
    return Room(look.quantity(resources.get("cpu", 0)) or ZERO, look.quantity(resources.get("memory", 0)) or ZERO)


def _shown(room: Room) -> str:
    return f"{float(room.cpu):.2f} cores, {float(room.memory) / 2**30:.2f} GiB"
