"""Settings inside Kubernetes objects: how each is read, and the merge patch that sets it. Pure.

Also runs in the release's image. Things:
- "floor/<Kind>/<name>": replicas, as {"min", "max"} of a scaler or {"replicas"} of a Deployment that has none;
- "hold/<Kind>/<name>": whether a scaler stands still, in the object's own terms;
- "paused/<queue>": true where nobody may consume a queue, in the ConfigMap <release>-ops.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]
Setting = Any

HPA, SCALED_OBJECT, DEPLOYMENT, CONFIG_MAP = "HorizontalPodAutoscaler", "ScaledObject", "Deployment", "ConfigMap"
SCALERS = (SCALED_OBJECT, HPA)
FLOOR, HOLD, PAUSED = "floor", "hold", "paused"

PAUSED_FILE, OVERRIDES_FILE, AUDIT_FILE = "paused.json", "overrides.json", "audit.jsonl"
KEDA_PAUSED = "autoscaling.keda.sh/paused"
MARK = "celery-workers/override"
DIRECTIONS = ("scaleUp", "scaleDown")


def state_name(release: str) -> str:
    """Return the name of the ConfigMap that holds a release's overrides.

    >>> state_name("celery")
    'celery-ops'
    """
    return f"{release}-ops"


def thing_of(kind: str, *owner: str) -> str:
    """Return a thing's name.

    >>> thing_of("paused", "io")
    'paused/io'
    """
    return "/".join((kind, *owner))


def parts_of(thing: str) -> tuple[str, str]:
    """Return a thing's kind and what it belongs to; the latter may have slashes of its own.

    >>> parts_of("floor/Deployment/celery-io-worker")
    ('floor', 'Deployment/celery-io-worker')
    """
    kind, _, owner = thing.partition("/")
    return kind, owner


def read(thing: str, document: Document) -> Setting:
    """Return a thing's setting in the object that has it."""
    kind, owner = parts_of(thing)
    if kind == PAUSED:
        return True if owner in paused_queues(document) else None
    return _floor(document) if kind == FLOOR else _hold(document)


def patch(thing: str, document: Document, setting: Setting, *, mark: str | None) -> dict[str, Any]:
    """Return the merge patch that gives a thing a setting; `mark` tells who looks at the object why, None takes it off.

    `document` is the object as it was read a moment ago.
    """
    kind, owner = parts_of(thing)
    if kind == PAUSED:
        return _paused_patch(document, owner, on=bool(setting))
    spec = _floor_patch(document, setting) if kind == FLOOR else _hold_patch(document, setting)
    if document["kind"] == DEPLOYMENT:  # its replicas may be all that can be changed
        return spec
    return _merged(spec, {"metadata": {"annotations": {f"{MARK}-{kind}": mark}}})


def held(kind: str) -> Setting:
    """Return the setting of "hold" at which a scaler of this kind stands still."""
    return "true" if kind == SCALED_OBJECT else dict.fromkeys(DIRECTIONS, "Disabled")


def is_held(document: Document) -> bool:
    """Whether a scaler stands still."""
    return document["kind"] != DEPLOYMENT and _hold(document) == held(document["kind"])


def paused_queues(document: Document | None) -> list[str]:
    """Return the queues nobody may consume."""
    text = ((document or {}).get("data") or {}).get(PAUSED_FILE)
    return list(json.loads(text)["queues"]) if text else []


def _floor(document: Document) -> Setting:
    spec = document["spec"]
    if document["kind"] == SCALED_OBJECT:
        return {"min": spec.get("minReplicaCount"), "max": spec.get("maxReplicaCount")}
    if document["kind"] == HPA:
        return {"min": spec.get("minReplicas"), "max": spec.get("maxReplicas")}
    return {"replicas": spec.get("replicas", 1)}


def _floor_patch(document: Document, setting: Setting) -> dict[str, Any]:
    if document["kind"] == SCALED_OBJECT:
        return {"spec": {"minReplicaCount": setting["min"], "maxReplicaCount": setting["max"]}}
    if document["kind"] == HPA:
        return {"spec": {"minReplicas": setting["min"], "maxReplicas": setting["max"]}}
    return {"spec": {"replicas": setting["replicas"]}}


def _hold(document: Document) -> Setting:
    if document["kind"] == SCALED_OBJECT:
        return (document["metadata"].get("annotations") or {}).get(KEDA_PAUSED)
    behavior = document["spec"].get("behavior") or {}
    return {direction: (behavior.get(direction) or {}).get("selectPolicy") for direction in DIRECTIONS}


def _hold_patch(document: Document, setting: Setting) -> dict[str, Any]:
    if document["kind"] == SCALED_OBJECT:
        return {"metadata": {"annotations": {KEDA_PAUSED: setting}}}
    return {"spec": {"behavior": {direction: {"selectPolicy": setting[direction]} for direction in DIRECTIONS}}}


def _paused_patch(document: Document, queue: str, *, on: bool) -> dict[str, Any]:
    queues = set(paused_queues(document)) - {queue} | ({queue} if on else set())
    # The version makes the server refuse a patch made from what somebody has changed meanwhile.
    version = document["metadata"].get("resourceVersion")
    metadata = {"metadata": {"resourceVersion": version}} if version else {}
    return {**metadata, "data": {PAUSED_FILE: json.dumps({"queues": sorted(queues)})}}


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return two patches as one; a null stays, for it takes something off."""
    result = dict(one)
    for key, value in other.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merged(result[key], value) if both else value
    return result
