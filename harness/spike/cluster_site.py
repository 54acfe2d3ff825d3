"""Running a scenario in a cluster: on a kind cluster of our own, or on the one KUBECONFIG names."""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from harness import processes, tools
from harness.broker.server import Broker, reached
from harness.chart import manifests as look
from harness.chart import render
from harness.cluster import fixture, given, madevalues, outside, programs, setup, way
from harness.cluster.capacity import nodes_room
from harness.cluster.fit import require_fit, this_machine
from harness.cluster.forward import port_forward
from harness.cluster.given import Given
from harness.cluster.kubectl import Kubectl
from harness.cluster.mirror import Mirror, copy_database
from harness.cluster.namespace import Namespace, made
from harness.cluster.versions import versions
from harness.errors import HarnessError, InputError
from harness.runtime.base import Release
from harness.runtime.cluster import ClusterRuntime
from harness.spike import loadjob
from harness.spike.load import JOURNALS
from harness.spike.loadjob import LoadJob
from harness.spike.machine_use import busy_cores
from harness.spike.prepared import Prepared, Request
from harness.spike.progress import Progress
from harness.spike.scenario import resolved_text
from harness.spike.services import Services
from harness.spike.site import Generator, Ground
from harness.spike.start import CLUSTER_SYNC_SECONDS, LOCUST_POD_START_SECONDS

EFFECTS_VALUES = "effects-volume.yaml"
LOAD_MARGIN_SECONDS = 180.0  # its image is there; what takes time is Python, and waiting for its turn
POLL_SECONDS = 0.5
_NEVER_STARTS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError")


@dataclass(frozen=True)
class Cluster:
    """A cluster that answers. `node_directory` is this machine's side of what all nodes share: on kind only."""

    kubectl: Kubectl
    node_directory: Path | None
    made: Mapping[str, str]  # what it is made of, for the report
    given: Given  # its images, and its volumes where there is no such directory

    @property
    def on_this_machine(self) -> bool:
        """Whether its nodes share this machine's cores."""
        return self.node_directory is not None


class ClusterSite:
    """A namespace for each run, with RabbitMQ, the stand-in services and Locust beside the release."""

    ready_seconds = 240.0

    def __init__(
        self,
        name: str,
        *,
        overlay: str | None,
        find: Callable[[Progress], Cluster],
        image_values: Mapping[str, Any] | None = None,
    ) -> None:
        """`overlay` is a values file that every run here needs; `find` makes the cluster where there is none.

        `image_values` name the application's image where it is another than the chart's.
        """
        self.name = name
        self._image_values = image_values or {}
        self._overlay = overlay
        self._find = find
        self._cluster: Cluster | None = None

    def values(self, request: Request) -> Sequence[Path]:
        """Return the request's files with the site's overlay, if it is not among them, the image and the volume."""
        files = render.environment_files(request.environment)
        overlay = [] if self._overlay is None else madevalues.overlay(self._overlay, files)
        image = [madevalues.named_by_content("image", self._image_values)] if self._image_values else []
        effects = madevalues.values_file(EFFECTS_VALUES, outside.worker_values())
        return [*files, *overlay, *image, *request.values, effects]

    def cores(self) -> int:
        """Return this machine's cores: on kind the nodes are containers here."""
        return int(this_machine().cpu)

    def check(self, prepared: Prepared, progress: Progress) -> None:
        """Make the cluster if need be, and refuse a run whose pods do not fit it."""
        self._cluster = self._find(progress)
        require_fit(
            self._cluster.kubectl,
            [*prepared.manifests, *_beside(prepared, self._cluster)],
            one_machine=self._cluster.on_this_machine,
        )

    def facts(self) -> Mapping[str, str]:
        """Return the versions of what the cluster is made of."""
        return {} if self._cluster is None else self._cluster.made

    @contextmanager
    def ground(self, prepared: Prepared, directory: Path, progress: Progress) -> Iterator[Ground]:
        """Make the namespace and start broker and stand-ins in it; helm installs the rest."""
        cluster = self._there()
        name = _namespace(prepared)
        with ExitStack() as stack:
            progress.step(f"making namespace {name}")
            place = stack.enter_context(made(Namespace(cluster.kubectl, name, cluster.node_directory)))
            progress.step("starting RabbitMQ")
            rabbitmq = _rabbitmq(place, cluster)
            cluster.kubectl.apply(fixture.manifests(rabbitmq), doing="applying RabbitMQ")
            progress.step("starting the stand-in services")
            effects = _effects(place, directory)
            cluster.kubectl.apply(
                outside.manifests(_outside(place, cluster, prepared.scenario.services)),
                doing="applying the stand-in services",
            )
            place.rollout("statefulset/rabbitmq")
            place.rollout(f"deployment/{outside.NAME}")
            _make_tables(place)
            broker = stack.enter_context(_broker(place, rabbitmq, directory))
            runtime = ClusterRuntime(
                cluster.kubectl, namespace=name, values=prepared.values, directory=directory / "runtime"
            )
            stack.callback(runtime.uninstall)
            stack.callback(_keep, effects.directory, directory)
            job = _job(prepared, cluster, name, rabbitmq.amqp_url)
            yield Ground(
                broker=broker,
                services=_services(effects.directory),
                journals=effects.directory / JOURNALS,
                runtime=runtime,
                release=Release(prepared.request.release, name, prepared.manifests, secrets={}),
                generate=lambda start_at: _load(place, replace(job, start_at=start_at), directory),
                refresh=effects.refresh,
                settle=effects.settle,
                machine_cores=busy_cores if cluster.on_this_machine else lambda: None,
                start_seconds=LOCUST_POD_START_SECONDS,
                sync_seconds=CLUSTER_SYNC_SECONDS,
            )

    def _there(self) -> Cluster:
        if self._cluster is None:
            raise HarnessError(f"site {self.name} was not checked")
        return self._cluster


