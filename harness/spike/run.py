"""One spike run, from values to a finished report."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import processes, tools
from harness.broker import server
from harness.broker.management import Management
from harness.broker.stats import QueueDepth
from harness.chart import render, yaml_strict
from harness.errors import HarnessError, InputError
from harness.runtime.base import Release, Runtime
from harness.runtime.local import LocalRuntime
from harness.spike import arrivals, evidence, facts, report, result, watching
from harness.spike.load import ENDED_BY_ITSELF, Load, locust
from harness.spike.progress import Progress
from harness.spike.ramps import fastest_ramps
from harness.spike.scenario import Scenario, load_scenario
from harness.spike.services import Services, stand_ins

ROOT = Path(__file__).resolve().parents[2]
READY_TIMEOUT_SECONDS = 120.0
LOOP_SECONDS = 0.1
SYNC_SECONDS = 15.0  # the HorizontalPodAutoscaler controller's period
AFTER_SYNC_SECONDS = 0.5
LOCUST_START_SECONDS = 5.0  # Locust takes three to come up
SAMPLE_SECONDS = 1.0
JOURNALS = "journals"  # made when the load begins
SILENCE_SECONDS = 30.0  # a busy broker may leave a question unanswered; one that is gone ends the run
# Between two queues of a chain a task is in none for a moment.
QUIET_SAMPLES = 2
BROKER_SECRET = "celery-broker"  # noqa: S105  (a Secret's name, as values.yaml has it)
SERVICES_SECRET = "examx-services"  # noqa: S105


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to run. `environment` names files of values/, in the order in which they apply."""

    scenario: str
    environment: str
    reports: Path
    release: str = "celery"
    broker_port: int | None = None

    @property
    def command(self) -> str:
        """The command that repeats the run."""
        return f"make spike SCENARIO={self.scenario} ENV={self.environment} RUNTIME=local"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A request whose inputs were read and found sound, before anything is started."""

    request: Request
    run_id: str
    scenario: Scenario
    values: Sequence[Path]
    manifests: Sequence[Mapping[str, Any]]
    topology: Mapping[str, Any]
    plan: arrivals.LoadPlan


def run(request: Request, *, progress: Progress) -> Path:
    """Run a scenario on the local runtime and return the directory of its report.

    Everything is written into a hidden directory that gets its name when the report is complete; a run that fails
    keeps its logs under `failed-...`, one that is interrupted or whose input is wrong leaves nothing.

    Raises:
        InputError: the scenario or the values are wrong, or do not fit this machine.
        HarnessError: something that the run needs did not work; the message names the logs.
    """
    prepared = prepare(request)
    reports = request.reports.resolve()  # the processes of a run have other working directories
    directory = reports / f".{prepared.run_id}.partial"
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"--reports {request.reports}: {error.strerror}; name a directory you may write to") from error
    try:
        _perform(prepared, directory, progress)
        finished = directory.rename(reports / prepared.run_id)
        report.point_latest(finished)
        return finished
    except KeyboardInterrupt:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    except Exception as error:
        if isinstance(error, InputError) and not (directory / JOURNALS).exists():  # refused before the load began
            shutil.rmtree(directory, ignore_errors=True)
            raise
        kept = directory.rename(reports / f"failed-{prepared.run_id}")
        if not isinstance(error, HarnessError):
            error.add_note(f"The run's logs: {kept}")
            raise
        text = str(error).replace(str(directory), str(kept))
        raise type(error)(f"{text}\nThe run's logs: {kept}") from error


def prepare(request: Request) -> Prepared:
    """Read and check everything that can be wrong before a process is started. Raises InputError."""
    scenario = load_scenario(request.scenario)
    values = render.environment_files(request.environment)
    if request.broker_port is not None:
        if os.environ.get("BROKER_URL"):
            raise InputError(
                "--broker-port is for a RabbitMQ that is started, BROKER_URL names a running one: unset one"
            )
        processes.require_free_port(request.broker_port, option="--broker-port")
    manifests = render.render(values, release=request.release)
    topology = render.topology(manifests)
    ramps = fastest_ramps(manifests, until_seconds=scenario.limit_seconds)
    arrivals.check_fits(scenario, topology, cores=int(facts.machine()["cores"] or 1), ramps=ramps)
    run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{scenario.name}-{uuid.uuid4().hex[:6]}"
    return Prepared(
        request=request,
        run_id=run_id,
        scenario=scenario,
        values=values,
        manifests=manifests,
        topology=topology,
        plan=arrivals.plan(scenario, topology, run_id=run_id),
    )


def _perform(prepared: Prepared, directory: Path, progress: Progress) -> None:
    scenario = prepared.scenario
    with ExitStack() as stack:
        progress.step("starting RabbitMQ")
        broker = stack.enter_context(server.acquire(directory / "broker", port=prepared.request.broker_port))
        if broker.origin == "given":  # its owner's queues, and those of another run, are none of our business
            broker = stack.enter_context(server.own_vhost(broker, f"spike-{prepared.run_id}"))
        progress.step(f"starting the stand-in services (RabbitMQ {broker.version}, {broker.origin})")
        services = stack.enter_context(stand_ins(directory / "services", scenario.services))
        management = stack.enter_context(Management(broker.management_url))
        load = _load(prepared, directory, services, broker.amqp_url)
        runtime: Runtime = LocalRuntime(
            directory=directory / "runtime", queue_source=management.queues, sync_seconds=SYNC_SECONDS
        )
        stack.callback(runtime.uninstall)
        progress.step(f"installing {', '.join(path.name for path in prepared.values)} as processes")
        runtime.install(_release(prepared, broker, services))
        progress.step("waiting for the workers to be ready")
        runtime.wait_ready(timeout_seconds=READY_TIMEOUT_SECONDS)
        load = replace(load, start_at=start_after_sync(runtime.next_sync_at(), now=time.time()))
        progress.step(f"{scenario.title}: {len(prepared.plan.arrivals):,} tasks")
        watch = Watch(prepared, runtime=runtime, management=management, load=load, services=services, progress=progress)
        with locust(load, log=directory / "locust.log") as generator:
            watch.until_done(generator)
        progress.step("accounting for every task")
        found = evidence.collect(plan=prepared.plan, load=load, services=services, topology=prepared.topology)
        progress.step("stopping")
    _write(prepared, directory, found, watch, broker)


def start_after_sync(next_sync_at: float | None, *, now: float) -> float | None:
    """Return when the load begins: just after the autoscaler has decided, so that every run waits the longest time.

    Load that begins at a chance moment would meet the next decision after anything between nothing and a whole
    period, and two runs could not be compared.
    """
    if next_sync_at is None:
        return None
    at = next_sync_at + AFTER_SYNC_SECONDS
    while at < now + LOCUST_START_SECONDS:
        at += SYNC_SECONDS
    return at


def _load(prepared: Prepared, directory: Path, services: Services, broker_url: str) -> Load:
    topology = directory / "topology.json"
    topology.write_text(json.dumps(prepared.topology, indent=1))
    source = Path(prepared.scenario.source)
    shutil.copyfile(source, directory / f"{prepared.scenario.name}.yaml")  # to read beside the report
    return Load(
        broker_url=broker_url,
        topology=topology,
        scenario=source,
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


class Watch:
    """Keeps the runtime going and samples it once a second until the load is over and nothing is left."""

    def __init__(
        self,
        prepared: Prepared,
        *,
        runtime: Runtime,
        management: Management,
        load: Load,
        services: Services,
        progress: Progress,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._limit_seconds = prepared.scenario.limit_seconds
        self._load_starts_at = load.start_at or 0.0
        self._work_queues = frozenset(prepared.topology["queues"])
        classes = facts.classes_of(prepared.manifests, prepared.topology)
        self._class_of = {description["deployment"]: name for name, description in classes.items()}
        self._management = management
        self._counts = watching.LiveCounts(load.journals, database_url=services.database_url)
        self._progress = progress
        self._clock = clock
        self._quiet = 0
        self._answered_at: float | None = None
        self.runtime = runtime
        self.samples: list[dict[str, Any]] = []  # t is seconds since the epoch until `relative`
        self.timed_out = False

    def until_done(self, generator: subprocess.Popen[bytes]) -> None:
        """Return when the load generator has ended and the queues are empty, or at the scenario's limit.

        The limit counts from the load's first moment. Raises HarnessError when the load generator fails.
        """
        started = max(self._clock(), self._load_starts_at)
        while True:
            self.runtime.tick()
            now = self._clock()
            if not self.samples or now - self.samples[-1]["t"] >= SAMPLE_SECONDS:
                self._sample(now)
            code = generator.poll()
            if code not in (None, *ENDED_BY_ITSELF):
                raise HarnessError(f"the load generator ended with code {code}: see locust.log")
            if code is not None and self._quiet >= QUIET_SAMPLES:
                break
            if now - started > self._limit_seconds:
                self.timed_out = True
                break
            time.sleep(LOOP_SECONDS)

    def relative(self, started_at: float) -> list[dict[str, Any]]:
        """Return the samples with `t` in seconds from the start of the load."""
        return [{**one, "t": round(one["t"] - started_at, 3)} for one in self.samples]

    def _sample(self, now: float) -> None:
        queues = self._depths(now)
        if queues is None:
            return
        one = watching.sample(seconds=now, runtime=self.runtime, queues=queues, class_of=self._class_of)
        self.samples.append(one)
        self._quiet = self._quiet + 1 if not any(depth.total for depth in queues.values()) else 0
        self._progress.sample({**one, "t": max(now - self.samples[0]["t"], 0)}, self._counts.refresh())

    def _depths(self, now: float) -> dict[str, QueueDepth] | None:
        """Return what the work queues hold, None when the broker leaves the question unanswered for now."""
        try:
            depths = self._management.depths()
        except HarnessError:
            if self._answered_at is None or now - self._answered_at > SILENCE_SECONDS:
                raise
            return None
        self._answered_at = now
        return {name: depth for name, depth in depths.items() if name in self._work_queues}


def _write(prepared: Prepared, directory: Path, found: evidence.Evidence, watch: Watch, broker: server.Broker) -> None:
    started_at = found.started_at
    run_facts = result.RunFacts(
        run_id=prepared.run_id,
        scenario=prepared.scenario.name,
        runtime=watch.runtime.name,
        started_at=started_at,
        duration_seconds=round(watch.samples[-1]["t"] - started_at, 3),
        command=prepared.request.command,
        title=prepared.scenario.title,
        description=prepared.scenario.description,
        ideal_drain_seconds=round(arrivals.ideal_drain_seconds(prepared.plan, prepared.topology), 3),
        interrupted=watch.timed_out,
        setup=_setup(prepared, broker),
        files=_files(directory),
        calls=found.calls,
        torn_lines=found.torn_lines,
    )
    outcome = result.build(
        facts=run_facts,
        ledger=found.ledger,
        objectives=prepared.scenario.objectives,
        due_at={one.id: started_at + one.due_seconds for one in prepared.plan.arrivals},
        samples=watch.relative(started_at),
        scale_events=watch.runtime.scale_events(),
        events=watch.runtime.events(),
    )
    result.write(outcome, directory)
    report.write(outcome, directory)


def _setup(prepared: Prepared, broker: server.Broker) -> dict[str, Any]:
    return facts.setup(
        manifests=prepared.manifests,
        topology=prepared.topology,
        values_files=[os.path.relpath(path, ROOT) for path in prepared.values],
        chart_version=str(yaml_strict.load_file(render.CHART / "Chart.yaml")["version"]),
        checkout=ROOT,
        rabbitmq=broker.version,
        helm=".".join(map(str, tools.helm_version(tools.find_helm()))),
    )


def _files(directory: Path) -> dict[str, str]:
    wanted = {
        "topology.json": "topology.json",
        "scenario": "*.yaml",
        "autoscaling decisions": "runtime/autoscaling.jsonl",
        "publisher journals": JOURNALS,
        "deliveries": "services/deliveries.jsonl",
        "worker logs": "runtime/pods",
        "Locust's log": "locust.log",
    }
    found = {label: sorted(directory.glob(pattern)) for label, pattern in wanted.items()}
    return {label: str(paths[0].relative_to(directory)) for label, paths in found.items() if paths}
