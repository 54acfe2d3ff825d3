"""Running a scenario on this machine's own processes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from harness import processes
from harness.broker import server
from harness.broker.management import Management
from harness.chart import render
from harness.errors import InputError
from harness.runtime.base import Release
from harness.runtime.local import LocalRuntime
from harness.spike import facts
from harness.spike.load import JOURNALS, Load, locust
from harness.spike.prepared import Prepared, Request
from harness.spike.progress import Progress
from harness.spike.services import Services, stand_ins
from harness.spike.site import Ground
from harness.spike.start import SYNC_SECONDS

BROKER_SECRET = "celery-broker"  # noqa: S105  (a Secret's name, as values.yaml has it)
SERVICES_SECRET = "examx-services"  # noqa: S105


class LocalSite:
    """RabbitMQ, stand-ins, workers and Locust as processes; a broker the user names is used instead."""

    name = "local"
    ready_seconds = 120.0

    def __init__(self, *, broker_port: int | None = None) -> None:
        """`broker_port` fixes the AMQP port of the RabbitMQ that is started."""
        self._broker_port = broker_port

    def values(self, request: Request) -> Sequence[Path]:
        """Return the values files."""
        return [*render.environment_files(request.environment), *request.values]

    def cores(self) -> int:
        """Return this machine's cores."""
        return int(facts.machine()["cores"] or 1)

    def check(self, prepared: Prepared, progress: Progress) -> None:
        """Raise InputError for a port that cannot be had."""
        if self._broker_port is None:
            return
        if os.environ.get("BROKER_URL"):
            raise InputError(
                "--broker-port is for a RabbitMQ that is started, BROKER_URL names a running one: unset one"
            )
        processes.require_free_port(self._broker_port, option="--broker-port")

    @contextmanager
    def ground(self, prepared: Prepared, directory: Path, progress: Progress) -> Iterator[Ground]:
        """Start broker and stand-ins; the runtime starts the rest."""
        with ExitStack() as stack:
            progress.step("starting RabbitMQ")
            broker = stack.enter_context(server.acquire(directory / "broker", port=self._broker_port))
            if broker.origin == "given":  # its owner's queues, and those of another run, are none of our business
                broker = stack.enter_context(server.own_vhost(broker, f"spike-{prepared.run_id}"))
            progress.step(f"starting the stand-in services (RabbitMQ {broker.version}, {broker.origin})")
            services = stack.enter_context(stand_ins(directory / "services", prepared.scenario.services))
            queues = stack.enter_context(Management(broker.management_url)).queues
            runtime = LocalRuntime(directory=directory / "runtime", queue_source=queues, sync_seconds=SYNC_SECONDS)
            stack.callback(runtime.uninstall)
            load = _load(prepared, directory, services, broker.amqp_url)
            yield Ground(
                broker=broker,
                services=services,
                journals=load.journals,
                runtime=runtime,
                release=_release(prepared, broker, services),
                generate=lambda start_at: locust(replace(load, start_at=start_at), log=directory / "locust.log"),
            )

    def facts(self) -> Mapping[str, str]:
        """Return nothing: the machine and the programs are told of in any case."""
        return {}


def _load(prepared: Prepared, directory: Path, services: Services, broker_url: str) -> Load:
    return Load(
        broker_url=broker_url,
        topology=directory / "topology.json",
        scenario=Path(prepared.scenario.source),
        run_id=prepared.run_id,
        journals=directory / JOURNALS,
        effects={"standins_url": services.http_url, "database_url": services.database_url},
    )


def _release(prepared: Prepared, broker: server.Broker, services: Services) -> Release:
    return Release(
        name=prepared.request.release,
        namespace="default",
        manifests=prepared.manifests,
        secrets={
            BROKER_SECRET: {"amqpUrl": broker.amqp_url, "managementUrl": broker.management_url},
            SERVICES_SECRET: services.secret(),
        },
    )
