"""What a release stands on where it runs as processes of this machine: RabbitMQ, stand-in services, the runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.broker import server
from harness.broker.management import Management
from harness.ops import local_api, runs
from harness.runtime.base import Manifest, Release
from harness.runtime.local import LocalRuntime
from harness.spike.progress import Progress
from harness.spike.services import Services, stand_ins
from harness.spike.start import SYNC_SECONDS

BROKER_SECRET = "celery-broker"  # noqa: S105  (a Secret's name, as values.yaml has it)
SERVICES_SECRET = "examx-services"  # noqa: S105


@dataclass(frozen=True)
class LocalGround:
    """Broker and services that run, and a runtime that `harness ops` finds by itself."""

    broker: server.Broker
    services: Services
    runtime: LocalRuntime

    def install_of(self, release: str, manifests: Sequence[Manifest]) -> Release:
        """Return a render with the Secrets it names."""
        return Release(
            name=release,
            namespace="default",
            manifests=manifests,
            secrets={
                BROKER_SECRET: {"amqpUrl": self.broker.amqp_url, "managementUrl": self.broker.management_url},
                SERVICES_SECRET: self.services.secret(),
            },
        )


@contextmanager
def local_ground(
    name: str,
    *,
    release: str,
    topology: Mapping[str, Any],
    profile: Mapping[str, Any],
    directory: Path,
    progress: Progress,
    broker_port: int | None = None,
) -> Iterator[LocalGround]:
    """Start all that a release needs; it ends with the block. `profile` is the stand-ins' behaviour.

    Raises as `server.acquire` and `stand_ins` do.
    """
    with ExitStack() as stack:
        progress.step("starting RabbitMQ")
        broker = stack.enter_context(server.acquire(directory / "broker", port=broker_port))
        if broker.origin == "given":  # its owner's queues, and those of another run, are none of our business
            broker = stack.enter_context(server.own_vhost(broker, f"spike-{name}"))
        progress.step(f"starting the stand-in services (RabbitMQ {broker.version}, {broker.origin})")
        services = stack.enter_context(stand_ins(directory / "services", profile))
        queues = stack.enter_context(Management(broker.management_url)).queues
        runtime = LocalRuntime(directory=directory / "runtime", queue_source=queues, sync_seconds=SYNC_SECONDS)
        stack.callback(runtime.uninstall)
        commands = directory / "runtime" / local_api.DIRECTORY
        runtime.add_controller(local_api.Controller(runtime, directory=commands, release=release).tick)
        stack.enter_context(
            runs.announced(
                name,
                release=release,
                directory=commands,
                amqp_url=broker.amqp_url,
                management_url=broker.management_url,
                redis_url=None,
                topology=topology,
            )
        )
        yield LocalGround(broker, services, runtime)
