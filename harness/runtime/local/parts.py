"""What of a release runs on this machine: its Deployments, its Jobs and its autoscalers."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field

from harness.errors import InputError
from harness.runtime.local.deployment import DeploymentController
from harness.runtime.local.environment import Sources
from harness.runtime.local.job import JobController
from harness.runtime.local.pod import Pod
from harness.runtime.local.scaling import Autoscaler

TAIL_LINES = 5


@dataclass(frozen=True)
class Parts:
    """All of it; none where no release is installed. `sources` are the ConfigMaps and Secrets that pods read."""

    deployments: dict[str, DeploymentController] = field(default_factory=dict)
    jobs: list[JobController] = field(default_factory=list)
    autoscalers: list[Autoscaler] = field(default_factory=list)
    sources: Sources | None = None

    @property
    def pods(self) -> list[Pod]:
        """The Deployments' pods, those that are stopping too."""
        return [pod for deployment in self.deployments.values() for pod in deployment.pods]

    @property
    def all_pods(self) -> list[Pod]:
        """The Jobs' pods as well."""
        return self.pods + [pod for job in self.jobs for pod in job.pods]

    def pod(self, name: str) -> Pod:
        """Return a Deployment's pod. Raises InputError for one that is not there."""
        for pod in self.pods:
            if pod.name == name:
                return pod
        raise InputError(f"there is no pod {name}")

    @property
    def settled(self) -> bool:
        """Whether each Deployment has all its replicas ready."""
        return all(deployment.settled for deployment in self.deployments.values())

    @property
    def keeps_ending(self) -> bool:
        """Whether some worker has ended so often that it will not get better."""
        return any(pod.keeps_ending for deployment in self.deployments.values() for pod in deployment.active)

    def missing(self) -> str:
        """Say which replicas are not ready, each with the end of its log."""
        lines = []
        for deployment in self.deployments.values():
            if deployment.settled:
                continue
            state = deployment.state()
            lines.append(f"  {state.deployment}: {state.ready} of {deployment.expected} ready")
            for pod in deployment.active:
                if not pod.ready:
                    lines.append(f"    {pod.name}: {pod.waiting_for()}; the end of {pod.log}:")
                    lines.append(textwrap.indent(pod.log_tail(TAIL_LINES), "      "))
        return "\n".join(lines)

    def bound(self, autoscaler: Autoscaler) -> None:
        """Tell an autoscaler's Deployment between which replica counts it will be."""
        deployment = self.deployments[autoscaler.deployment]
        deployment.minimum, deployment.maximum = autoscaler.minimum, autoscaler.spec.max_replicas
