"""The triggers of a KEDA ScaledObject: rabbitmq, cpu, memory and cron, checked as KEDA 2.20 checks them.

Source: pkg/scalers/{rabbitmq,cpu_memory,cron}_scaler.go, pkg/scalers/scalersconfig/typed_config.go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import quote_plus, urlsplit

from harness.autoscaling.cron import CronWindow
from harness.autoscaling.fields import choice, integer, mapping, text
from harness.autoscaling.quantity import parse_milli

Mode = Literal[
    "QueueLength", "MessageRate", "DeliverGetRate", "PublishedToDeliveredRatio", "ExpectedQueueConsumptionTime"
]
Operation = Literal["sum", "avg", "max"]
MetricType = Literal["AverageValue", "Value", "Utilization"]

QUEUE_LENGTH: Mode = "QueueLength"
MODES = (QUEUE_LENGTH, "MessageRate", "DeliverGetRate", "PublishedToDeliveredRatio", "ExpectedQueueConsumptionTime")
DEFAULT_QUEUE_LENGTH_MESSAGES = 20.0
KINDS = ("rabbitmq", "cpu", "memory", "cron")
_RESOURCES = ("cpu", "memory")
_WHOLE = re.compile(r"[+-]?[0-9]+")
MIN_INT32 = -(2**31)
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")


@dataclass(frozen=True, kw_only=True)
class TriggerMetric:
    """One trigger and the metric it becomes.

    `name` is the external metric's name, or the resource for cpu and memory. `value_milli` is the target in
    thousandths, or whole per cent times 1000 for Utilization. For rabbitmq `queue`, `mode` and the rest say how the
    value is made; `pattern` means `queue` is a regular expression. `window` is a cron trigger's.
    """

    index: int
    kind: str
    name: str
    metric_type: MetricType
    value_milli: int
    activation_value: float = 0.0
    queue: str = ""
    mode: Mode = QUEUE_LENGTH
    counts_unacked: bool = True
    pattern: bool = False
    operation: Operation = "sum"
    window: CronWindow | None = None
    desired_replicas: int = 0
    uses_cache: bool = False

    @property
    def value(self) -> float:
        """The target in its own unit: messages, messages a second, seconds, per cent, cores or bytes."""
        return self.value_milli / 1000

    @property
    def external(self) -> bool:
        """Whether KEDA serves this metric; cpu and memory come from the cluster's resource metrics."""
        return self.kind not in _RESOURCES


def read_trigger(entry: Any, index: int) -> TriggerMetric:
    """Read one element of `spec.triggers`. Raises ValueError naming the key and what KEDA allows."""
    path = f"spec.triggers[{index}]"
    trigger = mapping(entry, path)
    kind = choice(trigger.get("type"), f"{path}.type", KINDS)
    metadata = _metadata(trigger.get("metadata"), f"{path}.metadata")
    if kind == "rabbitmq":
        return _rabbitmq(trigger, metadata, index, path)
    if kind == "cron":
        return _cron(trigger, metadata, index, path)
    return _resource(trigger, metadata, index, path)


def check_admission(entry: Any, index: int) -> None:
    """Apply what the API server and KEDA's webhook ask of a trigger. Raises ValueError naming the key."""
    path = f"spec.triggers[{index}]"
    trigger = mapping(entry, path)
    _metadata(trigger.get("metadata"), f"{path}.metadata")
    if trigger.get("useCachedMetrics") and trigger.get("type") in (*_RESOURCES, "cron"):
        raise ValueError(f"{path}.useCachedMetrics is not for {trigger['type']} triggers")


def is_external(entry: Mapping[str, Any]) -> bool:
    """Tell by its type whether KEDA serves a trigger's metric."""
    return entry.get("type") not in _RESOURCES


def _metadata(value: Any, path: str) -> dict[str, str]:
    """Return the settings that are not empty; KEDA's metadata is texts only and blank ones count as not there."""
    entries = mapping(value, path)
    for key, setting in entries.items():
        if not isinstance(setting, str):
            raise ValueError(f"{path}.{key} is {setting!r}, must be a text (put it in quotes)")
    return {key: setting.strip() for key, setting in entries.items() if setting.strip()}


def _rabbitmq(trigger: Mapping[str, Any], metadata: Mapping[str, str], index: int, path: str) -> TriggerMetric:
    where = f"{path}.metadata"
    queue = text(metadata.get("queueName"), f"{where}.queueName")
    http = _protocol(metadata, where) == "http"
    mode, value = _mode_and_value(metadata, where)
    if mode != QUEUE_LENGTH and not http:
        raise ValueError(f"{where}.protocol must be http for mode {mode}: AMQP tells only a queue's ready messages")
    pattern, ready_only = (_flag(metadata, key, where) for key in ("useRegex", "excludeUnacknowledged"))
    if (pattern or ready_only) and not http:
        raise ValueError(f"{where}: useRegex and excludeUnacknowledged need protocol http")
    return TriggerMetric(
        index=index,
        kind="rabbitmq",
        name=metric_name(index, f"rabbitmq-{quote_plus(queue)}"),
        metric_type=_external_type(trigger, path),
        value_milli=served_milli(value),
        activation_value=_number(metadata, "activationValue", where),
        queue=queue,
        mode=mode,
        counts_unacked=http and not ready_only,
        pattern=pattern,
        operation=cast(
            Operation, choice(metadata.get("operation", "sum"), f"{where}.operation", ("sum", "avg", "max"))
        ),
        uses_cache=bool(trigger.get("useCachedMetrics")),
    )


