"""What faults act on: the pods, the broker, the databases and the services of one local run."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from celery import Celery

from harness.broker.management import Management
from harness.broker.node import Control
from harness.chaos.proxy import Proxies
from harness.runtime.local import LocalRuntime
from harness.spike.services import Services


class Server(Protocol):
    """A server of ours that can be ended and started again with its data. Nothing here waits."""

    @property
    def runs(self) -> bool:
        """Whether its process is there."""

    def signal(self, number: int) -> None:
        """Send it a signal."""

    def start(self) -> None:
        """Start it again."""

    def answers(self) -> bool:
        """Whether it serves."""


class FamilyServer(Server, Protocol):
    """A server of several processes."""

    def signal_all(self, number: int) -> None:
        """Send a signal to it and to every process it has started."""


@dataclass(frozen=True)
class World:
    """One run. `deployments` gives each class's Deployment; `app` publishes and controls past the proxy."""

    runtime: LocalRuntime
    deployments: Mapping[str, str]
    topology: Mapping[str, Any]
    broker: Control
    management: Management
    proxies: Proxies
    proxied: tuple[str, ...]
    database: FamilyServer
    redis: Server
    redis_url: str
    services: Services
    profile: Mapping[str, Any]  # how the services behaved when the run began
    app: Celery
    rng: random.Random
    publish: Callable[[str], Any]  # begins to publish a phase's own tasks; see harness.chaos.bulk

    def pods(self, class_name: str | None = None) -> list[str]:
        """Return the ready pods of a class, or of all."""
        wanted = set(self.deployments.values()) if class_name is None else {self.deployments[class_name]}
        return [pod.name for pod in self.runtime.pods() if pod.deployment in wanted and pod.ready]

    def a_pod(self, class_name: str | None = None) -> str | None:
        """Choose a ready pod by chance, None where there is none."""
        names = self.pods(class_name)
        return self.rng.choice(names) if names else None
