"""A pod's volumes as directories of this machine, and the map from mount paths to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.files import write_atomically
from harness.runtime.local.environment import (
    Files,
    Identity,
    PathMap,
    Sources,
    field_value,
    required_files,
)

KINDS = ("configMap", "secret", "emptyDir", "downwardAPI", "projected")


def volume_files(volume: Mapping[str, Any], *, sources: Sources, identity: Identity, where: str) -> dict[str, bytes]:
    """Return a volume's files, relative path -> content. Raises InputError for a kind this runtime cannot offer."""
    where = f"{where}: volume {volume.get('name')}"
    kind = volume_kind(volume, where=where)
    definition = volume[kind] or {}
    if kind == "projected":
        parts = definition.get("sources") or ()
        return {path: content for part in parts for path, content in _part(part, sources, identity, where).items()}
    return _part({kind: definition}, sources, identity, where)


def volume_kind(volume: Mapping[str, Any], *, where: str) -> str:
    """Return which kind of volume it is. Raises InputError for one that needs a cluster."""
    found = sorted(set(volume) - {"name"}) or ["emptyDir"]
    if len(found) != 1 or found[0] not in KINDS:
        raise InputError(f"{where}: {', '.join(found)} is not something the local runtime can offer (it knows {KINDS})")
    return found[0]


def _part(part: Mapping[str, Any], sources: Sources, identity: Identity, where: str) -> dict[str, bytes]:
    kind, definition = next(iter(part.items()))
    definition = definition or {}
    if kind == "emptyDir":
        return {}
    if kind == "downwardAPI":
        return {item["path"]: _field(item, identity, where).encode() for item in definition.get("items") or ()}
    if kind == "configMap":
        return _chosen(required_files("ConfigMap", sources.config_maps, definition, where=where), definition, where)
    if kind == "secret":
        return _chosen(required_files("Secret", sources.secrets, definition, where=where), definition, where)
    raise InputError(f"{where}: a projected {kind} is not something the local runtime can offer")


def _field(item: Mapping[str, Any], identity: Identity, where: str) -> str:
    if "fieldRef" not in item:
        raise InputError(f"{where}: downwardAPI item {item.get('path')}: the local runtime knows fieldRef only")
    return field_value(item["fieldRef"]["fieldPath"], identity, where=where)


def _chosen(files: Files, definition: Mapping[str, Any], where: str) -> dict[str, bytes]:
    items = definition.get("items")
    if not items:
        return dict(files)
    absent = [item["key"] for item in items if item["key"] not in files]
    if absent and not definition.get("optional"):
        raise InputError(f"{where}: items name keys that are not there: {', '.join(absent)}")
    return {item["path"]: files[item["key"]] for item in items if item["key"] in files}


def materialise(volumes: Mapping[str, Mapping[str, bytes]], directory: Path) -> dict[str, Path]:
    """Write each volume's files below `directory`; return volume name -> its directory."""
    written = {}
    for name, files in volumes.items():
        root = directory / name
        root.mkdir(parents=True, exist_ok=True)
        for relative, content in files.items():
            write_atomically(root / relative, content)
        written[name] = root
    return written


def refresh(volume: Mapping[str, Any], directory: Path, *, sources: Sources, identity: Identity, where: str) -> None:
    """Bring a ConfigMap's volume below `directory` up to date, as the kubelet does while its pod runs."""
    files = volume_files(volume, sources=sources, identity=identity, where=where)
    root = directory / volume["name"]
    for path in [path for path in root.rglob("*") if path.is_file()]:
        if str(path.relative_to(root)) not in files:
            path.unlink()
    for relative, content in files.items():
        write_atomically(root / relative, content)


def path_map(container: Mapping[str, Any], directories: Mapping[str, Path], *, where: str) -> PathMap:
    """Return where each of a container's mount paths lies on this machine. Raises InputError for an unknown volume."""
    mounts = {}
    for mount in container.get("volumeMounts") or ():
        name, path = mount["name"], mount["mountPath"]
        if name not in directories:
            raise InputError(f"{where}: volumeMounts names {name}, which is not among the pod's volumes")
        if not path.startswith("/") or not path.strip("/"):
            raise InputError(f"{where}: the local runtime cannot mount at {path!r}; use an absolute path below /")
        target = directories[name] / (mount.get("subPath") or "")
        if mount.get("subPath") and not target.exists():
            target.mkdir(parents=True)
        mounts[path] = str(target)
    return PathMap(mounts)
