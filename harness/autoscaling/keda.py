"""A KEDA ScaledObject, and the HorizontalPodAutoscaler that KEDA 2.20 makes of it.

Source: controllers/keda/hpa.go, apis/keda/v1alpha1/scaledobject_{types,webhook}.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, cast

from harness.autoscaling.fields import choice, integer, mapping, name_of, optional_mapping, sequence, text
from harness.autoscaling.quantity import format_milli
from harness.autoscaling.triggers import TriggerMetric, check_admission, is_external, read_trigger

KEDA_VERSION = "2.20.2"
OWNER_LABEL = "scaledobject.keda.sh/name"
EXCLUDED_LABELS = "scaledobject.keda.sh/hpa-excluded-labels"
DEFAULT_POLLING_SECONDS = 30
DEFAULT_COOLDOWN_SECONDS = 300
DEFAULT_MAX_REPLICAS = 100

FallbackBehavior = Literal["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"]
FALLBACK_BEHAVIORS = ("static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower")

_FALSE_TEXTS = ("0", "f", "F", "FALSE", "false", "False")
_MAX_NAME_LENGTH = 63  # both names become labels


@dataclass(frozen=True)
class Fallback:
    """What to serve in place of a metric that failed more than `failure_threshold` times in a row."""

    failure_threshold: int
    replicas: int
    behavior: FallbackBehavior = "static"


@dataclass(frozen=True, kw_only=True)
class ScaledObject:
    """One ScaledObject with KEDA's defaults filled in. `min_replicas` 0 lets KEDA itself scale to zero and back."""

    name: str
    target_kind: str
    target_api_version: str
    target_name: str
    triggers: tuple[TriggerMetric, ...]
    min_replicas: int = 0
    max_replicas: int = DEFAULT_MAX_REPLICAS
    idle_replicas: int | None = None
    polling_seconds: int = DEFAULT_POLLING_SECONDS
    cooldown_seconds: int = DEFAULT_COOLDOWN_SECONDS
    initial_cooldown_seconds: int = 0
    fallback: Fallback | None = None
    paused: bool = False
    paused_scale_in: bool = False
    paused_scale_out: bool = False
    forced_active: bool = False

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> ScaledObject:
        """Read a keda.sh/v1alpha1 manifest. Raises ValueError naming the object, the key and what KEDA allows."""
        name = name_of(manifest)
        try:
            return _read(name, manifest)
        except ValueError as error:
            raise ValueError(f"ScaledObject {name}: {error}") from None

    @property
    def hpa_min_replicas(self) -> int:
        """The HPA's minimum: it never scales to zero, KEDA does."""
        return self.min_replicas or 1


def trigger_metrics(manifest: Mapping[str, Any]) -> list[TriggerMetric]:
    """Return a ScaledObject's triggers with the metrics they become, in the manifest's order."""
    return list(ScaledObject.from_manifest(manifest).triggers)


