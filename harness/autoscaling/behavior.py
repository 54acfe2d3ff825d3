"""What holds a proposal back over time: stabilisation, rate policies, and the history both look at.

Source: horizontal.go (normalizeDesiredReplicas..., stabilizeRecommendation..., convertDesiredReplicas...,
storeScaleEvent). The history is kept as the controller keeps it, quirks included: an old slot is overwritten in place
before a list grows, and one direction's event is dropped by that direction's own longest period alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from harness.autoscaling import kernel
from harness.autoscaling.spec import NANOSECONDS, Behavior, HpaSpec, Policy, ScalingRules

T = TypeVar("T")

_KINDS = {"Pods": kernel.PODS, "Percent": kernel.PERCENT}
_SELECTS = {"Max": kernel.SELECT_MAX, "Min": kernel.SELECT_MIN, "Disabled": kernel.SELECT_DISABLED}


@dataclass(frozen=True)
class Recommendation:
    """What the metrics wanted at one sync, before anything held it back."""

    replicas: int
    at_nanoseconds: int


@dataclass(frozen=True)
class ScaleEvent:
    """One rescale: how many replicas it added or removed. `outdated` marks the slot as free to overwrite."""

    change: int
    at_nanoseconds: int
    outdated: bool = False


@dataclass(frozen=True)
class State:
    """All the controller remembers of one autoscaler between syncs. `State()` is the start."""

    recommendations: tuple[Recommendation, ...] = ()
    scale_up_events: tuple[ScaleEvent, ...] = ()
    scale_down_events: tuple[ScaleEvent, ...] = ()


@dataclass(frozen=True)
class Limited:
    """A replica count after the limits: `stabilized` before the rate, `limit` says in words what held it back."""

    replicas: int
    stabilized: int
    limit: str = ""


def first_recommendation(state: State, *, current: int, now: int) -> State:
    """Remember the replicas found at the first sync, so that stabilisation does not start from nothing."""
    if state.recommendations:
        return state
    return replace(state, recommendations=(Recommendation(current, now),))


def limit(spec: HpaSpec, state: State, *, current: int, proposal: int, now: int) -> tuple[Limited, State]:
    """Hold a proposal to the history, the rates and the bounds, and remember it; `now` in nanoseconds."""
    if spec.behavior is None:
        return _legacy(spec, state, current, proposal, now)
    up, down = spec.behavior.scale_up, spec.behavior.scale_down
    up_window, down_window = (rules.stabilization_window_seconds * NANOSECONDS for rules in (up, down))
    replicas, times = _recommended(state)
    held = kernel.stabilized(current, proposal, now, up_window, down_window, replicas, times)
    after = _remember(state, proposal, now, max(up_window, down_window))
    if held == current:
        return Limited(held, held, _stabilization_text(spec.behavior, proposal, held)), after
    rules = up if held > current else down
    allowed, chosen = _rate(rules, state, up=held > current, current=current, now=now)
    return _bounded(spec, rules, proposal, held, allowed, chosen, current), after


def _bounded(
    spec: HpaSpec, rules: ScalingRules, proposal: int, held: int, allowed: int, chosen: int, current: int
) -> Limited:
    by_rate = "scaling up is disabled" if held > current else "scaling down is disabled"
    if chosen != kernel.NO_POLICY:
        by_rate = policy_text(rules.policies[chosen], up=held > current)
    if held > current:
        edge, text = (allowed, by_rate) if spec.max_replicas > allowed else (spec.max_replicas, _max_text(spec))
        over = held > edge
    else:
        edge, text = (allowed, by_rate) if spec.min_replicas < allowed else (spec.min_replicas, _min_text(spec))
        over = held < edge
    if over:
        return Limited(edge, held, text)
    return Limited(held, held, _stabilization_text(spec.behavior, proposal, held))


def _legacy(spec: HpaSpec, state: State, current: int, proposal: int, now: int) -> tuple[Limited, State]:
    window = spec.controller.downscale_stabilization_seconds * NANOSECONDS
    held = kernel.stabilized_legacy(proposal, now, window, *_recommended(state))
    after = _remember(state, proposal, now, window)
    growth = kernel.legacy_growth_limit(current)
    edge, text = spec.max_replicas, _max_text(spec)
    if spec.max_replicas > growth:
        edge, text = growth, f"one sync may reach {growth} from {current}"
    if held < spec.min_replicas:
        return Limited(spec.min_replicas, held, _min_text(spec)), after
    if held > edge:
        return Limited(edge, held, text), after
    stable = f"{held} was wanted in the last {spec.controller.downscale_stabilization_seconds} s"
    return Limited(held, held, stable if held != proposal else ""), after


def _recommended(state: State) -> tuple[tuple[int, ...], tuple[int, ...]]:
    entries = state.recommendations
    return tuple(entry.replicas for entry in entries), tuple(entry.at_nanoseconds for entry in entries)


def _remember(state: State, proposal: int, now: int, window: int) -> State:
    times = [entry.at_nanoseconds for entry in state.recommendations]
    slot = kernel.last_older(times, now - window)
    return replace(state, recommendations=_put(state.recommendations, slot, Recommendation(proposal, now)))


def _rate(rules: ScalingRules, state: State, *, up: bool, current: int, now: int) -> tuple[int, int]:
    ups, downs = state.scale_up_events, state.scale_down_events
    return kernel.rate_limit(
        up,
        current,
        now,
        _SELECTS[rules.select],
        tuple(_KINDS[policy.kind] for policy in rules.policies),
        tuple(policy.value for policy in rules.policies),
        tuple(policy.period_seconds * NANOSECONDS for policy in rules.policies),
        tuple(event.change for event in ups),
        tuple(event.at_nanoseconds for event in ups),
        tuple(event.change for event in downs),
        tuple(event.at_nanoseconds for event in downs),
    )


def store_event(behavior: Behavior | None, state: State, *, before: int, after: int, now: int) -> State:
    """Remember a rescale for the rate policies; without `behavior` nothing is remembered. `now` in nanoseconds."""
    if behavior is None or before == after:
        return state
    if after > before:
        events = _stored(state.scale_up_events, behavior.scale_up, after - before, now)
        return replace(state, scale_up_events=events)
    events = _stored(state.scale_down_events, behavior.scale_down, before - after, now)
    return replace(state, scale_down_events=events)


def _stored(events: tuple[ScaleEvent, ...], rules: ScalingRules, change: int, now: int) -> tuple[ScaleEvent, ...]:
    cutoff = now - rules.longest_period_seconds * NANOSECONDS
    marked = tuple(
        replace(event, outdated=True) if event.at_nanoseconds < cutoff and not event.outdated else event
        for event in events
    )
    free = [index for index, event in enumerate(marked) if event.outdated]
    return _put(marked, free[-1] if free else -1, ScaleEvent(change, now))


def _put(entries: Sequence[T], slot: int, entry: T) -> tuple[T, ...]:
    if slot < 0:
        return (*entries, entry)
    return (*entries[:slot], entry, *entries[slot + 1 :])


def policy_text(policy: Policy, *, up: bool) -> str:
    """Return a policy in words: "+3 pods/60 s", "-10 %/300 s"."""
    unit = " %" if policy.kind == "Percent" else (" pod" if policy.value == 1 else " pods")
    return f"{'+' if up else '-'}{policy.value}{unit}/{policy.period_seconds} s"


def _stabilization_text(behavior: Behavior | None, proposal: int, held: int) -> str:
    if behavior is None or held == proposal:
        return ""
    if held < proposal:
        return f"{held} was enough in the last {behavior.scale_up.stabilization_window_seconds} s"
    return f"{held} was wanted in the last {behavior.scale_down.stabilization_window_seconds} s"


def _max_text(spec: HpaSpec) -> str:
    return f"maxReplicas {spec.max_replicas}"


def _min_text(spec: HpaSpec) -> str:
    return f"minReplicas {spec.min_replicas}"
