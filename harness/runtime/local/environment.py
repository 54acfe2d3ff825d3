"""A container's environment: `env`, `envFrom`, references and `$(VAR)`, as the kubelet resolves them. No I/O.

A process here shares this machine's file system, so mount paths in texts that stem from the manifests become the pod's
own directories (`PathMap`). What comes out of a Secret is left alone: the runtime's owner filled it, with paths of this
machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.autoscaling.quantity import parse_milli
from harness.errors import InputError

Files = Mapping[str, bytes]

LOOPBACK = "127.0.0.1"

# What may stand before a path (start of a word, a list's colon, a URL's slashes) and what may not follow it.
_BEFORE = r"(?:^|(?<=[\s=:,;'\"(<>|&`@\[{])|(?<=://)|(?<=:///))"
_AFTER = r"(?![\w.\-+~%])"

_LABEL_FIELD = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


@dataclass(frozen=True)
class Sources:
    """The ConfigMaps and Secrets a container may refer to: name -> key -> content. ConfigMaps may change under it."""

    config_maps: dict[str, Files] = field(default_factory=dict)
    secrets: Mapping[str, Files] = field(default_factory=dict)


@dataclass(frozen=True)
class Identity:
    """What a pod may be told about itself."""

    name: str
    namespace: str
    uid: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    service_account: str = "default"


@dataclass(frozen=True)
class Machine:
    """What an unset limit stands for in a `resourceFieldRef`: the node's own size."""

    cpu_cores: int
    memory_bytes: int


class PathMap:
    """Rewrites mount paths, as whole path segments, to directories of this machine; the longest mount path wins."""

    def __init__(self, mounts: Mapping[str, str]) -> None:
        self._mounts = {path.rstrip("/"): target for path, target in mounts.items()}
        longest_first = sorted(self._mounts, key=len, reverse=True)
        choices = "|".join(map(re.escape, longest_first))
        self._pattern = re.compile(f"{_BEFORE}({choices}){_AFTER}") if choices else None

    def rewrite(self, text: str) -> str:
        """Return the text with each mount path replaced, also inside lists, options and URLs."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: self._mounts[match.group(1)], text)

    def get(self, path: str) -> str | None:
        """Return where a mount path lies on this machine."""
        return self._mounts.get(path.rstrip("/"))


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)` as Kubernetes does: unknown names stay as written, `$$` is one `$`."""

    def replaced(match: re.Match[str]) -> str:
        if match.group(0) == "$$":
            return "$"
        return variables.get(match.group(1), match.group(0))

    return re.sub(r"\$\$|\$\(([^)]*)\)", replaced, text)


@dataclass(frozen=True)
class Resolver:
    """Resolves one container's environment; `where` names the container in error messages."""

    where: str
    sources: Sources
    identity: Identity
    machine: Machine
    paths: PathMap

    def environment(self, container: Mapping[str, Any], *, base: Mapping[str, str]) -> dict[str, str]:
        """Return `base` overlaid by envFrom, then by env, later entries seeing the earlier ones. Raises InputError."""
        rendered: dict[str, str] = {}
        for source in container.get("envFrom") or ():
            rendered.update(self._whole_source(source))
        for entry in container.get("env") or ():
            value = self._entry(entry, rendered, container)
            if value is not None:
                rendered[entry["name"]] = value
        return {**base, **rendered}

    def _entry(self, entry: Mapping[str, Any], known: Mapping[str, str], container: Mapping[str, Any]) -> str | None:
        origin = entry.get("valueFrom")
        if origin is None:
            return expand(self.paths.rewrite(str(entry.get("value") or "")), known)
        readers: dict[str, Callable[[Mapping[str, Any]], str | None]] = {
            "secretKeyRef": lambda ref: self._key("Secret", self.sources.secrets, ref),
            "configMapKeyRef": self._config_key,
            "fieldRef": lambda ref: field_value(ref["fieldPath"], self.identity, where=self.where),
            "resourceFieldRef": lambda ref: resource_value(ref, container, self.machine, where=self.where),
        }
        kind, reference = next(iter(origin.items()))
        if kind not in readers:
            raise InputError(f"{self.where}: env {entry['name']}: the local runtime does not know valueFrom.{kind}")
        return readers[kind](reference)

    def _config_key(self, reference: Mapping[str, Any]) -> str | None:
        value = self._key("ConfigMap", self.sources.config_maps, reference)
        return None if value is None else self.paths.rewrite(value)

    def _key(self, kind: str, objects: Mapping[str, Files], reference: Mapping[str, Any]) -> str | None:
        name, key = reference["name"], reference["key"]
        content = objects.get(name, {}).get(key)
        if content is not None:
            return content.decode()
        if reference.get("optional"):
            return None
        missing = f"has no key {key}" if name in objects else f"(key {key}) is not there"
        raise InputError(f"{self.where}: {kind} {name} {missing}; create it or mark the reference optional")

    def _whole_source(self, source: Mapping[str, Any]) -> dict[str, str]:
        prefix = source.get("prefix") or ""
        if "secretRef" in source:
            files = self._files("Secret", self.sources.secrets, source["secretRef"])
            return {prefix + key: content.decode() for key, content in files.items()}
        if "configMapRef" in source:
            files = self._files("ConfigMap", self.sources.config_maps, source["configMapRef"])
            return {prefix + key: self.paths.rewrite(content.decode()) for key, content in files.items()}
        raise InputError(f"{self.where}: envFrom needs secretRef or configMapRef, found {sorted(source)}")

    def _files(self, kind: str, objects: Mapping[str, Files], reference: Mapping[str, Any]) -> Files:
        return required_files(kind, objects, reference, where=self.where)


