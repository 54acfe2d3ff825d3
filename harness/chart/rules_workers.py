"""Rules between a worker's Deployment and what topology.json says about its class."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from harness.chart.manifests import (
    SCALER_KINDS,
    Release,
    Worker,
    argument,
    containers,
    environment,
    get,
    integer,
    items,
    mapping,
    name_of,
    pod_spec,
    ref,
    scale_target,
)
from harness.chart.problems import Problem

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
SHELLS = frozenset({"sh", "bash", "ash", "dash"})
# A gevent worker was seen to take work for 2 s after SIGTERM, so a grace of exactly the limit cuts that work off.
STOP_SECONDS = 2


def classes(release: Release) -> Iterator[Problem]:
    """Each class of topology.json has one Deployment, and no Deployment is of another class."""
    known = mapping(release.topology, "classes")
    built = [worker.class_name for worker in release.workers]
    for name in known:
        if built.count(name) != 1:
            yield Problem(
                f"topology.json classes.{name}", f"{built.count(name)} Deployments carry the class",
                "render exactly one Deployment labelled celery-workers/class for it",
            )  # fmt: skip
    for worker in release.workers:
        if worker.class_name not in known:
            yield Problem(
                f"{ref(worker.deployment)} metadata.labels", f"topology.json has no class {worker.class_name!r}",
                f"use one of {', '.join(sorted(known)) or 'none (it has no classes)'}",
            )  # fmt: skip
        told = environment(worker.container).get("CELERY_WORKERS_CLASS")
        if told != worker.class_name:
            yield Problem(
                f"{ref(worker.deployment)} env CELERY_WORKERS_CLASS",
                f"is {told!r} but the Deployment is of class {worker.class_name!r}", "give the class's own name",
            )  # fmt: skip


def arguments(release: Release) -> Iterator[Problem]:
    """A worker's command line gives pool, concurrency and queues as topology.json does."""
    for worker in release.workers:
        for option, wanted in _wanted_arguments(worker).items():
            given = argument(worker.container, option)
            if given is None or _as_set(given) != _as_set(wanted):
                shown = "is missing" if given is None else f"is {given!r}"
                yield Problem(
                f"{ref(worker.deployment)} args {option}", f"{shown}, topology.json says {wanted!r}",
                    "use one value for both",
                )  # fmt: skip


def _wanted_arguments(worker: Worker) -> Mapping[str, str]:
    if not worker.topology:
        return {}
    return {
        "--pool": str(worker.topology.get("pool")),
        "--concurrency": str(worker.topology.get("concurrency")),
        "--queues": ",".join(map(str, items(worker.topology, "queues"))),
    }


def _as_set(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(","))


def longest_task_seconds(topology: Mapping[str, Any]) -> int | None:
    """Return the longest a task of a class may run: its hard limit, else its soft one, None when nothing limits it."""
    hard = integer(topology.get("hard_time_limit_seconds"))
    return hard if hard is not None else integer(topology.get("soft_time_limit_seconds"))


def grace(release: Release) -> Iterator[Problem]:
    """A stopping pod is given the time of its longest task, its preStop hook and the worker's own end."""
    for worker in release.workers:
        given = integer(get(pod_spec(worker.deployment), "terminationGracePeriodSeconds", default=30))
        path = f"{ref(worker.deployment)} spec.template.spec.terminationGracePeriodSeconds"
        told = worker.topology.get("termination_grace_period_seconds")
        if worker.topology and told != given:
            yield Problem(path, f"is {given}, topology.json says {told}", "use one value for both")
        longest = longest_task_seconds(worker.topology)
        if longest is None or given is None:
            continue
        needed = longest + STOP_SECONDS + (_pre_stop_seconds(worker.container) or 0)
        if given < needed:
            yield Problem(
                path, f"{given} s end tasks that may run for {longest} s",
                f"set at least {needed}, or lower timeLimits of class {worker.class_name}",
            )  # fmt: skip


def _pre_stop_seconds(container: Mapping[str, Any]) -> int | None:
    return integer(get(container, "lifecycle", "preStop", "sleep", "seconds"))


