"""What the commands act on: one release, wherever it runs."""

from __future__ import annotations

import contextlib
import getpass
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from celery_workers.shared import DEFAULT_PREFIX, SharedRedis
from harness.broker.management import Management
from harness.chart import values
from harness.errors import HarnessError, InputError
from harness.ops import objects, runs, shared, status, wishes
from harness.ops.engine import Documents, Engine, Handler, ObjectHandler
from harness.ops.local_api import RunDocuments
from harness.ops.overrides import Override
from harness.ops.workers import PausedHandler, WorkerRateHandler, Workers

RUNTIMES = ("local", "kind", "cluster")


class ReleaseDocuments(Documents, Protocol):
    """The documents of one release, which can also be listed."""

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return the release's objects of a kind. Raises HarnessError."""


@dataclass(frozen=True, kw_only=True)
class Where:
    """Which release is meant, as the command line says."""

    runtime: str | None = None
    run: str | None = None
    release: str = "celery"
    namespace: str = "default"


@dataclass
class Target:
    """A release at hand. `shown` names it to a person, `journals` is where this machine keeps what it did there."""

    shown: str
    release: str
    documents: ReleaseDocuments
    topology: Mapping[str, Any]
    amqp_url: str
    management_url: str
    redis_url: str | None
    journals: Path
    # Makes sure that an override ends though this command has ended; None: the place itself does.
    outlives: Callable[[Override], None] | None = None
    clock: Callable[[], float] = time.time
    warnings: list[str] = field(default_factory=list)  # what did not work and does not matter in the end
    by: str = field(default_factory=lambda: caller(os.environ))

    @cached_property
    def workers(self) -> Workers:
        """The workers, by remote control."""
        return Workers(self.amqp_url)

    @cached_property
    def _shared(self) -> SharedRedis | None:
        return shared.connect(self.redis_url, prefix=self.topology.get("redis_key_prefix") or DEFAULT_PREFIX)

    def redis(self) -> SharedRedis:
        """Return Redis. Raises InputError where the release has none, HarnessError where it does not answer."""
        return shared.require(self._shared, url=self.redis_url)

    @cached_property
    def engine(self) -> Engine:
        """What makes and undoes overrides here."""
        lasting = ObjectHandler(self.documents, self.release)
        class_of = {name: queue["class"] for name, queue in self.topology["queues"].items()}
        handlers: dict[str, Handler] = {
            objects.FLOOR: lasting,
            objects.HOLD: lasting,
            objects.PAUSED: PausedHandler(lasting, self.workers, class_of, self.warnings.append),
            "worker-rate": WorkerRateHandler(self.workers),
        }
        if self._shared is not None:
            handler = shared.SharedHandler(self._shared, self.clock)
            handlers |= {shared.RATE: handler, shared.BREAKER: handler}
        return Engine(self.documents, self.release, handlers, by=self.by, clock=self.clock)

    def place(self, command: str, wish: wishes.Wish, *, until: float | None) -> Override:
        """Make an override; one whose end cannot be made sure of is taken back. Raises HarnessError."""
        override = self.engine.place(command, wish, until=until)
        if until is None or self.outlives is None:
            return override
        try:
            self.outlives(override)
        except HarnessError as error:
            self.engine.undo(override)
            raise HarnessError(f"nothing is changed, for nobody would undo it at its end: {error}") from error
        return override

    def pools(self) -> dict[str, wishes.Pool]:
        """Return the worker classes as they are now. Raises HarnessError."""
        scalers = [one for kind in objects.SCALERS for one in self.documents.all(kind)]
        return wishes.pools(self.documents.all(objects.DEPLOYMENT), scalers)

    def look(self) -> status.Status:
        """Return the release's state at this moment; what does not answer is named among the problems."""
        problems: list[str] = []
        now = self.clock()
        queues, breakers, rates = [], {}, {}
        try:
            with Management(self.management_url) as api:
                queues = status.with_depths(api.queue_documents(), api.depths())
        except HarnessError as error:
            problems.append(str(error))
        if self._shared is not None:
            try:
                breakers, rates = shared.breakers(self._shared), shared.rates(self._shared)
            except HarnessError as error:
                problems.append(str(error))
        state = self.documents.get(objects.CONFIG_MAP, objects.state_name(self.release))
        return status.Status(
            at=now,
            release=self.release,
            place=self.shown,
            queues=status.queue_lines(
                self.topology, queues, paused=objects.paused_queues(state), levels=_levels(), now=now
            ),
            pools=status.pool_lines(self.pools()),
            delayed=status.delayed_tasks(self.release, queues),
            breakers=breakers,
            rates=rates,
            overrides=status.override_lines(self.engine.active(), now=now),
            problems=tuple(problems),
        )


def _levels() -> status.FillLevels:
    """Return what the chart's alerts start from; a release does not tell its own."""
    return status.FillLevels.of_alerts(values.defaults()["monitoring"]["alerts"])


def caller(environment: Mapping[str, str]) -> str:
    """Return who runs the command, for the audit log."""
    name = environment.get("SUDO_USER") or environment.get("USER")
    if name:
        return name
    with contextlib.suppress(KeyError, OSError):
        return getpass.getuser()
    return f"uid {os.getuid()}"


@contextlib.contextmanager
def opened(where: Where) -> Iterator[Target]:
    """Yield the release that is meant: without a runtime a local run if there is one, else KUBECONFIG's cluster.

    Raises InputError where nothing or too much fits, HarnessError where it does not answer.
    """
    if where.runtime == "local" or (where.runtime is None and (where.run or runs.running())):
        yield _local(runs.find(where.run))
        return
    if where.runtime is None and not os.environ.get("KUBECONFIG"):
        raise InputError("there is no local run and KUBECONFIG names no cluster: start `harness local`, or set it")
    # Imported here: a local run needs no client of Kubernetes, which takes most of a second to load.
    from harness.ops import cluster_target

    with cluster_target.opened(where) as target:
        yield target


def _local(run: runs.Run) -> Target:
    return Target(
        shown=f"local run {run.name}",
        release=run.release,
        documents=RunDocuments(run.directory),
        topology=run.topology,
        amqp_url=run.amqp_url,
        management_url=run.management_url,
        redis_url=run.redis_url,
        journals=run.directory.parent / "ops-journals",
    )