def on_kind() -> ClusterSite:
    """Return the site on our own kind cluster, which is made when it is not there."""
    return ClusterSite("kind", overlay=madevalues.KIND, find=_kind)


def on_given() -> ClusterSite:
    """Return the site on the cluster KUBECONFIG names. Raises InputError when it names none, or one without storage."""
    if way.given(os.environ) is None:
        raise InputError("--runtime cluster runs on the cluster that KUBECONFIG names, and it is not set")
    said = given.read(os.environ, default_image=setup.application_reference())
    if said.storage_class is None:
        raise InputError(given.NO_STORAGE_CLASS)
    return ClusterSite("cluster", overlay=None, find=partial(_given, said), image_values=said.image_values)


def _kind(progress: Progress) -> Cluster:
    progress.step("looking for the kind cluster")
    plan = setup.usual_plan(os.environ)
    report = setup.up(plan, say=progress.step)
    home = tools.cache_home() / "cluster" / plan.name
    pinned = versions()
    return Cluster(
        Kubectl(programs.find_kubectl(), Path(report["kubeconfig"])),
        home / "shared",
        {
            "kubernetes": pinned.kubernetes,
            "kind": pinned.kind,
            "keda": pinned.keda,
            "metrics-server": pinned.metrics_server,
            "nodes": f"1 control-plane, {len(report['nodes']) - 1} workers",
        },
        given.read({}, default_image=setup.application_reference()),
    )


def _given(said: Given, progress: Progress) -> Cluster:
    progress.step("looking at the cluster")
    kubectl = Kubectl(programs.find_kubectl(), Path(os.environ["KUBECONFIG"]))
    nodes = kubectl.get("nodes")["items"]
    room = nodes_room(nodes, [])
    return Cluster(
        kubectl,
        None,
        {"kubernetes": nodes[0]["status"]["nodeInfo"]["kubeletVersion"].lstrip("v"), "nodes": f"{len(room)} workers"},
        said,
    )


def _namespace(prepared: Prepared) -> str:
    return f"spike-{prepared.run_id.rsplit('-', 1)[-1]}"


def _beside(prepared: Prepared, cluster: Cluster) -> list[dict[str, Any]]:
    """Return what runs beside the release, to be counted: no volume is made for it yet, and no password."""
    name = _namespace(prepared)
    rabbitmq = fixture.Fixture(name, versions().public_images["rabbitmq"], password="")
    return [
        *fixture.manifests(rabbitmq),
        *outside.manifests(outside.Outside(name, cluster.given.image)),
        *loadjob.manifests(_job(prepared, cluster, name, rabbitmq.amqp_url)),
    ]


@dataclass(frozen=True)
class _Effects:
    """Where this process finds what the pods write, and how it gets there."""

    directory: Path
    refresh: Callable[[], None] = lambda: None
    settle: Callable[[], None] = lambda: None


def _effects(place: Namespace, directory: Path) -> _Effects:
    here = place.shared_here(outside.CLAIM)
    if here is not None and os.geteuid() in (0, outside.UID):  # reading SQLite's log of changes takes writing beside it
        return _Effects(here)
    mirror = Mirror(place.kubectl, place.name, directory / "effects")
    return _Effects(mirror.target, mirror.refresh, mirror.pull)


def _rabbitmq(place: Namespace, cluster: Cluster) -> fixture.Fixture:
    return fixture.Fixture(
        place.name,
        versions().public_images["rabbitmq"],
        secrets.token_hex(12),
        volume_path=place.shared(fixture.NAME),
        storage_class=cluster.given.storage_class,
    )


