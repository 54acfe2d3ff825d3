"""Making the parts of a release from its objects, and pods for them."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from pathlib import Path

from harness.autoscaling import ControllerConfig
from harness.runtime.base import Manifest
from harness.runtime.local.backoff import BackOff
from harness.runtime.local.control import Record
from harness.runtime.local.deployment import DeploymentController
from harness.runtime.local.job import JobController
from harness.runtime.local.naming import generated_name, template_hash
from harness.runtime.local.objects import Objects
from harness.runtime.local.parts import Parts
from harness.runtime.local.pod import Pod
from harness.runtime.local.process import Launcher
from harness.runtime.local.scaling import Autoscaler
from harness.runtime.local.shortcuts import Shortcuts
from harness.runtime.local.template import PodTemplate


@dataclass(frozen=True, kw_only=True)
class Maker:
    """Makes parts. Their pods have a directory each below `pods`; `record` is told what happens to them."""

    pods: Path
    launcher: Launcher
    shortcuts: Shortcuts
    back_off: BackOff
    rng: random.Random
    record: Record

    def parts(self, objects: Objects, namespace: str, controller: ControllerConfig, now: float) -> Parts:
        """Read everything; nothing starts yet. Raises InputError for what cannot be honoured."""
        templates = {
            manifest["metadata"]["name"]: PodTemplate.from_workload(
                manifest, namespace=namespace, sources=objects.sources
            )
            for manifest in (*objects.deployments, *objects.jobs)
        }
        autoscalers = [Autoscaler(each, controller=controller, now=now) for each in objects.autoscalers]
        deployments = [self._deployment(each, templates[each["metadata"]["name"]]) for each in objects.deployments]
        jobs = [self._job(each, templates[each["metadata"]["name"]], now) for each in objects.jobs]
        parts = Parts({each.name: each for each in deployments}, jobs, autoscalers, objects.sources)
        for autoscaler in autoscalers:
            parts.bound(autoscaler)
        return parts

    def _deployment(self, manifest: Manifest, template: PodTemplate) -> DeploymentController:
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
            base_seconds=self.back_off.base_seconds,
        )

    def _pod(self, template: PodTemplate, prefix: str, now: float) -> Pod:
        name = generated_name(prefix, self.rng)
        return Pod(
            template,
            name=name,
            uid=str(uuid.UUID(int=self.rng.getrandbits(128), version=4)),
            directory=self.pods / name,
            launcher=self.launcher,
            shortcuts=self.shortcuts,
            report=lambda kind, message: self.record(kind, name, message),
            back_off=self.back_off,
            now=now,
        )
