"""The shape of the KEDA objects this chart renders, written from the field list of KEDA 2.20's custom resources.

It is closed and narrower than KEDA: a field the chart does not render is refused here although KEDA may know it. That
catches what the API server would silently drop, a misspelt field, where no custom resource definition is at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema

from harness.chart.manifests import get, items, mapping, quantity
from harness.chart.problems import Problem

API_VERSION = "keda.sh/v1alpha1"
RULE = "keda-schema"

_TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1}
_COUNT: Mapping[str, Any] = {"type": "integer", "minimum": 0}


def _closed(properties: Mapping[str, Any], *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(properties),
        "required": list(required),
    }


_METADATA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253},
        "namespace": _TEXT,
        "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 63}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["name"],
}
_POLICY = _closed(
    {"type": {"enum": ["Pods", "Percent"]}, "value": {"type": "integer"}, "periodSeconds": {"type": "integer"}},
    required=("type", "value", "periodSeconds"),
)
_DIRECTION = _closed(
    {
        "stabilizationWindowSeconds": _COUNT,
        "selectPolicy": {"enum": ["Max", "Min", "Disabled"]},
        "tolerance": {"type": ["string", "number"]},
        "policies": {"type": "array", "items": _POLICY},
    }
)
_TRIGGER = _closed(
    {
        "type": _TEXT,
        "name": _TEXT,
        "metricType": {"enum": ["AverageValue", "Value", "Utilization"]},
        "useCachedMetrics": {"type": "boolean"},
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        "authenticationRef": _closed(
            {"name": _TEXT, "kind": {"enum": ["TriggerAuthentication", "ClusterTriggerAuthentication"]}},
            required=("name",),
        ),
    },
    required=("type", "metadata"),
)
_FALLBACK = _closed(
    {"failureThreshold": _COUNT, "replicas": _COUNT, "behavior": _TEXT}, required=("failureThreshold", "replicas")
)
_SCALED_OBJECT_SPEC = _closed(
    {
        "scaleTargetRef": _closed(
            {"apiVersion": _TEXT, "kind": _TEXT, "name": _TEXT, "envSourceContainerName": _TEXT}, required=("name",)
        ),
        "minReplicaCount": _COUNT,
        "maxReplicaCount": {"type": "integer", "minimum": 1},
        "idleReplicaCount": _COUNT,
        "pollingInterval": {"type": "integer", "minimum": 1},
        "cooldownPeriod": _COUNT,
        "initialCooldownPeriod": _COUNT,
        "fallback": _FALLBACK,
        "advanced": _closed(
            {
                "restoreToOriginalReplicaCount": {"type": "boolean"},
                "horizontalPodAutoscalerConfig": _closed(
                    {"name": _TEXT, "behavior": _closed({"scaleUp": _DIRECTION, "scaleDown": _DIRECTION})}
                ),
            }
        ),
        "triggers": {"type": "array", "minItems": 1, "items": _TRIGGER},
    },
    required=("scaleTargetRef", "triggers"),
)
_REFERENCE = _closed({"parameter": _TEXT, "name": _TEXT, "key": _TEXT}, required=("parameter", "name", "key"))
_REFERENCES = {"type": "array", "minItems": 1, "items": _REFERENCE}
_AUTHENTICATION_SPEC = _closed({"secretTargetRef": _REFERENCES, "configMapTargetRef": _REFERENCES})

SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    kind: _closed(
        {"apiVersion": {"const": API_VERSION}, "kind": {"const": kind}, "metadata": _METADATA, "spec": spec},
        required=("apiVersion", "kind", "metadata", "spec"),
    )
    for kind, spec in (("ScaledObject", _SCALED_OBJECT_SPEC), ("TriggerAuthentication", _AUTHENTICATION_SPEC))
}

# Metadata of the triggers the chart renders: all keys KEDA reads, of which the second list is needed.
_TRIGGER_KEYS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "rabbitmq": (
        frozenset(
            {
                "queueName",
                "mode",
                "value",
                "activationValue",
                "host",
                "protocol",
                "vhostName",
                "useRegex",
                "excludeUnacknowledged",
                "pageSize",
                "operation",
                "timeout",
                "unsafeSsl",
            }
        ),
        frozenset({"queueName", "mode", "value"}),
    ),
    "cpu": (frozenset({"value", "containerName"}), frozenset({"value"})),
    "memory": (frozenset({"value", "containerName"}), frozenset({"value"})),
    "cron": (
        frozenset({"start", "end", "timezone", "desiredReplicas"}),
        frozenset({"start", "end", "timezone", "desiredReplicas"}),
    ),
    "prometheus": (
        frozenset(
            {
                "serverAddress",
                "query",
                "threshold",
                "activationThreshold",
                "ignoreNullValues",
                "namespace",
                "timeout",
                "unsafeSsl",
                "authModes",
            }
        ),
        frozenset({"serverAddress", "query", "threshold"}),
    ),
}
_HTTP_MODES = ("MessageRate", "DeliverGetRate", "PublishedToDeliveredRatio", "ExpectedQueueConsumptionTime")
_MODES = ("QueueLength", *_HTTP_MODES)


def check(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with a ScaledObject or TriggerAuthentication; paths are inside the object."""
    validator = jsonschema.Draft7Validator(SCHEMAS[str(manifest.get("kind"))])
    for error in validator.iter_errors(manifest):
        yield Problem(error.json_path.removeprefix("$."), error.message, "correct the field", rule=RULE)
    for index, trigger in enumerate(items(manifest, "spec", "triggers")):
        for problem in _check_trigger(trigger):
            yield Problem(
                f"spec.triggers[{index}].{problem.path}", problem.message, problem.fix, problem.severity, rule=RULE
            )


