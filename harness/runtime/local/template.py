"""A workload's pod template, read once: what each new pod is made from."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

import harness
from harness.autoscaling.quantity import parse_milli
from harness.errors import HarnessError, InputError
from harness.runtime.base import Manifest
from harness.runtime.local.container import ContainerSpec
from harness.runtime.local.environment import (
    Identity,
    Machine,
    PathMap,
    Resolver,
    Sources,
    argument_list,
    base_environment,
    with_checkout,
)
from harness.runtime.local.features import described
from harness.runtime.local.probes import ProbeSpec
from harness.runtime.local.process import Place
from harness.runtime.local.shortcuts import Shortcuts
from harness.runtime.local.stopping import PreStop
from harness.runtime.local.volumes import materialise, path_map, volume_files

PROBE_KINDS = ("startup", "liveness", "readiness")
DEFAULT_GRACE_SECONDS = 30
CHECKOUT = Path(harness.__file__).resolve().parent.parent
# Not resolved: in a virtual environment python is a link to the system's, and celery lies beside the link.
PYTHON_BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class PodTemplate:
    """A checked pod template with the ConfigMaps and Secrets it may use."""

    where: str
    workload: str
    namespace: str
    spec: Mapping[str, Any]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    sources: Sources

    @classmethod
    def from_workload(cls, manifest: Manifest, *, namespace: str, sources: Sources) -> PodTemplate:
        """Read the template of a Deployment or Job. Raises InputError for a reference that leads nowhere."""
        template = manifest["spec"]["template"]
        metadata = template.get("metadata") or {}
        read = cls(
            where=described(manifest),
            workload=manifest["metadata"]["name"],
            namespace=manifest["metadata"].get("namespace") or namespace,
            spec=template["spec"],
            labels=metadata.get("labels") or {},
            annotations=metadata.get("annotations") or {},
            sources=sources,
        )
        read._try_out()
        return read

    @property
    def grace_seconds(self) -> float:
        """The rendered terminationGracePeriodSeconds."""
        grace = self.spec.get("terminationGracePeriodSeconds")
        return DEFAULT_GRACE_SECONDS if grace is None else grace

    def requests_milli(self) -> dict[str, int]:
        """Return what the pod requests, in thousandths; a resource that some container does not request is absent."""
        each = [_requests(container) for container in self.spec["containers"]]
        common = set.intersection(*(set(requests) for requests in each))
        return {name: sum(requests[name] for requests in each) for name in sorted(common)}

    def identity(self, name: str, uid: str) -> Identity:
        """Return what a pod of this template may know about itself."""
        account = self.spec.get("serviceAccountName") or "default"
        return Identity(name, self.namespace, uid, self.labels, self.annotations, account)

    def containers(self, identity: Identity, directory: Path, shortcuts: Shortcuts) -> tuple[ContainerSpec, ...]:
        """Write the pod's volumes below `directory` and return its containers, ready to run. Raises HarnessError.

        A container's TMPDIR is one of `shortcuts`.
        """
        volumes = {
            volume["name"]: volume_files(volume, sources=self.sources, identity=identity, where=self.where)
            for volume in self.spec.get("volumes") or ()
        }
        directories = materialise(volumes, directory / "volumes")
        return tuple(
            self._container(container, identity, directory, directories, shortcuts, first=index == 0)
            for index, container in enumerate(self.spec["containers"])
        )

    def _container(
        self,
        container: Mapping[str, Any],
        identity: Identity,
        directory: Path,
        directories: Mapping[str, Path],
        shortcuts: Shortcuts,
        *,
        first: bool,
    ) -> ContainerSpec:
        where = f"{self.where}: container {container['name']}"
        paths = path_map(container, directories, where=where)
        place = self._place(container, identity, directory, paths, shortcuts)
        probes = tuple(
            replace(probe, command=tuple(paths.rewrite(word) for word in probe.command))
            for probe in self._probes(container)
        )
        arguments = argument_list(container, place.environment, paths)
        _require_program(arguments[0], place, where)
        return ContainerSpec(
            name=container["name"],
            arguments=arguments,
            place=place,
            log=directory / ("log" if first else f"{container['name']}.log"),
            grace_seconds=self.grace_seconds,
            probes=probes,
            pre_stop=_pre_stop(container, paths),
            restarts_after_success=self.spec.get("restartPolicy", "Always") == "Always",
            restarts_after_failure=self.spec.get("restartPolicy", "Always") != "Never",
        )

    def _place(
        self,
        container: Mapping[str, Any],
        identity: Identity,
        directory: Path,
        paths: PathMap,
        shortcuts: Shortcuts,
    ) -> Place:
        where = f"{self.where}: container {container['name']}"
        home, temporary = directory / "work", Path(paths.get("/tmp") or directory / "tmp")  # noqa: S108
        home.mkdir(exist_ok=True)
        temporary.mkdir(exist_ok=True)
        base = base_environment(
            python_bin=str(PYTHON_BIN),
            home=str(home),
            temporary=str(shortcuts.to(temporary)),
            hostname=identity.name,
            caller=os.environ,
        )
        resolver = self._resolver(where, identity, paths)
        environment = with_checkout(resolver.environment(container, base=base), str(CHECKOUT))
        return Place(environment, _working_directory(container, paths, home, where))

    def _resolver(self, where: str, identity: Identity, paths: PathMap) -> Resolver:
        machine = Machine(os.cpu_count() or 1, psutil.virtual_memory().total)
        return Resolver(where, self.sources, identity, machine, paths)

    def _probes(self, container: Mapping[str, Any]) -> list[ProbeSpec]:
        where = f"{self.where}: container {container['name']}"
        read = [ProbeSpec.from_manifest(kind, container.get(f"{kind}Probe"), where=where) for kind in PROBE_KINDS]
        return [probe for probe in read if probe is not None]

    def _try_out(self) -> None:
        """Resolve everything once, so that a broken reference is told before anything starts."""
        nobody = self.identity(self.workload, "0")
        for volume in self.spec.get("volumes") or ():
            volume_files(volume, sources=self.sources, identity=nobody, where=self.where)
        for container in self.spec["containers"]:
            self._probes(container)
            where = f"{self.where}: container {container['name']}"
            self._resolver(where, nobody, PathMap({})).environment(container, base={})
        try:
            self.requests_milli()
        except ValueError as error:
            raise InputError(f"{self.where}: resources: {error}") from error


def _requests(container: Mapping[str, Any]) -> dict[str, int]:
    """Return a container's requests; one that is left out is the limit, as the API server fills it in."""
    resources = container.get("resources") or {}
    written = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: parse_milli(quantity) for name, quantity in written.items()}


def _pre_stop(container: Mapping[str, Any], paths: PathMap) -> PreStop:
    hook = (container.get("lifecycle") or {}).get("preStop") or {}
    command = (hook.get("exec") or {}).get("command")
    return PreStop(
        command=tuple(paths.rewrite(str(word)) for word in command) if command else None,
        sleep_seconds=float((hook.get("sleep") or {}).get("seconds") or 0),
    )


def _working_directory(container: Mapping[str, Any], paths: PathMap, home: Path, where: str) -> Path:
    wanted = container.get("workingDir")
    if not wanted:
        return home
    here = paths.rewrite(wanted)
    if here == wanted:
        raise InputError(f"{where}: workingDir {wanted} lies in the image, which this machine does not have")
    Path(here).mkdir(parents=True, exist_ok=True)
    return Path(here)


def _require_program(program: str, place: Place, where: str) -> None:
    if shutil.which(program, path=place.environment["PATH"]) is None:
        raise HarnessError(f"{where}: this machine has no {program} (looked in {place.environment['PATH']})")
