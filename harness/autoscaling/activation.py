"""What KEDA does itself, once a polling interval: from zero to the first replica and back. The rest is the HPA's.

Source: pkg/scaling/executor/scale_scaledobjects.go, pkg/scaling/scale_handler.go (getScaledObjectState).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from harness.autoscaling.keda import ScaledObject


@dataclass(frozen=True)
class Activation:
    """The outcome of one polling: `replicas` to set (None: leave them), and what to hand in next time."""

    replicas: int | None
    last_active_seconds: float | None
    reason: str


def activity(scaled: ScaledObject, active: Iterable[bool | None]) -> tuple[bool, bool]:
    """Return (active, error) of the whole object from its triggers' activity (`polled`; None: it failed).

    An object of nothing but cpu and memory triggers counts as active: nothing could wake it.
    """
    states = list(active)
    failed = any(state is None for state in states)
    if not any(trigger.external for trigger in scaled.triggers) and not failed:
        return True, False
    return any(states), failed


def activate(
    scaled: ScaledObject,
    *,
    current_replicas: int,
    active: bool,
    error: bool,
    last_active_seconds: float | None,
    created_seconds: float,
    now_seconds: float,
) -> Activation:
    """Decide one polling; `active` and `error` are `activity`'s, `created_seconds` is when the object was made."""
    if scaled.paused:
        return Activation(None, last_active_seconds, "paused by annotation")
    if active or scaled.forced_active:
        return _while_active(scaled, current_replicas, error, last_active_seconds, now_seconds)
    if error:
        return _after_error(scaled, current_replicas, last_active_seconds, created_seconds, now_seconds)
    return _while_idle(scaled, current_replicas, last_active_seconds, created_seconds, now_seconds)


def _while_active(scaled: ScaledObject, current: int, error: bool, last_active: float | None, now: float) -> Activation:
    if current == 0 or (scaled.idle_replicas is not None and current < scaled.min_replicas):
        if scaled.paused_scale_out:
            return Activation(None, last_active, "active, but scaling out is paused by annotation")
        return Activation(scaled.hpa_min_replicas, _stored(now), "a trigger is active")
    if error:  # the time is not renewed while another trigger fails
        return Activation(None, last_active, "a trigger is active, another one fails")
    return Activation(None, _stored(now), "a trigger is active")


def _after_error(
    scaled: ScaledObject, current: int, last_active: float | None, created: float, now: float
) -> Activation:
    """Hold while triggers fail, unless the fallback is to zero replicas."""
    if scaled.fallback is None or scaled.fallback.replicas != 0:
        return Activation(None, last_active, "a trigger fails and none is active")
    return _while_idle(scaled, current, last_active, created, now)


def _while_idle(
    scaled: ScaledObject, current: int, last_active: float | None, created: float, now: float
) -> Activation:
    down_to_idle = scaled.idle_replicas is not None and current > scaled.idle_replicas
    if down_to_idle or (current > 0 and scaled.min_replicas == 0):
        return _to_zero_or_idle(scaled, last_active, created, now)
    if scaled.idle_replicas is None and current < scaled.min_replicas:
        return Activation(scaled.min_replicas, last_active, "below minReplicaCount")
    return Activation(None, last_active, "no trigger is active")


def _to_zero_or_idle(scaled: ScaledObject, last_active: float | None, created: float, now: float) -> Activation:
    if scaled.paused_scale_in:
        return Activation(None, last_active, "no trigger is active, but scaling in is paused by annotation")
    if last_active is None:
        cooled, wait = created + scaled.initial_cooldown_seconds < now, scaled.initial_cooldown_seconds
    else:
        cooled, wait = last_active + scaled.cooldown_seconds < now, scaled.cooldown_seconds
    if not cooled:
        return Activation(None, last_active, f"no trigger is active, cooling down for {wait} s")
    goal = scaled.min_replicas if scaled.idle_replicas is None else scaled.idle_replicas
    return Activation(goal, last_active, f"no trigger was active for more than {wait} s")


def _stored(now: float) -> float:
    """Return a time as the object's status keeps it: whole seconds."""
    return float(math.floor(now))
