"""What the controller sees at one sync, in exact integers (thousandths) and seconds of one clock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.autoscaling.spec import NANOSECONDS

Phase = Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"]

DEFAULT_METRIC_WINDOW_SECONDS = 60.0


def nanoseconds(seconds: float) -> int:
    """Return whole nanoseconds; the whole seconds are converted apart, so equal fractions stay equal."""
    whole = math.floor(seconds)
    return whole * NANOSECONDS + round((seconds - whole) * NANOSECONDS)


@dataclass(frozen=True, kw_only=True)
class PodSample:
    """One pod of the target and its newest sample.

    `ready` is the Ready condition, None while there is none; `last_transition_seconds` is when it last changed.
    `requests_milli` and `usage_milli` are sums over the pod's containers by resource (cpu in thousandths of a core,
    memory in thousandths of a byte); a resource that is absent from `usage_milli`, or None, has no sample.
    `custom_milli` holds the pod's values for Pods metrics. `metric_timestamp_seconds` is the sample's end,
    `metric_window_seconds` its length; a sample without a time is taken to be older than any change.
    """

    name: str
    phase: Phase = "Running"
    ready: bool | None = True
    start_time_seconds: float | None = None
    last_transition_seconds: float | None = None
    requests_milli: Mapping[str, int] = field(default_factory=dict)
    usage_milli: Mapping[str, int | None] = field(default_factory=dict)
    custom_milli: Mapping[str, int | None] = field(default_factory=dict)
    metric_timestamp_seconds: float | None = None
    metric_window_seconds: float = DEFAULT_METRIC_WINDOW_SECONDS
    deleting: bool = False


@dataclass(frozen=True, kw_only=True)
class Observation:
    """The target and its metrics at one sync.

    `spec_replicas` are wanted (the scale's spec), `status_replicas` exist (its status; terminating pods are not
    counted). `pods` are those the target's selector matches. `external_milli` maps a metric to its values, which the
    controller adds up; a metric that is absent or empty, or named in `unavailable` (by external or pods metric name, or
    by resource), counts as failed.
    """

    spec_replicas: int
    status_replicas: int
    pods: tuple[PodSample, ...] = ()
    external_milli: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    unavailable: frozenset[str] = frozenset()
