"""The configuration of a Prometheus that watches one run. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Target:
    """Something to scrape. `labels` go onto each of its series that does not have them itself."""

    job: str
    url: str  # with path and query, as RabbitMQ's detailed metrics need it
    labels: Mapping[str, str] = field(default_factory=dict)


def document(
    targets: Sequence[Target],
    *,
    rule_files: Sequence[str] = (),
    interval_seconds: float,
    alertmanagers: Sequence[str] = (),
) -> dict[str, Any]:
    """Return prometheus.yml: scrape each target, and evaluate the rules, every `interval_seconds`.

    `alertmanagers` are host:port. Raises ValueError for an address that is none.
    """
    interval = f"{round(interval_seconds * 1000)}ms"
    made: dict[str, Any] = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": list(rule_files),
        "scrape_configs": [_scrape(target) for target in targets],
    }
    if alertmanagers:
        made["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]}
    return made


def _scrape(target: Target) -> dict[str, Any]:
    parts = urlsplit(target.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{target.url}: a target's address begins with http:// or https://")
    made: dict[str, Any] = {
        "job_name": target.job,
        "scheme": parts.scheme,
        "honor_labels": True,  # what speaks of others, as kube-state-metrics does, says itself whose a series is
        "metrics_path": parts.path or "/metrics",
        "static_configs": [{"targets": [parts.netloc.rpartition("@")[2]], "labels": dict(target.labels)}],
    }
    if parts.query:
        made["params"] = parse_qs(parts.query, keep_blank_values=True)
    return made
