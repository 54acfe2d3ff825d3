"""The ordinary way to a kind cluster, with a container registry: the commands, in order. Pure.

The same manifests and the same Containerfile as from packages; only where images come from differs.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.cluster.kind import create_arguments
from harness.cluster.kubectl import FIELD_MANAGER
from harness.cluster.versions import Versions


@dataclass(frozen=True)
class Step:
    """One command, what it is for, how long it may take, and what is set for it over the environment."""

    doing: str
    command: tuple[str, ...]
    timeout_seconds: float
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Places:
    """Programs and files the commands name. `home` is the cluster's own directory."""

    kind: Path
    kubectl: Path
    engine: str
    home: Path
    pip_configuration: Path
    certificates: Path


def steps(places: Places, versions: Versions, *, name: str, contexts: Mapping[str, Path]) -> list[Step]:
    """Return the commands that make the cluster and load the project's images.

    `contexts` maps an image's reference to the folder it is built from, which bears its short name.
    """
    create = [str(part) for part in create_arguments(name, versions.node_image, places.home)]
    return [
        Step("creating the cluster", (str(places.kind), *create), 600, provider(places.engine)),
        *(
            step
            for reference, context in contexts.items()
            for step in _image(places, versions, name=name, reference=reference, context=context)
        ),
        *(_apply(places, part) for part in ("keda-definitions", "metrics-server", "keda")),
    ]


def provider(engine: str) -> dict[str, str]:
    """Return what has kind take this engine: it takes docker where both are there."""
    return {"KIND_EXPERIMENTAL_PROVIDER": engine}


def _image(places: Places, versions: Versions, *, name: str, reference: str, context: Path) -> list[Step]:
    kind, archive = str(places.kind), str(places.home / f"{context.name}.tar")
    secrets = {"pip-conf": places.pip_configuration, "ca-bundle": places.certificates}
    return [
        build(places.engine, versions, reference=reference, context=context, secrets=secrets),
        save(places.engine, reference=reference, image=context.name, archive=archive),
        Step(
            f"loading image {context.name}",
            (kind, "load", "image-archive", archive, "--name", name),
            300,
            provider(places.engine),
        ),
    ]


def build(engine: str, versions: Versions, *, reference: str, context: Path, secrets: Mapping[str, Path | str]) -> Step:
    """Return the command that builds one of the project's images from the folder that bears its short name."""
    given = [part for name, path in secrets.items() for part in ("--secret", f"id={name},src={path}")]
    command = (
        engine, "build", "--network", "host", "--tag", reference, "--file", f"{context}/Containerfile",
        "--build-arg", f"BASE={versions.public_images['worker']}", *given, str(context),
    )  # fmt: skip
    return Step(f"building image {context.name}", command, 900)


def save(engine: str, *, reference: str, image: str, archive: str) -> Step:
    """Return the command that writes an image to an archive."""
    return Step(f"saving image {image}", (engine, "save", "--output", archive, reference), 300)


def shown(steps: Sequence[Step]) -> str:
    """Return the commands as a person would type them."""
    return "\n".join(f"# {step.doing}\n{_typed(step)}" for step in steps)


def _typed(step: Step) -> str:
    settings = [f"{name}={shlex.quote(value)}" for name, value in step.environment.items()]
    return " ".join([*settings, shlex.join(step.command)])


def _apply(places: Places, part: str) -> Step:
    command = (
        str(places.kubectl), "--kubeconfig", str(places.home / "kubeconfig"),
        "apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}",
        "--filename", str(places.home / f"{part}.yaml"),
    )  # fmt: skip
    return Step(f"applying {part}", command, 120)
