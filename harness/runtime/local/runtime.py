"""The local runtime: rendered manifests as processes of this machine."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from pathlib import Path

from harness.autoscaling import ControllerConfig, Told
from harness.errors import HarnessError, InputError
from harness.runtime.base import ContainerState, PodState, Release, RuntimeEvent, ScaleEvent, ScaleState
from harness.runtime.local import ending, journal
from harness.runtime.local.backoff import BASE_SECONDS, BackOff
from harness.runtime.local.changing import Changes
from harness.runtime.local.control import ControlLoop
from harness.runtime.local.documents import DocumentStore
from harness.runtime.local.ending import POLL_SECONDS
from harness.runtime.local.making import Maker
from harness.runtime.local.metrics import RESOLUTION_SECONDS
from harness.runtime.local.objects import sort_release
from harness.runtime.local.parts import Parts
from harness.runtime.local.pod import LOG, Pod
from harness.runtime.local.process import Launcher
from harness.runtime.local.scaling import Autoscaler, QueueSource
from harness.runtime.local.shortcuts import Shortcuts


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
        self._job_timeout_seconds = job_timeout_seconds
        self._stop_grace_seconds = stop_grace_seconds
        self._launcher = Launcher()
        self._shortcuts = Shortcuts()
        self._maker = Maker(
            pods=self._directory / "pods",
            launcher=self._launcher,
            shortcuts=self._shortcuts,
            back_off=BackOff(base_seconds=back_off_seconds),
            rng=rng or random.Random(),
            record=self._record,
        )
        self._parts = Parts()
        self._events: list[RuntimeEvent] = []
        self._scale_events: list[ScaleEvent] = []
        self._control: ControlLoop | None = None
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
        objects, now = sort_release(release), self._clock()
        controller = ControllerConfig(sync_seconds=self._sync_seconds)
        self._parts = self._maker.parts(objects, release.namespace, controller, now)
        self._control = self._control_of(self._parts, now)
        config_maps = [one for one in release.manifests if one.get("kind") == "ConfigMap"]
        changes = Changes(self._parts, self.scale, lambda autoscaler: self._write_down(autoscaler, fresh=False))
        self._documents = changes.store((*objects.deployments, *objects.autoscalers, *config_maps))
        self._scale_events = self._control.scale_events
        (self._directory / "pods").mkdir(parents=True, exist_ok=True)
        for autoscaler in self._parts.autoscalers:
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
        while not self._parts.settled:
            if self._clock() > deadline:
                raise HarnessError(f"not ready after {timeout_seconds:g} s:\n{self._parts.missing()}")
            if self._parts.keeps_ending:
                raise HarnessError(f"a worker keeps ending:\n{self._parts.missing()}")
            time.sleep(POLL_SECONDS)
            self.tick()

    def tick(self) -> None:
        """Advance probes, restarts, metrics and scaling to now."""
        now = self._clock()
        for job in self._parts.jobs:
            job.tick(now)
        for deployment in self._parts.deployments.values():
            for pod in deployment.tick(now):
                self._forget(pod)
        if self._control is not None:
            self._control.tick(now)
        if self._documents is not None:
            for controller in self._controllers:
                controller()

    def pods(self) -> list[PodState]:
        """Return every Deployment's pods, those that are stopping too."""
        return [pod.state() for pod in self._parts.pods]

    def scales(self) -> list[ScaleState]:
        """Return every Deployment's replica counts."""
        return [deployment.state() for deployment in self._parts.deployments.values()]

    def autoscaler_names(self) -> dict[str, str]:
        """Return the name of each Deployment's autoscaler, as Kubernetes knows it: a ScaledObject's is KEDA's HPA."""
        return {autoscaler.deployment: autoscaler.spec.name for autoscaler in self._parts.autoscalers}

    def triggers(self) -> dict[str, tuple[Told, ...]]:
        """Return what KEDA's own metrics say of the triggers of each ScaledObject, by its name."""
        scaled = [autoscaler for autoscaler in self._parts.autoscalers if autoscaler.keda is not None]
        return {autoscaler.manifest["metadata"]["name"]: autoscaler.told for autoscaler in scaled}

    def containers(self) -> list[ContainerState]:
        """Return what each container of the Deployments' pods may use and has used."""
        return [state for pod in self._parts.pods for state in pod.container_states()]

    def volume(self, pod: str, name: str) -> Path:
        """Return the directory of a pod's volume. Raises InputError for a pod that is not there."""
        return self._parts.pod(pod).volume(name)

    def scale(self, deployment: str, replicas: int) -> None:
        """Set a Deployment's replicas by hand; its autoscaler, if any, goes on from there."""
        if replicas < 0:
            raise InputError(f"replicas of {deployment} must be 0 or more, not {replicas}")
        if self._control is None or deployment not in self._parts.deployments:
            raise InputError(
                f"there is no Deployment {deployment}; there are: {', '.join(sorted(self._parts.deployments))}"
            )
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
        """Signal the pod's main process, as an accident would. Raises InputError for a pod that is not there."""
        self._parts.pod(pod).signal(signal_number)
        self._record("killed", pod, f"signal {signal_number}")

    def main_process(self, pod: str) -> int | None:
        """Return the process id of a pod's first container, None where it does not run."""
        return next((one.containers[0].pid for one in self._parts.pods if one.name == pod), None)

    def logs(self, pod: str) -> Path:
        """Return the file with the pod's output, also when the pod is gone."""
        return self._directory / "pods" / pod / LOG

    def uninstall(self) -> None:
        """Stop everything: SIGTERM, and SIGKILL `stop_grace_seconds` later. Safe at any time and to repeat."""
        try:
            ending.stop_gracefully(self._parts, clock=self._clock, grace_seconds=self._stop_grace_seconds)
        finally:
            left = self._parts.all_pods
            ending.kill(left, clock=self._clock)
            for pod in left:
                self._forget(pod)
            self._parts, self._control, self._documents = Parts(), None, None
            self._launcher.close()
            self._shortcuts.close()

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

    def _write_down(self, autoscaler: Autoscaler, *, fresh: bool) -> None:
        # A sync that is due decides by the time at which it was due, so what changes now counts from then on.
        now = min(self._clock(), self._control.next_sync_at if self._control else math.inf)
        line = journal.autoscaler_line(
            autoscaler.deployment, autoscaler.manifest, autoscaler.controller, now=now, fresh=fresh
        )
        journal.append(self._directory / journal.AUTOSCALERS, line)

    # ---- setting up ---------------------------------------------------------------------------------------------

    def _control_of(self, parts: Parts, now: float) -> ControlLoop:
        return ControlLoop(
            parts.deployments,
            parts.autoscalers,
            queue_source=self._queue_source,
            record=self._record,
            journal_file=self._directory / journal.SYNCS,
            sync_seconds=self._sync_seconds,
            metrics_seconds=self._metrics_seconds,
            now=now,
        )

    def _await_jobs(self) -> None:
        deadline = self._clock() + self._job_timeout_seconds
        while any(job.state == "running" for job in self._parts.jobs):
            if self._clock() > deadline:
                for job in self._parts.jobs:
                    job.stop(f"it did not end within {self._job_timeout_seconds:g} s")
                break
            time.sleep(POLL_SECONDS)
            self.tick()
        for job in self._parts.jobs:
            if job.state == "failed":
                raise HarnessError(f"Job {job.name} failed: {job.reason}. The end of its log:\n{job.log_tail()}")

    # ---- helpers ------------------------------------------------------------------------------------------------

    def _forget(self, pod: Pod) -> None:
        pod.remove_volumes()
        self._record("gone", pod.name)

    def _record(self, kind: str, subject: str, message: str = "") -> None:
        self._events.append(RuntimeEvent(self._clock(), kind, subject, message))