def _protocol(metadata: Mapping[str, str], where: str) -> str:
    protocol = choice(metadata.get("protocol", "auto"), f"{where}.protocol", ("amqp", "http", "auto"))
    if protocol != "auto":
        return protocol
    scheme = urlsplit(metadata.get("host", "")).scheme
    if scheme not in ("amqp", "amqps", "http", "https"):
        raise ValueError(f"{where}.protocol is needed (http or amqp): the host is in a Secret, its scheme unknown here")
    return scheme[:4]


def _mode_and_value(metadata: Mapping[str, str], where: str) -> tuple[Mode, float]:
    """Return mode and target; `queueLength` alone is the old spelling, nothing at all means 20 messages."""
    mode, value, old = metadata.get("mode"), _number(metadata, "value", where), _number(metadata, "queueLength", where)
    if old != 0 and (mode or value != 0):
        raise ValueError(f"{where}.queueLength is the old spelling; set mode and value only")
    if mode is None and value == 0:
        return QUEUE_LENGTH, old or DEFAULT_QUEUE_LENGTH_MESSAGES
    if mode is None:
        raise ValueError(f"{where}.mode is missing; one of {', '.join(MODES)}")
    if value == 0:
        raise ValueError(f"{where}.value is missing")
    return cast(Mode, choice(mode, f"{where}.mode", MODES)), value


def _cron(trigger: Mapping[str, Any], metadata: Mapping[str, str], index: int, path: str) -> TriggerMetric:
    where = f"{path}.metadata"
    start, end, timezone = (text(metadata.get(key), f"{where}.{key}") for key in ("start", "end", "timezone"))
    desired = _number(metadata, "desiredReplicas", where)
    if desired != int(desired) or desired == 0:
        raise ValueError(f"{where}.desiredReplicas is {desired:g}, must be a whole number, not 0")
    parts = "-".join((timezone, *(_cron_name(expression) for expression in (start, end))))
    return TriggerMetric(
        index=index,
        kind="cron",
        name=metric_name(index, f"cron-{parts}"),
        metric_type=_external_type(trigger, path),
        value_milli=1000,
        window=CronWindow.parse(start=start, end=end, timezone=timezone, path=where),
        desired_replicas=int(desired),
    )


def _cron_name(expression: str) -> str:
    for old, new in ((" ", ""), ("*", "x"), ("/", "Sl"), ("?", "Qm"), (",", "Cm")):
        expression = expression.replace(old, new)
    return expression


def _resource(trigger: Mapping[str, Any], metadata: Mapping[str, str], index: int, path: str) -> TriggerMetric:
    where, kind = f"{path}.metadata", str(trigger["type"])
    if "type" in metadata:
        raise ValueError(f"{where}.type is gone since KEDA 2.18; set {path}.metricType")
    if "containerName" in metadata:
        raise ValueError(f"{where}.containerName is not modelled: usage is seen for whole pods")
    metric_type = choice(trigger.get("metricType"), f"{path}.metricType", ("Utilization", "AverageValue"))
    value = text(metadata.get("value"), f"{where}.value")
    milli = parse_milli(value) if metric_type == "AverageValue" else 1000 * _whole(value, f"{where}.value")
    return TriggerMetric(
        index=index, kind=kind, name=kind, metric_type=cast(MetricType, metric_type), value_milli=milli
    )


def _external_type(trigger: Mapping[str, Any], path: str) -> MetricType:
    given = trigger.get("metricType") or "AverageValue"
    return cast(MetricType, choice(given, f"{path}.metricType", ("AverageValue", "Value")))


def metric_name(index: int, name: str) -> str:
    """Return an external metric's name: `s<trigger index>-<name>` without the characters a metric path cannot have."""
    for character in "/.:%()":
        name = name.replace(character, "-")
    return f"s{index}-{name}"


def served_milli(value: float) -> int:
    """Return thousandths as KEDA writes a number: three decimals, and 0 for what is negative or no number."""
    if not 0 <= value < float("inf"):
        return 0
    return parse_milli(f"{value:.3f}")


def _number(metadata: Mapping[str, str], key: str, where: str) -> float:
    """Return a number in JSON's notation, 0 when it is not set."""
    try:
        number = json.loads(metadata.get(key, "0"), parse_constant=lambda name: name)
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError(f"{where}.{key} is {metadata[key]!r}, must be a number")
    return float(number)


def _whole(value: str, path: str) -> int:
    """Read a percentage; any whole number will do for KEDA, the API server refuses the autoscaler of one below 1."""
    return integer(int(value) if _WHOLE.fullmatch(value) else value, path, low=MIN_INT32)


def _flag(metadata: Mapping[str, str], key: str, where: str) -> bool:
    return choice(metadata.get(key, "false"), f"{where}.{key}", _TRUE + _FALSE) in _TRUE