def _check_trigger(trigger: Any) -> Iterator[Problem]:
    kind, metadata = get(trigger, "type"), mapping(trigger, "metadata")
    if kind not in _TRIGGER_KEYS:
        yield Problem("type", f"{kind!r} is not known here", f"use one of {', '.join(_TRIGGER_KEYS)}")
        return
    known, needed = _TRIGGER_KEYS[kind]
    for key in sorted(set(metadata) - known):
        yield Problem(f"metadata.{key}", "KEDA does not read it", f"the keys are {', '.join(sorted(known))}")
    for key in sorted(needed - set(metadata)):
        yield Problem(f"metadata.{key}", "is missing", "add it")
    value = quantity(metadata.get("value"))
    if "value" in metadata and (value is None or value <= 0):
        yield Problem("metadata.value", f"{metadata['value']!r} is no positive number", "give one, in quotes")
    yield from _check_metric_type(kind, trigger)
    if kind == "rabbitmq":
        yield from _check_rabbitmq(metadata)


def _check_metric_type(kind: str, trigger: Any) -> Iterator[Problem]:
    metric_type = get(trigger, "metricType")
    of_resource = kind in ("cpu", "memory")
    if of_resource and metric_type not in ("Utilization", "AverageValue"):
        yield Problem("metricType", f"{metric_type!r} is not possible for {kind}", "use Utilization or AverageValue")
    if not of_resource and metric_type == "Utilization":
        yield Problem("metricType", f"Utilization is not possible for {kind}", "use AverageValue or Value")


def _check_rabbitmq(metadata: Mapping[str, Any]) -> Iterator[Problem]:
    mode, protocol = metadata.get("mode"), metadata.get("protocol", "auto")
    if mode not in _MODES:
        yield Problem("metadata.mode", f"{mode!r} is none", f"use one of {', '.join(_MODES)}")
    if protocol not in ("auto", "http", "amqp"):
        yield Problem("metadata.protocol", f"{protocol!r} is none", "use http, amqp or auto")
    if mode in _HTTP_MODES and protocol == "amqp":
        yield Problem("metadata.protocol", f"mode {mode} needs the management API", "use http")