def required_files(kind: str, objects: Mapping[str, Files], reference: Mapping[str, Any], *, where: str) -> Files:
    """Return a whole ConfigMap or Secret; nothing when it is absent and optional. Raises InputError otherwise."""
    name = reference.get("name") or reference.get("secretName") or ""
    if name in objects:
        return objects[name]
    if reference.get("optional"):
        return {}
    raise InputError(f"{where}: {kind} {name} is not there; create it or mark the reference optional")


def field_value(path: str, identity: Identity, *, where: str) -> str:
    """Return what a `fieldRef` stands for. Raises InputError for a field this runtime has no answer to."""
    simple = {
        "metadata.name": identity.name,
        "metadata.namespace": identity.namespace,
        "metadata.uid": identity.uid,
        "spec.nodeName": "local",
        "spec.serviceAccountName": identity.service_account,
        "status.podIP": LOOPBACK,
        "status.podIPs": LOOPBACK,
        "status.hostIP": LOOPBACK,
    }
    if path in simple:
        return simple[path]
    match = _LABEL_FIELD.fullmatch(path)
    if match:
        return (identity.labels if match.group(1) == "labels" else identity.annotations).get(match.group(2), "")
    raise InputError(f"{where}: the local runtime does not know fieldRef {path}")


def resource_value(reference: Mapping[str, Any], container: Mapping[str, Any], machine: Machine, *, where: str) -> str:
    """Return a `resourceFieldRef` as the kubelet does: the quantity over the divisor, rounded up."""
    kind, _, resource = reference["resource"].partition(".")
    if kind not in ("requests", "limits") or resource not in ("cpu", "memory"):
        raise InputError(f"{where}: the local runtime does not know resourceFieldRef {reference['resource']}")
    written = ((container.get("resources") or {}).get(kind) or {}).get(resource)
    unset = 0 if kind == "requests" else machine.cpu_cores if resource == "cpu" else machine.memory_bytes
    amount_milli = unset * 1000 if written is None else parse_milli(written)
    divisor_milli = parse_milli(reference.get("divisor") or "1") or 1000
    return str(-(-amount_milli // divisor_milli))


def argument_list(container: Mapping[str, Any], environment: Mapping[str, str], paths: PathMap) -> tuple[str, ...]:
    """Return command + args with paths rewritten and `$(VAR)` expanded."""
    written: Sequence[Any] = [*(container.get("command") or ()), *(container.get("args") or ())]
    return tuple(expand(paths.rewrite(str(word)), environment) for word in written)


# The only variables of the caller that reach a container: what this machine's Python may need to start at all.
PASSED_THROUGH = ("TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def base_environment(
    *, python_bin: str, home: str, temporary: str, hostname: str, caller: Mapping[str, str]
) -> dict[str, str]:
    """Return what an image would bring: PATH with this Python first, a home, a temporary directory, UTF-8."""
    passed = {name: caller[name] for name in PASSED_THROUGH if name in caller}
    return {
        **passed,
        "PATH": f"{python_bin}:{SYSTEM_PATH}",
        "HOME": home,
        "TMPDIR": temporary,
        "HOSTNAME": hostname,
        "LANG": "C.UTF-8",
    }


def with_checkout(environment: Mapping[str, str], checkout: str) -> dict[str, str]:
    """Return the environment with the checkout last on PYTHONPATH: the reference application is in the image there."""
    rendered = environment.get("PYTHONPATH")
    return {**environment, "PYTHONPATH": f"{rendered}:{checkout}" if rendered else checkout}