def hpa_from_scaled_object(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the HPA manifest KEDA makes of a ScaledObject; it can be given to `HpaSpec.from_manifest`."""
    scaled = ScaledObject.from_manifest(manifest)
    config, name = _hpa_config(manifest), _hpa_name(scaled.name, manifest)
    spec: dict[str, Any] = {
        "scaleTargetRef": {
            "apiVersion": scaled.target_api_version,
            "kind": scaled.target_kind,
            "name": scaled.target_name,
        },
        "minReplicas": scaled.hpa_min_replicas,
        "maxReplicas": scaled.max_replicas,
        # sorted by kind of metric, External before Resource, each in the order of the triggers
        "metrics": sorted((_metric(trigger, scaled.name) for trigger in scaled.triggers), key=lambda m: str(m["type"])),
    }
    behavior = _behavior(config.get("behavior"), scaled)
    if behavior is not None:
        spec["behavior"] = behavior
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(manifest, scaled.name, name),
        "spec": spec,
    }


def _read(name: str, manifest: Mapping[str, Any]) -> ScaledObject:
    if manifest.get("kind") != "ScaledObject" or manifest.get("apiVersion") != "keda.sh/v1alpha1":
        raise ValueError("apiVersion must be keda.sh/v1alpha1 and kind ScaledObject")
    spec = mapping(manifest.get("spec"), "spec")
    if _scaling_modifiers(spec):
        raise ValueError("spec.advanced.scalingModifiers is not modelled")
    target = mapping(spec.get("scaleTargetRef"), "spec.scaleTargetRef")
    switches = _annotations(manifest)
    scaled = ScaledObject(
        name=name,
        target_kind=target.get("kind") or "Deployment",
        target_api_version=target.get("apiVersion") or "apps/v1",
        target_name=text(target.get("name"), "spec.scaleTargetRef.name"),
        triggers=_triggers(spec.get("triggers"), paused=switches["paused"]),
        idle_replicas=None if spec.get("idleReplicaCount") is None else _count(spec, "idleReplicaCount", 0),
        min_replicas=_count(spec, "minReplicaCount", 0),
        max_replicas=_count(spec, "maxReplicaCount", DEFAULT_MAX_REPLICAS, low=1),
        polling_seconds=_count(spec, "pollingInterval", DEFAULT_POLLING_SECONDS, low=1),
        cooldown_seconds=_count(spec, "cooldownPeriod", DEFAULT_COOLDOWN_SECONDS),
        initial_cooldown_seconds=_count(spec, "initialCooldownPeriod", 0),
        fallback=_fallback(spec.get("fallback")),
        **switches,
    )
    _check_names(name, _hpa_name(name, manifest))
    _check(
        scaled,
        minimum=scaled.hpa_min_replicas if spec.get("minReplicaCount") is not None else 0,
        external=any(is_external(entry) for entry in spec["triggers"]),
    )
    return scaled


def _triggers(value: Any, *, paused: bool) -> tuple[TriggerMetric, ...]:
    entries = sequence(value, "spec.triggers")
    if not entries:
        raise ValueError("spec.triggers is empty")
    for index, entry in enumerate(entries):
        check_admission(entry, index)
    names = [entry["name"] for entry in entries if entry.get("name")]
    if len(set(names)) != len(names):
        raise ValueError("spec.triggers: two have the same name")
    if paused:
        return tuple(_those_without_mistake(entries))
    return tuple(read_trigger(entry, index) for index, entry in enumerate(entries))


def _those_without_mistake(entries: Sequence[Any]) -> Iterator[TriggerMetric]:
    """Read a paused object's triggers: KEDA makes no scalers of them, so it meets no mistake in their settings."""
    for index, entry in enumerate(entries):
        with suppress(ValueError):
            yield read_trigger(entry, index)


def _count(spec: Mapping[str, Any], key: str, default: int, *, low: int = 0) -> int:
    return integer(spec.get(key), f"spec.{key}", low=low, default=default)


def _check(scaled: ScaledObject, *, minimum: int, external: bool) -> None:
    """Apply the rules across settings that KEDA's own webhook applies.

    `minimum` is 1 where 0 is written out; `external` says whether a trigger is none of cpu and memory.
    """
    if minimum > scaled.max_replicas:
        raise ValueError(f"spec.minReplicaCount {scaled.min_replicas} is above maxReplicaCount {scaled.max_replicas}")
    if scaled.idle_replicas is not None and scaled.idle_replicas >= minimum:
        raise ValueError(f"spec.idleReplicaCount {scaled.idle_replicas} must be below minReplicaCount")
    if external:
        return
    if scaled.min_replicas == 0:
        raise ValueError("spec.minReplicaCount 0 needs a trigger besides cpu and memory")
    if scaled.fallback is not None:
        raise ValueError("spec.fallback needs a trigger besides cpu and memory")


def _check_names(name: str, hpa_name: str) -> None:
    if len(name) > _MAX_NAME_LENGTH:
        raise ValueError(f"metadata.name has {len(name)} characters, KEDA allows {_MAX_NAME_LENGTH}")
    if len(hpa_name) > _MAX_NAME_LENGTH:
        raise ValueError(
            f"its autoscaler's name {hpa_name} has {len(hpa_name)} characters, KEDA allows {_MAX_NAME_LENGTH}: set "
            "spec.advanced.horizontalPodAutoscalerConfig.name"
        )


def _fallback(value: Any) -> Fallback | None:
    if value is None:
        return None
    fallback = mapping(value, "spec.fallback")
    behavior = choice(fallback.get("behavior") or "static", "spec.fallback.behavior", FALLBACK_BEHAVIORS)
    return Fallback(
        integer(fallback.get("failureThreshold"), "spec.fallback.failureThreshold", low=0),
        integer(fallback.get("replicas"), "spec.fallback.replicas", low=0),
        cast(FallbackBehavior, behavior),
    )


def _annotations(manifest: Mapping[str, Any]) -> dict[str, bool]:
    """Return the switches KEDA reads from annotations; any text that is not false is true."""
    metadata = mapping(manifest.get("metadata"), "metadata")
    given = optional_mapping(metadata.get("annotations"), "metadata.annotations")

    def is_set(name: str) -> bool:
        key = f"autoscaling.keda.sh/{name}"
        return key in given and given[key] not in _FALSE_TEXTS

    return {
        "paused": is_set("paused") or "autoscaling.keda.sh/paused-replicas" in given,
        "paused_scale_in": is_set("paused-scale-in"),
        "paused_scale_out": is_set("paused-scale-out"),
        "forced_active": is_set("force-activation"),
    }


def _advanced(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return optional_mapping(spec.get("advanced"), "spec.advanced")


def _scaling_modifiers(spec: Mapping[str, Any]) -> Any:
    return _advanced(spec).get("scalingModifiers")


def _hpa_config(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    key = "horizontalPodAutoscalerConfig"
    return optional_mapping(_advanced(manifest["spec"]).get(key), f"spec.advanced.{key}")


def _hpa_name(name: str, manifest: Mapping[str, Any]) -> str:
    return _hpa_config(manifest).get("name") or f"keda-hpa-{name}"


def _metric(trigger: TriggerMetric, owner: str) -> dict[str, Any]:
    target: dict[str, Any] = {"type": trigger.metric_type}
    if trigger.metric_type == "Utilization":
        target["averageUtilization"] = trigger.value_milli // 1000
    else:
        key = "averageValue" if trigger.metric_type == "AverageValue" else "value"
        target[key] = format_milli(trigger.value_milli)
    if not trigger.external:
        return {"type": "Resource", "resource": {"name": trigger.name, "target": target}}
    identifier = {"name": trigger.name, "selector": {"matchLabels": {OWNER_LABEL: owner}}}
    return {"type": "External", "external": {"metric": identifier, "target": target}}


def _behavior(given: Any, scaled: ScaledObject) -> dict[str, Any] | None:
    """Return the behavior unchanged, but for a direction that an annotation pauses."""
    behavior: dict[str, Any] | None = deepcopy(dict(given)) if given is not None else None
    for paused, direction in ((scaled.paused_scale_in, "scaleDown"), (scaled.paused_scale_out, "scaleUp")):
        if paused:
            behavior = behavior or {}
            behavior[direction] = {**(behavior.get(direction) or {}), "selectPolicy": "Disabled"}
    return behavior


def _metadata(manifest: Mapping[str, Any], owner: str, name: str) -> dict[str, Any]:
    metadata = mapping(manifest.get("metadata"), "metadata")
    annotations = optional_mapping(metadata.get("annotations"), "metadata.annotations")
    excluded = str(annotations.get(EXCLUDED_LABELS, "")).split(",")
    own = optional_mapping(metadata.get("labels"), "metadata.labels")
    result: dict[str, Any] = {
        "name": name,
        "labels": {
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/version": KEDA_VERSION,
            "app.kubernetes.io/part-of": owner,
            "app.kubernetes.io/managed-by": "keda-operator",
            # the operator labels the ScaledObject itself before anything else
            **{key: value for key, value in {**own, OWNER_LABEL: owner}.items() if key not in excluded},
        },
    }
    if "namespace" in metadata:
        result["namespace"] = metadata["namespace"]
    if annotations:
        result["annotations"] = dict(annotations)
    return result