def _outside(place: Namespace, cluster: Cluster, profile: Mapping[str, Any]) -> outside.Outside:
    return outside.Outside(
        place.name,
        cluster.given.image,
        volume_path=place.shared(outside.CLAIM),
        storage_class=cluster.given.storage_class,
        profile=json.dumps(profile),
    )


def _services(effects: Path) -> Services:
    """Return the stand-ins as this process sees them: their addresses are the cluster's, what they wrote is here."""
    return Services(
        smtp_url="",
        http_url="",
        database_url=f"sqlite:///{effects / outside.DATABASE}",
        files=effects / outside.FILES,
        deliveries=effects / outside.DELIVERIES,
    )


def _make_tables(place: Namespace) -> None:
    """Let a pod make the database: it would not be the workers' to write to if this process did."""
    code = f"from examx import effects; effects.prepare({outside.DATABASE_URL!r})"
    place.kubectl.run(
        "exec", f"deployment/{outside.NAME}", "-n", place.name, "--", "python", "-c", code, doing="making the tables"
    )


@contextmanager
def _broker(place: Namespace, rabbitmq: fixture.Fixture, directory: Path) -> Iterator[Broker]:
    """Yield RabbitMQ as it is reached from here, through the API server."""
    logs = directory / "broker"
    logs.mkdir()
    with ExitStack() as stack:
        amqp, management = (
            stack.enter_context(
                port_forward(
                    place.kubectl, namespace=place.name, target=f"service/{fixture.NAME}", port=port, directory=logs
                )
            )
            for port in (fixture.AMQP_PORT, fixture.MANAGEMENT_PORT)
        )
        login = f"{rabbitmq.user}:{rabbitmq.password}@{processes.LOOPBACK}"
        yield reached(f"amqp://{login}:{amqp}//", f"http://{login}:{management}", origin="fixture")


def _job(prepared: Prepared, cluster: Cluster, namespace: str, broker_url: str) -> LoadJob:
    return LoadJob(
        namespace=namespace,
        image=cluster.given.load_image,
        broker_url=broker_url,
        topology_json=json.dumps(prepared.topology),
        scenario_text=resolved_text(prepared.scenario.source),
        run_id=prepared.run_id,
        effects={"standins_url": outside.services_url(namespace), "database_url": outside.DATABASE_URL},
        limit_seconds=prepared.scenario.limit_seconds,
        margin_seconds=LOAD_MARGIN_SECONDS,
    )


@contextmanager
def _load(place: Namespace, job: LoadJob, directory: Path) -> Iterator[Generator]:
    """Run Locust as a Job; its log is kept."""
    (directory / JOURNALS).mkdir()
    place.kubectl.apply(loadjob.manifests(job), doing="starting the load generator")
    try:
        yield _Locust(place)
    finally:
        with contextlib.suppress(HarnessError):
            log = place.kubectl.run("logs", f"job/{loadjob.NAME}", "-n", place.name, doing="reading Locust's log")
            (directory / "locust.log").write_text(log)


class _Locust:
    """The pod of the load's Job, looked at a few times a second at most."""

    def __init__(self, place: Namespace) -> None:
        self._place = place
        self._looked_at = -math.inf

    def poll(self) -> int | None:
        """Return Locust's exit code, None until it has ended. Raises HarnessError when its pod cannot start."""
        if time.monotonic() - self._looked_at < POLL_SECONDS:
            return None
        self._looked_at = time.monotonic()
        pods = self._place.kubectl.get("pods", "-n", self._place.name, "--selector", f"job-name={loadjob.NAME}")
        states = [status.get("state", {}) for status in look.items(pods, "items", 0, "status", "containerStatuses")]
        if not states:
            return None
        reason = look.text(states[0], "waiting", "reason")
        if reason in _NEVER_STARTS:
            message = look.text(states[0], "waiting", "message")
            raise HarnessError(f"the load generator cannot start: {reason} {message}")
        code = look.get(states[0], "terminated", "exitCode")
        return None if code is None else int(code)


def _keep(effects: Path, directory: Path) -> None:
    """Copy what the run wrote into its own directory: the volume goes with the namespace."""
    kept = directory / "services"
    kept.mkdir(exist_ok=True)
    if (effects / outside.DELIVERIES).exists():
        shutil.copyfile(effects / outside.DELIVERIES, kept / outside.DELIVERIES)
    if (effects / outside.DATABASE).exists():
        copy_database(effects / outside.DATABASE, kept / outside.DATABASE)
    if (effects / JOURNALS).is_dir():
        shutil.copytree(effects / JOURNALS, directory / JOURNALS, dirs_exist_ok=True)
