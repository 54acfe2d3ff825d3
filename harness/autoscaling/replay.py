"""Recorded observations, one JSON object a sync, and what the controller decides on them.

    {"t": 15, "replicas": {"spec": 1, "status": 1},
     "pods": [{"name": "io-1", "phase": "Running", "startTime": 2, "ready": true, "lastTransition": 9,
               "requests": {"cpu": "200m", "memory": "1Gi"}, "usage": {"cpu": "123m", "memory": null},
               "timestamp": 14, "window": 15}],
     "external": {"s0-rabbitmq-io": ["5200"]}, "unavailable": []}

Times are seconds on one axis. A missing sample is null or left out. Optional in a pod: "custom" (values of Pods
metrics), "deleting". Other keys are passed over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from harness.autoscaling.behavior import State
from harness.autoscaling.fields import integer, mapping, optional_mapping, sequence, text
from harness.autoscaling.hpa import Decision, decide
from harness.autoscaling.observation import DEFAULT_METRIC_WINDOW_SECONDS, Observation, PodSample
from harness.autoscaling.quantity import parse_milli
from harness.autoscaling.spec import HpaSpec

PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
JITTER = 0.01  # by this part of a period a sync may come early

Labelled = TypeVar("Labelled")


class Replay:
    """One autoscaler going through observations; it remembers what the controller does. `spec` may be changed."""

    def __init__(self, spec: HpaSpec) -> None:
        self.spec = spec
        self._state, self._last = State(), float("-inf")

    def forget(self) -> None:
        """Remember nothing of earlier observations, as a controller that has just started."""
        self._state = State()

    def sync(self, document: Any, *, path: str) -> tuple[float, Decision]:
        """Return (t, decision) for the next observation; `path` says in messages which it is.

        Raises ValueError naming the key for a document it cannot read, or for a `t` that goes back.
        """
        t, observation = read_observation(document, path=path)
        if t < self._last:
            raise ValueError(f"{path}: t is {t:g}, before the one above it, {self._last:g}")
        self._last = t
        decision, self._state = decide(self.spec, self._state, observation, now_seconds=t)
        return t, decision


def replay(spec: HpaSpec, documents: Iterable[Any]) -> Iterator[tuple[float, Decision]]:
    """Yield (t, decision) for each observation, in order; the state is carried from one to the next.

    Raises ValueError naming the observation and the key for a document it cannot read, or for a `t` that goes back.
    """
    going = Replay(spec)
    for index, document in enumerate(documents):
        yield going.sync(document, path=f"observation {index + 1}")


def at_syncs(observations: Iterable[tuple[Labelled, Any]], *, period_seconds: float) -> Iterator[tuple[Labelled, Any]]:
    """Yield those (label, document) that a controller of this period would have seen, of observations made more often.

    The first one, and from there the first of each further period. One without a time is yielded, for its reader to
    refuse.
    """
    due: float | None = None
    for label, document in observations:
        t = document.get("t") if isinstance(document, Mapping) else None
        if isinstance(t, bool) or not isinstance(t, int | float) or not math.isfinite(_float(t)):
            yield label, document
            continue
        due = t if due is None else due
        if t >= due - JITTER * period_seconds:
            yield label, document
            due += (1 + max(0, (t - due) // period_seconds)) * period_seconds


def read_observation(document: Any, *, path: str = "observation") -> tuple[float, Observation]:
    """Return (t, observation) of one document. Raises ValueError naming the key that is wrong."""
    whole = mapping(document, path)
    replicas = mapping(whole.get("replicas"), f"{path}: replicas")
    external = optional_mapping(whole.get("external"), f"{path}: external")
    return _seconds(whole.get("t"), f"{path}: t"), Observation(
        spec_replicas=integer(replicas.get("spec"), f"{path}: replicas.spec", low=0),
        status_replicas=integer(replicas.get("status"), f"{path}: replicas.status", low=0),
        pods=tuple(
            _pod(pod, f"{path}: pods[{i}]") for i, pod in enumerate(sequence(whole.get("pods") or [], f"{path}: pods"))
        ),
        external_milli={name: _values(values, f"{path}: external.{name}") for name, values in external.items()},
        unavailable=frozenset(
            text(name, f"{path}: unavailable[{i}]")
            for i, name in enumerate(sequence(whole.get("unavailable") or [], f"{path}: unavailable"))
        ),
    )


def _values(values: Any, path: str) -> tuple[int, ...]:
    return tuple(_milli(value, f"{path}[{i}]") for i, value in enumerate(sequence(values, path)))


def _pod(document: Any, path: str) -> PodSample:
    pod = mapping(document, path)
    phase = pod.get("phase", "Running")
    if phase not in PHASES:
        raise ValueError(f"{path}.phase is {phase!r}, must be one of {', '.join(PHASES)}")
    ready = pod.get("ready")
    if ready not in (None, True, False):
        raise ValueError(f"{path}.ready is {ready!r}, must be true, false or null")
    return PodSample(
        name=text(pod.get("name"), f"{path}.name"),
        phase=phase,
        ready=ready,
        start_time_seconds=_optional_seconds(pod.get("startTime"), f"{path}.startTime"),
        last_transition_seconds=_optional_seconds(pod.get("lastTransition"), f"{path}.lastTransition"),
        requests_milli={name: milli for name, milli in _amounts(pod, "requests", path).items() if milli is not None},
        usage_milli=_amounts(pod, "usage", path),
        custom_milli=_amounts(pod, "custom", path),
        metric_timestamp_seconds=_optional_seconds(pod.get("timestamp"), f"{path}.timestamp"),
        metric_window_seconds=_seconds(pod.get("window", DEFAULT_METRIC_WINDOW_SECONDS), f"{path}.window"),
        deleting=bool(pod.get("deleting", False)),
    )


def _amounts(pod: Mapping[str, Any], key: str, path: str) -> dict[str, int | None]:
    entries = optional_mapping(pod.get(key), f"{path}.{key}")
    return {name: None if value is None else _milli(value, f"{path}.{key}.{name}") for name, value in entries.items()}


def _milli(value: Any, path: str) -> int:
    try:
        return parse_milli(value)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _optional_seconds(value: Any, path: str) -> float | None:
    return None if value is None else _seconds(value, path)


def _seconds(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{path} is missing" if value is None else f"{path} is {value!r}, must be a number of seconds")
    seconds = _float(value)
    if not math.isfinite(seconds):
        raise ValueError(f"{path} is {value!r}, must be a number of seconds")
    return seconds


def _float(number: int | float) -> float:
    try:
        return float(number)
    except OverflowError:  # JSON's whole numbers have no bound
        return math.inf
