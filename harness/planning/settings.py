"""What a tuner may turn (bounds, targets, upward policies, queue limits of a class), and what of it to try. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product

from harness.autoscaling import ExternalMetric, HpaSpec, Policy, ResourceMetric, ScalingRules, TriggerMetric
from harness.autoscaling.spec import DEFAULT_SCALE_UP, Metric
from harness.planning import changed
from harness.simulation.model import Plant, WorkerClass

DEPTH_MODE, LATENCY_MODE = "QueueLength", "ExpectedQueueConsumptionTime"
AT_ONCE_PODS = 12
"""Added in one sync of 15 s: as good as no limit for the classes of one release."""
FULL_SHARE = 0.8
"""A depth target above this share of the limit per pod would never reach the last pod before the queue is full."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One class's figures; None: the class has no such thing. `scale_up` is the whole of the upward rules."""

    minimum: int
    maximum: int
    scale_up: ScalingRules | None
    queue_depth: int | None
    latency_seconds: int | None
    cpu_percent: int | None
    queue_limit: int | None

    def changes(self, given: Setting) -> tuple[str, ...]:
        """Return the names of the figures that differ, in the order of the fields."""
        return tuple(name for name in self.__dataclass_fields__ if getattr(self, name) != getattr(given, name))

    def reverted(self, name: str, given: Setting) -> Setting:
        """Return the setting with one figure as it was given; bounds stay in order."""
        found = replace(self, **{name: getattr(given, name)})
        return replace(found, minimum=min(found.minimum, found.maximum))

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How far a tuner may go with a class."""

    most_replicas: int
    most_minimum: int
    queue_limits: bool = True


def setting_of(plant: Plant, worker: WorkerClass) -> Setting:
    """Return a class's figures as they are. Raises ValueError for a class that nothing scales."""
    if worker.scaler is None:
        raise ValueError(f"{worker.name}: nothing scales this class (scaler none), so there is nothing to tune")
    spec = worker.scaler.hpa
    depth, latency = (_target(worker, mode) for mode in (DEPTH_MODE, LATENCY_MODE))
    cpu = next((m.target_percent for m in spec.metrics if isinstance(m, ResourceMetric) and m.name == "cpu"), None)
    return Setting(
        minimum=spec.min_replicas,
        maximum=spec.max_replicas,
        scale_up=spec.behavior.scale_up if spec.behavior else None,
        queue_depth=None if depth is None else depth // 1000,
        latency_seconds=None if latency is None else latency // 1000,
        cpu_percent=cpu,
        queue_limit=_limit(plant, worker),
    )


def applied(plant: Plant, name: str, setting: Setting) -> Plant:
    """Return the plant with one class set so."""
    given = setting_of(plant, changed.class_of(plant, name))
    found = changed.with_hpa(plant, name, lambda spec: _spec(changed.class_of(plant, name), spec, setting))
    if setting.minimum != given.minimum:
        found = changed.minimum(found, name, setting.minimum)
    if setting.scale_up is not None and setting.scale_up != given.scale_up:
        found = changed.scale_up(found, name, setting.scale_up)
    if setting.queue_limit is not None and setting.queue_limit != given.queue_limit:
        for queue in changed.class_of(plant, name).queues:
            found = changed.with_queue(found, queue, max_length_messages=setting.queue_limit)
    return found


def _spec(worker: WorkerClass, spec: HpaSpec, setting: Setting) -> HpaSpec:
    metrics = tuple(_metric(worker, metric, setting) for metric in spec.metrics)
    return replace(spec, max_replicas=setting.maximum, metrics=metrics)


def _metric(worker: WorkerClass, metric: Metric, setting: Setting) -> Metric:
    if isinstance(metric, ResourceMetric) and metric.name == "cpu" and metric.target_percent is not None:
        return replace(metric, target_percent=setting.cpu_percent)
    trigger = _triggers(worker).get(metric.name)
    if not isinstance(metric, ExternalMetric) or trigger is None:
        return metric
    wanted = {DEPTH_MODE: setting.queue_depth, LATENCY_MODE: setting.latency_seconds}.get(trigger.mode)
    if wanted is None:
        return metric
    if metric.target_average_milli is None:
        return replace(metric, target_value_milli=wanted * 1000)
    return replace(metric, target_average_milli=wanted * 1000)


def _triggers(worker: WorkerClass) -> Mapping[str, TriggerMetric]:
    keda = worker.scaler.keda if worker.scaler else None
    return {trigger.name: trigger for trigger in keda.triggers} if keda else {}


def _target(worker: WorkerClass, mode: str) -> int | None:
    assert worker.scaler is not None
    triggers = _triggers(worker)
    for metric in worker.scaler.hpa.metrics:
        trigger = triggers.get(metric.name)
        if isinstance(metric, ExternalMetric) and trigger is not None and trigger.mode == mode:
            return metric.target_average_milli or metric.target_value_milli
    return None


def _limit(plant: Plant, worker: WorkerClass) -> int | None:
    limits = {queue.max_length_messages for queue in plant.queues if queue.name in worker.queues}
    return limits.pop() if len(limits) == 1 else None


def grid(worker: WorkerClass, given: Setting, bounds: Bounds, *, offered: int) -> Iterator[Setting]:
    """Yield the settings to try, the given one first; `offered` is the most a scenario offers to the class."""
    yield given
    for minimum, maximum, rules, depth, latency, cpu, limit in product(
        range(given.minimum, max(bounds.most_minimum, given.minimum) + 1),
        range(1, bounds.most_replicas + 1),
        _rules(given.scale_up),
        _near(given.queue_depth, (1.0, 2.0), least=worker.slots),
        _near(given.latency_seconds, (1.0, 0.5, 0.25), least=5),
        _near(given.cpu_percent, (1.0, 0.6), least=10),
        _limits(given.queue_limit, offered if bounds.queue_limits else 0),
    ):
        found = Setting(
            minimum=minimum, maximum=maximum, scale_up=rules, queue_depth=depth, latency_seconds=latency,
            cpu_percent=cpu, queue_limit=limit,
        )  # fmt: skip
        if minimum <= maximum and found != given and _reaches_the_last_pod(found):
            yield found


def _rules(given: ScalingRules | None) -> Sequence[ScalingRules | None]:
    """Return the given upward rules, the same in a quarter of the time, Kubernetes' own, and many pods in one sync."""
    if given is None or given == DEFAULT_SCALE_UP:
        return (given,)
    faster = replace(
        given, policies=tuple(replace(p, period_seconds=max(15, p.period_seconds // 60 * 15)) for p in given.policies)
    )
    at_once = replace(DEFAULT_SCALE_UP, policies=(Policy("Pods", AT_ONCE_PODS, 15),))
    return tuple(dict.fromkeys((given, faster, DEFAULT_SCALE_UP, at_once)))


def _near(value: int | None, factors: Sequence[float], *, least: int) -> Sequence[int | None]:
    if value is None:
        return (None,)
    return tuple(dict.fromkeys(value if factor == 1.0 else max(round(value * factor), least) for factor in factors))


def _limits(given: int | None, offered: int) -> Sequence[int | None]:
    """Return the given limit and, where a scenario offers more, one that holds all of it, in whole thousands."""
    if given is None or offered <= given:
        return (given,)
    return given, -(-offered // 1000) * 1000


def _reaches_the_last_pod(setting: Setting) -> bool:
    if setting.queue_depth is None or setting.queue_limit is None:
        return True
    return setting.queue_depth * setting.maximum <= FULL_SHARE * setting.queue_limit
