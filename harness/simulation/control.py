"""The control plane: autoscalers at their syncs, KEDA at its pollings, pods that wait for room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.autoscaling import Autoscaler
from harness.simulation.deployments import Deployment, deployments
from harness.simulation.engine import Engine
from harness.simulation.model import Plant, Step
from harness.simulation.nodes import Rooms


@dataclass(frozen=True)
class SeenQueue:
    """One queue's newest statistics, as KEDA reads them."""

    ready: int
    unacked: int
    publish_rate: float
    deliver_rate: float


@dataclass
class _Scaled:
    deployment: Deployment
    autoscaler: Autoscaler
    polls_at: float  # infinity: KEDA does nothing by itself


class ControlPlane:
    """Everything that decides on replicas. `next_at` is when it acts next."""

    def __init__(self, plant: Plant, engine: Engine, rng: np.random.Generator) -> None:
        self.steps: list[Step] = []
        self._plant = plant
        self._engine = engine
        self._rooms = Rooms(plant.nodes)
        self._deployments = deployments(plant, engine, self._rooms, rng)
        self._epoch = plant.clockwork.epoch_seconds
        first = plant.clockwork.first_sync_seconds
        self._scaled = [_scaled(each, first, self._epoch) for each in self._deployments if each.worker_class.scaler]
        self._syncs_at = first if self._scaled else float("inf")
        self._after_pods()

    @property
    def next_at(self) -> float:
        """When a sync or a polling is due."""
        return min([self._syncs_at, *(each.polls_at for each in self._scaled)])

    def act(self, now: float) -> None:
        """Do what is due."""
        self._clear()
        if self._syncs_at <= now:
            clockwork = self._plant.clockwork
            self._syncs_at += clockwork.controller.sync_seconds + clockwork.reconcile_seconds
            queues = self._queues()
            for each in self._scaled:
                self._sync(each, queues, now)
        for each in self._scaled:
            if each.polls_at <= now:
                self._poll(each, now)
        self._after_pods()

    def pods_gone(self) -> None:
        """Let pods that wait have the room of those that are gone."""
        self._after_pods()

    def _sync(self, each: _Scaled, queues: dict[str, SeenQueue], now: float) -> None:
        if each.autoscaler.paused:
            return
        at, deployment = self._epoch + now, each.deployment
        seen = each.autoscaler.observe(
            deployment.samples(epoch_seconds=self._epoch), desired=deployment.wanted, queues=queues, now_seconds=at
        )
        decision = each.autoscaler.sync(seen, now_seconds=at)
        if decision.changed:
            self._scale(deployment, decision.desired, decision.reason, now)

    def _poll(self, each: _Scaled, now: float) -> None:
        keda = each.autoscaler.keda
        each.polls_at += keda.polling_seconds if keda else float("inf")
        outcome = each.autoscaler.poll(
            desired=each.deployment.wanted,
            ready=each.deployment.ready,
            queues=self._queues(),
            now_seconds=self._epoch + now,
        )
        if outcome.replicas is not None:
            self._scale(each.deployment, outcome.replicas, f"KEDA: {outcome.reason}", now)

    def _scale(self, deployment: Deployment, replicas: int, reason: str, now: float) -> None:
        before, name = deployment.wanted, deployment.worker_class.deployment
        if before != replicas:
            self.steps.append(Step(t=now, deployment=name, before=before, after=replicas, reason=reason))
            deployment.scale(replicas)

    def _clear(self) -> None:
        for deployment in self._deployments:
            deployment.clear()

    def _after_pods(self) -> None:
        self._clear()
        for deployment in self._deployments:
            deployment.place()
        waiting = any(deployment.pending for deployment in self._deployments)
        self._engine.flow.run[0]["watch_pods"] = int(waiting)

    def _queues(self) -> dict[str, SeenQueue]:
        return {
            queue.name: SeenQueue(
                int(row["seen_ready"]),
                int(row["seen_unacked"]),
                float(row["publish_rate"]),
                float(row["deliver_rate"]),
            )
            for queue, row in zip(self._plant.queues, self._engine.flow.queues, strict=True)
        }


def _scaled(deployment: Deployment, first_sync: float, epoch: float) -> _Scaled:
    scaler = deployment.worker_class.scaler
    if scaler is None:
        raise ValueError(f"{deployment.worker_class.name} has no scaler")
    autoscaler = Autoscaler(scaler.hpa, scaler.keda, created_seconds=epoch + first_sync)
    return _Scaled(deployment, autoscaler, float("inf") if scaler.keda is None else first_sync)
