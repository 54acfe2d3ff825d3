"""The ordinary way to a kind cluster, with a container registry: the commands, in order. Pure.

The same manifests and the same Containerfile as from packages; only where images come from differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cluster.kind import create_arguments
from harness.cluster.kubectl import FIELD_MANAGER
from harness.cluster.versions import Versions


@dataclass(frozen=True)
class Step:
    """One command, what it is for, and how long it may take."""

    doing: str
    command: tuple[str, ...]
    timeout_seconds: float


@dataclass(frozen=True)
class Places:
    """Programs and files the commands name. `home` is the cluster's own directory, `context` the worker image's."""

    kind: Path
    kubectl: Path
    engine: str
    home: Path
    context: Path
    pip_configuration: Path
    certificates: Path


def steps(places: Places, versions: Versions, *, name: str, application: str) -> list[Step]:
    """Return the commands that make the cluster and load the reference application's image `application`."""
    archive = places.home / "application.tar"
    kind, engine = str(places.kind), places.engine
    create = [str(part) for part in create_arguments(name, versions.node_image, places.home)]
    secrets = [f"id=pip-conf,src={places.pip_configuration}", f"id=ca-bundle,src={places.certificates}"]
    return [
        Step("creating the cluster", (kind, *create), 600),
        Step(
            "building the worker image",
            (
                engine, "build", "--network", "host", "--tag", application, "--file", f"{places.context}/Containerfile",
                "--build-arg", f"BASE={versions.public_images['worker']}",
                *(part for secret in secrets for part in ("--secret", secret)),
                str(places.context),
            ),
            900,
        ),
        Step("saving the worker image", (engine, "save", "--output", str(archive), application), 300),
        Step("loading the worker image", (kind, "load", "image-archive", str(archive), "--name", name), 300),
        *(_apply(places, part) for part in ("keda-definitions", "metrics-server", "keda")),
    ]  # fmt: skip


def shown(steps: Sequence[Step]) -> str:
    """Return the commands as a person would type them."""
    return "\n".join(f"# {step.doing}\n{' '.join(step.command)}" for step in steps)


def _apply(places: Places, part: str) -> Step:
    command = (
        str(places.kubectl), "--kubeconfig", str(places.home / "kubeconfig"),
        "apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}",
        "--filename", str(places.home / f"{part}.yaml"),
    )  # fmt: skip
    return Step(f"applying {part}", command, 120)
