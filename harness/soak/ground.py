"""Where a soak runs: servers on data that stays, a proxy, stand-in services, the release as processes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import processes
from harness.broker import server
from harness.chaos import injectors, proxy
from harness.chaos.site import postgresql_on, start_world, through
from harness.chaos.world import World
from harness.errors import HarnessError
from harness.logs import tail
from harness.runtime.base import Release
from harness.services import postgresql
from harness.soak.mix import SERVICES
from harness.soak.state import DATA, Run
from harness.spike.load import INHERITED
from harness.spike.local_ground import LocalGround
from harness.spike.progress import Progress

RELEASE = "celery"
TOPOLOGY = "topology.json"


@dataclass(frozen=True)
class Rendered:
    """The chart's objects for a soak, and where they say everything is."""

    manifests: Sequence[Mapping[str, Any]]
    topology: Mapping[str, Any]


@dataclass(frozen=True)
class SoakGround:
    """Everything that runs. `broker` is reached past the proxy, the release's pods and the publisher go through it."""

    broker: server.Broker
    world: World
    release: Release
    publisher: PublisherProcess


class PublisherProcess:
    """The publisher, which can be killed and begun again; it goes on where it stopped."""

    def __init__(self, run: Run, topology: Path, *, broker_url: str, log: Path) -> None:
        self._command = [sys.executable, "-m", "harness.soak.publisher", str(run.directory), str(topology)]
        kept = {key: os.environ[key] for key in INHERITED if key in os.environ}
        self._environment = {**kept, "BROKER_URL": broker_url}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin, or go on."""
        self._process = processes.start(self._command, log=self._log, env=self._environment)

    def kill(self) -> None:
        """Kill it in the middle of whatever it does."""
        if self._process is not None:
            processes.kill_group(self._process)
            self._process.wait()

    def stop(self) -> None:
        """End it, where it runs."""
        if self._process is not None:
            processes.stop(self._process, grace_seconds=2.0)

    def finished(self) -> bool:
        """Whether it has nothing left to publish. Raises HarnessError when it ended for another reason."""
        code = None if self._process is None else self._process.poll()
        if code:
            raise HarnessError(f"the publisher ended with code {code}; its last words:\n{tail(self._log)}")
        return code == 0


@dataclass
class KillPublisher(injectors.Once):
    """Kills the run's own publisher, which then begins again."""

    publisher: PublisherProcess

    def begin(self) -> str:
        """Kill it, and begin again."""
        self.publisher.kill()
        self.publisher.start()
        return "killed, begun again"

    def over(self) -> bool:
        """At once."""
        return True


def make_injectors(ground: SoakGround) -> dict[str, injectors.Once]:
    """Return what makes each fault."""
    made = injectors.make(ground.world, clock=time.time)
    return {**made, "kill-publisher": KillPublisher(ground.world, ground.publisher)}


@contextmanager
def soak_ground(run: Run, rendered: Rendered, *, part: int, progress: Progress) -> Iterator[SoakGround]:
    """Start all servers on the data they left, or on none; they end with the block and their data stays.

    Raises HarnessError when something does not come up.
    """
    data = run.directory / DATA
    data.mkdir(exist_ok=True)
    topology = run.directory / TOPOLOGY
    topology.write_text(json.dumps(rendered.topology, indent=1))
    with ExitStack() as stack:
        progress.step("starting RabbitMQ, PostgreSQL, Redis, Toxiproxy and the stand-in services")
        running = stack.enter_context(server.own_node(data / "broker", keep=True))
        proxies = stack.enter_context(proxy.run(data / "proxy"))
        proxied = through(running.amqp_url, proxies)
        world = start_world(
            stack,
            rendered.manifests,
            rendered.topology,
            running=running,
            proxies=proxies,
            database=postgresql_on(postgresql.kept_home(data / "postgresql")),
            profile=SERVICES,
            directory=data,
            runtime_directory=run.directory / f"runtime-{part}",
            rng=random.Random(f"{run.wanted.seed}/{part}"),
            publish=_nothing_of_its_own,
        )
        by_the_proxy = LocalGround(replace(running, amqp_url=proxied), world.redis_url, world.services, world.runtime)
        log = run.directory / "publisher.log"
        publisher = PublisherProcess(run, topology, broker_url=proxied, log=log)
        stack.callback(publisher.stop)
        yield SoakGround(running, world, by_the_proxy.install_of(RELEASE, rendered.manifests), publisher)


def _nothing_of_its_own(fault: str) -> Any:
    raise HarnessError(f"{fault} publishes tasks of its own, which a soak has none of")
