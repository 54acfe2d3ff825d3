"""The place of a chaos run: this machine, with PostgreSQL, Redis and a proxy that can cut connections."""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from celery_workers.breaker_overrides import list_breakers
from celery_workers.shared import Away, SharedRedis
from harness import processes
from harness.broker import node, server
from harness.broker.management import Management
from harness.broker.urls import parse_amqp
from harness.chaos import bulk, injectors, proxy
from harness.chaos.director import Director
from harness.chaos.schedule import Injection
from harness.chaos.servers import Restartable
from harness.chaos.world import World
from harness.errors import HarnessError
from harness.runtime.local import LocalRuntime
from harness.services import postgresql, redis
from harness.spike import facts
from harness.spike.arrivals import Arrival
from harness.spike.load import JOURNALS, locust
from harness.spike.local_ground import LocalGround
from harness.spike.local_site import LocalSite, load_of
from harness.spike.prepared import Prepared
from harness.spike.progress import Progress
from harness.spike.publisher_app import publisher_app
from harness.spike.services import stand_ins
from harness.spike.site import Generator, Ground
from harness.spike.start import SYNC_SECONDS

JOURNAL = "chaos.jsonl"
BROKER = "rabbitmq"
SILENCE_SECONDS = 120.0  # it is taken away on purpose


@dataclass(frozen=True)
class Chaos:
    """What happens in a run besides its load."""

    injections: Sequence[Injection]
    own_tasks: Sequence[Arrival]
    seed: int


class ChaosSite(LocalSite):
    """A local site whose parts can be taken away and brought back."""

    def __init__(self, chaos: Chaos) -> None:
        super().__init__()
        self._chaos = chaos

    @contextmanager
    def ground(self, prepared: Prepared, directory: Path, progress: Progress) -> Iterator[Ground]:
        """Start broker, databases, services and proxy; the runtime starts the rest."""
        with ExitStack() as stack:
            progress.step("starting RabbitMQ, PostgreSQL, Redis, Toxiproxy and the stand-in services")
            running = stack.enter_context(server.own_node(directory / "broker"))
            proxies = stack.enter_context(proxy.run(directory / "proxy"))
            proxied = through(running.amqp_url, proxies)
            world = start_world(
                stack,
                prepared.manifests,
                prepared.topology,
                running=running,
                proxies=proxies,
                database=own_postgresql(directory / "postgresql"),
                profile=prepared.scenario.services,
                directory=directory,
                runtime_directory=directory / "runtime",
                rng=random.Random(self._chaos.seed),
                publish=self._publisher(prepared, directory, proxied),
            )
            noted = Notes(directory / JOURNAL, world.management, SharedRedis(world.redis_url), progress)
            director = Director(self._chaos.injections, injectors.make(world, clock=time.time), record=noted)
            world.runtime.add_controller(lambda: director.tick(time.time()))
            stack.callback(director.close)
            load = load_of(prepared, directory, world.services, proxied)

            def generate(start_at: float | None) -> AbstractContextManager[Generator]:
                director.start(start_at or time.time())
                return locust(replace(load, start_at=start_at), log=directory / "locust.log")

            by_the_proxy = LocalGround(
                replace(running, amqp_url=proxied), world.redis_url, world.services, world.runtime
            )
            yield Ground(
                broker=running,
                services=world.services,
                journals=load.journals,
                runtime=world.runtime,
                release=by_the_proxy.install_of(prepared.request.release, prepared.manifests),
                generate=generate,
                settle=lambda: noted("", "after", ""),
                silence_seconds=SILENCE_SECONDS,
            )

    def _publisher(self, prepared: Prepared, directory: Path, broker_url: str) -> Callable[[str], bulk.OwnPublisher]:
        def publish(phase: str) -> bulk.OwnPublisher:
            return bulk.start(
                [one for one in self._chaos.own_tasks if one.phase == phase],
                name=phase,
                broker_url=broker_url,
                topology=directory / "topology.json",
                journals=directory / JOURNALS,
                directory=directory / "own",
            )

        return publish


