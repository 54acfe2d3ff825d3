"""The autoscalers' own arithmetic: Kubernetes' HorizontalPodAutoscaler and KEDA's way to it. Pure: no I/O, no clock.

Deciding, one call a sync (every 15 s by default):

    spec = HpaSpec.from_manifest(manifest)                    # ValueError names object, key and what is allowed
    state = State()
    decision, state = decide(spec, state, observation, now_seconds=now)
    decision.desired, decision.reason, decision.proposals, decision.limited_by

    Observation(spec_replicas=1, status_replicas=1, pods=(PodSample(...), ...),
                external_milli={"s0-rabbitmq-io": (5_200_000,)}, unavailable=frozenset())
    PodSample(name="io-1", phase="Running", ready=True, start_time_seconds=10.0, last_transition_seconds=14.0,
              requests_milli={"cpu": 200, "memory": parse_milli("2Gi")},
              usage_milli={"cpu": 123, "memory": parse_milli("62Mi")},   # leave a resource out while it has no sample
              metric_timestamp_seconds=now, metric_window_seconds=15.0)

Amounts are thousandths: `parse_milli("200m") == 200`, a queue of 5,200 messages is 5_200_000. Times are seconds of one
clock of the caller's choice.

KEDA:

    hpa = hpa_from_scaled_object(scaled_object)               # the HPA manifest KEDA makes of it
    scaled = ScaledObject.from_manifest(scaled_object)        # .triggers, .polling_seconds, .cooldown_seconds, ...
    trigger_metrics(scaled_object) -> list[TriggerMetric]     # name, kind, queue, mode, value, metric_type, ...
    metric_milli(trigger, queues) -> int | None               # what KEDA serves to the HPA; queues: name -> QueueStats;
                                                              # None: the queue is not there; only if trigger.external
    is_active(trigger, queues) -> bool | None
    serve(scaled, trigger, milli, failures=0, ...) -> Served  # with the ScaledObject's fallback
    polled(is_active(trigger, queues), served) -> bool | None # ... and while the fallback stands in
    active, error = activity(scaled, activities)              # of the whole object, from each trigger's
    activate(scaled, current_replicas=0, active=active, error=error, last_active_seconds=None,
             created_seconds=0.0, now_seconds=now) -> Activation    # 0 <-> 1, once every scaled.polling_seconds

`Operator` is KEDA's part for one ScaledObject, `Autoscaler` all of this for one target, with their memory;
`choose_victims` says which pods go.
"""

from harness.autoscaling.activation import Activation, activate, activity
from harness.autoscaling.autoscaler import Autoscaler
from harness.autoscaling.behavior import Recommendation, ScaleEvent, State
from harness.autoscaling.hpa import Decision, decide
from harness.autoscaling.keda import Fallback, ScaledObject, hpa_from_scaled_object, trigger_metrics
from harness.autoscaling.metrics import Proposal, samples_by_name
from harness.autoscaling.observation import Observation, PodSample
from harness.autoscaling.operator import Operator
from harness.autoscaling.quantity import format_milli, parse_milli
from harness.autoscaling.serving import Served, Told, fallback_milli, is_active, metric_milli, polled, serve
from harness.autoscaling.spec import (
    Behavior,
    ControllerConfig,
    ExternalMetric,
    HpaSpec,
    PodsMetric,
    Policy,
    ResourceMetric,
    ScalingRules,
)
from harness.autoscaling.triggers import TriggerMetric
from harness.autoscaling.victims import Candidate, choose_victims

__all__ = [
    "Activation",
    "Autoscaler",
    "Behavior",
    "Candidate",
    "ControllerConfig",
    "Decision",
    "ExternalMetric",
    "Fallback",
    "HpaSpec",
    "Observation",
    "Operator",
    "PodSample",
    "PodsMetric",
    "Policy",
    "Proposal",
    "Recommendation",
    "ResourceMetric",
    "ScaleEvent",
    "ScaledObject",
    "ScalingRules",
    "Served",
    "State",
    "Told",
    "TriggerMetric",
    "activate",
    "activity",
    "choose_victims",
    "decide",
    "fallback_milli",
    "format_milli",
    "hpa_from_scaled_object",
    "is_active",
    "metric_milli",
    "parse_milli",
    "polled",
    "samples_by_name",
    "serve",
    "trigger_metrics",
]
