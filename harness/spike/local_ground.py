"""What a release stands on where it runs as processes of this machine: RabbitMQ, stand-in services, the runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.broker import server
from harness.broker.management import Management
from harness.broker.urls import parse_amqp
from harness.chart import manifests as look
from harness.chart import render
from harness.monitoring import local_metrics
from harness.monitoring.configuration import Target
from harness.monitoring.local_metrics import LocalMetrics
from harness.ops import local_api, runs
from harness.runtime.base import Manifest, Release
from harness.runtime.local import LocalRuntime
from harness.services import redis
from harness.spike.progress import Progress
from harness.spike.services import Services, stand_ins
from harness.spike.start import SYNC_SECONDS

BROKER_SECRET = "celery-broker"  # noqa: S105  (a Secret's name, as values.yaml has it)
SERVICES_SECRET = "examx-services"  # noqa: S105


@dataclass(frozen=True)
class LocalGround:
    """Broker and services that run, and a runtime that `harness ops` finds by itself.

    `targets` are what Prometheus reads of it.
    """

    broker: server.Broker
    redis_url: str | None  # where the render names a Secret with one
    services: Services
    runtime: LocalRuntime
    targets: Sequence[Target] = ()

    def install_of(self, release: str, manifests: Sequence[Manifest]) -> Release:
        """Return the render with the Secrets it names."""
        secrets = {
            BROKER_SECRET: {"amqpUrl": self.broker.amqp_url, "managementUrl": self.broker.management_url},
            SERVICES_SECRET: self.services.secret(),
        }
        if self.redis_url is not None:
            secrets[redis_secret(manifests) or ""] = {"redisUrl": self.redis_url}
        own = local_metrics.on_free_port(manifests)
        return Release(name=release, namespace="default", manifests=own, secrets=secrets)


@contextmanager
def local_ground(
    name: str,
    *,
    release: str,
    manifests: Sequence[Manifest],
    profile: Mapping[str, Any],
    directory: Path,
    progress: Progress,
    broker_port: int | None = None,
    values: Sequence[Path] = (),
    set_values: Mapping[str, Any] | None = None,
) -> Iterator[LocalGround]:
    """Start all that a render needs; it ends with the block. `profile` is the stand-ins' behaviour.

    `values` and `set_values` are what the manifests were rendered from, for those who make rules of it.

    Raises as `server.acquire`, `redis.run` and `stand_ins` do.
    """
    with ExitStack() as stack:
        progress.step("starting RabbitMQ")
        broker = stack.enter_context(server.acquire(directory / "broker", port=broker_port))
        if broker.origin == "given":  # its owner's queues, and those of another run, are none of our business
            broker = stack.enter_context(server.own_vhost(broker, f"spike-{name}"))
        redis_url = None
        if redis_secret(manifests) is not None:
            progress.step("starting Redis")
            redis_url = stack.enter_context(redis.run(directory / "redis")).url
        progress.step(f"starting the stand-in services (RabbitMQ {broker.version}, {broker.origin})")
        services = stack.enter_context(stand_ins(directory / "services", profile))
        queues = stack.enter_context(Management(broker.management_url)).queues
        runtime = LocalRuntime(directory=directory / "runtime", queue_source=queues, sync_seconds=SYNC_SECONDS)
        stack.callback(runtime.uninstall)
        metrics = LocalMetrics(runtime)
        runtime.add_controller(metrics.refresh)
        targets = local_metrics.targets(
            stack.enter_context(local_metrics.serve(metrics)),
            release=release,
            exporter=local_metrics.has_exporter(manifests),
            rabbitmq_url=broker.metrics_url,
            vhost=parse_amqp(broker.amqp_url, source="the broker").vhost,
        )
        commands = directory / "runtime" / local_api.DIRECTORY
        runtime.add_controller(local_api.Controller(runtime, directory=commands, release=release).tick)
        stack.enter_context(
            runs.announced(
                name,
                release=release,
                directory=commands,
                amqp_url=broker.amqp_url,
                management_url=broker.management_url,
                redis_url=redis_url,
                topology=render.topology(manifests),
                targets=[asdict(target) for target in targets],
                values=values,
                set_values=set_values,
            )
        )
        yield LocalGround(broker, redis_url, services, runtime, targets)


def redis_secret(manifests: Sequence[Manifest]) -> str | None:
    """Return the name of the Secret the workers read Redis' address from, None where they are given none."""
    for manifest in manifests:
        template = look.pod_template(manifest) or {}
        for container in look.items(template, "spec", "containers"):
            for variable in look.items(container, "env"):
                if variable["name"] == look.REDIS_URL_VARIABLE:
                    return str(look.get(variable, "valueFrom", "secretKeyRef", "name"))
    return None
