"""The way to a cluster, and the commands of the ordinary one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness.cluster import ordinary, way
from harness.cluster.versions import versions
from harness.errors import InputError

PLACES = ordinary.Places(
    kind=Path("kind"),
    kubectl=Path("kubectl"),
    engine="docker",
    home=Path("/home/c"),
    pip_configuration=Path("/s/pip.conf"),
    certificates=Path("/s/ca.pem"),
)
CONTEXTS = {"repository/app:1": Path("/contexts/app"), "repository/app-load:1": Path("/contexts/app-load")}


@pytest.mark.parametrize(
    ("forced", "engine", "reached", "kind", "reason"),
    [
        ("auto", "docker", True, "registry", "docker answers and reaches"),
        ("auto", "podman", False, "packages", "podman answers, but the registry"),
        ("auto", None, False, "packages", "neither docker nor podman"),
        ("packages", "docker", True, "packages", "--way packages"),
        ("registry", "podman", False, "registry", "--way registry, with podman"),
    ],
)
def test_the_way_is_chosen_and_says_why(forced, engine, reached, kind, reason):
    chosen = way.choose(forced=forced, find_engine=lambda: engine, reaches_registry=lambda _: reached)
    assert chosen.kind == kind
    assert reason in str(chosen)
    assert chosen.engine == (engine if kind == "registry" else None)


def test_nothing_is_looked_for_when_packages_are_forced():
    def fail(*_arguments: object) -> None:
        raise AssertionError("asked")

    assert way.choose(forced="packages", find_engine=fail, reaches_registry=fail).kind == "packages"


def test_the_registry_cannot_be_forced_without_an_engine():
    with pytest.raises(InputError, match="needs docker or podman"):
        way.choose(forced="registry", find_engine=lambda: None, reaches_registry=lambda _: True)


def test_a_kubeconfig_names_a_cluster_that_is_there():
    assert way.given({"KUBECONFIG": "/k"}).kind == "given"
    assert way.given({"KUBECONFIG": ""}) is None


def test_the_environment_forces_a_way():
    assert way.forced({way.VARIABLE: "packages"}) == "packages"
    assert way.forced({way.VARIABLE: ""}) == "auto"
    with pytest.raises(InputError, match=f"{way.VARIABLE} is 'docker': one of auto, registry, packages"):
        way.forced({way.VARIABLE: "docker"})


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_the_ordinary_commands_in_order(engine):
    places = dataclasses.replace(PLACES, engine=engine)
    steps = ordinary.steps(places, versions(), name="c", contexts=CONTEXTS)
    commands = [step.command for step in steps]
    node, base = versions().node_image, versions().public_images["worker"]
    images = [
        (
            (engine, "build", "--network", "host", "--tag", f"repository/{image}:1",
             "--file", f"/contexts/{image}/Containerfile", "--build-arg", f"BASE={base}",
             "--secret", "id=pip-conf,src=/s/pip.conf", "--secret", "id=ca-bundle,src=/s/ca.pem", f"/contexts/{image}"),
            (engine, "save", "--output", f"/home/c/{image}.tar", f"repository/{image}:1"),
            ("kind", "load", "image-archive", f"/home/c/{image}.tar", "--name", "c"),
        )
        for image in ("app", "app-load")
    ]  # fmt: skip
    assert commands == [
        ("kind", "create", "cluster", "--retain", "--name", "c", "--image", node, "--config", "/home/c/kind.yaml",
         "--kubeconfig", "/home/c/kubeconfig", "--wait", "120s"),
        *images[0],
        *images[1],
        *(
            ("kubectl", "--kubeconfig", "/home/c/kubeconfig", "apply", "--server-side", "--force-conflicts",
             "--field-manager=celery-workers-harness", "--filename", f"/home/c/{part}.yaml")
            for part in ("keda-definitions", "metrics-server", "keda")
        ),
    ]  # fmt: skip
    # kind would take docker where both are there.
    assert {step.command[0]: dict(step.environment) for step in steps} == {
        "kind": {"KIND_EXPERIMENTAL_PROVIDER": engine}, engine: {}, "kubectl": {}
    }  # fmt: skip


def test_commands_are_shown_as_they_are_typed():
    places = dataclasses.replace(PLACES, engine="podman", home=Path("/home/two words"))
    shown = ordinary.shown(ordinary.steps(places, versions(), name="c", contexts=CONTEXTS)).splitlines()
    assert shown[1].startswith("KIND_EXPERIMENTAL_PROVIDER=podman kind create cluster ")
    assert "'/home/two words/kind.yaml'" in shown[1]


def test_every_step_is_limited_and_the_engine_is_the_chosen_one():
    steps = ordinary.steps(dataclasses.replace(PLACES, engine="podman"), versions(), name="c", contexts=CONTEXTS)
    assert all(0 < step.timeout_seconds <= 900 for step in steps)
    assert {step.command[0] for step in steps} == {"kind", "podman", "kubectl"}
    assert len({step.doing for step in steps}) == len(steps)
    assert ordinary.shown(steps).count("\n# ") == len(steps) - 1
