"""How replicas go once nothing is left to do, by an autoscaler's own rules. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.autoscaling import (
    ExternalMetric,
    HpaSpec,
    Observation,
    State,
    decide,
    hpa_from_scaled_object,
)
from harness.chart import manifests as look
from harness.errors import InputError
from harness.simulation.cost import Steps

MAX_SECONDS = 24 * 3600.0
_DEMAND = ExternalMetric("none", target_average_milli=1000)


def tail(spec: HpaSpec, replicas: int) -> Steps:
    """Return a class's replicas from the end of its work until they are at the minimum (or for a day)."""
    idle, state, now = replace(spec, metrics=(_DEMAND,)), State(), 0.0
    seconds, values = [0.0], [float(replicas)]
    while now < MAX_SECONDS and replicas > spec.min_replicas:
        seen = Observation(spec_replicas=replicas, status_replicas=replicas, external_milli={_DEMAND.name: (0,)})
        decision, state = decide(idle, state, seen, now_seconds=now)
        if decision.desired != replicas:
            replicas = decision.desired
            seconds.append(now)
            values.append(float(replicas))
        now += spec.controller.sync_seconds
    return Steps(tuple(seconds), tuple(values), max(now, spec.controller.sync_seconds))


def autoscalers(manifests: Sequence[Mapping[str, Any]]) -> dict[str, HpaSpec]:
    """Return the autoscalers of a render by the Deployment they scale. Raises InputError for one a cluster refuses."""
    found = {}
    for one in look.Release.of(manifests).of_kind(*look.SCALER_KINDS):
        hpa = hpa_from_scaled_object(one) if one.get("kind") == "ScaledObject" else one
        try:
            found[look.scale_target(one)[1]] = HpaSpec.from_manifest(hpa)
        except ValueError as error:
            raise InputError(str(error)) from error
    return found
