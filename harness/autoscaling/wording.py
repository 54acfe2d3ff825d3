"""Metric values in words a person reads: "cpu 62 % of request (target 50 %)"."""

from __future__ import annotations

from harness.autoscaling.metrics import Proposal
from harness.autoscaling.spec import Metric, ResourceMetric

_MEBIBYTE_MILLI = 2**20 * 1000


def proposal_text(proposal: Proposal) -> str:
    """Return a usable proposal in one clause: metric, value, target, replicas."""
    return f"{metric_text(proposal.metric, proposal.current)} asks for {proposal.replicas:,}"


def metric_text(metric: Metric, current: int) -> str:
    """Return a metric with its value and its target; `current` as in `Proposal`."""
    if isinstance(metric, ResourceMetric) and metric.target_percent is not None:
        return f"{metric.name} {current:,} % of request (target {metric.target_percent} %)"
    average = metric.target_average_milli
    if average is not None:
        return f"{metric.name} {amount_text(metric, current)} (target {amount_text(metric, average)} a pod)"
    whole = getattr(metric, "target_value_milli", None) or 0
    return f"{metric.name} {amount_text(metric, current)} (target {amount_text(metric, whole)})"


def amount_text(metric: Metric, milli: int) -> str:
    """Return thousandths as a decimal number, memory in MiB."""
    if isinstance(metric, ResourceMetric) and metric.name == "memory":
        return f"{milli / _MEBIBYTE_MILLI:,.1f} MiB"
    return f"{milli / 1000:,.3f}".rstrip("0").rstrip(".")
