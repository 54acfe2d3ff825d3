"""One pod: its containers, its Ready condition, its measurements."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from harness.autoscaling import PodSample
from harness.autoscaling.quantity import parse_milli
from harness.runtime.base import ContainerState, CpuWindow, PodState
from harness.runtime.local.backoff import BackOff
from harness.runtime.local.container import Container, Report
from harness.runtime.local.metrics import Consumption, Meter, Usage
from harness.runtime.local.network import Bytes
from harness.runtime.local.process import Launcher
from harness.runtime.local.shortcuts import Shortcuts
from harness.runtime.local.template import PodTemplate
from harness.runtime.local.volumes import refresh

LOG = "log"
TAIL_LINES = 15
CRASHES = 2


class Pod:
    """A pod from its creation to its end. `report` is told what happens to it."""

    def __init__(
        self,
        template: PodTemplate,
        *,
        name: str,
        uid: str,
        directory: Path,
        launcher: Launcher,
        shortcuts: Shortcuts,
        report: Report,
        back_off: BackOff,
        now: float,
    ) -> None:
        self.name = name
        self.uid = uid
        self.created_at = now
        self.ready = False
        self.ready_at: float | None = None
        self.changed_at = now
        self.deleting = False
        self.template = template
        self._serves = template.spec.get("restartPolicy", "Always") == "Always"  # a Job's pod only ends
        self._directory = directory
        self._report = report
        self._meters: dict[str, Meter] = {}
        self._metered: dict[str, int] = {}
        self._consumed: dict[str, Consumption] = {}
        self._moved: dict[str, Bytes] = {}
        directory.mkdir(parents=True)
        specs = template.containers(template.identity(name, uid), directory, shortcuts)
        self.containers = tuple(Container(spec, launcher=launcher, report=report, back_off=back_off) for spec in specs)
        for container in self.containers:
            container.start(now)
        report("created", template.where)

    @property
    def log(self) -> Path:
        """The first container's output."""
        return self._directory / LOG

    def log_tail(self, lines: int = TAIL_LINES) -> str:
        """Return the last lines of the first container's output."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:]) or "(no output)"

    @property
    def keeps_ending(self) -> bool:
        """True when some container has ended for the third time or more and is down (CrashLoopBackOff)."""
        return any(each.restarts >= CRASHES and each.pid is None for each in self.containers)

    @property
    def restarts(self) -> int:
        """Restarts of all containers."""
        return sum(container.restarts for container in self.containers)

    @property
    def finished(self) -> bool:
        """True once nothing of the pod runs and nothing will start again."""
        return all(container.finished for container in self.containers)

    @property
    def failed(self) -> bool:
        """True when some container's last run did not end well."""
        return any(container.last_exit is not None and container.last_exit.code != 0 for container in self.containers)

    def tick(self, now: float) -> None:
        """Advance the containers and the Ready condition."""
        for container in self.containers:
            container.tick(now)
        ready = not self.deleting and all(container.ready for container in self.containers)
        if ready != self.ready:
            self.ready, self.changed_at = ready, now
            self.ready_at = now if ready else self.ready_at
            if self._serves and not self.deleting:
                self._report("ready" if ready else "unready", "" if ready else self.waiting_for())

    def waiting_for(self) -> str:
        """Return in words why the pod is not ready."""
        return "; ".join(f"{each.spec.name}: {each.waiting_for()}" for each in self.containers if not each.ready)

    def terminate(self, now: float, *, grace_seconds: float | None = None) -> None:
        """Stop it with the rendered grace, or a shorter one."""
        if not self.deleting:
            self._report("stopping", "")
        self.deleting = True
        rendered = self.template.grace_seconds
        grace = rendered if grace_seconds is None else min(rendered, grace_seconds)
        for container in self.containers:
            container.terminate(now, grace_seconds=grace)
        self.tick(now)

    def kill(self) -> None:
        """Kill everything of it now."""
        self.deleting = True
        for container in self.containers:
            container.kill()

    def signal(self, number: int) -> None:
        """Signal the first container's main process."""
        self.containers[0].signal(number)

    def refresh_config_map(self, name: str) -> None:
        """Bring the volumes made of a ConfigMap up to date; one mounted by subPath stays as it is, as on a node."""
        for volume in self.template.spec.get("volumes") or ():
            if (volume.get("configMap") or {}).get("name") == name:
                refresh(
                    volume,
                    self._directory / "volumes",
                    sources=self.template.sources,
                    identity=self.template.identity(self.name, self.uid),
                    where=self.template.where,
                )

    def remove_volumes(self) -> None:
        """Delete its volumes and scratch directories, as a node does; the logs stay."""
        for name in ("volumes", "work", "tmp"):
            shutil.rmtree(self._directory / name, ignore_errors=True)

    def pids(self) -> list[int]:
        """Return the main processes that run."""
        return [container.pid for container in self.containers if container.pid is not None]

    def measure(
        self, consumed: Mapping[int, Consumption], moved: Mapping[int, Bytes], now: float, *, fresh_seconds: float
    ) -> None:
        """Take one metrics sample of every container, from what its session has consumed and moved."""
        for container in self.containers:
            pid, name = container.pid, container.spec.name
            if pid is None or pid not in consumed or container.started_at is None:
                for known in (self._meters, self._consumed, self._moved):
                    known.pop(name, None)
                continue
            if self._metered.get(name) != pid:
                self._metered[name] = pid
                self._meters[name] = Meter(container.started_at, fresh_seconds=fresh_seconds)
            used = consumed[pid]
            cpu_seconds = used.cpu_seconds + container.probe_cpu_seconds
            self._consumed[name] = Consumption(cpu_seconds, used.memory_bytes)
            if pid in moved:
                self._moved[name] = moved[pid]
            self._meters[name].sample(now, self._consumed[name])

    def usage(self) -> Usage | None:
        """Return the pod's use over the last window, None while some container has none."""
        found = [self._meters[each.spec.name].usage for each in self.containers if each.spec.name in self._meters]
        known = [usage for usage in found if usage is not None]
        if len(known) < len(self.containers):
            return None
        return Usage(
            at=min(usage.at for usage in known),
            window_seconds=known[0].window_seconds,
            cpu_cores=sum(usage.cpu_cores for usage in known),
            memory_bytes=sum(usage.memory_bytes for usage in known),
        )

    def state(self) -> PodState:
        """Return what the runtime's users see."""
        usage = self.usage()
        return PodState(
            name=self.name,
            deployment=self.template.workload,
            phase="Terminating" if self.deleting else "Running",
            ready=self.ready,
            started_at=self.created_at,
            ready_at=self.ready_at,
            cpu=None if usage is None else CpuWindow(usage.at - usage.window_seconds, usage.at, usage.cpu_cores),
            memory_bytes=None if usage is None else usage.memory_bytes,
            restarts=self.restarts,
        )

    def container_states(self) -> list[ContainerState]:
        """Return what each container may use and has used."""
        states = []
        for spec in self.template.spec["containers"]:
            used, moved = self._consumed.get(spec["name"]), self._moved.get(spec["name"])
            resources = spec.get("resources") or {}
            states.append(
                ContainerState(
                    pod=self.name,
                    deployment=self.template.workload,
                    name=spec["name"],
                    requests=amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})}),
                    limits=amounts(resources.get("limits") or {}),
                    cpu_seconds=None if used is None else used.cpu_seconds,
                    memory_bytes=None if used is None else used.memory_bytes,
                    received_bytes=None if moved is None else moved.received,
                    sent_bytes=None if moved is None else moved.sent,
                )
            )
        return states

    def volume(self, name: str) -> Path:
        """Return the directory of a volume."""
        return self._directory / "volumes" / name

    def sample(self) -> PodSample:
        """Return what the autoscaler sees."""
        usage = self.usage()
        used = {} if usage is None else {"cpu": round(usage.cpu_cores * 1000), "memory": usage.memory_bytes * 1000}
        return PodSample(
            name=self.name,
            phase="Running",
            ready=self.ready,
            start_time_seconds=self.created_at,
            last_transition_seconds=self.changed_at,
            requests_milli=self.template.requests_milli(),
            usage_milli=used,
            metric_timestamp_seconds=None if usage is None else usage.at,
            metric_window_seconds=15.0 if usage is None else usage.window_seconds,
            deleting=self.deleting,
        )


def amounts(quantities: Mapping[str, str | int | float]) -> dict[str, float]:
    """Return Kubernetes quantities as numbers: cores, bytes."""
    return {name: parse_milli(quantity) / 1000 for name, quantity in quantities.items()}
