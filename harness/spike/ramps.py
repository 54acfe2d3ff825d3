"""How fast an autoscaler's own rules would let each class grow, if demand were endless. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from harness.autoscaling import ExternalMetric, HpaSpec, Observation, State, decide, hpa_from_scaled_object
from harness.errors import InputError
from harness.spike.arrivals import Ramp

CLASS_LABEL = "celery-workers/class"
_DEMAND = ExternalMetric("endless", target_average_milli=1000)
_ENDLESS_MILLI = 10**12


def fastest_ramps(manifests: Iterable[Mapping[str, Any]], *, until_seconds: float) -> dict[str, Ramp]:
    """Return for each worker class from when on it could have how many replicas, the first sync at 0.

    A class without an autoscaler keeps its Deployment's replicas. Raises InputError for an autoscaler that a cluster
    would refuse.
    """
    found = list(manifests)
    scalers = {_target(manifest): manifest for manifest in found if manifest.get("kind") in _SCALERS}
    ramps = {}
    for manifest in found:
        worker_class = ((manifest.get("metadata") or {}).get("labels") or {}).get(CLASS_LABEL)
        if manifest.get("kind") != "Deployment" or worker_class is None:
            continue
        scaler = scalers.get(manifest["metadata"]["name"])
        fixed: Ramp = ((0.0, int(manifest["spec"].get("replicas") or 1)),)
        ramps[worker_class] = fixed if scaler is None else _ramp(_spec(scaler), until_seconds)
    return ramps


_SCALERS = {
    "HorizontalPodAutoscaler": lambda manifest: manifest,
    "ScaledObject": hpa_from_scaled_object,
}


def _target(manifest: Mapping[str, Any]) -> str:
    return str(manifest["spec"]["scaleTargetRef"]["name"])


def _spec(manifest: Mapping[str, Any]) -> HpaSpec:
    try:
        return HpaSpec.from_manifest(_SCALERS[manifest["kind"]](manifest))
    except ValueError as error:
        raise InputError(str(error)) from error


def _ramp(spec: HpaSpec, until_seconds: float) -> Ramp:
    """Let the autoscaler decide on a demand that no number of replicas can meet."""
    pressed = replace(spec, metrics=(_DEMAND,))
    replicas, state, now = max(spec.min_replicas, 1), State(), 0.0
    steps: list[tuple[float, int]] = [(0.0, replicas)]
    while now <= until_seconds and replicas < spec.max_replicas:
        seen = Observation(
            spec_replicas=replicas, status_replicas=replicas, external_milli={_DEMAND.name: (_ENDLESS_MILLI,)}
        )
        decision, state = decide(pressed, state, seen, now_seconds=now)
        if decision.desired != replicas:
            replicas = decision.desired
            steps.append((now, replicas))
        now += spec.controller.sync_seconds
    return tuple(steps)
