"""Running a scenario on this machine's own processes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness import processes
from harness.chart import render
from harness.errors import InputError
from harness.spike import facts
from harness.spike.load import JOURNALS, Load, locust
from harness.spike.local_ground import local_ground
from harness.spike.machine_use import busy_cores
from harness.spike.prepared import Prepared, Request
from harness.spike.progress import Progress
from harness.spike.services import Services
from harness.spike.site import Ground


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
        with local_ground(
            prepared.run_id,
            release=prepared.request.release,
            manifests=prepared.manifests,
            profile=prepared.scenario.services,
            directory=directory,
            progress=progress,
            broker_port=self._broker_port,
            values=prepared.values,
        ) as local:
            load = load_of(prepared, directory, local.services, local.broker.amqp_url)
            yield Ground(
                broker=local.broker,
                services=local.services,
                journals=load.journals,
                runtime=local.runtime,
                release=local.install_of(prepared.request.release, prepared.manifests),
                targets=local.targets,
                machine_cores=busy_cores,
                generate=lambda start_at: locust(replace(load, start_at=start_at), log=directory / "locust.log"),
            )

    def facts(self) -> Mapping[str, str]:
        """Return nothing: the machine and the programs are told of in any case."""
        return {}


def load_of(prepared: Prepared, directory: Path, services: Services, broker_url: str) -> Load:
    """Return what Locust is told of a local run."""
    return Load(
        broker_url=broker_url,
        topology=directory / "topology.json",
        scenario=Path(prepared.scenario.source),
        run_id=prepared.run_id,
        journals=directory / JOURNALS,
        effects={"standins_url": services.http_url, "database_url": services.database_url},
    )
