"""metrics-server and KEDA on a kind cluster."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import tools
from harness.chart import yaml_strict
from harness.cluster import programs, shell
from harness.cluster.kubectl import Kubectl
from harness.cluster.recipes import IMAGES
from harness.files import write_atomically

READY_SECONDS = 240.0
METRICS_API = "v1beta1.metrics.k8s.io"
EXTERNAL_METRICS_API = "v1beta1.external.metrics.k8s.io"


def install(kubectl: Kubectl, images: Mapping[str, str]) -> None:
    """Apply both add-ons under these image names; does not wait. Raises HarnessError."""
    kubectl.apply_text(keda_definitions(kubectl.program), doing="applying KEDA's definitions")
    for folder in ("metrics-server", "keda"):
        kubectl.apply(manifests(folder, images), doing=f"applying {folder}")


def wait(kubectl: Kubectl) -> None:
    """Return once both metrics APIs answer. Raises HarnessError saying what was missing."""
    kubectl.wait_available("metrics-server", namespace="kube-system", seconds=READY_SECONDS)
    for deployment in ("keda-operator", "keda-metrics-apiserver"):
        kubectl.wait_available(deployment, namespace="keda", seconds=READY_SECONDS)
    for api in (METRICS_API, EXTERNAL_METRICS_API):
        kubectl.wait_api_service(api, seconds=READY_SECONDS)


def manifests(folder: str, images: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return an add-on's objects with its images filled in. Raises KeyError for an image that is not given."""
    path = IMAGES / folder / "manifests.yaml"
    documents = yaml_strict.load_all_text(path.read_text(), str(path))
    return [with_images(document, images) for document in documents]


def with_images(manifest: Mapping[str, Any], images: Mapping[str, str]) -> dict[str, Any]:
    """Return a manifest whose containers' images, short names until now, are the ones given."""
    filled = copy.deepcopy(dict(manifest))
    pod = filled.get("spec", {}).get("template", {}).get("spec", {}) if filled.get("kind") == "Deployment" else {}
    for container in pod.get("containers", ()):
        container["image"] = images[container["image"]]
    return filled


def keda_definitions(kubectl: Path) -> str:
    """Return KEDA's custom resource definitions with KEDA's own patches, as its pinned module has them."""
    pin = hashlib.sha256(tools.binary_of(programs.KEDA).parent.name.encode()).hexdigest()[:12]
    target = tools.cache_home() / "manifests" / f"keda-definitions-{pin}.yaml"
    if not target.exists():
        sources = tools.module_directory(programs.KEDA) / "config" / "crd"
        text = shell.run([kubectl, "kustomize", sources], doing="reading KEDA's definitions", timeout_seconds=60.0)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, text)
    return target.read_text()
