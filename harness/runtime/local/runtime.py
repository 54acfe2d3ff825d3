"""The local runtime: rendered manifests as processes of this machine."""

from __future__ import annotations

import math
import random
import textwrap
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.autoscaling import ControllerConfig, Told
from harness.errors import HarnessError, InputError
from harness.runtime.base import ContainerState, Manifest, PodState, Release, RuntimeEvent, ScaleEvent, ScaleState
from harness.runtime.local import journal
from harness.runtime.local.backoff import BASE_SECONDS, BackOff
from harness.runtime.local.control import ControlLoop
from harness.runtime.local.deployment import DeploymentController
from harness.runtime.local.documents import DocumentStore
from harness.runtime.local.environment import Sources
from harness.runtime.local.job import JobController
from harness.runtime.local.metrics import RESOLUTION_SECONDS
from harness.runtime.local.naming import generated_name, template_hash
from harness.runtime.local.objects import Objects, config_map_files, sort_release, target_name
from harness.runtime.local.pod import LOG, Pod
from harness.runtime.local.process import Launcher
from harness.runtime.local.scaling import Autoscaler, QueueSource
from harness.runtime.local.template import PodTemplate

Document = dict[str, Any]

POLL_SECONDS = 0.05
# After SIGKILL nothing needs longer than this to be reaped.
KILL_WAIT_SECONDS = 10.0


