"""A namespace with a release in it, by kubectl and helm as a user would make it, and what tests ask of it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import tools
from harness.broker.management import Management
from harness.chart import yaml_strict
from harness.chart.render import render
from harness.chart.values import CHART, environment_files
from harness.cluster import fixture, outside
from harness.cluster.fit import require_fit
from harness.cluster.forward import port_forward
from harness.cluster.kubectl import Kubectl
from harness.cluster.namespace import Namespace
from harness.cluster.versions import versions
from harness.errors import HarnessError
from tests.cluster import client
from tests.cluster.place import Place

ROOT = Path(__file__).resolve().parents[2]
RELEASE = "celery"
CLASSES = ("io", "cpu", "mixed")
WORKERS = "celery-workers/class"
HELM_SECONDS = 300.0
STACKS_SECONDS = 5.0
STORY_LINES = 60


@dataclass
class Space:
    """A namespace of one test, or of several that share a release."""

    place: Place
    name: str
    directory: Path
    password: str = "e2e-only"
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._namespace = Namespace(self.kubectl, self.name, self.place.node_directory)

    @property
    def kubectl(self) -> Kubectl:
        return self.place.kubectl

    # ---- making and removing ------------------------------------------------------------------------------------

    def create(self) -> None:
        """Make the namespace; it enforces restricted Pod Security."""
        self.place.spaces.append(self)
        self._namespace.create()

    def remove(self) -> None:
        """Delete the namespace, its volumes and their files."""
        if self in self.place.spaces:
            self.place.spaces.remove(self)
        self._namespace.remove()

    def fixtures(self, profile: Mapping[str, Any] | None = None) -> None:
        """Run RabbitMQ and the stand-in services beside the release, with their Secrets and volumes."""
        self.place.require_shared_volumes()
        rabbitmq = fixture.Fixture(
            self.name,
            versions().public_images["rabbitmq"],
            self.password,
            volume_path=self._namespace.shared(fixture.NAME),
            storage_class=self.place.storage_class,
        )
        services = outside.Outside(
            self.name,
            self.place.image,
            volume_path=self._namespace.shared(outside.CLAIM),
            storage_class=self.place.storage_class,
            profile=json.dumps(profile or {}),
        )
        self.kubectl.apply(fixture.manifests(rabbitmq), doing="applying RabbitMQ")
        self.kubectl.apply(outside.manifests(services), doing="applying the stand-in services")
        self.rollout(f"statefulset/{fixture.NAME}", f"deployment/{outside.NAME}")

    def install(
        self,
        environments: str | Path,
        *,
        values: Mapping[str, Any] | None = None,
        chart: Path = CHART,
        alone: bool = False,
    ) -> None:
        """`helm install` with files of values/ or a user's file and, over it, further values.

        Returns once all pods are ready.

        Unless the release stands `alone` its workers mount the effects' volume, and the client's pod comes with it.
        """
        files = self.value_files(environments, values, alone=alone)
        require_fit(self.kubectl, render(files, namespace=self.name), one_machine=self.place.is_own_kind)
        self.helm("install", RELEASE, chart, *_as_options(files))
        if not alone:
            self.kubectl.apply(client.manifests(self.name, self.place.image), doing="applying the client")
        self.ready()
        if not alone:
            self.wait_for("Ready", f"pod/{client.NAME}", seconds=60)

    def upgrade(
        self, environments: str | Path, *, values: Mapping[str, Any] | None = None, chart: Path = CHART
    ) -> None:
        """`helm upgrade`; returns once the new pods are ready and the old ones have ended."""
        self.helm("upgrade", RELEASE, chart, *_as_options(self.value_files(environments, values)))
        self.changed()

    def rollback(self, revision: int | None = None) -> None:
        """`helm rollback`, to the revision before where none is given; returns as `upgrade` does."""
        self.helm("rollback", RELEASE, *([] if revision is None else [str(revision)]))
        self.changed()

    def changed(self) -> None:
        """Wait until a new revision is what runs: queues applied, new pods ready, old ones gone."""
        self.wait_for("Complete", "jobs", "--all", seconds=60)
        self.settled()

    def value_files(
        self, environments: str | Path, values: Mapping[str, Any] | None = None, *, alone: bool = False
    ) -> list[Path]:
        """Return the files of an environment, and one over them: the image, the effects' volume, further values."""
        files = [environments] if isinstance(environments, Path) else environment_files(environments)
        self.place.values_files |= {str(path.relative_to(ROOT)) for path in files if path.is_relative_to(ROOT)}
        merged = _merged({} if alone else outside.worker_values(), self.place.image_values)
        merged = _merged(merged, values or {})
        if not merged:
            return files
        extra = self.directory / f"values-{time.monotonic_ns()}.yaml"
        extra.write_text(yaml_strict.dump_all([merged]))
        return [*files, extra]

    def helm(self, *arguments: str | Path, major: int = 4) -> str:
        """Run helm in this namespace; what it writes to stderr is kept as warnings."""
        command = [str(tools.find_helm(major)), *map(str, arguments), "--namespace", self.name]
        command += ["--kubeconfig", str(self.kubectl.kubeconfig)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=HELM_SECONDS, check=False)
        self.warnings += [line for line in done.stderr.splitlines() if line.strip()]
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    # ---- waiting ------------------------------------------------------------------------------------------------

    def rollout(self, *what: str, seconds: float = 180.0) -> None:
        """Wait for rollouts, e.g. of deployment/services."""
        for one in what:
            self._namespace.rollout(one, seconds=seconds)

    def ready(self) -> None:
        """Wait until every worker that is wanted is ready."""
        deployments = self.names("deployments", f"app.kubernetes.io/instance={RELEASE}")
        self.rollout(*(f"deployment/{name}" for name in deployments))

    def settled(self, *, seconds: float = 120.0) -> None:
        """Wait until every worker that is wanted is ready and no other one is left."""
        self.ready()

        def nobody_ends() -> bool:
            pods = self.get("pods", "--selector", WORKERS)["items"]
            return not [pod for pod in pods if "deletionTimestamp" in pod["metadata"]]

        eventually(nobody_ends, seconds=seconds, what="the end of old workers")

    def wait_for(self, condition: str, *what: str, seconds: float) -> None:
        """Wait for a condition, e.g. Ready of pod/client."""
        self.kubectl.run(
            "wait", f"--for=condition={condition}", *what, "-n", self.name, f"--timeout={seconds:.0f}s",
            doing=f"waiting for {condition} of {' '.join(what)}", seconds=seconds + 10,
        )  # fmt: skip

    # ---- looking ------------------------------------------------------------------------------------------------

    def names(self, kind: str, selector: str = "") -> list[str]:
        """Return the names of objects."""
        arguments = ["--selector", selector] if selector else []
        listed = self.kubectl.run("get", kind, "-n", self.name, *arguments, "-o", "name", doing=f"listing {kind}")
        return [line.partition("/")[2] for line in listed.split()]

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return what `kubectl get` answers."""
        return self.kubectl.get(*arguments, "-n", self.name)

    def workers(self, class_name: str | None = None) -> list[dict[str, Any]]:
        """Return the workers' pods, without those that are told to stop."""
        selector = WORKERS if class_name is None else f"{WORKERS}={class_name}"
        pods = self.get("pods", "--selector", selector)["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def restarts(self) -> dict[str, int]:
        """Return the workers whose containers were started anew, and how often."""
        counts = {
            pod["metadata"]["name"]: sum(one["restartCount"] for one in pod["status"].get("containerStatuses", ()))
            for pod in self.workers()
        }
        return {name: count for name, count in counts.items() if count}

    @contextlib.contextmanager
    def management(self) -> Iterator[Management]:
        """Yield RabbitMQ's management API of the fixture."""
        with (
            port_forward(
                self.kubectl,
                namespace=self.name,
                target=f"service/{fixture.NAME}",
                port=fixture.MANAGEMENT_PORT,
                directory=self.directory,
            ) as port,
            Management(f"http://celery:{self.password}@127.0.0.1:{port}") as api,
        ):
            yield api

    def story(self) -> str:
        """Return what is to be seen when something went wrong: pods, events, ends of logs, what ending pods do."""
        parts = [f"namespace {self.name}"]
        commands: Sequence[Sequence[str]] = (
            ["get", "pods,hpa,scaledobjects,pdb", "-o", "wide"],
            ["get", "events", "--sort-by=.lastTimestamp"],
            ["logs", "--all-containers", "--prefix", "--tail=15", "-l", f"app.kubernetes.io/instance={RELEASE}"],
            ["logs", "--tail=15", "statefulset/rabbitmq"],
        )
        for command in commands:
            with contextlib.suppress(HarnessError):
                text = self.kubectl.run(*command, "-n", self.name, doing="looking at the namespace")
                parts.append("\n".join(text.splitlines()[-STORY_LINES:]))
        with contextlib.suppress(HarnessError):
            parts.append(self.stacks(self._ending_workers()))
        return "\n\n".join(parts)

    def _ending_workers(self) -> list[dict[str, Any]]:
        pods = self.get("pods", "--selector", WORKERS)["items"]
        return [pod for pod in pods if "deletionTimestamp" in pod["metadata"]]

    def stacks(self, pods: Iterable[Mapping[str, Any]]) -> str:
        """Return what the threads and greenlets of workers wait for, as they write it to their logs on SIGUSR1."""
        parts = []
        for name in (pod["metadata"]["name"] for pod in pods):
            tell = ["exec", name, "--", "python", "-c", "import os, signal; os.kill(1, signal.SIGUSR1)"]
            with contextlib.suppress(HarnessError):
                self.kubectl.run(*tell, "-n", self.name, doing=f"asking {name} what it waits for")
                time.sleep(STACKS_SECONDS)
                parts.append(
                    self.kubectl.run("logs", "--tail=600", name, "-n", self.name, doing=f"reading {name}'s log")
                )
        return "\n\n".join(parts)

    # ---- faults ---------------------------------------------------------------------------------------------------

    def delete_pods(self, *names: str, at_once: bool = False) -> None:
        """Have the kubelet end pods; `at_once` kills them."""
        force = ["--grace-period=0", "--force"] if at_once else []
        self.kubectl.run("delete", "pod", *names, "-n", self.name, "--wait=false", *force, doing=f"deleting {names}")

    def scale_broker(self, replicas: int) -> None:
        """Take RabbitMQ away, or bring it back with its volume."""
        self.kubectl.run(
            "scale", f"statefulset/{fixture.NAME}", f"--replicas={replicas}", "-n", self.name,
            doing=f"scaling RabbitMQ to {replicas}",
        )  # fmt: skip
        self.rollout(f"statefulset/{fixture.NAME}")

    # ---- tasks, by the client's pod -----------------------------------------------------------------------------

    def ask(self, command: str, document: Any = None, *, seconds: float = client.ANSWER_SECONDS) -> Any:
        """Run a command of inside.py in the client's pod."""
        return client.ask(self.kubectl, self.name, command, document, seconds=seconds)

    def publish(self, tasks: Mapping[str, int], **kwargs: Any) -> list[str]:
        """Publish so many of each task, by the release's own routes; returns the ids."""
        return list(self.ask("publish", {"tasks": dict(tasks), "kwargs": kwargs}, seconds=240))

    def require_done(self, ids: Iterable[str], *, seconds: float, what: str) -> None:
        """Wait until the effects of all these tasks are there."""
        wanted = sorted(ids)
        missing = self.ask("wait_done", {"ids": wanted, "seconds": seconds}, seconds=seconds + 60)
        left = f"{len(missing)} of {len(wanted)} tasks without effect after {seconds:.0f} s"
        assert not missing, f"{what}: {left}, such as {missing[:5]}"

    def delivered_again(self, ids: Iterable[str]) -> dict[str, int]:
        """Return the ids that came to a service more than once, and how often."""
        counts = self.ask("deliveries", {"ids": sorted(ids)})
        return {task_id: count for task_id, count in counts.items() if count > 1}

    @contextlib.contextmanager
    def publishing(self, tasks: Sequence[str], *, per_second: float) -> Iterator[dict[str, list[str]]]:
        """Publish these tasks in turn for the block's time; what it yields has the ids by outcome afterwards."""
        outcomes: dict[str, list[str]] = {}
        self.ask("start_steady", {"tasks": list(tasks), "per_second": per_second, "most_seconds": HELM_SECONDS})
        yield outcomes
        outcomes |= self.ask("stop_steady", seconds=90)

    @contextlib.contextmanager
    def latencies(self, **seconds: float) -> Iterator[None]:
        """Have the named services take so long for the block's time."""
        self.ask("profile", {name: {"latency_seconds": value} for name, value in seconds.items()})
        try:
            yield
        finally:
            with contextlib.suppress(HarnessError):  # what failed before says more
                self.ask("profile", {name: {} for name in seconds})


def eventually(look: Callable[[], Any], *, seconds: float, what: str, every: float = 1.0) -> Any:
    """Return the first true answer; fail saying what did not come about and what was seen last.

    An API that does not answer once is asked again.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            seen = look()
        except HarnessError as error:
            seen, shown = None, str(error)
        else:
            shown = repr(seen)
        if seen:
            return seen
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s (last seen: {shown})"
        time.sleep(every)


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod's condition Ready is true."""
    conditions = pod["status"].get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _as_options(files: Iterable[Path]) -> list[str | Path]:
    return [part for path in files for part in ("--values", path)]


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `over` laid on it, mappings key by key."""
    result = dict(base)
    for key, value in over.items():
        before = result.get(key)
        result[key] = _merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return result
