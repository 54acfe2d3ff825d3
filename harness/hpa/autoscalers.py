"""The autoscaler that is meant, out of a file of manifests."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.autoscaling import ControllerConfig, HpaSpec, ScaledObject, hpa_from_scaled_object
from harness.autoscaling.fields import name_of
from harness.chart import yaml_strict
from harness.errors import InputError
from harness.hpa import lines

KINDS = ("HorizontalPodAutoscaler", "ScaledObject")
Manifest = Mapping[str, Any]


def read(path: Path, *, name: str | None, controller: ControllerConfig) -> HpaSpec:
    """Return the autoscaler of a file (`-`: standard input); of several the one of that name.

    Other objects are passed over, so that what helm renders or kubectl prints can be given as it is. Raises InputError
    naming the file, the object and the key.
    """
    source = "standard input" if path == lines.STDIN else yaml_strict.shown(path)
    text = sys.stdin.read() if path == lines.STDIN else yaml_strict.read_text(path)
    found = [one for one in _flat(yaml_strict.load_all_text(text, source)) if one.get("kind") in KINDS]
    manifest = _choose(found, name, source)
    try:
        _refuse_paused(manifest)
        return spec_of(manifest, controller)
    except ValueError as error:
        raise InputError(f"{source}: {error}") from error


def spec_of(manifest: Manifest, controller: ControllerConfig) -> HpaSpec:
    """Return the autoscaler of a manifest; of a ScaledObject the one that KEDA makes of it.

    Raises ValueError naming the object and the key.
    """
    made = hpa_from_scaled_object(manifest) if manifest.get("kind") == "ScaledObject" else manifest
    return HpaSpec.from_manifest(made, controller=controller)


def _refuse_paused(manifest: Manifest) -> None:
    if manifest["kind"] == "ScaledObject" and (scaled := ScaledObject.from_manifest(manifest)).paused:
        raise ValueError(f"ScaledObject {scaled.name}: paused by annotation, KEDA has no autoscaler then; take it out")


def _flat(documents: Iterable[Any]) -> Iterator[Manifest]:
    """Yield the objects, those in lists (`kubectl get hpa -o yaml`) too."""
    for document in documents:
        if not isinstance(document, Mapping):
            continue
        items = document.get("items")
        if str(document.get("kind", "")).endswith("List") and isinstance(items, list):
            yield from _flat(items)
        else:
            yield document


def _choose(found: list[Manifest], name: str | None, source: str) -> Manifest:
    if not found:
        raise InputError(f"{source}: holds no {' and no '.join(KINDS)}; give a manifest of one")
    fitting = [one for one in found if name is None or name in _names(one)]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(f"{one['kind']} {name_of(one)}" for one in found)
    if not fitting:
        raise InputError(f"{source}: no autoscaler is called {name}; there are: {names}")
    if name is None:
        raise InputError(f"{source}: {len(found)} autoscalers; choose one by --name: {names}")
    raise InputError(f"{source}: {len(fitting)} autoscalers are called {name}; give a file with one of them")


def _names(manifest: Manifest) -> tuple[str, ...]:
    """Return what an autoscaler may be called: a ScaledObject also by the autoscaler KEDA makes of it."""
    name = name_of(manifest)
    if manifest["kind"] != "ScaledObject":
        return (name,)
    try:
        return name, str(hpa_from_scaled_object(manifest)["metadata"]["name"])
    except ValueError:
        return (name,)  # refused in words once it is the one
