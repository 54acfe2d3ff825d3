"""The clocks of a cluster's control plane: metrics samples, HPA syncs and KEDA's pollings, each at its own period."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.runtime.base import ScaleEvent
from harness.runtime.local import journal, metrics, network
from harness.runtime.local.deployment import DeploymentController
from harness.runtime.local.scaling import Autoscaler, QueueSource, Sight, look

Record = Callable[[str, str, str], None]


class ControlLoop:
    """Measures the pods and applies the autoscalers to the Deployments; `record` is told about queues out of sight."""

    def __init__(
        self,
        deployments: Mapping[str, DeploymentController],
        autoscalers: Sequence[Autoscaler],
        *,
        queue_source: QueueSource,
        record: Record,
        journal_file: Path,
        sync_seconds: float,
        metrics_seconds: float,
        now: float,
    ) -> None:
        self.scale_events: list[ScaleEvent] = []
        self._deployments = deployments
        self._autoscalers = autoscalers
        self._queue_source = queue_source
        self._record = record
        self._journal_file = journal_file
        self._sync_seconds = sync_seconds
        self._metrics_seconds = metrics_seconds
        self.next_sync_at = now
        # Half a period off the syncs: a cluster's two clocks are independent, so a figure is that old on average.
        self._next_metrics_at = now + metrics_seconds / 2
        self._network = network.NetworkMeter()
        self._next_poll_at = {each.deployment: now for each in autoscalers if each.keda is not None}

    def tick(self, now: float) -> None:
        """Do what is due."""
        if now >= self._next_metrics_at:
            self._next_metrics_at = next_time(self._next_metrics_at, self._metrics_seconds, now)
            self._measure(now)
        if now >= self.next_sync_at:
            self.next_sync_at = next_time(self.next_sync_at, self._sync_seconds, now)
            self._sync(self.next_sync_at - self._sync_seconds, now)
        for autoscaler in self._autoscalers:
            if autoscaler.keda is not None and now >= self._next_poll_at[autoscaler.deployment]:
                planned, period = self._next_poll_at[autoscaler.deployment], autoscaler.keda.polling_seconds
                self._next_poll_at[autoscaler.deployment] = next_time(planned, period, now)
                self._poll(autoscaler, now)

    def set_replicas(self, name: str, replicas: int, reason: str, now: float) -> None:
        """Change a Deployment's desired replicas, and note it when it is a change."""
        deployment = self._deployments[name]
        before, deployment.desired = deployment.desired, replicas
        if before != replicas:
            self.scale_events.append(ScaleEvent(now, name, before, replicas, reason))
        deployment.reconcile(now)

    def _measure(self, now: float) -> None:
        pods = [pod for deployment in self._deployments.values() for pod in deployment.pods]
        consumed = metrics.sessions(pid for pod in pods for pid in pod.pids())
        fresh_seconds = metrics.FRESH_SECONDS * self._metrics_seconds / metrics.RESOLUTION_SECONDS
        owners = network.owners_of({session: used.pids for session, used in consumed.items()})
        moved = self._network.add(network.tcp_sockets(), owners)
        self._network.forget(consumed)
        for pod in pods:
            pod.measure(consumed, moved, now, fresh_seconds=fresh_seconds)

    def _sync(self, beat: float, now: float) -> None:
        """Let each autoscaler decide, by the time at which this sync was due.

        The controller begins a sync a period after the end of the one before, so what happened four syncs of 15 s ago
        is 60 s old to a policy. This loop looks some hundredths of a second late, now more, now less: by its own time
        that would be a matter of chance.
        """
        sight = self._look() if any(each.triggers for each in self._autoscalers) else Sight({})
        for autoscaler in self._autoscalers:
            if autoscaler.paused:
                continue
            deployment = self._deployments[autoscaler.deployment]
            samples = [pod.sample() for pod in deployment.pods]
            observation = autoscaler.observe(samples, desired=deployment.desired, queues=sight.queues, now_seconds=beat)
            decision = autoscaler.sync(observation, now_seconds=beat)
            journal.append(self._journal_file, journal.sync_line(deployment.name, observation, decision, now=beat))
            if decision.changed:
                self.set_replicas(deployment.name, decision.desired, decision.reason, now)

    def _poll(self, autoscaler: Autoscaler, now: float) -> None:
        state = self._deployments[autoscaler.deployment].state()
        outcome = autoscaler.poll(desired=state.desired, ready=state.ready, queues=self._look().queues, now_seconds=now)
        if outcome.replicas is not None:
            self.set_replicas(autoscaler.deployment, outcome.replicas, f"KEDA: {outcome.reason}", now)

    def _look(self) -> Sight:
        sight = look(self._queue_source)
        if sight.problem:
            self._record("metrics", "queues", sight.problem)
        return sight


def next_time(planned: float, period_seconds: float, now: float) -> float:
    """Return the first planned time after now; what was missed is not made up for."""
    missed = int((now - planned) // period_seconds)
    return planned + (missed + 1) * period_seconds