class LocalRuntime:
    """Runs one release's Jobs and Deployments as processes and scales them as a cluster would.

    Not thread-safe, and all processes end with the thread that started them: one thread, which lives as long as the
    run, calls everything. Files below `directory`: pods/<pod>/log, and the two of `journal`.

    `queue_source` is asked once a sync when some autoscaler reads queues; it must answer or raise within a bounded
    time. `metrics_seconds` is metrics-server's resolution. `job_timeout_seconds` bounds `install`,
    `stop_grace_seconds` bounds what `uninstall` leaves a worker, whatever its rendered grace.
    """

    name = "local"

    def __init__(
        self,
        *,
        directory: Path,
        queue_source: QueueSource,
        clock: Callable[[], float] = time.time,
        sync_seconds: float = 15.0,
        metrics_seconds: float = RESOLUTION_SECONDS,
        back_off_seconds: float = BASE_SECONDS,
        job_timeout_seconds: float = 120.0,
        stop_grace_seconds: float = 15.0,
        rng: random.Random | None = None,
    ) -> None:
        self._directory = directory.resolve()
        self._queue_source = queue_source
        self._clock = clock
        self._sync_seconds = sync_seconds
        self._metrics_seconds = metrics_seconds
        self._back_off = BackOff(base_seconds=back_off_seconds)
        self._job_timeout_seconds = job_timeout_seconds
        self._stop_grace_seconds = stop_grace_seconds
        self._rng = rng or random.Random()
        self._launcher = Launcher()
        self._deployments: dict[str, DeploymentController] = {}
        self._jobs: list[JobController] = []
        self._events: list[RuntimeEvent] = []
        self._scale_events: list[ScaleEvent] = []
        self._control: ControlLoop | None = None
        self._autoscalers: list[Autoscaler] = []
        self._sources: Sources | None = None
        self._documents: DocumentStore | None = None
        self._controllers: list[Callable[[], None]] = []

    # ---- the protocol -------------------------------------------------------------------------------------------

    def install(self, release: Release) -> None:
        """Start everything, as a cluster does side by side; return once every Job has succeeded.

        Raises InputError for what cannot be honoured, before anything starts, and HarnessError with the end of its log
        for a Job that fails.
        """
        if self._control is not None:
            raise HarnessError("this runtime has a release installed already; uninstall it first")
        objects = sort_release(release)
        self._control = self._prepare(objects, release.namespace, self._clock())
        self._documents = self._document_store(release, objects)
        self._scale_events = self._control.scale_events
        (self._directory / "pods").mkdir(parents=True, exist_ok=True)
        for autoscaler in self._autoscalers:
            self._write_down(autoscaler, fresh=True)
        for skipped in objects.skipped:
            self._record("skipped", release.name, skipped)
        self.tick()
        self._await_jobs()

    def wait_ready(self, *, timeout_seconds: float) -> None:
        """Return once each Deployment has all its replicas ready.

        Raises HarnessError saying what is missing, with the end of its log: at the limit, or as soon as some worker
        has ended three times, because it will not get better.
        """
        deadline = self._clock() + timeout_seconds
        while not all(deployment.settled for deployment in self._deployments.values()):
            if self._clock() > deadline:
                raise HarnessError(f"not ready after {timeout_seconds:g} s:\n{self._missing()}")
            if any(pod.keeps_ending for deployment in self._deployments.values() for pod in deployment.active):
                raise HarnessError(f"a worker keeps ending:\n{self._missing()}")
            time.sleep(POLL_SECONDS)
            self.tick()

    def tick(self) -> None:
        """Advance probes, restarts, metrics and scaling to now."""
        now = self._clock()
        for job in self._jobs:
            job.tick(now)
        for deployment in self._deployments.values():
            for pod in deployment.tick(now):
                self._forget(pod)
        if self._control is not None:
            self._control.tick(now)
        if self._documents is not None:
            for controller in self._controllers:
                controller()

    def pods(self) -> list[PodState]:
        """Return every Deployment's pods, those that are stopping too."""
        return [pod.state() for deployment in self._deployments.values() for pod in deployment.pods]

    def scales(self) -> list[ScaleState]:
        """Return every Deployment's replica counts."""
        return [deployment.state() for deployment in self._deployments.values()]

    def autoscaler_names(self) -> dict[str, str]:
        """Return the name of each Deployment's autoscaler, as Kubernetes knows it: a ScaledObject's is KEDA's HPA."""
        return {autoscaler.deployment: autoscaler.spec.name for autoscaler in self._autoscalers}

    def triggers(self) -> dict[str, tuple[Told, ...]]:
        """Return what KEDA's own metrics say of the triggers of each ScaledObject, by its name."""
        scaled = [autoscaler for autoscaler in self._autoscalers if autoscaler.keda is not None]
        return {autoscaler.manifest["metadata"]["name"]: autoscaler.told for autoscaler in scaled}

    def containers(self) -> list[ContainerState]:
        """Return what each container of the Deployments' pods may use and has used."""
        pods = [pod for deployment in self._deployments.values() for pod in deployment.pods]
        return [state for pod in pods for state in pod.container_states()]

    def volume(self, pod: str, name: str) -> Path:
        """Return the directory of a pod's volume. Raises InputError for a pod that is not there."""
        for deployment in self._deployments.values():
            for candidate in deployment.pods:
                if candidate.name == pod:
                    return candidate.volume(name)
        raise InputError(f"there is no pod {pod}")

    def scale(self, deployment: str, replicas: int) -> None:
        """Set a Deployment's replicas by hand; its autoscaler, if any, goes on from there."""
        if replicas < 0:
            raise InputError(f"replicas of {deployment} must be 0 or more, not {replicas}")
        if self._control is None or deployment not in self._deployments:
            raise InputError(f"there is no Deployment {deployment}; there are: {', '.join(sorted(self._deployments))}")
        self._control.set_replicas(deployment, replicas, "scaled by hand", self._clock())

    def next_sync_at(self) -> float | None:
        """Return when the autoscalers decide next, None before a release is installed."""
        return None if self._control is None else self._control.next_sync_at

    def scale_events(self) -> list[ScaleEvent]:
        """Return every change of desired replicas so far."""
        return list(self._scale_events)

    def events(self) -> list[RuntimeEvent]:
        """Return what else happened so far.

        Kinds: created, started, ready, unready, unhealthy, exited, restarted, stopping, stopped, killed, gone; skipped
        (an object left out), metrics (queue statistics that failed).
        """
        return list(self._events)

    def kill(self, pod: str, signal_number: int) -> None:
        """Signal the pod's main process, as an accident would."""
        for deployment in self._deployments.values():
            for candidate in deployment.pods:
                if candidate.name == pod:
                    candidate.signal(signal_number)
                    self._record("killed", pod, f"signal {signal_number}")
                    return
        raise InputError(f"there is no pod {pod}")

    def main_process(self, pod: str) -> int | None:
        """Return the process id of a pod's first container, None where it does not run."""
        pods = (one for deployment in self._deployments.values() for one in deployment.pods if one.name == pod)
        return next((one.containers[0].pid for one in pods), None)

    def logs(self, pod: str) -> Path:
        """Return the file with the pod's output, also when the pod is gone."""
        return self._directory / "pods" / pod / LOG

    def uninstall(self) -> None:
        """Stop everything: SIGTERM, and SIGKILL `stop_grace_seconds` later. Safe at any time and to repeat."""
        try:
            self._stop_gracefully()
        finally:
            self._kill_everything()
            self._deployments, self._jobs, self._control = {}, [], None
            self._autoscalers, self._documents = [], None
            self._launcher.close()

    # ---- the objects, as an API server has them ---------------------------------------------------------------------

    def add_controller(self, controller: Callable[[], None]) -> None:
        """Have `tick` call something that acts on the objects once a release is installed; it must return at once."""
        self._controllers.append(controller)

    @property
    def documents(self) -> DocumentStore:
        """The release's Deployments, autoscalers and ConfigMaps; what is changed there takes effect at once.

        A Deployment's replicas are its own field as on a cluster. Raises HarnessError before `install`.
        """
        if self._documents is None:
            raise HarnessError("no release is installed")
        return self._documents

    def _apply(self, document: Document) -> None:
        """Make a changed object true. Raises InputError for one that cannot be."""
        kind, name = document["kind"], document["metadata"]["name"]
        if kind == "ConfigMap":
            self._apply_config_map(name, document)
        elif kind == "Deployment":
            wanted = document["spec"].get("replicas")
            if self._control is not None and wanted is not None and wanted != self._deployments[name].desired:
                self.scale(name, wanted)
        else:
            self._apply_autoscaler(document)

    def _apply_config_map(self, name: str, document: Document) -> None:
        if self._sources is not None:
            self._sources.config_maps[name] = config_map_files(document)
        for deployment in self._deployments.values():
            for pod in deployment.pods:
                pod.refresh_config_map(name)

    def _apply_autoscaler(self, document: Document) -> None:
        for autoscaler in self._autoscalers:
            if autoscaler.deployment == target_name(document):
                autoscaler.follow(document)
                self._write_down(autoscaler, fresh=False)
                deployment = self._deployments[autoscaler.deployment]
                deployment.minimum, deployment.maximum = autoscaler.minimum, autoscaler.spec.max_replicas

    def _write_down(self, autoscaler: Autoscaler, *, fresh: bool) -> None:
        # A sync that is due decides by the time at which it was due, so what changes now counts from then on.
        now = min(self._clock(), self._control.next_sync_at if self._control else math.inf)
        line = journal.autoscaler_line(
            autoscaler.deployment, autoscaler.manifest, autoscaler.controller, now=now, fresh=fresh
        )
        journal.append(self._directory / journal.AUTOSCALERS, line)

    def _document_store(self, release: Release, objects: Objects) -> DocumentStore:
        config_maps = [one for one in release.manifests if one.get("kind") == "ConfigMap"]
        kept = (*objects.deployments, *objects.autoscalers, *config_maps)
        return DocumentStore(kept, apply=self._apply, fill=self._fill)

    def _fill(self, document: Document) -> None:
        """Put a Deployment's replica counts into its document: an autoscaler moves them."""
        if document["kind"] == "Deployment":
            state = self._deployments[document["metadata"]["name"]].state()
            document["spec"]["replicas"] = state.desired
            document["status"] = {"replicas": state.running, "readyReplicas": state.ready}

    # ---- setting up ---------------------------------------------------------------------------------------------

    def _prepare(self, objects: Objects, namespace: str, now: float) -> ControlLoop:
        """Read everything and refuse what is wrong, before anything starts."""
        templates = {
            manifest["metadata"]["name"]: PodTemplate.from_workload(
                manifest, namespace=namespace, sources=objects.sources
            )
            for manifest in (*objects.deployments, *objects.jobs)
        }
        controller = ControllerConfig(sync_seconds=self._sync_seconds)
        autoscalers = [Autoscaler(each, controller=controller, now=now) for each in objects.autoscalers]
        self._autoscalers, self._sources = autoscalers, objects.sources
        for manifest in objects.deployments:
            name = manifest["metadata"]["name"]
            self._deployments[name] = self._controller_of(manifest, templates[name])
        for autoscaler in autoscalers:
            deployment = self._deployments[autoscaler.deployment]
            deployment.minimum, deployment.maximum = autoscaler.minimum, autoscaler.spec.max_replicas
        self._jobs = [self._job(manifest, templates[manifest["metadata"]["name"]], now) for manifest in objects.jobs]
        return ControlLoop(
            self._deployments,
            autoscalers,
            queue_source=self._queue_source,
            record=self._record,
            journal_file=self._directory / journal.SYNCS,
            sync_seconds=self._sync_seconds,
            metrics_seconds=self._metrics_seconds,
            now=now,
        )

    def _controller_of(self, manifest: Manifest, template: PodTemplate) -> DeploymentController:
        name = manifest["metadata"]["name"]
        prefix = f"{name}-{template_hash(manifest['spec']['template'])}"
        replicas = manifest["spec"].get("replicas")
        return DeploymentController(
            name,
            desired=1 if replicas is None else replicas,
            new_pod=lambda now: self._pod(template, prefix, now),
        )

    def _job(self, manifest: Manifest, template: PodTemplate, now: float) -> JobController:
        name = manifest["metadata"]["name"]
        return JobController(
            name,
            manifest["spec"],
            new_pod=lambda at: self._pod(template, name, at),
            now=now,
            base_seconds=self._back_off.base_seconds,
        )

    def _pod(self, template: PodTemplate, prefix: str, now: float) -> Pod:
        name = generated_name(prefix, self._rng)
        return Pod(
            template,
            name=name,
            uid=str(uuid.UUID(int=self._rng.getrandbits(128), version=4)),
            directory=self._directory / "pods" / name,
            launcher=self._launcher,
            report=lambda kind, message: self._record(kind, name, message),
            back_off=self._back_off,
            now=now,
        )

    def _await_jobs(self) -> None:
        deadline = self._clock() + self._job_timeout_seconds
        while any(job.state == "running" for job in self._jobs):
            if self._clock() > deadline:
                for job in self._jobs:
                    job.stop(f"it did not end within {self._job_timeout_seconds:g} s")
                break
            time.sleep(POLL_SECONDS)
            self.tick()
        for job in self._jobs:
            if job.state == "failed":
                raise HarnessError(f"Job {job.name} failed: {job.reason}. The end of its log:\n{job.log_tail()}")

    # ---- stopping -----------------------------------------------------------------------------------------------

    def _stop_gracefully(self) -> None:
        now = self._clock()
        for job in self._jobs:
            job.stop("uninstalled")
        for deployment in self._deployments.values():
            deployment.desired = 0
        for pod in self._all_pods():
            pod.terminate(now, grace_seconds=self._stop_grace_seconds)
        deadline = now + self._stop_grace_seconds
        while self._clock() < deadline and not all(pod.finished for pod in self._all_pods()):
            time.sleep(POLL_SECONDS)
            self._advance_pods()

    def _kill_everything(self) -> None:
        pods = self._all_pods()
        for pod in pods:
            pod.kill()
        deadline = time.monotonic() + KILL_WAIT_SECONDS
        while time.monotonic() < deadline and not all(pod.finished for pod in pods):
            self._advance_pods()
            time.sleep(POLL_SECONDS / 5)
        for pod in pods:
            self._forget(pod)

    def _all_pods(self) -> list[Pod]:
        of_deployments = [pod for deployment in self._deployments.values() for pod in deployment.pods]
        return of_deployments + [pod for job in self._jobs for pod in job.pods]

    def _advance_pods(self) -> None:
        now = self._clock()
        for pod in self._all_pods():
            pod.tick(now)

    # ---- helpers ------------------------------------------------------------------------------------------------

    def _forget(self, pod: Pod) -> None:
        pod.remove_volumes()
        self._record("gone", pod.name)

    def _missing(self) -> str:
        lines = []
        for deployment in self._deployments.values():
            if deployment.settled:
                continue
            state = deployment.state()
            lines.append(f"  {state.deployment}: {state.ready} of {deployment.expected} ready")
            for pod in deployment.active:
                if not pod.ready:
                    lines.append(f"    {pod.name}: {pod.waiting_for()}; the end of {pod.log}:")
                    lines.append(textwrap.indent(pod.log_tail(5), "      "))
        return "\n".join(lines)

    def _record(self, kind: str, subject: str, message: str = "") -> None:
        self._events.append(RuntimeEvent(self._clock(), kind, subject, message))