def probes(release: Release) -> Iterator[Problem]:
    """A worker has all three probes, so that a start, a hang and a disconnect are each seen."""
    for worker in release.workers:
        for probe in PROBES:
            if not mapping(worker.container, probe):
                yield Problem(
                f"{ref(worker.deployment)} container {worker.container.get('name')} {probe}", "is missing",
                    "give every worker a startup, a liveness and a readiness probe",
                )  # fmt: skip


def first_process(release: Release) -> Iterator[Problem]:
    """Celery is the container's first process: a shell in front of it would keep SIGTERM to itself."""
    for worker in release.workers:
        command = [str(word) for word in items(worker.container, "command")]
        if not command or posixpath.basename(command[0]) in SHELLS:
            shown = f"starts with {command[0]!r}" if command else "is missing, so the image decides"
            yield Problem(
                f"{ref(worker.deployment)} container {worker.container.get('name')} command", shown,
                "start celery itself: [celery] with its arguments in args",
            )  # fmt: skip


def one_beat(release: Release) -> Iterator[Problem]:
    """There is one celery beat, and the old one ends before a new one starts: two send every task twice."""
    found = [manifest for manifest in release.of_kind("Deployment", "StatefulSet") if _is_beat(manifest)]
    for manifest in found:
        path = f"{ref(manifest)} spec"
        if len(found) > 1:
            yield Problem(path, f"{len(found)} objects run celery beat", "keep one")
        if integer(get(manifest, "spec", "replicas", default=1)) != 1:
            yield Problem(f"{path}.replicas", f"is {get(manifest, 'spec', 'replicas')}", "set 1")
        if manifest.get("kind") == "Deployment" and get(manifest, "spec", "strategy", "type") != "Recreate":
            yield Problem(f"{path}.strategy", "starts a new beat beside the old one", "set type Recreate")
    for scaler in release.of_kind(*SCALER_KINDS):
        if any(scale_target(scaler) == (manifest.get("kind"), name_of(manifest)) for manifest in found):
            yield Problem(ref(scaler), "scales celery beat", "remove it")


def _is_beat(manifest: Mapping[str, Any]) -> bool:
    return any("beat" in items(container, "args") for container in containers(pod_spec(manifest), init=False))


def config_files(release: Release) -> Iterator[Problem]:
    """A ConfigMap a pod mounts exists in the release, and so does every file of it that a command line names."""
    for manifest in release.manifests:
        spec = pod_spec(manifest)
        mounted = _mounted_config_maps(spec)
        for container in items(spec, "initContainers") + items(spec, "containers"):
            where = f"{ref(manifest)} container {get(container, 'name')}"
            for mount in items(container, "volumeMounts"):
                config_map = mounted.get(str(get(mount, "name")))
                if config_map is not None:
                    yield from _check_mount(release, where, config_map, str(get(mount, "mountPath")), container)


def _mounted_config_maps(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return volume name -> ConfigMap name, for volumes that are whole, required ConfigMaps."""
    return {
        str(get(volume, "name")): str(get(volume, "configMap", "name"))
        for volume in items(spec, "volumes")
        if mapping(volume, "configMap") and not get(volume, "configMap", "optional")
        and not items(volume, "configMap", "items")
    }  # fmt: skip


def _check_mount(
    release: Release, where: str, config_map: str, directory: str, container: Mapping[str, Any]
) -> Iterator[Problem]:
    named = sorted(_files_below(directory, container))
    found = release.find("ConfigMap", config_map)
    if found is None:
        if named:  # a ConfigMap of the user's own is none of our business until a command needs it
            yield Problem(
                f"{where} volume", f"{named[0]} is run from ConfigMap {config_map!r}, which the release does not have",
                "correct the volume's name",
            )  # fmt: skip
        return
    for name in named:
        if name not in mapping(found, "data") and name not in mapping(found, "binaryData"):
            keys = ", ".join(sorted(mapping(found, "data")))
            yield Problem(
                where, f"runs {posixpath.join(directory, name)}, which ConfigMap {config_map} does not have",
                f"its keys are {keys}",
            )  # fmt: skip


def _files_below(directory: str, container: Mapping[str, Any]) -> set[str]:
    """Return the names of files directly in `directory` that commands, arguments and exec probes name."""
    words = items(container, "command") + items(container, "args")
    for probe in PROBES:
        words = words + items(container, probe, "exec", "command")
    prefix = directory.rstrip("/") + "/"
    return {word.removeprefix(prefix) for word in map(str, words) if word.startswith(prefix)}
