"""What Prometheus answers, as plain values. Pure.

The forms are those of its HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/): numbers come as text,
and may be NaN or infinite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sample:
    """One series at one moment; `at` is seconds since the epoch."""

    labels: Mapping[str, str]
    at: float
    value: float


@dataclass(frozen=True)
class Curve:
    """One series over a time: (seconds since the epoch, value), oldest first."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


def samples(data: Mapping[str, Any]) -> list[Sample]:
    """Return the samples of an instant query; a scalar is one without labels. Raises ValueError for other forms."""
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        return [Sample({}, *_point(result))]
    if kind == "vector":
        return [Sample(one["metric"], *_point(one["value"])) for one in result]
    raise ValueError(f"an instant query answered with a {kind}")


def curves(data: Mapping[str, Any]) -> list[Curve]:
    """Return the series of a query over a range. Raises ValueError for other forms."""
    if data["resultType"] != "matrix":
        raise ValueError(f"a query over a range answered with a {data['resultType']}")
    return [Curve(one["metric"], tuple(_point(point) for point in one["values"])) for one in data["result"]]


def _point(pair: Any) -> tuple[float, float]:
    at, value = pair
    return float(at), float(value)
