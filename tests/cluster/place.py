"""The cluster the tests run on: a kind cluster of our own, or the one KUBECONFIG names."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import tools
from harness.cluster import given, programs, setup
from harness.cluster.engine import Engine, own_podman, running_engine
from harness.cluster.kubectl import Kubectl

if TYPE_CHECKING:
    from tests.cluster.space import Space


@dataclass
class Place:
    """A cluster; `node_directory` is what all nodes share, `engine` what they run on: on our kind cluster only."""

    kubectl: Kubectl
    node_directory: Path | None = None
    engine: Engine | None = None
    storage_class: str | None = None  # of volumes that several nodes may write to
    image: str = field(default_factory=setup.application_reference)
    image_values: Mapping[str, Any] = field(default_factory=dict)  # name the image where it is another than the chart's
    spaces: list[Space] = field(default_factory=list)  # those that are there
    values_files: set[str] = field(default_factory=set)  # that releases were installed with

    @classmethod
    def given(cls, environment: Mapping[str, str]) -> Place:
        """Return the cluster of KUBECONFIG."""
        said = given.read(environment, default_image=setup.application_reference())
        return cls(
            Kubectl(programs.find_kubectl(), Path(environment["KUBECONFIG"])),
            storage_class=said.storage_class,
            image=said.image,
            image_values=said.image_values,
        )

    @classmethod
    def kind(cls) -> Place:
        """Return our kind cluster, which is made where it is not there or not the same."""
        plan = setup.usual_plan(os.environ)
        report = setup.up(plan)
        engines = [own_podman(), running_engine()]
        return cls(
            Kubectl(programs.find_kubectl(), Path(report["kubeconfig"])),
            tools.cache_home() / "cluster" / plan.name / "shared",
            next((one for one in engines if one is not None), None),
        )

    @property
    def is_own_kind(self) -> bool:
        """Whether its nodes are containers of this machine."""
        return self.node_directory is not None

    def require_shared_volumes(self) -> None:
        """Skip the test where no volume can be written to by several nodes."""
        if not self.is_own_kind and self.storage_class is None:
            pytest.skip(given.NO_STORAGE_CLASS)

    @contextlib.contextmanager
    def another_tag(self) -> Iterator[str | None]:
        """Give the application's image one more tag for the block's time; None where the nodes cannot be told."""
        if self.engine is None:
            yield None
            return
        tag = f"e2e-{secrets.token_hex(3)}"
        reference = f"{self.image.rpartition(':')[0]}:{tag}"
        nodes, command = self.worker_nodes(), ["ctr", "--namespace", "k8s.io", "images"]
        for node in nodes:
            self.engine.run("exec", node, *command, "tag", self.image, reference, doing=f"naming {reference} on {node}")
        try:
            yield tag
        finally:
            for node in nodes:
                self.engine.run("exec", node, *command, "rm", reference, doing=f"removing {reference} from {node}")

    def worker_nodes(self) -> list[str]:
        """Return the names of the nodes pods are scheduled to."""
        nodes = self.kubectl.get("nodes", "--selector", "!node-role.kubernetes.io/control-plane")["items"]
        return [node["metadata"]["name"] for node in nodes]

    def facts(self) -> dict[str, Any]:
        """Return what a reader of the results wants to know about the cluster."""
        nodes = self.kubectl.get("nodes")["items"]
        return {
            "cluster": "our kind cluster" if self.is_own_kind else f"KUBECONFIG={os.environ.get('KUBECONFIG')}",
            "nodes": len(nodes),
            "kubernetes": nodes[0]["status"]["nodeInfo"]["kubeletVersion"],
        }