def start_world(
    stack: ExitStack,
    manifests: Sequence[Mapping[str, Any]],
    topology: Mapping[str, Any],
    *,
    running: server.Broker,
    proxies: proxy.Proxies,
    database: AbstractContextManager[tuple[Restartable, str]],
    profile: Mapping[str, Any],
    directory: Path,
    runtime_directory: Path,
    rng: random.Random,
    publish: Callable[[str], Any],
) -> World:
    """Start the databases and the services; return all that faults act on. It ends with the stack.

    `profile` is how the services behave; Redis and they write below `directory`.
    """
    served, database_url = stack.enter_context(database)
    memory, memory_url = stack.enter_context(own_redis(directory / "redis"))
    services = stack.enter_context(stand_ins(directory / "services", profile))
    runtime = LocalRuntime(directory=runtime_directory, queue_source=dict, sync_seconds=SYNC_SECONDS)
    stack.callback(runtime.uninstall)
    return World(
        runtime=runtime,
        deployments={name: one["deployment"] for name, one in facts.classes_of(manifests, topology).items()},
        topology=topology,
        broker=control_of(running),
        management=stack.enter_context(Management(running.management_url)),
        proxies=proxies,
        proxied=(BROKER,),
        database=served,
        redis=memory,
        redis_url=memory_url,
        services=replace(services, database_url=database_url),
        profile=profile,
        app=publisher_app(topology, broker_url=running.amqp_url),
        rng=rng,
        publish=publish,
    )


class Notes:
    """Writes a line for each thing the director did, with what the workers had in work at that moment.

    `more` is asked for what else a line is to say.
    """

    def __init__(
        self,
        path: Path,
        management: Management,
        shared: SharedRedis,
        progress: Progress,
        *,
        more: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._path = path
        self._management = management
        self._shared = shared
        self._progress = progress
        self._more = more

    def __call__(self, fault: str, what: str, text: str) -> None:
        """Note it."""
        line = {"t": time.time(), "fault": fault, "what": what, "text": text}
        line |= {"in_work": self._in_work(), "breakers": self._breakers(), **self._more()}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if fault:
            self._progress.step(f"{fault} {what}{f': {text}' if text else ''}")

    def _in_work(self) -> dict[str, int] | None:
        try:
            return {name: depth.unacked for name, depth in self._management.depths().items() if depth.unacked}
        except HarnessError:
            return None

    def _breakers(self) -> dict[str, dict[str, Any]] | None:
        try:
            return {one.name: {"state": one.state, "opened": one.opened} for one in list_breakers(self._shared)}
        except Away:
            return None


@contextmanager
def own_postgresql(directory: Path) -> Iterator[tuple[Restartable, str]]:
    """Yield a PostgreSQL of ours and its URL, which stays when it is started again; its data goes with the block."""
    with postgresql.home(directory) as home, postgresql_on(home) as running:
        yield running


@contextmanager
def postgresql_on(home: postgresql.Home) -> Iterator[tuple[Restartable, str]]:
    """Yield a PostgreSQL on data that is there, and its URL, which stays when it is started again in this block."""
    port = processes.free_port()
    with Restartable(lambda: postgresql.serve(home, port=port)) as running:
        yield running, running.url.replace("postgresql:", "postgresql+psycopg:", 1)


@contextmanager
def own_redis(directory: Path) -> Iterator[tuple[Restartable, str]]:
    """Yield a Redis of ours and its URL, which stays when it is started again."""
    port, password = processes.free_port(), secrets.token_urlsafe(16)
    with Restartable(lambda: redis.serve(directory, port=port, password=password)) as running:
        yield running, running.url


def through(amqp_url: str, proxies: proxy.Proxies) -> str:
    """Return the broker's address by way of the proxy."""
    parts = parse_amqp(amqp_url, source="the broker's address")
    port = proxies.add(BROKER, parts.port)
    return amqp_url.replace(f":{parts.port}/", f":{port}/", 1)


def control_of(running: server.Broker) -> node.Control:
    """Return what ends and starts the broker. Raises HarnessError for one that is not ours."""
    if running.control is None:
        raise HarnessError("a chaos run needs a RabbitMQ of its own: install rabbitmq-server")
    return running.control


def notes(directory: Path) -> list[Mapping[str, Any]]:
    """Read what the director did."""
    return [json.loads(line) for line in (directory / JOURNAL).read_text().splitlines()]
