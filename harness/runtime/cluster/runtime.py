"""The cluster runtime: the chart installed by helm in a namespace, watched and handled through the API server."""

from __future__ import annotations

import base64
import contextlib
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import tools
from harness.chart.manifests import is_hook
from harness.chart.values import CHART
from harness.cluster import shell
from harness.cluster.api import Api
from harness.cluster.kubectl import Kubectl
from harness.errors import HarnessError, InputError
from harness.runtime.base import Manifest, PodState, Release, RuntimeEvent, ScaleEvent, ScaleState
from harness.runtime.cluster.observer import Observer
from harness.runtime.cluster.syncs import Syncs

HELM_SECONDS = 120.0
JOB_SECONDS = 180.0
UNINSTALL_SECONDS = 60.0
POLL_SECONDS = 0.5
LOG_SECONDS = 30.0


class ClusterRuntime:
    """One release in a namespace that is there, with the broker and the services it needs.

    The cluster's own autoscalers decide; this one only looks. One thread calls everything. Files below `directory`:
    autoscaling.jsonl (changes of replicas), pods/<pod>/log.
    """

    name = "cluster"

    def __init__(self, kubectl: Kubectl, *, namespace: str, values: Sequence[Path], directory: Path) -> None:
        """`values` are the files `helm install` gets, in order."""
        self._kubectl = kubectl
        self._namespace = namespace
        self._values = values
        self._directory = directory
        self._directory.mkdir(parents=True, exist_ok=True)
        self._api = Api(kubectl.kubeconfig)
        self._release: Release | None = None
        self._observer: Observer | None = None
        self._syncs: Syncs | None = None

    def install(self, release: Release) -> None:
        """Make the release's Secrets and run `helm install`; returns once the topology Job has succeeded."""
        secrets = [_secret(name, data, self._namespace) for name, data in release.secrets.items()]
        if secrets:
            self._kubectl.apply(secrets, doing="making Secrets")
        self._release = release
        log = self._directory / "autoscaling.jsonl"
        self._observer = Observer(self._api, namespace=self._namespace, release=release.name, log=log)
        self._syncs = Syncs(lambda: Api(self._kubectl.kubeconfig), self._namespace)
        self._syncs.start()
        files = [part for path in self._values for part in ("--values", path)]
        self._helm("install", release.name, CHART, *files, doing="helm install")
        self._observer.start()
        self._await_jobs(release)

    def wait_ready(self, *, timeout_seconds: float) -> None:
        """Return once each Deployment has all desired replicas Ready. Raises HarnessError with what was seen."""
        deadline = time.monotonic() + timeout_seconds
        observer = self._watching()
        while not _settled(list(observer.sight().scales.values())):
            if time.monotonic() > deadline:
                raise HarnessError(f"not ready after {timeout_seconds:.0f} s:\n{self._story()}")
            time.sleep(POLL_SECONDS)

    def tick(self) -> None:
        """Do nothing: the cluster goes on by itself."""

    def pods(self) -> list[PodState]:
        """Return the workers' pods as last seen."""
        return list(self._watching().sight().pods.values())

    def scales(self) -> list[ScaleState]:
        """Return every Deployment's replica counts as last seen."""
        return list(self._watching().sight().scales.values())

    def scale(self, deployment: str, replicas: int) -> None:
        """Run `kubectl scale`."""
        self._run("scale", f"deployment/{deployment}", f"--replicas={replicas}", doing=f"scaling {deployment}")

    def next_sync_at(self) -> float | None:
        """Return a moment at which every autoscaler has decided, None where there is none; others are periods apart.

        Until the watch has seen each decide, it is by when they were made, which is told to the second.
        """
        seen = None if self._syncs is None else self._syncs.moment()
        return self._watching().sight().first_sync_at if seen is None else seen

    def scale_events(self) -> list[ScaleEvent]:
        """Return the changes of desired replicas seen so far, each at the second in which it was seen."""
        return self._watching().scale_events()

    def events(self) -> list[RuntimeEvent]:
        """Return what became of pods so far."""
        return self._watching().events()

    def kill(self, pod: str, signal_number: int) -> None:
        """Send a signal to a worker; SIGKILL, which a container's first process is safe from, deletes the pod at once.

        Raises InputError for a pod that is not there.
        """
        if pod not in self._watching().sight().pods:
            raise InputError(f"no pod {pod} in namespace {self._namespace}")
        if signal_number == signal.SIGKILL:
            self._run("delete", "pod", pod, "--grace-period=0", "--force", doing=f"killing {pod}")
            return
        send = f"import os; os.kill(1, {int(signal_number)})"
        self._run("exec", pod, "--", "python", "-c", send, doing=f"signalling {pod}")

    def logs(self, pod: str) -> Path:
        """Write down what a pod has printed and return the file. Raises HarnessError when it cannot be read."""
        target = self._directory / "pods" / pod / "log"
        text = self._run("logs", pod, "--all-containers", doing=f"reading the log of {pod}", seconds=LOG_SECONDS)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def uninstall(self) -> None:
        """Keep the pods' logs and run `helm uninstall`. Safe to call twice and after a failed install."""
        observer, release = self._observer, self._release
        self._release = None
        if observer is None or release is None:
            return
        observer.stop()
        if self._syncs is not None:
            self._syncs.stop()
        with contextlib.suppress(HarnessError):
            for pod in observer.sight().pods:
                with contextlib.suppress(HarnessError):
                    self.logs(pod)
        try:
            self._helm("uninstall", release.name, "--ignore-not-found", doing="helm uninstall")
        finally:
            self._api.close()

    # ---- helpers ------------------------------------------------------------------------------------------------

    def _await_jobs(self, release: Release) -> None:
        jobs = [one for one in release.manifests if one.get("kind") == "Job" and not is_hook(one)]
        for name in [one["metadata"]["name"] for one in jobs]:
            try:
                self._run(
                    "wait", "--for=condition=complete", f"job/{name}", f"--timeout={JOB_SECONDS:.0f}s",
                    doing=f"waiting for Job {name}", seconds=JOB_SECONDS + 10,
                )  # fmt: skip
            except HarnessError as error:
                raise HarnessError(f"{error}\n{self._story()}") from error

    def _helm(self, *arguments: str | Path, doing: str) -> str:
        where = ("--namespace", self._namespace, "--kubeconfig", self._kubectl.kubeconfig)
        return shell.run([tools.find_helm(), *arguments, *where], doing=doing, timeout_seconds=HELM_SECONDS)

    def _run(self, *arguments: str, doing: str, seconds: float = 60.0) -> str:
        return self._kubectl.run(*arguments, "--namespace", self._namespace, doing=doing, seconds=seconds)

    def _watching(self) -> Observer:
        if self._observer is None:
            raise HarnessError("no release is installed")
        return self._observer

    def _story(self) -> str:
        pods = self._run("get", "pods", "--output", "wide", doing="listing pods")
        return f"{pods}\n{self._kubectl.recent_events(self._namespace)}"


def _settled(scales: Sequence[ScaleState]) -> bool:
    return bool(scales) and all(one.ready >= one.desired and one.running == one.desired for one in scales)


def _secret(name: str, data: Mapping[str, str], namespace: str) -> Manifest:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": encoded}
