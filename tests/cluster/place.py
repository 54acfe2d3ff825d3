"""A cluster and the namespaces tests make in it, by kubectl and helm as a user would."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness import tools
from harness.broker.management import Management
from harness.chart import yaml_strict
from harness.chart.render import render
from harness.chart.values import CHART, environment_files
from harness.cluster import fixture, kindconfig, outside, programs, setup
from harness.cluster.engine import Engine, own_podman, running_engine
from harness.cluster.fit import require_fit
from harness.cluster.forward import port_forward
from harness.cluster.kubectl import Kubectl
from harness.cluster.versions import versions
from harness.errors import HarnessError

READY_SECONDS = 180.0


@dataclass(frozen=True)
class Place:
    """A cluster; `node_directory` is what all nodes share, `engine` what they run on: on kind only."""

    kubectl: Kubectl
    node_directory: Path | None
    engine: Engine | None = None

    @classmethod
    def given(cls, kubeconfig: Path) -> Place:
        return cls(Kubectl(programs.find_kubectl(), kubeconfig), None)

    @classmethod
    def kind(cls, name: str) -> Place:
        home = tools.cache_home() / "cluster" / name
        engines = [own_podman(), running_engine()]
        return cls(
            Kubectl(programs.find_kubectl(), home / "kubeconfig"),
            home / "shared",
            next((one for one in engines if one is not None), None),
        )


@dataclass
class Space:
    """A namespace of one test."""

    place: Place
    name: str
    directory: Path
    password: str = "e2e-only"
    warnings: list[str] = field(default_factory=list)

    @property
    def kubectl(self) -> Kubectl:
        return self.place.kubectl

    def create(self, *, labels: Mapping[str, str]) -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": dict(labels)}}
        self.kubectl.apply([namespace], doing=f"making namespace {self.name}")

    def remove(self) -> None:
        """Delete the namespace, its volumes and their files."""
        run = self.kubectl.run
        run("delete", "namespace", self.name, "--wait=false", "--ignore-not-found", doing="deleting the namespace")
        # Nobody's work is to be finished here any more; a grace of minutes would only hold up the next test.
        with contextlib.suppress(HarnessError):
            run("delete", "pods", "--all", "-n", self.name, "--grace-period=0", "--force", doing="ending pods")
        run(
            "wait", "--for=delete", f"namespace/{self.name}", "--timeout=120s", doing="waiting for its end", seconds=130
        )
        volumes = [fixture.volume_name(self.name), outside.volume_name(self.name)]
        run("delete", "persistentvolume", *volumes, "--ignore-not-found", doing="deleting its volumes")
        if self.place.node_directory:
            shutil.rmtree(self.place.node_directory / self.name, ignore_errors=True)

    def shared(self, name: str) -> str | None:
        """Make a directory that every node sees and return its path there; None on a cluster that has none."""
        if self.place.node_directory is None:
            return None
        directory = self.place.node_directory / self.name / name
        directory.mkdir(parents=True)
        directory.chmod(0o777)
        return f"{kindconfig.SHARED_DIRECTORY}/{self.name}/{name}"

    def rabbitmq(self) -> None:
        """Run RabbitMQ beside the release and make the Secret it asks for."""
        image = versions().public_images["rabbitmq"]
        one = fixture.Fixture(self.name, image, self.password, volume_path=self.shared("rabbitmq"))
        self.kubectl.apply(fixture.manifests(one), doing="applying RabbitMQ")
        self.rollout("statefulset/rabbitmq")

    def services(self, profile: Mapping[str, Any]) -> None:
        """Run the stand-in services and make the Secret and the volume of the application."""
        path = self.shared("effects")
        if path is None:
            pytest.skip("the effects' volume needs a directory all nodes share, which only kind has here")
        one = outside.Outside(self.name, setup.application_reference(), path, json.dumps(profile))
        self.kubectl.apply(outside.manifests(one), doing="applying the stand-in services")
        self.rollout("deployment/services")

    def helm(self, *arguments: str | Path, major: int = 4) -> str:
        """Run helm in this namespace; what it writes to stderr is kept as warnings."""
        command = [str(tools.find_helm(major)), *map(str, arguments), "--namespace", self.name]
        command += ["--kubeconfig", str(self.kubectl.kubeconfig)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        self.warnings += [line for line in done.stderr.splitlines() if line.strip()]
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def install(self, environments: str, *, values: Mapping[str, Any] | None = None, release: str = "celery") -> None:
        """`helm install` with files of values/ and, over them, further values; returns once all pods are ready."""
        files = environment_files(environments)
        if values:
            extra = self.directory / "extra-values.yaml"
            extra.write_text(yaml_strict.dump_all([values]))
            files.append(extra)
        require_fit(self.kubectl, render(files, namespace=self.name), one_machine=self.place.node_directory is not None)
        self.helm("install", release, CHART, *(part for path in files for part in ("--values", path)))
        for deployment in self.names("deployments", "app.kubernetes.io/instance=celery"):
            self.rollout(f"deployment/{deployment}")

    def rollout(self, what: str, *, seconds: float = READY_SECONDS) -> None:
        self.kubectl.run(
            "rollout", "status", what, "-n", self.name, f"--timeout={seconds:.0f}s",
            doing=f"waiting for {what}", seconds=seconds + 10,
        )  # fmt: skip

    def names(self, kind: str, selector: str = "") -> list[str]:
        arguments = ["--selector", selector] if selector else []
        listed = self.kubectl.run("get", kind, "-n", self.name, *arguments, "-o", "name", doing=f"listing {kind}")
        return [line.partition("/")[2] for line in listed.split()]

    def get(self, *arguments: str) -> dict[str, Any]:
        return self.kubectl.get(*arguments, "-n", self.name)

    def python(self, code: str, *, pod: str = "deployment/celery-io-worker", seconds: float = 60.0) -> str:
        """Run Python in a worker's container, with its settings."""
        command = ["exec", "-n", self.name, pod, "--", "python", "-c", code]
        return self.kubectl.run(*command, doing=f"running Python in {pod}", seconds=seconds)

    def publish(self, tasks: Mapping[str, int], *, kwargs: Mapping[str, Any] | None = None) -> list[str]:
        """Publish so many of each task from inside a worker, by its own routes; returns the ids."""
        code = (
            "import json; from celery_workers_shim import app\n"
            f"ids = [app.send_task(name, kwargs={dict(kwargs or {})!r}).id\n"
            f"       for name, count in {dict(tasks)!r}.items() for _ in range(count)]\n"
            "print(json.dumps(ids))"
        )
        return list(json.loads(self.python(code, seconds=120).splitlines()[-1]))

    def done(self) -> dict[str, str]:
        """Return the ids whose effect's marker is written, and what kind it is."""
        code = (
            "import json; from sqlalchemy import text; from examx import database\n"
            "with database.engine().connect() as c:\n"
            "    print(json.dumps({r[0]: r[1] for r in c.execute(text('select task_id, kind from task_effects'))}))"
        )
        return dict(json.loads(self.python(code).splitlines()[-1]))

    @contextlib.contextmanager
    def management(self) -> Iterator[Management]:
        """Yield RabbitMQ's management API of the fixture."""
        with (
            port_forward(
                self.kubectl,
                namespace=self.name,
                target="service/rabbitmq",
                port=fixture.MANAGEMENT_PORT,
                directory=self.directory,
            ) as port,
            Management(f"http://celery:{self.password}@127.0.0.1:{port}") as api,
        ):
            yield api

    def story(self) -> str:
        """Return what is to be seen when something went wrong: pods, events, the ends of logs."""
        parts = []
        commands: Sequence[Sequence[str]] = (
            ["get", "pods,hpa,scaledobjects", "-o", "wide"],
            ["get", "events", "--sort-by=.lastTimestamp"],
            ["logs", "--all-containers", "--prefix", "--tail=15", "-l", "app.kubernetes.io/instance=celery"],
        )
        for command in commands:
            with contextlib.suppress(HarnessError):
                text = self.kubectl.run(*command, "-n", self.name, doing="looking at the namespace")
                parts.append("\n".join(text.splitlines()[-60:]))
        return "\n\n".join(parts)


def eventually(look: Callable[[], Any], *, seconds: float, what: str, every: float = 1.0) -> Any:
    """Return the first true answer; fail saying what did not come about and what was seen last."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s (last seen: {seen!r})"
        time.sleep(every)
    return seen
