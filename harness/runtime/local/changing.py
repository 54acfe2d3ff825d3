"""Changed objects of a release, made true while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.runtime.base import Manifest
from harness.runtime.local.documents import DocumentStore
from harness.runtime.local.objects import config_map_files, target_name
from harness.runtime.local.parts import Parts
from harness.runtime.local.scaling import Autoscaler

Document = dict[str, Any]


@dataclass(frozen=True)
class Changes:
    """Has the parts follow their objects: `scale` sets replicas, `changed` is told which autoscaler has changed."""

    parts: Parts
    scale: Callable[[str, int], None]
    changed: Callable[[Autoscaler], None]

    def store(self, manifests: Sequence[Manifest]) -> DocumentStore:
        """Return a release's objects, to be read and changed."""
        return DocumentStore(manifests, apply=self.apply, fill=self.fill)

    def apply(self, document: Document) -> None:
        """Make a changed object true. Raises InputError for one that cannot be."""
        kind, name = document["kind"], document["metadata"]["name"]
        if kind == "ConfigMap":
            self._config_map(name, document)
        elif kind == "Deployment":
            wanted = document["spec"].get("replicas")
            if wanted is not None and wanted != self.parts.deployments[name].desired:
                self.scale(name, wanted)
        else:
            self._autoscaler(document)

    def fill(self, document: Document) -> None:
        """Put a Deployment's replica counts into its document: an autoscaler moves them."""
        if document["kind"] == "Deployment":
            state = self.parts.deployments[document["metadata"]["name"]].state()
            document["spec"]["replicas"] = state.desired
            document["status"] = {"replicas": state.running, "readyReplicas": state.ready}

    def _config_map(self, name: str, document: Document) -> None:
        if self.parts.sources is not None:
            self.parts.sources.config_maps[name] = config_map_files(document)
        for pod in self.parts.pods:
            pod.refresh_config_map(name)

    def _autoscaler(self, document: Document) -> None:
        for autoscaler in self.parts.autoscalers:
            if autoscaler.deployment == target_name(document):
                autoscaler.follow(document)
                self.changed(autoscaler)
                self.parts.bound(autoscaler)
