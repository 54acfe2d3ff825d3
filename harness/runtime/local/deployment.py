"""A Deployment's replicas: which pods there should be, and which go first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.autoscaling import Candidate, choose_victims
from harness.runtime.base import ScaleState
from harness.runtime.local.pod import Pod


class DeploymentController:
    """Keeps as many pods as are desired; `new_pod` makes one."""

    def __init__(self, name: str, *, desired: int, new_pod: Callable[[float], Pod]) -> None:
        self.name = name
        self.desired = desired
        self.minimum: int | None = None
        self.maximum: int | None = None
        self.pods: list[Pod] = []
        self._new_pod = new_pod

    @property
    def active(self) -> list[Pod]:
        """The pods that count as replicas: all but those being deleted."""
        return [pod for pod in self.pods if not pod.deleting]

    @property
    def expected(self) -> int:
        """Replicas there will be at least once the autoscaler has acted."""
        return max(self.desired, self.minimum or 0)

    @property
    def settled(self) -> bool:
        """Whether all expected replicas are ready."""
        ready = sum(pod.ready for pod in self.active)
        return ready >= self.expected

    def tick(self, now: float) -> list[Pod]:
        """Advance all pods, create what is missing, delete what is too much. Returns pods that are gone."""
        for pod in self.pods:
            pod.tick(now)
        gone = [pod for pod in self.pods if pod.deleting and pod.finished]
        self.pods = [pod for pod in self.pods if pod not in gone]
        self.reconcile(now)
        return gone

    def reconcile(self, now: float) -> None:
        """Create or delete pods until as many are active as are desired."""
        active = self.active
        for _ in range(self.desired - len(active)):
            self.pods.append(self._new_pod(now))
        if len(active) > self.desired:
            self._delete(active, len(active) - self.desired, now)

    def state(self) -> ScaleState:
        """Return the replica counts."""
        active = self.active
        return ScaleState(
            deployment=self.name,
            desired=self.desired,
            running=len(active),
            ready=sum(pod.ready for pod in active),
            minimum=self.minimum,
            maximum=self.maximum,
        )

    def _delete(self, active: Sequence[Pod], count: int, now: float) -> None:
        doomed = set(choose_victims([_candidate(pod) for pod in active], count, now=now))
        for pod in active:
            if pod.name in doomed:
                pod.terminate(now)


DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def _candidate(pod: Pod) -> Candidate:
    return Candidate(
        name=pod.name,
        uid=pod.uid,
        ready=pod.ready,
        ready_at=pod.ready_at,
        restarts=max(container.restarts for container in pod.containers),
        created_at=pod.created_at,
        deletion_cost=int(pod.template.annotations.get(DELETION_COST, "0")),
    )
