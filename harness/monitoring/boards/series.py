"""Pieces of PromQL that the dashboards share: whose series, and which class a pod or a Deployment belongs to. Pure.

Series of the exporter and of the rules name their release and class. Those of Kubernetes name objects only, which the
chart calls <release>-<class>-worker, KEDA's autoscalers keda-hpa-<that>.
"""

from __future__ import annotations

OWN = 'namespace="$namespace",release="$release"'
WORKER = "$release-(.+)-worker"
AUTOSCALER = f"(?:keda-hpa-)?{WORKER}"
RATE = "$__rate_interval"
RANGE = "$__range"


def own(metric: str, *labels: str) -> str:
    """Return a series of this release: the exporter's, or one of the rules'."""
    matchers = ",".join((OWN, *labels))
    return f"{metric}{{{matchers}}}"


def by_class(series: str, label: str, pattern: str) -> str:
    """Return series of Kubernetes' objects with the class that `pattern`, its only group, finds in a label."""
    return f'label_replace({series}, "class", "$1", "{label}", "{pattern}")'


def of_deployments(metric: str) -> str:
    """Return a series of kube-state-metrics about Deployments, by class."""
    named = f'{metric}{{namespace="$namespace",deployment=~"{WORKER}"}}'
    return f"max by (class) ({by_class(named, 'deployment', WORKER)})"


def of_autoscalers(metric: str) -> str:
    """Return a series of kube-state-metrics about HorizontalPodAutoscalers, by class."""
    named = f'{metric}{{namespace="$namespace",horizontalpodautoscaler=~"{AUTOSCALER}"}}'
    return f"max by (class) ({by_class(named, 'horizontalpodautoscaler', AUTOSCALER)})"


def of_pods(metric: str, *labels: str, rate: bool = False) -> str:
    """Return a series of the kubelet's, or of requests and limits, added up by class; as a rate where it is a count."""
    pods = f"{WORKER}-.+"
    matchers = ",".join(('namespace="$namespace"', f'pod=~"{pods}"', *labels))
    named = f"{metric}{{{matchers}}}"
    return f"sum by (class) ({by_class(f'rate({named}[{RATE}])' if rate else named, 'pod', pods)})"


def or_zero(expression: str, *, of: str, by: str) -> str:
    """Return the expression, 0 for those of `of`, told apart by the label `by`, that it has no value for.

    What has not happened yet has no series, and counts 0.
    """
    return f"{expression} or on ({by}) 0 * {of}"


def quantile(share: float, metric: str, labels: str) -> str:
    """Return a quantile of a histogram of the exporter's by labels; no value where nothing was counted."""
    return f"histogram_quantile({share:g}, sum by (le, {labels}) (rate({own(metric + '_bucket')}[{RATE}])))"
