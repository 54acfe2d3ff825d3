"""Checks a ScaledObject's triggers, whose metadata KEDA's definition leaves open: text under any key."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from harness.chart.custom_resources import FOLDER
from harness.chart.manifests import get, items, mapping, quantity, text
from harness.chart.problems import Problem

RULE = "keda-trigger"

# What the chart's triggers need beyond what KEDA does: without these it takes defaults that scale on something else.
_ALSO_NEEDED: Mapping[str, frozenset[str]] = {"rabbitmq": frozenset({"mode", "value"})}
_HTTP_MODES = ("MessageRate", "DeliverGetRate", "PublishedToDeliveredRatio", "ExpectedQueueConsumptionTime")
_MODES = ("QueueLength", *_HTTP_MODES)


def check(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with a ScaledObject's triggers; paths are inside the object."""
    for index, trigger in enumerate(items(manifest, "spec", "triggers")):
        for problem in _check_trigger(trigger):
            path = f"spec.triggers[{index}].{problem.path}"
            yield Problem(path, problem.message, problem.fix, problem.severity, rule=RULE)


def _check_trigger(trigger: Any) -> Iterator[Problem]:
    kind, metadata = text(trigger, "type"), mapping(trigger, "metadata")
    known_kinds = _triggers()
    if kind not in known_kinds:
        yield Problem("type", f"{kind!r} is not known here", f"use one of {', '.join(known_kinds)}")
        return
    known = set(known_kinds[kind]["reads"])
    needed = {*known_kinds[kind]["needs"], *_ALSO_NEEDED.get(kind, ())}
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


@functools.cache
def _triggers() -> Mapping[str, Mapping[str, list[str]]]:
    """Return kind -> the keys of its metadata that KEDA reads, and those it needs, as its Go types say."""
    found: Mapping[str, Any] = json.loads((FOLDER / "keda.json").read_text(encoding="utf-8"))["triggers"]
    return found
